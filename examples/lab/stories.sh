#!/bin/sh
# Runs the lab's stories and prints, for each prediction, what was predicted, what was measured, and how far off it was.
# Exits 1 if any is 5 % off or more. Needs root and jq. Names of scenarios may be given; without them all are run.
#
#   sudo sh stories.sh
#   sudo sh stories.sh shared-bind close-wait-leak
set -u
plimsoll=${PLIMSOLL:-plimsoll}
if [ $# -eq 0 ]; then
  set -- idle-one-to-one handshake-collision single-snat-address time-wait-churn shared-bind conntrack-snat close-wait-leak
fi
worst=0
for scenario in "$@"; do
  document=$($plimsoll lab run "$scenario" --fast --json) || exit $?
  printf '%s\n' "$document" |
    jq -r '.scenario as $s | .predictions[] | [$s, .key, .predicted, .measured, "\(.difference * 1000 | round / 10) %"] | @tsv'
  printf '%s\n' "$document" | jq -e 'all(.predictions[]; .difference < 0.05)' > /dev/null || worst=1
done
exit $worst
