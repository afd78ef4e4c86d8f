-- KEYS leases users due seen; ARGV own lease, at most how many, how long a user
-- who is gone is remembered.
-- Returns the leases that have run out, and how many users were due, then for
-- each whose status fell: user, status, last seen. Finds nothing if the own
-- lease is not alive: presence may have been away, and this node knows nothing.
local now = now_ms()
local deadline = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not deadline or tonumber(deadline) <= now then return { {}, 0 } end

redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - tonumber(ARGV[3]))
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 16)
local users = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))
local answer = { dead, #users }
for _, user in ipairs(users) do
  redis.call('ZREM', KEYS[3], user)
  local text = redis.call('HGET', KEYS[2], user)
  local record = parse(text)
  local status = visible(record)
  if text and status ~= record.shown then
    record.shown = status
    answer[#answer + 1] = user
    answer[#answer + 1] = status
    answer[#answer + 1] = last_seen(record, now)
    store(KEYS[2], KEYS[4], user, record)
  end
end
return answer
