-- enqueue: make an owner the holder of a lock, or leave a ticket in its queue.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- KEYS[2]  queue, rlock_queue:<tail of this lock only>: a list of tickets, the next to be
--          served at its head
-- ARGV[1]  owner
-- ARGV[2]  lease in milliseconds
-- ARGV[3]  ticket: "<owner> <attempt> <lease>"
-- ARGV[4]  the client's earlier ticket that may lie in the queue, else empty
-- ARGV[5]  1: the owner has not been named to this lock before, so that it cannot have it
-- ARGV[6]  1: the server's time is wanted
--
-- Returns {1, found, 0, 0}           acquired; found holds were there before, 0 if the lock was free
--         {0, pttl, seconds, micros} somebody else has it for another pttl milliseconds, -1 without
--                                    expiry; the ticket is in the queue; the server's time or 0
--         {3, 0, 0, 0}               the owner's field belongs to a read-write lock
-- If the lock was free, the ticket that is at the head then is told when to look.
--
-- Twice is harmless: the hold count is set; a ticket that takes an earlier one's
-- place may be there twice, and whoever is served with the second finds it stale.
local key, queue = KEYS[1], KEYS[2]
local owner, lease, ticket, earlier = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local pttl = redis.call('PTTL', key)

local found = 0
if pttl ~= -2 and ARGV[5] == '1' then
  found = -1
elseif pttl ~= -2 then
  local field = redis.call('HMGET', key, owner, 'mode')
  if field[1] and field[2] then
    return {3, 0, 0, 0}
  end
  found = field[1] and (tonumber(field[1]) or 0) or -1
end

if found >= 0 then
  redis.call('HSET', key, owner, '1')
  local limited = pttl >= lease and 1 or redis.pcall('PEXPIRE', key, lease)
  if limited ~= 1 then
    if pttl == -2 then -- refused (an ACL): do not leave a lock that never ends
      redis.call('DEL', key)
    end
    return limited
  end
  if earlier ~= '' then
    redis.pcall('LREM', queue, 1, earlier)
  end
  if pttl == -2 then
    follower(queue, lease)
  end
  return {1, found, 0, 0}
end

-- What the server refuses about the queue (an ACL, a queue that is no list) is left
-- out: the owner waits for a public release, or the end of the lease.
local place = earlier ~= '' and redis.pcall('LPOS', queue, earlier)
local renewed = type(place) == 'number'
if renewed then
  redis.pcall('LSET', queue, place, ticket)
else
  local length = redis.pcall('RPUSH', queue, ticket)
  renewed = length == 1 or earlier ~= '' and type(length) == 'number'
end
if renewed then
  redis.pcall('PEXPIRE', queue, math.max(pttl, 0) + 60000)
end
local now = ARGV[6] == '1' and redis.pcall('TIME')
return {0, pttl, now and tonumber(now[1]) or 0, now and tonumber(now[2]) or 0}
