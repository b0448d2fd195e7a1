#!/usr/bin/env bash
# Shows WebJob at work: one server, three clients, jobs and recipes, on this machine alone.
# Everything is made in a temporary folder and removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/bin:$PATH
work=$(mktemp -d)
export WEBJOB_HOME=$work/operator
server=
cleanup() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null && wait "$server" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
if [ ! -t 1 ] || [ -n "${NO_COLOR:-}" ]; then title() { printf '\n%s\n' "$*"; }; fi
show() { printf '$ %s\n' "$*"; "$@"; }

# Three free ports on loopback.
ports=($(go run ./demo/freeports 3))

title "1. A server: configuration, CA, SQLite metadata, file blobs"
webjobd init "$work/server" --name localhost --listen "127.0.0.1:${ports[0]}" \
    --operator-listen "127.0.0.1:${ports[1]}" --telemetry-listen "127.0.0.1:${ports[2]}" -o json >"$work/init.json"
login=$(sed -n 's/.*"login_token": "\(.*\)".*/\1/p' "$work/init.json")
webjobd serve --dir "$work/server" 2>"$work/server.log" &
server=$!
until grep -q msg=ready "$work/server.log"; do
    kill -0 "$server" || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.05
done
show webjobd check --dir "$work/server"

title "2. An operator with a signing key, which is made the trust root"
show webjobctl login --name olga --token - <<<"$login"
show webjobctl key new olga
show webjobctl repo init olga

title "3. Three clients: each makes its own key and pins who may sign"
token=$(webjobctl token new --uses 3 --label env=demo 2>/dev/null)
for id in web1 web2 db1; do
    webjob --state "$work/$id" enroll --token - --id "$id" <<<"$token" >/dev/null
done
show webjobctl client list

title "4. Jobs and every recipe, signed and published"
mkdir "$work/primes"
cp demo/jobs/primes/job.toml "$work/primes/"
CGO_ENABLED=0 go build -o "$work/primes/primes" ./demo/jobs/primes
for job in "$work/primes" demo/jobs/failing/failing.sh demo/jobs/runaway; do
    webjobctl job publish "$job" >/dev/null
done
for recipe in $(webjobctl recipe list -o jsonl | sed 's/.*"name":"\([^"]*\)".*/\1/'); do
    webjobctl recipe publish "$recipe" >/dev/null
done
show webjobctl job list

title "5. The clients run them"
run() { # state, expected exit status, job and arguments
    local state=$1 want=$2 status=0
    shift 2
    printf '$ webjob --state %s run %s\n' "$state" "$*"
    webjob --state "$work/$state" run "$@" || status=$?
    if [ "$status" != "$want" ]; then echo "demo: exit status $status, expected $want" >&2; exit 1; fi
}
run web1 0 harvest-diagnostics-embedded
run web2 0 primes -- --below 1000000
run db1 3 failing
run db1 124 runaway
if pgrep -f 'sleep 360[01]' -s 0 >/dev/null; then echo "demo: the runaway left processes" >&2; exit 1; fi

title "6. The results, in one place"
show webjobctl result list

title "7. One result in full"
id=$(webjobctl result list --job primes -o jsonl | sed -n 's/.*"run":"\([^"]*\)".*/\1/p')
show webjobctl result show "$id"

title "8. What was harvested from web1 (the first lines of each section)"
id=$(webjobctl result list --job harvest-diagnostics-embedded -o jsonl | sed -n 's/.*"run":"\([^"]*\)".*/\1/p')
webjobctl result get "$id" stdout | awk '/^=== /{n=0; print ""} n++<4' | cut -c1-100

title "Done: 4 runs, 4 results; nothing is left behind."
