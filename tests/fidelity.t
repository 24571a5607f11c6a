#!/bin/sh
# Networks of the zoo from their first weights: loss and gradients of one step, and the logits
# after it, as their peers in other software compute them in double: tests/interop/fidelity.py
# wrote tests/golden/fidelity.
. "${0%/*}/lib.sh"

cd "$TESTS/golden/fidelity" || exit 1
names=$(echo *)
cd "$TMP" || exit 1
set -- $names
plan $(($# * 3))

# near TOLERANCE: pairs of numbers on stdin; beside the largest of the second.
near() {
	awk -v most="$1" '
		{ have[NR] = $1; want[NR] = $2; size = $2 < 0 ? -$2 : $2; if (size > large) large = size }
		END {
			for (i = 1; i <= NR; i++) {
				d = have[i] - want[i]
				if (have[i] == "" || want[i] == "" || !((d < 0 ? -d : d) <= most * large)) {
					print have[i] " is not " want[i]
					bad = 1
				}
			}
			exit bad || !NR
		}'
}

# One step of a rate that changes no weight; dropout drops nothing.
one_step() {
	net-cat --flat --set classes=4 "$1" |
		sed -E 's/(dropout|droppath)( [0-9][0-9.e-]*)?( ramp=[0-9.e+]+)?$/\1 0/' >"$1.net" &&
	sh "$TESTS/interop/input" "$(awk '/^side/ { print $2 }' golden)" >input.mrb &&
	net-train -q -b 4 --steps 1 -s 1 --lr 1e-30 --weight-decay 0 --log-every 1 --keep 1 -o run "$1.net" input.mrb
}

for name; do
	cp "$TESTS/golden/fidelity/$name" golden
	rm -rf run
	check "$name: the loss of a step" '
		one_step $name && sed -n "s/.*\"event\":\"step\".*\"loss\":\([^,]*\).*/\1/p" run/log.ndjson >loss &&
		awk "/^loss/ { print \$2 }" golden | paste loss - | near 1e-4'
	check "$name: gradients" '
		awk "/^gradient/ { print \$2, \$3 }" golden | while read -r parameter size; do
			ckpt-cat --stats run/last.safetensors |
				awk -v p="opt.momentum.$parameter" -v size=$size "
					\$1 == p { print sqrt(\$4 * \$4 + \$5 * \$5), size; n++ } END { exit n != 1 }" |
				near 3e-3 || exit 1
		done'
	check "$name: the logits" '
		net-eval -q -b 4 --logits logits.npy run/last.safetensors input.mrb >eval &&
		od -An -v -t f4 -j 128 -w4 logits.npy >logits &&
		awk "/^logits/ { for (i = 2; i <= NF; i++) print \$i }" golden | paste logits - | near 1e-4'
done
