#!/bin/sh
# The quick start: a data set, a look at it, a trained network, its score, the average of
# its last checkpoints and that one's score. Run by 'make demo'; every command is printed
# before it runs, so that it can be typed again. Results are in demo/.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/bin:$PATH"
rm -rf demo
mkdir demo

say() { printf '\n# %s\n' "$*"; }
run() {
	printf '$ %s\n' "$1"
	sh -c "$1"
}

say 'Pack 4,000 digits for training and 1,000 for testing into TFRecord shards.'
run 'tfrec-pack --from-tar examples/digits.tar --under train -o demo/train --shards 4'
run 'tfrec-pack --from-tar examples/digits.tar --under test -o demo/test --shards 1'

say 'Look at the records, and check every one.'
run 'tfrec-ls demo/train-* | head -n 3'
run 'tfrec-ls --verify demo/train-* demo/test-* && tfrec-ls --count demo/train-*'

say 'See what the network will be shown: shuffled, shifted by up to two pixels.'
run "tfrec-cat --shuffle all --seed 1 demo/train-* |
  img-augment 'grey | pad 2 | crop 28 random' |
  batch-cat --sheet demo/sheet.png --count 100"

say 'The network: three convolutions and a classifier.'
run 'net-cat digits'

say 'Train it.'
run "tfrec-cat --shuffle all --seed 1 --epochs 8 demo/train-* |
  img-augment 'grey | pad 2 | crop 28 random' |
  net-train -b 50 --lr 0.02 --schedule cosine --epochs 8 --keep 4 -o demo/run digits"

say 'Score it on digits it has not seen: each exactly once.'
run "tfrec-cat demo/test-* | img-augment 'grey | crop 28' |
  net-eval demo/run/last.safetensors"

say 'Average the last four checkpoints, and score the average.'
run 'ckpt-avg --last 4 -o demo/average.safetensors demo/run'
run "tfrec-cat demo/test-* | img-augment 'grey | crop 28' |
  net-eval --json demo/average.safetensors | tee demo/score.json"

say 'Draw the curves.'
run 'log-plot -o demo/curve.svg demo/run/log.ndjson'

# Any processor reaches 97 %; which digits are missed differs in the last bits of sums.
if awk -F '"top1": ' '{ exit !($2 + 0 >= 0.97) }' demo/score.json; then
	say 'At least 97 % as it should be. Look at demo/sheet.png and demo/curve.svg.'
else
	say 'The average scores under 97 %: something is wrong here.'
	exit 1
fi
