#!/bin/sh
# Makes the secrets of compose.yaml, once: each part's into a volume of its own, in
# the form in which the part reads it. Whoever removes the volumes (docker compose
# down --volumes) gets new ones.
set -eu

folder=${1:-/secrets}

# Letters and digits only: passwords become part of URLs.
random() {
    head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

# Written last: before, not all of the others are there.
if [ -e "$folder/gateway/carillon.toml" ]; then
    exit 0
fi

postgres=$(random)
nats=$(random)
redis=$(random)
jwt=${CARILLON_JWT_SECRET:-$(random)}

printf '%s' "$postgres" > "$folder/postgres/password"
random > "$folder/grafana/password"

cat > "$folder/nats/nats.conf" <<END
http_port: 8222
authorization { user: carillon, password: "$nats" }
END

# Presence is rebuilt by the gateways, so nothing is kept.
printf '%s' "$redis" > "$folder/redis/password"
cat > "$folder/redis/redis.conf" <<END
requirepass $redis
save ""
appendonly no
maxmemory-policy noeviction
END

cat > "$folder/dispatcher/carillon.toml" <<END
database_url = "postgres://carillon:$postgres@postgres/carillon"
nats_url = "nats://carillon:$nats@nats:4222"
END

# By itself for the load test, which makes tokens too.
printf '%s' "$jwt" > "$folder/gateway/jwt-secret"
cat > "$folder/gateway/carillon.toml" <<END
jwt_secret = "$jwt"
nats_url = "nats://carillon:$nats@nats:4222"
redis_url = "redis://:$redis@redis:6379"
END

# Each is read by a user of its own, and mounted where nobody else is.
chmod 0444 "$folder"/*/*
