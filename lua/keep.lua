-- keep: give a lock back, however many holds its owner has, but leave it taken for the
-- rest of a minimum time.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- ARGV[1]  owner
-- ARGV[2]  who has it from now on: an owner that nobody is
-- ARGV[3]  rest of the time in milliseconds
-- ARGV[4]  channel on which waiters listen
--
-- Returns {1, receivers}  the lock ends by itself; -1 receivers if the server refused PUBLISH
--         {0, pttl}       the owner has no hold; pttl is -2 if the lock is free
--         {3, 0}          the owner's field belongs to a read-write lock
-- Waiters are told, as of a release: they try, and learn that the lock ends sooner than
-- they knew. The owner's name goes, so that no late copy of a renewal prolongs the lock.
--
-- Twice is harmless: the second time finds who has the lock from now on and changes
-- nothing. The time to live becomes shorter or stays, and no lock is created.
local key, owner, keeper, rest, channel = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local field = redis.call('HMGET', key, owner, 'mode', keeper)

if not field[1] then
  if field[3] and not field[2] then
    return {1, 0}
  end
  return {0, redis.call('PTTL', key)}
end
if field[2] then
  return {3, 0}
end

local pttl = redis.call('PTTL', key)
if pttl >= 0 and pttl < rest then
  rest = pttl
end
redis.call('DEL', key)
redis.call('HSET', key, keeper, '1')
local limited = redis.pcall('PEXPIRE', key, rest)
if limited ~= 1 then -- refused (an ACL): do not leave a lock that never ends
  redis.call('DEL', key)
  return limited
end
-- The lock is kept from here on: a refusal (an ACL) means that nobody listens.
local receivers = redis.pcall('PUBLISH', channel, '0')
if type(receivers) ~= 'number' then
  receivers = -1
end
return {1, receivers}
