-- shorter: a part of scripts that may leave a lock with a lease which ends sooner than those
-- know who wait. They sleep until the end of the lease that they know of.
--
-- Those who know about tickets listen on the beacon, and are told when to look. Others are
-- told to try, as of a release, and learn then; without a beacon, all.
--
-- Twice is harmless: the second time finds the short lease, and says nothing.
local function shorter(pttl, lease, public, beacon)
  if pttl ~= -1 and pttl - lease <= 50 then
    return
  end
  if beacon ~= '' then
    redis.pcall('PUBLISH', beacon, 'look ' .. lease)
    local reply = redis.pcall('PUBSUB', 'NUMSUB', public, beacon)
    if reply.err or reply[2] <= reply[4] then
      return
    end
  end
  redis.pcall('PUBLISH', public, '0')
end
