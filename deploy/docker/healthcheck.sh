#!/bin/bash
# Whether the gateway in this container is ready, asked on the port that never speaks TLS.
exec 3<>"/dev/tcp/127.0.0.1/${RELAY_ADMIN_LISTEN##*:}" || exit 1
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3 && [ "$status" = 200 ]
