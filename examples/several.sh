#!/bin/sh
# Training by two processes, as on two machines: each reads its own half of the samples,
# both take every step together. Then one process goes on where they were interrupted.
# Run from anywhere after make; results are in demo/several/. On two machines it is the
# same command with --host one,two.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/bin:$PATH"
rm -rf demo/several
mkdir -p demo/several

say() { printf '\n# %s\n' "$*"; }
run() {
	printf '$ %s\n' "$1"
	sh -c "$1"
}

say 'The data: 4,000 digits for training, 1,000 for testing.'
run 'tfrec-pack --from-tar examples/digits.tar --under train -o demo/several/train --shards 4'
run 'tfrec-pack --from-tar examples/digits.tar --under test -o demo/several/test --shards 2'

# A container's root and a machine with fewer cores than processes have to be allowed.
mpirun='mpirun -n 2 --bind-to none --oversubscribe'
[ "$(id -u)" != 0 ] || mpirun="$mpirun --allow-run-as-root"
pipe="tfrec-cat --shuffle all --seed 1 --epochs 4 --shard {part}/{parts} --start-at {start} \
  demo/several/train-* | img-augment 'grey | pad 2 | crop 28 random'"
val="tfrec-cat --shard {part}/{parts} demo/several/test-* | img-augment 'grey | crop 28'"
train="net-train -b 50 --lr 0.02 --schedule cosine --epochs 4"

say 'Two processes train, and validate each on its half. After a moment one is told to stop.'
run "$mpirun $train --save-every 20s -o demo/several/run \
  --pipe \"$pipe\" --val-pipe \"$val\" digits & p=\$!
until [ -e demo/several/run/00000040.safetensors ] || ! kill -0 \$p; do sleep 0.1; done
kill -USR1 \$p; wait \$p || echo \"mpirun: status \$?: stopped, after a checkpoint\""

say 'The same command with --resume goes on from there; by one process it may be, if allowed.'
run 'net-train --print-position demo/several/run'
run "$train --resume --allow-change -o demo/several/run \
  --pipe \"$pipe\" --val-pipe \"$val\""

say 'Score it on digits it has not seen.'
run "tfrec-cat demo/several/test-* | img-augment 'grey | crop 28' |
  net-eval demo/several/run/last.safetensors"
