-- force_release: take a lock from whoever has it.
--
-- KEYS[1]  lock
-- ARGV[1]  channel on which waiters listen
--
-- Returns {1, receivers}  the lock was there and is gone; -1 receivers if the server refused PUBLISH
--         {0, 0}          the lock was free
--
-- Twice is harmless in itself: the second time finds nothing, unless somebody
-- took the lock in between, who then loses it as to any forced release.
local key, channel = KEYS[1], ARGV[1]

-- What is not a hash is no lock: this raises an error rather than delete it.
redis.call('HEXISTS', key, 'mode')

if redis.call('DEL', key) == 0 then
  return {0, 0}
end
-- The lock is free from here on: a refusal (an ACL) means that nobody listens.
local receivers = redis.pcall('PUBLISH', channel, '0')
if type(receivers) ~= 'number' then
  receivers = -1
end
return {1, receivers}
