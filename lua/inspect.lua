-- inspect: look at a lock. A script and not plain commands, because read commands
-- may be sent to a replica, and a replica's answer may be old.
--
-- KEYS[1]  lock
--
-- Returns {pttl}                    pttl is -2 if the lock is free, -1 without expiry
--         {pttl, field, value, …}   and the fields of its hash, at most 64 of them
--
-- Twice is harmless: it only reads.
local key = KEYS[1]
local state = {redis.call('PTTL', key)}
if state[1] == -2 then
  return state
end

local fields = redis.call('HGETALL', key)
for i = 1, math.min(#fields, 128) do
  state[i + 1] = fields[i]
end
return state
