-- ring_hop: pass the token on.
--
-- KEYS[1]  token: a hash with the field owner
-- ARGV[1]  its next owner
-- ARGV[2]  lease in milliseconds
-- ARGV[3]  channel on which the next owner listens
--
-- Returns how many listened.
--
-- Twice is not harmless: two would have the token.
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('PUBLISH', ARGV[3], ARGV[1])
