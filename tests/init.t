#!/bin/sh
# Initial values in the programs: the same on all devices, and what they depend on.
. "${0%/*}/lib.sh"
plan 8

tfrec-pack -q --from-tar "$ROOT/examples/digits.tar" --under test -o set --shards 1 || exit 1
tfrec-cat set-* | img-augment 'grey | crop 28' | head -c 400000 >digits.mrb
cat >small.net <<'NET'
input 28 28 1
net = maxpool 4 | conv1: conv 3 8 | bn1: bn | relu | conv2: conv 3 8 groups=8 init=trunc(0.1)
    | relu | fc: linear classes
NET
sed 's/^net = /net = zero: conv 1 1 | bn0: bn | /' small.net >longer.net
cat >many.net <<'NET'
input 28 28 1
net = maxpool 4 | [repeat 9 (conv 3 8 | bn | relu)] | fc: linear classes
NET
begin='net-train -q -b 16 --steps 0 -s 5'
check 'initial values are written' "$begin -d ref -o ref small.net digits.mrb"
check 'the cpu has the same' "$begin -d cpu -o cpu small.net digits.mrb &&
	ckpt-cat --diff ref/last.safetensors cpu/last.safetensors"
check 'and two devices' "$begin -d 'cpu*2' -o two small.net digits.mrb &&
	ckpt-cat --diff ref/last.safetensors two/last.safetensors"
check 'and another number of threads' "$begin -j 1 -o one many.net digits.mrb &&
	$begin -j 3 -o three many.net digits.mrb &&
	ckpt-cat --diff one/last.safetensors three/last.safetensors"
check 'another seed gives others, in each weight' "net-train -q -b 16 --steps 0 -s 6 -o six small.net digits.mrb
	ckpt-cat --diff ref/last.safetensors six/last.safetensors >diff; test \$? = 1 &&
	test \$(grep -c '^[a-z0-9]*\.weight:' diff) = 3"
# Values of each parameter under its name: mean, deviation, least and most to four digits.
stats='ckpt-cat --stats'
check 'a layer more changes no other' "$begin -o longer longer.net digits.mrb &&
	$stats ref/last.safetensors | sort >a && $stats longer/last.safetensors | sort >b &&
	comm -23 a b >gone && test ! -s gone && test \$(comm -13 a b | wc -l) -ge 6"
check 'parameters of one shape have values of their own' "
	$stats one/last.safetensors | awk '\$2 == \"F32\" && \$3 == \"8x8x3x3\" && !/^opt/ { print \$4, \$5, \$6 }' |
	sort -u >own && test \$(wc -l <own) = 8"
check 'a stream of another seed, only -s counts' "
	tfrec-cat --seed 9 set-* | img-augment 'grey | crop 28' | head -c 300000 |
	$begin -o pipe small.net && ckpt-cat --diff ref/last.safetensors pipe/last.safetensors"
