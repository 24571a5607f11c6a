#!/bin/sh
# Initial values in the programs: the same on all devices, and what they depend on.
. "${0%/*}/lib.sh"
plan 10

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

# Rules of the reference systems: network, parameter, kind of distribution, its number.
# Fans are height x width x channels; of a window for each channel of C: in 9 C, out 9.
cat >rules <<'END'
slim_mobilenet_v1_relu features.0.0.weight trunc sqrt(1.3*2/((27+288)/2))
slim_mobilenet_v1_relu features.1.depthwise.0.weight trunc sqrt(1.3*2/((288+9)/2))
slim_mobilenet_v1_relu logits.weight trunc sqrt(1.3*2/((1024+1001)/2))
slim_mobilenet_v2_d1 features.1.2.weight trunc sqrt(1.3*2/((32+16)/2))
slim_googlenet Conv2d_2c_3x3.conv.weight trunc 0.01
slim_inception_v1 logits.weight trunc 0.01
slim_inception_v2 Conv2d_1a_7x7.depthwise.weight uniform sqrt(6/(49*3+49*8))
slim_inception_v2 Conv2d_1a_7x7.pointwise.weight uniform sqrt(6/(24+64))
slim_inception_v2 Mixed_3b.b1.0.conv.weight uniform sqrt(6/(192+64))
slim_inception_v2 Mixed_3b.b3.conv.weight uniform sqrt(6/(192+32))
slim_inception_v2 Mixed_3b.b1.1.conv.weight trunc sqrt(1.3*2/(9*64))
slim_inception_v3 Mixed_6b.branch7x7_2.conv.weight trunc sqrt(1.3*2/(7*128))
slim_inception_v3 AuxLogits.conv1.conv.weight trunc 0.01
slim_inception_v3 AuxLogits.fc.weight trunc 0.001
slim_inception_v4 AuxLogits.conv1.conv.weight trunc sqrt(1.3*2/(25*768))
slim_resnet_v1_50 block1.0.conv2.weight trunc sqrt(1.3*2/(9*64))
slim_resnet_v2_50 conv1.weight trunc sqrt(1.3*2/147)
slim_resnet_v2_50 logits.weight trunc sqrt(1.3*2/2048)
slim_nasnet_v1_small conv0.conv.weight trunc sqrt(1.3*2/288)
slim_nasnet_v1_small cell_0.comb_iter_0_left.separable_1.depthwise_conv2d.weight trunc sqrt(1.3*2/25)
slim_nasnet_v1_small aux.conv2.weight trunc sqrt(1.3*2/(16*768))
slim_nasnet_v1_small last_linear.weight trunc sqrt(1.3*2/1001)
slim_vgg_a fc6.weight uniform sqrt(6/(49*512+4096))
slim_alexnet_v2 conv2.weight uniform sqrt(6/(25*64+25*192))
slim_alexnet_v2 fc6.weight trunc 0.005
slim_alexnet_v2 fc7.bias - 0.1
slim_alexnet_v2 fc8.bias - 0
slim_lenet fc3.weight trunc 0.1
slim_cifarnet conv2.weight trunc 0.05
slim_cifarnet fc3.bias - 0.1
slim_cifarnet logits.weight trunc 1/192
bench_cifar_alexnet conv1.bias - 0.1
bench_cifar_alexnet affine1.bias - 0.1
bench_cifar_alexnet affine2.weight trunc sqrt(1/192)
bench_alexnet conv1.weight trunc sqrt(1/1600)/0.87962566
bench_alexnet affine0.weight trunc sqrt(2/9216)
bench_resnet50 layer1.0.conv2.weight trunc sqrt(1/576)/0.87962566
bench_resnet50 affine.weight trunc sqrt(1/2048)
bench_official_resnet50 dense.weight uniform sqrt(6/(2048+1001))
bench_mobilenet features.1.0.0.weight trunc 0.09
bench_inception3 fc.weight trunc sqrt(1/2048)
bench_inception4 Logits.weight trunc sqrt(1/1536)
bench_cifar_densenet40_k12 block1.0.conv.weight trunc sqrt(2/9/12)
keras_googlenet_bn conv1.conv.weight uniform sqrt(6/(147+3136))
keras_inception_v2 fc.weight normal 0.02
keras_mobilenet_v2 features.1.0.0.weight uniform sqrt(6/(288+9))
keras_resnet50 conv1.conv.weight trunc sqrt(2/147)/0.87962566
keras_efficientnet_b0 features.0.0.weight trunc sqrt(2/288)/0.87962566
keras_efficientnet_b0 features.1.0.block.0.0.weight trunc sqrt(2/9)/0.87962566
keras_osnet fc.weight normal 0.02
END
check 'weights begin as the reference systems have them' '
	while read -r network parameter kind number; do
		net-cat --params $network | awk -v p=$parameter -v k=$kind "
			\$1 == p { split(k == \"-\" ? \"-(\" \$4 \")\" : \$4, is, /[()]/); want = $number
				d = is[2] - want; good = is[1] == k && (d < 0 ? -d : d) <= 1e-6 * want }
			END { if (!good) print \"$network \" p \": \" is[1] \" \" is[2] \", not \" want; exit !good }" || bad=1
	done <rules; test -z "$bad"'
check 'and gains and biases where nothing else is said' '
	for network in $(awk "{ print \$1 }" rules | sort -u); do
		net-cat --params $network | awk -v n=$network "
			\$3 == \"gain\" && \$4 != 1 || \$3 == \"bias\" && \$4 != 0 && \$4 != 0.1 { print n, \$0; bad = 1 }
			END { exit bad }" || bad=1
	done; test -z "$bad"'
