#!/bin/sh
# Instruction sets: every kind of step on the CPU, kept to fewer than the processor has,
# gives what ref gives.
. "${0%/*}/lib.sh"

kinds='across conv loss norm point pool nets'
sets='plain avx2'
plan $(($(echo $kinds | wc -w) * $(echo $sets | wc -w)))

for set in $sets; do
	if ! net-cat --cpu-features -d "cpu:$set" >/dev/null 2>"$TMP/why"; then
		skip "$(echo $kinds | wc -w)" "$(head -n 1 "$TMP/why")"
		continue
	fi
	for kind in $kinds; do
		check "$set: $kind" "OPS_DEVICE=cpu:$set '$BUILD/tests/ops-$kind'"
	done
done
