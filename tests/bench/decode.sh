#!/bin/sh
# Decoding and random crops of 224x224 on one core: img-augment beside OpenCV, in turns,
# the median of each. User and system time, so that others on the machine matter less.
# Ours reads a batch stream and writes one, with all checksums, and its resize is
# antialiased; the start of the program counts. The peer has the files in memory.
#
#   PYTHON=... RUNS=5 decode.sh TAR         (a tar of JPEG files)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tar=$1 runs=${RUNS:-5} python=${PYTHON:-python3} rounds=${ROUNDS:-8}
core=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

mkdir "$tmp/files"
tar -xf "$tar" -C "$tmp/files"
find "$tmp/files" -type f | sort | sed 's/^/1 /' >"$tmp/list"
count=$(wc -l <"$tmp/list")
tfrec-pack -q --list "$tmp/list" --no-shuffle -o "$tmp/bench"
tfrec-cat -q --epochs "$rounds" "$tmp"/bench-* >"$tmp/stream"

# Seconds of user and system time of the children of a shell.
ours() {
	sh -c "taskset -c $core img-augment -q -j 1 'random-crop | size 224' <'$tmp/stream' >/dev/null; times" |
		tail -n 1 | awk -v n=$((count * rounds)) '{
			for (i = 1; i <= 2; i++) { split($i, t, "m"); s += 60 * t[1] + t[2] }
			print n / s }'
}

peer() { sed 's/^1 //' "$tmp/list" | tr '\n' '\0' | xargs -0 taskset -c "$core" "$python" "$here/decode.py" "$rounds"; }

for i in $(seq "$runs"); do
	ours >>"$tmp/ours"
	peer >>"$tmp/peer"
	echo "# run $i: $(tail -n 1 "$tmp/ours") against $(tail -n 1 "$tmp/peer")"
done
a=$(median <"$tmp/ours") b=$(cut -d' ' -f1 "$tmp/peer" | median)
printf 'decode, random crop 224, one core: %.2f times OpenCV %s (%.0f against %.0f img/s)\n' \
	"$(awk "BEGIN { print $a / $b }")" "$(head -n 1 "$tmp/peer" | cut -d' ' -f2)" "$a" "$b"
