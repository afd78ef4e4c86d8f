INSERT OR IGNORE INTO feed_activity (second, kind, feed)
SELECT unixepoch(), 0, value FROM json_each(?)
