-- KEYS leases; ARGV lease. Ends it now; its users are taken like those of a dead one.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  redis.call('ZADD', KEYS[1], now_ms(), ARGV[1])
end
return 1
