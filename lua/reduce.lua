-- reduce: give back some of an owner's holds and keep the others.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- ARGV[1]  owner
-- ARGV[2]  holds that remain (absolute, at least 1)
-- ARGV[3]  lease that remains, in milliseconds; the only place where a lease may shrink
-- ARGV[4]  channel on which waiters listen
-- ARGV[5]  channel of those who know about tickets, or empty
--
-- Returns {1, found}  done; found holds were there before
--         {0, pttl}   the owner has no hold; pttl is -2 if the lock is free
--         {3, 0}      the owner's field belongs to a read-write lock
-- Waiters are told if the lease has become shorter.
--
-- Twice is harmless: count and lease are stated, not computed, and the field is
-- never created. The second time finds the short lease, and says nothing.
local key, owner, holds, lease = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local field = redis.call('HMGET', key, owner, 'mode')

if not field[1] then
  return {0, redis.call('PTTL', key)}
end
if field[2] then
  return {3, 0}
end

local pttl = redis.call('PTTL', key)
redis.call('HSET', key, owner, holds)
redis.call('PEXPIRE', key, lease)
shorter(pttl, lease, ARGV[4], ARGV[5])
return {1, tonumber(field[1]) or 0}
