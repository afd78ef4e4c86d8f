SELECT active.kind, active.feed, coalesce(rooms.head, users.head, 0) AS head
FROM (SELECT DISTINCT kind, feed FROM feed_activity WHERE second >= unixepoch() - ?1) AS active
LEFT JOIN rooms ON active.kind = 0 AND rooms.id = active.feed
LEFT JOIN users ON active.kind = 1 AND users.id = active.feed
