#!/bin/sh
# Fails unless a server holds a rate. Usage: gate.sh URL RATE
set -eu
url=${1:?usage: gate.sh URL RATE}
rate=${2:?usage: gate.sh URL RATE}

status=0
plimsoll load "$url" --rate "$rate" --duration "${DURATION:-30s}" --json \
  --threshold 'p99<50ms' --threshold 'errors<0.1%' --threshold 'missed<0.1%' > load.json || status=$?
jq -r '"\(.ok) of \(.scheduled) answered, p99 \(.latency.p99 * 1000 | round) ms" ,
       (.thresholds[] | select(.ok | not) | "does not hold: \(.expression) (\(.value))"),
       (if .exhausted_after then "source ports ran out after \(.exhausted_after) s" else empty end)' load.json
exit "$status"
