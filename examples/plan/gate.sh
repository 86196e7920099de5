#!/bin/sh
# Stops a release whose load would run out of source ports. Usage: gate.sh RATE SERVERS
set -eu
rate=${1:?usage: gate.sh RATE SERVERS}
servers=${2:?usage: gate.sh RATE SERVERS}

if plimsoll plan --rate "$rate" --destinations "$servers" --margin 50% --json > plan.json; then
  jq -r '"lasts: \(.total.sustainable_rate | floor)/s without a failure"' plan.json
else
  jq -r '"runs out after \(.exhausts_after | floor) s; what would hold: \(.cheapest_titles | join("; "))"' plan.json
  exit 1
fi
