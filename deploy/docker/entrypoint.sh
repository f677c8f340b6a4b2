#!/bin/sh
# Secrets from files: for each variable NAME_FILE, NAME becomes what the file holds. So a secret can be
# mounted, and need not stand in the container's settings: RELAY_STORE_FILE=/run/secrets/store.
set -eu
for name in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)_FILE=.*/\1/p'); do
    eval "file=\$${name}_FILE"
    case $name in SSL_CERT) continue ;; esac # OpenSSL's own
    # shellcheck disable=SC2154
    [ -r "$file" ] || {
        echo "relay: ${name}_FILE names $file, which cannot be read." >&2
        exit 2
    }
    value=$(cat "$file")
    export "$name=$value"
    unset "${name}_FILE"
done
exec "$@"
