#!/bin/sh
# Counts the instructions of each case of instructions.rs with valgrind, which a noisy machine does not disturb, and
# compares them with the baseline; more than 5 % above it is a failure. With --save they become the baseline.
set -eu
cd "$(dirname "$0")/.."

baseline=benches/instructions.txt
runs=500
exe=$(cargo bench --bench instructions --no-run 2>&1 | sed -n 's/.*(\(.*instructions-[^)]*\)).*/\1/p')
out=$(mktemp)
trap 'rm -f "$out"' EXIT

count() { # case, runs: instructions in all
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$exe" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

{
    echo "# instructions a run; $(rustc --version), $(rustc -vV | sed -n 's/host: //p')"
    "$exe" --list | while read -r name; do
        few=$(count "$name" "$runs")
        many=$(count "$name" $((3 * runs)))
        echo "$name $(((many - few) / (2 * runs)))"
    done
} >"$out"

if [ "${1-}" = --save ]; then
    cp "$out" "$baseline"
    exit
fi
awk '
    /^#/ { next }
    NR == FNR { was[$1] = $2; next }
    {
        change = was[$1] ? 100 * ($2 - was[$1]) / was[$1] : 0
        printf "%-34s %8d %8d %+6.1f %%\n", $1, was[$1], $2, change
        if (change > 5 && $2 > was[$1] + 2) worse = 1
    }
    END { exit worse }
' "$baseline" "$out"
