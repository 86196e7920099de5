#!/bin/sh
# Prints the rate at which failures begin. Usage: limit.sh URL [OPTIONS]
set -eu
url=${1:?usage: limit.sh URL [OPTIONS]}
shift

plimsoll load "$url" --find-limit --duration "${DURATION:-10s}" --json "$@" |
  jq -r '.limit | if .fails_at then "\(.rate) holds, \(.fails_at) does not: \(.cause)" else "\(.rate) holds: no limit found" end'
