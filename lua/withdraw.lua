-- withdraw: take a ticket out of a lock's queue.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- KEYS[2]  queue: a list of tickets
-- ARGV[1]  owner
-- ARGV[2]  ticket
--
-- Returns {1, holds}  the ticket was served before: the owner has the lock
--         {0, pttl}   it was not; pttl is -2 if the lock is free
--
-- Twice is harmless: the second time finds no ticket.
redis.call('LREM', KEYS[2], 1, ARGV[2])
local holds = redis.call('HGET', KEYS[1], ARGV[1])
if holds then
  return {1, tonumber(holds) or 0}
end
return {0, redis.call('PTTL', KEYS[1])}
