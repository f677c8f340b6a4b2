#!/usr/bin/env bash
# The served set-up on one machine, for real: PostgreSQL, Redis 8, two gateways, relay-sim as provider,
# nginx before the gateways, Prometheus behind them. `make stack` sets up, builds and starts it.
#
#   scripts/stack.sh start [--detach]   starts everything; stays until Ctrl-C, which stops everything
#   scripts/stack.sh stop               stops what was started, from anywhere
#   scripts/stack.sh status             what runs, and where; exit status 0 when all of it does
#   scripts/stack.sh logs [NAME]        follows the logs, or one of them
#   scripts/stack.sh relay ARGS...      the command line on this store: keys list, usage, logs ...
#   scripts/stack.sh programs           which programs it would start; exit status 1 when one is missing
#
# Everything lies in STACK_DIR (build/stack) and stays there: the next start finds the same keys, log and
# limits. Everything listens on 127.0.0.1; the ports can be set: STACK_BALANCER_PORT=8080,
# STACK_RELAY1_PORT=8081, STACK_RELAY2_PORT=8082, STACK_SIM_PORT=8083, STACK_POSTGRES_PORT=15432,
# STACK_REDIS_PORT=16379, STACK_PROMETHEUS_PORT=19090. A process is stopped only if it is the one that
# was started here: its number and its time of birth must both fit.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077

balancer_port=${STACK_BALANCER_PORT:-8080}
relay1_port=${STACK_RELAY1_PORT:-8081}
relay2_port=${STACK_RELAY2_PORT:-8082}
sim_port=${STACK_SIM_PORT:-8083}
postgres_port=${STACK_POSTGRES_PORT:-15432}
redis_port=${STACK_REDIS_PORT:-16379}
prometheus_port=${STACK_PROMETHEUS_PORT:-19090}

# In the order in which they are stopped.
names=(balancer prometheus relay1 relay2 sim redis postgres)
dir=${STACK_DIR:-build/stack}
bin=$(realpath "${RELAY_BIN_DIR:-build}")

say() { printf 'stack: %s\n' "$*"; }
die() {
    printf 'stack: %s\n' "$*" >&2
    exit 1
}

port_of() {
    local name=$1_port
    echo "${!name}"
}

# --- programs ------------------------------------------------------------------------------------

first_program() {
    local program
    for program in "$@"; do
        if program=$(command -v "$program"); then
            realpath "$program"
            return
        fi
    done
}

