-- renew: keep many locks alive, or look whether they still are.
--
-- KEYS[i]      lock: a hash with one field, owner -> number of holds
-- ARGV[2i-1]   owner of KEYS[i]
-- ARGV[2i]     lease in milliseconds, 0 to look only
--
-- Returns one integer per key, in their order:
--         1    the owner has the lock, for at least the lease
--         0    the lock is free
--         2    somebody else has the lock, or something else lies at its name
--
-- Twice is harmless: a lease is never made shorter, and nothing is created. One
-- key that is not a hash does not keep the others from being renewed.
local verdicts = {}
for i, key in ipairs(KEYS) do
  local owner, lease = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local field = redis.pcall('HMGET', key, owner, 'mode')
  if field.err then
    if not string.find(field.err, 'WRONGTYPE', 1, true) then
      return field
    end
    verdicts[i] = 2
  elseif field[1] and not field[2] then
    -- The comparison holds for a lock without expiry too: its PTTL is -1.
    if lease > 0 and redis.call('PTTL', key) < lease then
      redis.call('PEXPIRE', key, lease)
    end
    verdicts[i] = 1
  elseif redis.call('EXISTS', key) == 0 then
    verdicts[i] = 0
  else
    verdicts[i] = 2
  end
end
return verdicts
