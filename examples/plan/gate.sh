#!/bin/sh
# Stops a release whose load would run out of source ports. Usage: gate.sh RATE SERVERS
set -eu
rate=${1:?usage: gate.sh RATE SERVERS}
servers=${2:?usage: gate.sh RATE SERVERS}

code=0
plan=$(plimsoll plan --rate "$rate" --destinations "$servers" --margin 50% --json) || code=$?
case $code in
  0) printf '%s\n' "$plan" | jq -r '"lasts: \(.total.sustainable_rate | floor)/s without a failure"' ;;
  1) printf '%s\n' "$plan" | jq -r '"runs out after \(.exhausts_after | floor) s; what would hold: \(.cheapest_titles | join("; "))"' ;;
esac
# Above 1 plimsoll itself has said what is wrong.
exit "$code"