# The folder of the newest PostgreSQL's programs.
find_postgres() {
    local folder version newest=14 found=
    for folder in /usr/lib/postgresql/*/bin "$(dirname "$(command -v postgres || echo /)")"; do
        if ! [ -x "$folder/postgres" ] || ! [ -x "$folder/initdb" ] || ! [ -x "$folder/psql" ]; then
            continue
        fi
        version=$("$folder/postgres" --version | grep -oE '[0-9]+' | head -1)
        if [ "$version" -gt "$newest" ]; then
            newest=$version
            found=$folder
        fi
    done
    echo "$found"
}

find_programs() {
    relay=$(first_program "$bin/relay")
    relay_sim=$(first_program "$bin/relay-sim")
    nginx=$(first_program nginx /usr/sbin/nginx build/deps/nginx/usr/sbin/nginx)
    prometheus=$(first_program prometheus build/deps/prometheus/usr/bin/prometheus)
    redis_server=$(first_program ${RELAY_REDIS_SERVER:+"$RELAY_REDIS_SERVER"} \
        build/deps/redis/redis-server redis-server)
    postgres=${RELAY_POSTGRES_BIN:-$(find_postgres)}
}

check_programs() {
    local missing=
    [ -n "$relay" ] && [ -n "$relay_sim" ] || missing+=", relay and relay-sim (make build)"
    [ -n "$nginx" ] || missing+=", nginx"
    [ -n "$prometheus" ] || missing+=", prometheus"
    [ -n "$redis_server" ] || missing+=", redis-server"
    [ -n "$postgres" ] || missing+=", PostgreSQL 15 or newer"
    [ -z "$missing" ] || die "not found: ${missing#, }; scripts/setup.sh stack brings what it can"
}

# --- processes -----------------------------------------------------------------------------------

# When a process was born, in whatever unit; nothing for one that is not there or has ended.
birth() {
    if [ -e /proc/self/stat ]; then
        sed -E 's/.*\) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" {print $20}'
    else
        ps -o lstart= -p "$1" 2>/dev/null
    fi
}

# Prints the process of a name, if it is the one that was started here.
process() {
    local pid born
    { read -r pid && read -r born; } 2>/dev/null <"$dir/run/$1.pid" || return 1
    [ "$(birth "$pid")" = "$born" ] && echo "$pid"
}

# launch NAME COMMAND...: in a process group of its own, so that Ctrl-C reaches this script alone.
launch() {
    local name=$1 pid
    shift
    set -m
    "$@" >>"$dir/logs/$name.log" 2>&1 </dev/null &
    pid=$!
    set +m
    disown "$pid"
    printf '%s\n%s\n' "$pid" "$(birth "$pid")" >"$dir/run/$name.pid"
}

# await NAME COMMAND...: until the command succeeds; not if the process has ended meanwhile.
await() {
    local name=$1 end=$((SECONDS + 120))
    shift
    until "$@" >/dev/null 2>&1; do
        if ! process "$name" >/dev/null || [ $SECONDS -gt $end ]; then
            tail -n 20 "$dir/logs/$name.log" >&2
            die "$name did not start; its log is $dir/logs/$name.log"
        fi
        sleep 0.05
    done
}

# Whether a process of ours has ended within so many seconds.
has_ended() {
    local end=$((SECONDS + $2))
    while process "$1" >/dev/null; do
        [ $SECONDS -le $end ] || return 1
        sleep 0.05
    done
}

# end SIGNAL NAME...: all of them at once; what has not ended after a minute is killed.
end() {
    local signal=$1 name pid
    shift
    for name in "$@"; do
        ! pid=$(process "$name") || kill -s "$signal" "$pid" 2>/dev/null || true
    done
    for name in "$@"; do
        if ! has_ended "$name" 60; then
            say "$name does not end and is killed"
            ! pid=$(process "$name") || kill -s KILL "$pid" 2>/dev/null || true
        fi
        rm -f "$dir/run/$name.pid"
    done
}

stop_all() {
    end QUIT balancer # takes nothing new, ends what it has
    end TERM relay1 relay2
    end TERM prometheus sim
    end TERM redis # keeps its data in a file
    end INT postgres
}

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# is_well PORT PATH: answers 200.
is_well() {
    local status
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
    read -r -t 10 _ status _ <&3 && [ "$status" = 200 ]
}

# --- secrets and configuration -------------------------------------------------------------------

secret() { cat "$dir/secrets/$1"; }

# make_secret NAME PREFIX: 32 random bytes, once.
make_secret() {
    [ -s "$dir/secrets/$1" ] ||
        printf '%s%s\n' "$2" "$(od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n')" >"$dir/secrets/$1"
}

sum_of() { { sha256sum 2>/dev/null || shasum -a 256; } | cut -d' ' -f1; }

# fill TEMPLATE NAME=VALUE...: prints it with the values in place of ${NAME}.
fill() {
    local text pair
    text=$(cat "$1")
    shift
    for pair in "$@"; do
        text=${text//"\${${pair%%=*}}"/"${pair#*=}"}
    done
    printf '%s\n' "$text"
}

write_nginx() {
    fill deploy/nginx/relay.conf.template "BALANCER_LISTEN=127.0.0.1:$balancer_port" \
        "BALANCER_GATEWAY_1=127.0.0.1:$relay1_port" "BALANCER_GATEWAY_2=127.0.0.1:$relay2_port" \
        BALANCER_ACCESS_LOG=off >"$dir/balancer/relay.conf"
    {
        [ "$(id -u)" != 0 ] || echo 'user root;' # its workers need the folder
        cat <<NGINX
daemon off;
worker_processes 2;
pid $dir/balancer/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
    client_body_temp_path $dir/balancer/body;
    proxy_temp_path $dir/balancer/proxy;
    fastcgi_temp_path $dir/balancer/fastcgi;
    uwsgi_temp_path $dir/balancer/uwsgi;
    scgi_temp_path $dir/balancer/scgi;
    include $dir/balancer/relay.conf;
}
NGINX
    } >"$dir/balancer/nginx.conf"
}

prepare() {
    local name
    mkdir -p "$dir"
    dir=$(realpath "$dir")
    chmod 711 "$dir" # PostgreSQL's user must come through
    for name in run logs secrets "${names[@]}"; do
        mkdir -p "$dir/$name"
    done
    make_secret postgres-admin ""
    make_secret postgres ""
    make_secret redis ""
    make_secret redis-admin ""
    make_secret admin-key gla_
    write_nginx
    cp deploy/prometheus/prometheus.yml deploy/prometheus/alerts.yml "$dir/prometheus/"
    printf '[{"targets": ["127.0.0.1:%s", "127.0.0.1:%s"]}]\n' "$relay1_port" "$relay2_port" \
        >"$dir/prometheus/relay.json"
    fill deploy/redis/redis.conf.template "RELAY_SHA256=$(printf %s "$(secret redis)" | sum_of)" \
        "ADMIN_SHA256=$(printf %s "$(secret redis-admin)" | sum_of)" >"$dir/redis/redis.conf"
}

# --- PostgreSQL ----------------------------------------------------------------------------------

# It refuses to run as root, where it runs as nobody.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid=nobody --regid="$(id -gn nobody)" --clear-groups "$@"
    fi
    exec "$@"
}

make_database() {
    local password=$dir/postgres/password
    [ ! -e "$dir/postgres/data" ] || return 0
    cp "$dir/secrets/postgres-admin" "$password"
    if [ "$(id -u)" = 0 ]; then
        chown nobody "$dir/postgres" "$password"
        (as_postgres test -r "$password") ||
            die "PostgreSQL runs as nobody, who cannot reach $dir: set STACK_DIR to a folder that everybody may pass"
    fi
    (cd "$dir/postgres" && as_postgres "$postgres/initdb" -D new -U postgres --no-locale -E UTF8 \
        --auth=scram-sha-256 --pwfile=password --no-sync) >>"$dir/logs/postgres.log" 2>&1 ||
        die "no database could be made; see $dir/logs/postgres.log"
    rm "$password"
    mv "$dir/postgres/new" "$dir/postgres/data"
}

start_postgres() {
    make_database
    cd "$dir/postgres"
    launch postgres as_postgres "$postgres/postgres" -D data -p "$postgres_port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories=
    cd "$OLDPWD"
}

psql_admin() {
    PGPASSWORD=$(secret postgres-admin) "$postgres/psql" -X -q -t -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$postgres_port" -U postgres -d postgres "$@"
}

make_role() {
    [ -z "$(psql_admin -c "SELECT 1 FROM pg_database WHERE datname = 'relay'")" ] || return 0
    psql_admin <<SQL
SET client_min_messages = warning;
DROP ROLE IF EXISTS relay;
CREATE ROLE relay LOGIN PASSWORD '$(secret postgres)';
CREATE DATABASE relay OWNER relay;
SQL
}

# --- Relay ---------------------------------------------------------------------------------------

# with_relay NAME COMMAND...: in the folder and environment of a gateway.
with_relay() {
    cd "$dir/$1"
    RELAY_STORE=postgresql://relay:$(secret postgres)@127.0.0.1:$postgres_port/relay
    RELAY_SHARED=redis://relay:$(secret redis)@127.0.0.1:$redis_port/0
    RELAY_ADMIN_KEY=$(secret admin-key)
    RELAY_SERVER_LISTEN=127.0.0.1:$(port_of "$1")
    SIM_URL=http://127.0.0.1:$sim_port
    export RELAY_STORE RELAY_SHARED RELAY_ADMIN_KEY RELAY_SERVER_LISTEN SIM_URL
    shift
    exec "$relay" "$@" --config "$config"
}

make_client_key() {
    local key
    [ -s "$dir/secrets/client-key" ] && return
    key=$(with_relay relay1 keys create --name stack 2>>"$dir/logs/relay1.log") ||
        die "no client key could be made; see $dir/logs/relay1.log"
    echo "$key" >"$dir/secrets/client-key"
}

start_programs() {
    start_postgres
    launch redis "$redis_server" "$dir/redis/redis.conf" --port "$redis_port" --dir "$dir/redis"
    launch sim "$relay_sim" --listen "127.0.0.1:$sim_port" --latency 60 --tps 120
    launch prometheus "$prometheus" --config.file="$dir/prometheus/prometheus.yml" \
        --storage.tsdb.path="$dir/prometheus/data" --storage.tsdb.retention.time=15d \
        --web.listen-address="127.0.0.1:$prometheus_port" --log.level=warn
    await postgres psql_admin -c 'SELECT 1'
    make_role || die "the database could not be made"
    await redis is_open "$redis_port"
    await sim is_open "$sim_port"
    make_client_key
    launch relay1 with_relay relay1 serve
    await relay1 eval "(is_well $relay1_port /readyz)"
    launch relay2 with_relay relay2 serve
    await relay2 eval "(is_well $relay2_port /readyz)"
    launch balancer "$nginx" -p "$dir/balancer" -c "$dir/balancer/nginx.conf" -e stderr
    await balancer eval "(is_well $balancer_port /healthz)"
    await prometheus eval "(is_well $prometheus_port /-/ready)"
}

# --- commands ------------------------------------------------------------------------------------

command_programs() {
    local name
    check_programs
    for name in relay relay_sim nginx prometheus redis_server postgres; do
        printf '%-14s %s\n' "$name" "${!name}"
    done
}

check_free() {
    local name upper
    for name in "${names[@]}"; do
        ! process "$name" >/dev/null || die "it runs already ($name does); make stack-stop stops it"
    done
    for name in "${names[@]}"; do
        upper=$(tr '[:lower:]' '[:upper:]' <<<"$name")
        ! is_open "$(port_of "$name")" ||
            die "port $(port_of "$name") for $name is taken: stop what listens there, or set STACK_${upper}_PORT"
    done
}

explain() {
    cat <<TEXT

Everything runs. Clients use nginx, which asks both gateways:

  nginx        http://127.0.0.1:$balancer_port/v1
  gateways     http://127.0.0.1:$relay1_port and http://127.0.0.1:$relay2_port, each with the dashboard
  relay-sim    http://127.0.0.1:$sim_port, a provider whose answers are made up
  PostgreSQL   127.0.0.1:$postgres_port, database relay: keys and request log
  Redis        127.0.0.1:$redis_port: what the gateways share
  Prometheus   http://127.0.0.1:$prometheus_port

  curl -N http://127.0.0.1:$balancer_port/v1/chat/completions \\
    -H "Authorization: Bearer \$(cat $dir/secrets/client-key)" -H 'Content-Type: application/json' \\
    -d '{"model":"auto","stream":true,"messages":[{"role":"user","content":"ship it"}]}'

Client key, admin key, passwords:   $dir/secrets
Dashboard:                          scripts/stack.sh relay dashboard prints an address that signs in
Logs:                               scripts/stack.sh logs [NAME]
Relay's command line:               scripts/stack.sh relay usage --by model
To stop:                            Ctrl-C or make stack-stop; data and keys stay in $dir
TEXT
}

watch_until_stopped() {
    local name gone=
    trap 'trap "" INT TERM; echo; say "stopping"; stop_all; exit 0' INT TERM
    while [ -e "$dir/run/balancer.pid" ]; do
        for name in "${names[@]}"; do
            if [ -e "$dir/run/$name.pid" ] && ! process "$name" >/dev/null && [[ $gone != *"$name"* ]]; then
                say "$name has ended; its log is $dir/logs/$name.log"
                gone+=" $name"
            fi
        done
        sleep 1 &
        wait $! || true
    done
    say "stopped from elsewhere"
}

command_start() {
    check_programs
    check_free
    prepare
    trap 'status=$?; trap "" INT TERM; stop_all; exit $status' EXIT
    trap 'exit 130' INT TERM
    start_programs
    trap - EXIT
    explain
    [ "${1:-}" = --detach ] || watch_until_stopped
}

command_status() {
    local name pid status=0
    for name in "${names[@]}"; do
        if pid=$(process "$name"); then
            printf '%-11s runs     pid %-8s 127.0.0.1:%s\n' "$name" "$pid" "$(port_of "$name")"
        else
            printf '%-11s is down\n' "$name"
            status=1
        fi
    done
    return $status
}

config=$PWD/deploy/relay.yaml
command=${1:-}
[ $# = 0 ] || shift
# A copy of this process must not depend on where it is called from.
[ ! -d "$dir" ] || dir=$(realpath "$dir")
case $command in
start | programs)
    find_programs
    "command_$command" "$@"
    ;;
stop) stop_all ;;
status) command_status ;;
logs)
    logs=("$dir"/logs/*.log)
    [ $# = 0 ] || logs=("$dir/logs/$1.log")
    exec tail -n 20 -F "${logs[@]}"
    ;;
relay)
    find_programs
    [ -s "$dir/secrets/client-key" ] || die "there is no stack in $dir; make stack starts one"
    with_relay relay1 "$@"
    ;;
*)
    echo "usage: scripts/stack.sh start [--detach] | stop | status | logs [NAME] | relay ARGS... | programs" >&2
    exit 2
    ;;
esac
