#!/bin/sh
# CIFAR-10 on a CPU: at least 90 % top-1 in under half an hour on two cores.
#
#   examples/cifar10.sh IMAGES [FOLDER]
#
# IMAGES is a tar file or a folder with train/CLASS/*.jpg and test/CLASS/*.jpg, 32x32;
# results go to FOLDER (cifar10/).
set -eu
[ $# -ge 1 ] || { echo "usage: $0 IMAGES.tar|IMAGES/ [FOLDER]" >&2; exit 2; }
images=$1 out=${2:-cifar10}
PATH="$(cd "$(dirname "$0")/../bin" && pwd):$PATH"
mkdir -p "$out"

if [ -d "$images" ]; then
	tfrec-pack -o "$out/train" --shards 16 "$images/train"
	tfrec-pack -o "$out/test" --shards 4 "$images/test"
else
	tfrec-pack --from-tar "$images" --under train -o "$out/train" --shards 16
	tfrec-pack --from-tar "$images" --under test -o "$out/test" --shards 4
fi

# Shifts by up to four pixels and mirrors, as usual for these images (He et al. 2015).
tfrec-cat --shuffle all --seed 1 --epochs 8 "$out"/train-* |
	img-augment -j 1 --mean 125.3,123.0,113.9 --deviation 63.0,62.1,66.7 'pad 4 | crop 32 random | flip' |
	net-train -b 128 --lr 0.2 --nesterov --weight-decay 5e-4 --label-smoothing 0.1 \
		--schedule linear --warmup 1 --epochs 8 -o "$out/run" cifar_fast \
		--val-pipe "tfrec-cat '$out'/test-* | img-augment -j 1 --mean 125.3,123.0,113.9 --deviation 63.0,62.1,66.7 'crop 32'"

tfrec-cat "$out"/test-* |
	img-augment --mean 125.3,123.0,113.9 --deviation 63.0,62.1,66.7 'crop 32' |
	net-eval "$out/run/last.safetensors"
log-plot -o "$out/curve.svg" "$out/run/log.ndjson"
