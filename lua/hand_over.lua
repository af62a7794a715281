-- hand_over: give a lock to the next waiter of the same process.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- ARGV[1]  owner
-- ARGV[2]  next owner
-- ARGV[3]  its lease in milliseconds
-- ARGV[4]  channel on which waiters listen, who are told if the lease becomes shorter than it
--          was; empty: it does not
-- ARGV[5]  channel of those who know about tickets
--
-- Returns {1, 0}     the next owner has the lock
--         {1, 1}     the next owner had it already, and the owner had no hold
--         {0, pttl}  the owner has no hold; pttl is -2 if the lock is free
--         {3, 0}     the owner's field belongs to a read-write lock
--
-- Twice is harmless: the second time finds the next owner's hold and changes nothing.
local key, owner, new, lease = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local field = redis.call('HMGET', key, owner, 'mode', new)

if field[1] and field[2] then
  return {3, 0}
end
if field[1] then
  local pttl = ARGV[4] ~= '' and redis.call('PTTL', key)
  redis.call('DEL', key)
  redis.call('HSET', key, new, '1')
  local limited = redis.pcall('PEXPIRE', key, lease)
  if limited ~= 1 then -- refused (an ACL): do not leave a lock that never ends
    redis.call('DEL', key)
    return limited
  end
  if pttl then
    shorter(pttl, lease, ARGV[4], ARGV[5])
  end
  return {1, 0}
end
if field[3] and not field[2] then
  if redis.call('PTTL', key) < tonumber(lease) then -- trust counts from this copy
    redis.call('PEXPIRE', key, lease)
  end
  return {1, 1}
end
return {0, redis.call('PTTL', key)}
