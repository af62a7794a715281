-- spin_release: delete a spin lock if it is still the caller's.
--
-- KEYS[1]  lock: a string, the token of its holder
-- ARGV[1]  token
--
-- Returns 1  it was deleted
--         0  somebody else has it, or nobody
--
-- Twice is harmless: the second time finds another token or none.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
