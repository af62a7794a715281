-- release_alone: give a lock back, however many holds its owner has, if no process has
-- left a ticket for it.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- KEYS[2]  queue: a list of tickets
-- ARGV[1]  owner
-- ARGV[2]  channel on which waiters listen
--
-- Returns {1, receivers}  released; -1 receivers if the server refused PUBLISH
--         {0, pttl}       the owner has no hold; pttl is -2 if the lock is free
--         {3, 0}          the owner's field belongs to a read-write lock
--         {4, 0}          there are tickets: the owner still has the lock
--
-- Twice is harmless: the second time finds no field, changes nothing and
-- publishes nothing.
local key, queue, owner, channel = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local field = redis.call('HMGET', key, owner, 'mode')

if not field[1] then
  return {0, redis.call('PTTL', key)}
end
if field[2] then
  return {3, 0}
end
if redis.call('EXISTS', queue) == 1 then
  return {4, 0}
end

redis.call('DEL', key)
-- The lock is free from here on: a refusal (an ACL) means that nobody listens.
local receivers = redis.pcall('PUBLISH', channel, '0')
if type(receivers) ~= 'number' then
  receivers = -1
end
return {1, receivers}
