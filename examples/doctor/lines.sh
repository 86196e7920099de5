#!/bin/sh
# Questions to a report, one jq line each. Usage: plimsoll doctor --json > report.json; sh lines.sh report.json
set -eu
report=${1:?usage: lines.sh REPORT}

# the verdict and its reasons
jq -r '.verdict, .because[]' "$report"
# the five fullest port spaces
jq -r '.port_spaces[:5][] | [.id, .used, .capacity, .used_ratio] | @tsv' "$report"
# what runs out within ten minutes
jq -r '.port_spaces[] | select(.forecast.kind == "exhausts" and .forecast.seconds < 600) | .id' "$report"
# who holds the ports of the fullest
jq -r '.port_spaces[0].owners[]? | "\(.command)[\(.pid)] \(.sockets)"' "$report"
# connects that failed while it watched
jq -r '[.port_spaces[].failed_searches // 0] | add // 0' "$report"
# the best remedy of each port space
jq -r '.remedies | group_by(.subject)[] | "\(.[0].subject): \(.[0].title)"' "$report"
# what could not be seen
jq -r '.sensors[] | select(.status != "ok") | "\(.name): \(.status) \(.hint)"' "$report"
