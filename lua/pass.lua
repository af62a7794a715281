-- pass: give a lock to the next in line: to a process whose ticket is at the head of
-- the queue and that still listens, else to the next waiter of the same process, else
-- to whoever takes it.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- KEYS[2]  queue, rlock_queue:<tail of this lock only>: a list of tickets,
--          "<client>:<number> <attempt> <lease>"
-- ARGV[1]  owner; empty: nobody, serve the queue if the lease has ended
-- ARGV[2]  tail of the names of the public channel and the beacon
-- ARGV[3]  hand-overs in a row so far
-- ARGV[4]  most hand-overs in a row while somebody waits who does not know the queue
-- ARGV[5]  how many tickets at the head may belong to processes that expect a longer lease
--          than a first one; -1: all of them
-- ARGV[6]  next waiter of the same process; this and what follows may be left out
-- ARGV[7]  its lease in milliseconds
-- ARGV[8]  its ticket, for the end of the queue if the lock goes to another process, or empty
-- ARGV[9]  a ticket of this process that is to leave the queue, or empty; *: all of its tickets
--          are passed over
-- ARGV[10] 1: the next waiter of the same process comes before the queue
-- ARGV[11] 1: its lease may end before the present one, of which waiters are told then
--
-- Returns {1, 0, receivers, 0, 0}         public: the lock is free; -1 receivers if PUBLISH was refused
--         {1, 1, before, 0, 0}            the next waiter of the same process has it; before is 1
--                                         if it had it already and the owner had no hold, else 0
--         {1, 2, lease, seconds, micros}  the owner of a ticket has it and was told
--         {0, 0, pttl, 0, 0}              the owner has no hold; pttl is -2 if the lock is free
--         {3, 0, 0, 0, 0}                 the owner's field belongs to a read-write lock
-- The lease is a first one: 3 seconds, or less if the ticket asks for less. It ends if the
-- new owner does not confirm that it has the lock. Seconds and micros are the server's
-- time, which the message to the new owner carries too: "grant <owner> <attempt>
-- <seconds> <micros> <lease> <hand-overs in a row> <ARGV[5] as it is now>". The ticket
-- behind is told when to look, should the new owner die.
--
-- Twice is harmless: the second time finds that the owner has no hold. It says so, or
-- that the next waiter of the same process has the lock, if it does. Without an owner it
-- finds who was served, or tells once more that the lock is free.
local key, queue, ahead = KEYS[1], KEYS[2], ARGV[10] == '1'
local owner, tail, run, behind = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local neighbour, lease, ticket, stale = ARGV[6] or '', ARGV[7], ARGV[8] or '', ARGV[9] or ''
local public, beacon = 'redisson_lock__channel:' .. tail, 'rlock_beacon:' .. tail
local pttl -- of a lease that may become shorter

-- listeners returns how many connections listen on each channel, of which there may
-- be two; nobody, if the server refuses to tell.
local function listeners(...)
  local reply = redis.pcall('PUBSUB', 'NUMSUB', ...)
  if reply.err then
    return 0, 0
  end
  return reply[2], reply[4]
end

local function channel(client)
  return 'rlock_grant:' .. string.sub(queue, #'rlock_queue:' + 1) .. ':' .. client
end

local function enqueue()
  if ticket ~= '' and redis.pcall('RPUSH', queue, ticket) == 1 then
    redis.pcall('PEXPIRE', queue, 60000 + tonumber(lease))
  end
end

-- keep lets the queue live on: where it never runs empty, nobody else needs to.
local function keep()
  local left = redis.pcall('PTTL', queue)
  if type(left) == 'number' and left < 60000 then
    redis.pcall('PEXPIRE', queue, 60000)
  end
end

-- give makes somebody the holder of the free lock, unless the server refuses that.
local function give(new, limit)
  if redis.pcall('HSET', key, new, '1') == 1 and redis.pcall('PEXPIRE', key, limit) == 1 then
    return true
  end
  redis.call('DEL', key)
  return false
end

local function nearby()
  if not give(neighbour, lease) then
    return nil
  end
  if pttl then
    shorter(pttl, lease, public, beacon)
  end
  return {1, 1, 0, 0, 0}
end

local function publish()
  local receivers = redis.pcall('PUBLISH', public, '0')
  return {1, 0, type(receivers) == 'number' and receivers or -1, 0, 0}
end

if owner == '' then
  local pttl = redis.call('PTTL', key)
  if pttl ~= -2 then
    return {0, 0, pttl, 0, 0}
  end
else
  local field = redis.call('HMGET', key, owner, 'mode')
  if not field[1] then
    local pttl = redis.call('PTTL', key)
    if neighbour ~= '' and not field[2] and redis.call('HEXISTS', key, neighbour) == 1 then
      if pttl < tonumber(lease) then -- trust counts from this copy
        redis.call('PEXPIRE', key, lease)
      end
      return {1, 1, 1, 0, 0}
    end
    return {0, 0, pttl, 0, 0}
  end
  if field[2] then
    return {3, 0, 0, 0, 0}
  end
  pttl = ARGV[11] == '1' and redis.call('PTTL', key)
  redis.call('DEL', key)
end

-- The lock is free from here on: what the server refuses (an ACL, a queue that is no
-- list) is left out.
if stale ~= '' and stale ~= '*' then
  redis.pcall('LREM', queue, 1, stale)
end
if run >= tonumber(ARGV[4]) then
  local everybody, insiders = listeners(public, beacon)
  if everybody > insiders then
    enqueue()
    redis.pcall('PUBLISH', beacon, 'public')
    return publish()
  end
  run = 0
end

local given = ahead and neighbour ~= '' and nearby()
if given then
  return given
end

-- At most 16 dead tickets in one go; the next release goes on.
local giver = stale == '*' and string.match(owner, '^([^:]+):')
for _ = 1, 16 do
  local head = redis.pcall('LPOP', queue)
  if type(head) ~= 'string' then
    break
  end
  local client, number, attempt, wanted = string.match(head, '^([^:%s]+):(%S+) (%d+) ([1-9]%d*)$')
  if client and client ~= giver and listeners(channel(client)) > 0 then
    local first = math.min(3000, tonumber(wanted))
    local now = redis.pcall('TIME')
    now = now.err and {0, 0} or now
    local new = client .. ':' .. number
    if not give(new, first) then
      break
    end
    if behind < 0 then
      behind = redis.pcall('LLEN', queue)
      behind = (type(behind) == 'number' and behind or 0) + (ticket ~= '' and 1 or 0)
    else
      behind = math.max(behind - 1, 0)
    end
    local told = redis.pcall('PUBLISH', channel(client),
      table.concat({'grant', new, attempt, now[1], now[2], first, run + 1, behind}, ' '))
    if type(told) ~= 'number' then -- nobody who has the lock without knowing it
      redis.call('DEL', key)
      break
    end
    enqueue()
    if string.sub(attempt, -1) == '0' then -- now and then
      keep()
    end
    if behind > 0 then
      follower(queue, first)
    end
    return {1, 2, first, tonumber(now[1]), tonumber(now[2])}
  end
end

given = neighbour ~= '' and nearby()
if given then
  return given
end
-- An heir publishes too: some may wait for the end of a longer lease, because they do
-- not know about tickets or because theirs lie behind too many dead ones.
return publish()
