#!/bin/sh
# How many source addresses a rate takes towards one server, 20 % to spare.
set -eu
for rate in 500 1000 2000 4000 8000; do
  printf '%s/s\t%s\n' "$rate" "$(plimsoll plan --rate "$rate/s" --solve addresses --json | jq .solution.value)"
done
