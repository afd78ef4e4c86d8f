-- What the scripts share; it stands before each of them. A script touches one
-- slot only, and all that a script reads or writes is in its KEYS:
--
--   leases  sorted set: lease -> its deadline
--   users   hash: user -> record, see below
--   due     sorted set: user -> when to look at the user again
--   seen    sorted set: user who is gone -> when last seen
--   index   set, one per lease: users with a connection under it
--
-- A record is text: "<shown> <last>[ <connection>=<lease>=<status>]...".
-- shown: the status that others were last told. last: when last seen, or 0.
-- A status is a number: 0 offline or invisible, 1 away, 2 busy, 3 online.
-- Ids hold neither spaces nor "=". Times are milliseconds on this server's clock.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function parse(text)
  local record = { shown = 0, last = 0, connections = {} }
  if text then
    local shown, last, rest = string.match(text, '^(%d) (%d+)(.*)$')
    record.shown, record.last = tonumber(shown), tonumber(last)
    for connection, lease, status in string.gmatch(rest, ' ([^= ]+)=([^= ]+)=(%d)') do
      record.connections[connection] = { lease = lease, status = tonumber(status) }
    end
  end
  return record
end

-- The status of the most present connection.
local function visible(record)
  local most = 0
  for _, entry in pairs(record.connections) do
    if entry.status > most then most = entry.status end
  end
  return most
end

local function last_seen(record, now)
  if visible(record) > 0 then return now end
  return record.last
end

-- Writes a record back, or moves what is left of it to `seen`.
local function store(users, seen, user, record)
  if record.shown == 0 and not next(record.connections) then
    redis.call('HDEL', users, user)
    if record.last > 0 then redis.call('ZADD', seen, record.last, user) end
    return
  end
  local text = { string.format('%d %.0f', record.shown, record.last) }
  for connection, entry in pairs(record.connections) do
    text[#text + 1] = connection .. '=' .. entry.lease .. '=' .. entry.status
  end
  redis.call('HSET', users, user, table.concat(text, ' '))
end

-- After a connection has gone: has the user looked at when the grace is over,
-- counted from the last one that went.
local function settle(due, user, record, at)
  if visible(record) ~= record.shown then redis.call('ZADD', due, 'GT', at, user) end
end

