-- spin_release: delete a spin lock if it is still the caller's.
--
-- KEYS[1]  lock: a string, the holder's token
-- ARGV[1]  token
--
-- Returns 1  deleted
--         0  it was somebody else's or free
--
-- Twice is harmless: a token is used once.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
