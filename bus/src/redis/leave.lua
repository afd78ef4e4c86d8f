-- KEYS users due seen index; ARGV lease, what this node's leases begin with,
-- grace, then user, connection of each entry. `index` is that of the lease.
local now = now_ms()
local node, grace = ARGV[2], tonumber(ARGV[3])
for i = 4, #ARGV, 2 do
  local user, connection = ARGV[i], ARGV[i + 1]
  local record = parse(redis.call('HGET', KEYS[1], user))
  local entry = record.connections[connection]
  if entry and string.sub(entry.lease, 1, #node) == node then
    if entry.status > 0 then record.last = math.max(record.last, now) end
    record.connections[connection] = nil
    local others = false
    for _, other in pairs(record.connections) do
      others = others or other.lease == ARGV[1]
    end
    if not others then redis.call('SREM', KEYS[4], user) end
    settle(KEYS[2], user, record, now + grace)
    store(KEYS[1], KEYS[3], user, record)
  end
end
return 1
