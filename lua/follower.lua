-- follower: a part of scripts that may leave another ticket at the head of a lock's queue. Its
-- client may sleep until the end of a longer lease than the present one, and is told when to
-- look: "look <lease>". Those further behind are told when it is their turn to be at the head.
--
-- Twice is harmless: it looks in time anyway.
local function follower(queue, lease)
  local head = redis.pcall('LINDEX', queue, 0)
  local client = type(head) == 'string' and string.match(head, '^([^:]+):')
  if client then
    redis.pcall('PUBLISH', 'rlock_grant:' .. string.sub(queue, #'rlock_queue:' + 1) .. ':' .. client, 'look ' .. lease)
  end
end
