#!/usr/bin/env bash
# Builds the endpoint program for every platform, without cgo, and vets it there.
# Prints one line each: platform and size.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export CGO_ENABLED=0
for platform in linux/amd64 linux/arm64 linux/386 linux/riscv64 darwin/arm64 windows/amd64 \
    freebsd/amd64 openbsd/amd64 netbsd/amd64 dragonfly/amd64 solaris/amd64 illumos/amd64 aix/ppc64; do
    export GOOS=${platform%/*} GOARCH=${platform#*/}
    go vet ./cmd/webjob ./internal/endpoint/... ./internal/tools/... ./internal/hostfs ./internal/durable ./internal/trust ./internal/cli ./internal/config ./wire .
    go build -trimpath -ldflags '-s -w' -o "$out/webjob" ./cmd/webjob
    printf 'cross: %-16s %5.1f MB\n' "$platform" "$(stat -c %s "$out/webjob" | awk '{print $1 / 1e6}')"
done
