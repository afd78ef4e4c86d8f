-- KEYS leases users due seen index; ARGV a lease, grace, how long before its
-- deadline it was last renewed, at most how many.
-- Takes users from a lease that has run out; whoever takes them, each is taken
-- once. Returns 1 while there are more.
local now = now_ms()
local deadline = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or now + 1)
if deadline > now then return 0 end

local gone = deadline - tonumber(ARGV[3])
for _, user in ipairs(redis.call('SPOP', KEYS[5], tonumber(ARGV[4]))) do
  local record = parse(redis.call('HGET', KEYS[2], user))
  local taken = false
  for connection, entry in pairs(record.connections) do
    if entry.lease == ARGV[1] then
      -- Setting a field to nil is the one change that pairs allows.
      record.connections[connection] = nil
      if entry.status > 0 then record.last = math.max(record.last, gone) end
      taken = true
    end
  end
  if taken then
    settle(KEYS[3], user, record, deadline + tonumber(ARGV[2]))
    store(KEYS[2], KEYS[4], user, record)
  end
end
if redis.call('SCARD', KEYS[5]) > 0 then return 1 end
redis.call('ZREM', KEYS[1], ARGV[1])
return 0
