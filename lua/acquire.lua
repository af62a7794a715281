-- acquire: make an owner the holder of a lock, or count one more hold for it.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- ARGV[1]  owner
-- ARGV[2]  holds the owner has once this one counts (absolute, at least 1)
-- ARGV[3]  lease in milliseconds
--
-- Returns {1, found}  acquired; found holds were there before, 0 if the lock was free
--         {0, pttl}   somebody else has it for another pttl milliseconds, -1 without expiry
--         {2, pttl}   ARGV[2] > 1, yet the owner has no hold; pttl is -2 if the lock is free
--         {3, 0}      the owner's field belongs to a read-write lock
--
-- Twice is harmless: the count is set, not incremented; a lease is never made
-- shorter; and a count above 1 never creates the field, so that a late copy
-- cannot bring back a lock that was released.
local key, owner, holds, lease = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local first = holds == '1'
local pttl = redis.call('PTTL', key)

if pttl == -2 and first then
  redis.call('HSET', key, owner, holds)
  local limited = redis.pcall('PEXPIRE', key, lease)
  if limited ~= 1 then -- refused (an ACL): do not leave a lock that never ends
    redis.call('DEL', key)
    return limited
  end
  return {1, 0}
end

local field = redis.call('HMGET', key, owner, 'mode')
if field[1] then
  if field[2] then
    return {3, 0}
  end
  redis.call('HSET', key, owner, holds)
  if pttl < lease then
    redis.call('PEXPIRE', key, lease)
  end
  return {1, tonumber(field[1]) or 0}
end

if first then
  return {0, pttl}
end
return {2, pttl}
