-- withdraw: take a ticket out of a lock's queue.
--
-- KEYS[1]  lock: a hash with one field, owner -> number of holds
-- KEYS[2]  queue, rlock_queue:<tail of this lock only>: a list of tickets
-- ARGV[1]  owner
-- ARGV[2]  ticket
--
-- Returns {1, holds}  the ticket was served before: the owner has the lock
--         {0, pttl}   it was not; pttl is -2 if the lock is free
-- Where the first ticket goes, the one behind it is told when to look. Whoever served the ticket
-- before may be gone.
--
-- Twice is harmless: the second time finds no ticket.
local key, queue, owner, ticket = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local first = redis.pcall('LINDEX', queue, 0) == ticket
redis.call('LREM', queue, 1, ticket)
local holds = redis.call('HGET', key, owner)
if holds then
  return {1, tonumber(holds) or 0}
end
local pttl = redis.call('PTTL', key)
if first and pttl ~= -1 then
  follower(queue, math.max(pttl, 0))
end
return {0, pttl}
