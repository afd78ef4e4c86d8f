-- KEYS leases; ARGV lease, its time, '1' to begin it if it is not there.
-- Returns 1 if the lease was alive.
local now = now_ms()
local deadline = redis.call('ZSCORE', KEYS[1], ARGV[1])
if deadline then
  -- One that has run out is never revived: what was entered under it may be long untrue.
  if tonumber(deadline) <= now then return 0 end
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
  return 1
end
if ARGV[3] == '1' then redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1]) end
return 0
