#!/bin/sh
# Makes the passwords and keys that compose.yaml mounts, once, in deploy/secrets/. The folder is for its
# owner alone; the files in it are readable, since the containers' users are not its owner.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'; }
keep() {
    [ -s "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
    chmod 644 "secrets/$1"
}
keep postgres-password "$(random)"
keep redis-password "$(random)"
keep redis-admin-password "$(random)"
keep grafana-password "$(random)"
keep admin-key "gla_$(random)"
keep store "postgresql://relay:$(cat secrets/postgres-password)@postgres/relay"
keep shared "redis://relay:$(cat secrets/redis-password)@redis:6379/0"
echo "The secrets are in $(pwd)/secrets"
