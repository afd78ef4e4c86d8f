-- KEYS users seen; ARGV users. Returns status, last seen of each.
local now = now_ms()
local answer = {}
for i, text in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV))) do
  local record = parse(text)
  if not text then record.last = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[i]) or 0) end
  answer[#answer + 1] = record.shown
  answer[#answer + 1] = last_seen(record, now)
end
return answer
