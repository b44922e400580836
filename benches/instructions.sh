#!/bin/sh
# Counts the instructions of each case of instructions.rs with valgrind, which a noisy machine does not disturb, and
# compares them with the baseline; more than 5 % above it is a failure. With --save they become the baseline.
set -eu
cd "$(dirname "$0")/.."

baseline=benches/instructions.txt
exe=$(cargo bench --bench instructions --no-run 2>&1 | sed -n 's/.*(\(.*instructions-[^)]*\)).*/\1/p')
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# At each mark a part is written, and they are numbered: one for what is before a case, one for the case.
valgrind --quiet --tool=callgrind --callgrind-out-file="$out/part" --dump-before='instructions::mark' \
    "$exe" --count >"$out/cases"
{
    echo "# instructions a run; $(rustc --version), $(rustc -vV | sed -n 's/host: //p')"
    part=0
    while read -r name runs; do
        part=$((part + 2))
        total=$(sed -n 's/^totals: //p' "$out/part.$part")
        echo "$name $((total / runs))"
    done <"$out/cases"
} >"$out/counts"

if [ "${1-}" = --save ]; then
    cp "$out/counts" "$baseline"
    exit
fi
awk '
    /^#/ { next }
    NR == FNR { was[$1] = $2; next }
    {
        change = was[$1] ? 100 * ($2 - was[$1]) / was[$1] : 0
        printf "%-40s %8d %8d %+6.1f %%\n", $1, was[$1], $2, change
        if (change > 5 && $2 > was[$1] + 2) worse = 1
    }
    END { exit worse }
' "$baseline" "$out/counts"
