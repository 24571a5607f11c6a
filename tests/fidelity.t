#!/bin/sh
# Networks of the zoo from their first weights: loss and gradients of one step, and the logits
# after it, as their peers in other software compute them in double: tests/interop/fidelity.py
# wrote tests/golden/fidelity. Among them: auxiliary heads, drop-path and cells (nasnet), local
# response normalisation (bench_cifar_alexnet), squeeze-and-excitation, layer norm (convnext),
# shared parameters (osnet), slices and shuffles, and TensorFlow's same.
#
# Those marked smooth have no kinks: the double of the peer opens a few units that our float
# shuts, and from random weights that is 0.3 to 2 % of a gradient (and 4e-5 when smooth).
# Images of 28 would not do: in maps of one pixel eight of nine numbers of a 3x3 window meet
# only padding, and have a gradient of 0.
. "${0%/*}/lib.sh"

cd "$TESTS/golden/fidelity" || exit 1
names=$(echo *)
cd "$TMP" || exit 1
set -- $names
plan $(($# * 3 + 1))

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

# The network for images of the golden's side, nothing dropped; "smooth": without kinks.
network() {
	set -- "$1" $(awk -v name="$1" '$1 == name { sub("#.*", ""); $1 = ""; print }' "$ROOT/lib/zoo/names")
	side=$(awk '/^side/ { print $2 }' golden)
	name=$1 file=$2
	shift 2
	settings=$(awk '/^set/ { print $2 }' golden)
	settings="$settings $(sed -nE "s/^input ([a-z]+) .*/\1=$side/p" "$ROOT/lib/zoo/$file.net")"
	sed -E "s/^input [0-9]+ [0-9]+/input $side $side/" "$ROOT/lib/zoo/$file.net" >text.net
	net-cat --flat $(printf -- '--set %s ' "$@" $settings classes=4) text.net |
		sed -E 's/(dropout|droppath)( [0-9][0-9.e-]*)?( ramp=[0-9.e+]+)?/\1 0/' >"$name.net" || return 1
	! grep -q '^smooth' golden ||
		sed -i -E 's/\b(relu6?|hardswish)\b([^:]|$)/swish\2/g; s/\bmaxpool\b/avgpool/g' "$name.net"
}

# One step of a rate that changes no weight.
one_step() {
	network "$1" && sh "$TESTS/interop/input" "$side" >input.mrb &&
	net-train -q -b 4 --steps 1 -s 1 --lr 1e-30 --weight-decay 0 --log-every 1 --keep 1 -o run "$1.net" input.mrb
}

check 'each network of the zoo has a peer, and no other has' '
	net-cat --zoo | awk "NR > 1 { print \$1 }" | sort >zoo
	sed -n "s/^\([^# ]*\) | .*/\1/p" "$TESTS/golden/net/peers" | sort -u | cmp - zoo'

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
