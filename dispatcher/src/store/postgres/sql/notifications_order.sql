    ORDER BY created_at DESC, id DESC LIMIT $3
) AS page ON true
ORDER BY page.created_at DESC, page.id DESC
