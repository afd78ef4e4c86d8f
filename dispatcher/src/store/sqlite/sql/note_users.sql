INSERT OR IGNORE INTO feed_activity (second, kind, feed)
SELECT unixepoch(), 1, value FROM json_each(?)
