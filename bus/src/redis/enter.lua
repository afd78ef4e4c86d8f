-- KEYS leases users due seen index; ARGV lease, then user, connection, status of each entry.
-- Returns 0 if the lease is not alive (nothing was done), else 1 and for each
-- user whose status changed: user, status, last seen.
local now = now_ms()
local deadline = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not deadline or tonumber(deadline) <= now then return { 0 } end

local answer = { 1 }
for i = 2, #ARGV, 3 do
  local user, connection, status = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local text = redis.call('HGET', KEYS[2], user)
  local record = parse(text)
  if not text then
    record.last = tonumber(redis.call('ZSCORE', KEYS[4], user) or 0)
    if record.last > 0 then redis.call('ZREM', KEYS[4], user) end
  end
  local before = visible(record)
  record.connections[connection] = { lease = ARGV[1], status = status }
  local after = visible(record)
  if before > 0 and after == 0 then record.last = now end
  if after ~= record.shown then
    record.shown = after
    answer[#answer + 1] = user
    answer[#answer + 1] = after
    answer[#answer + 1] = last_seen(record, now)
  end
  redis.call('ZREM', KEYS[3], user)
  redis.call('SADD', KEYS[5], user)
  store(KEYS[2], KEYS[4], user, record)
end
return answer
