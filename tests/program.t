#!/bin/sh
# The list of steps that net-cat shows: the reference device's to the letter, the
# CPU's by what is in it (its kernels depend on the machine).
. "${0%/*}/lib.sh"
plan 23
golden=$TESTS/golden/program
net=$golden/block.net

check_same 'steps and memory of training' "cat '$golden/block.train.steps'" \
	"net-cat --steps --memory -d ref -b 2 '$net'"
check_same 'steps and memory of evaluation' "cat '$golden/block.evaluation.steps'" \
	"net-cat --steps --memory -d ref -b 2 --evaluation '$net'"
check_same 'the same twice' "net-cat --steps -d ref resnet50" "net-cat --steps -d ref resnet50"
check_same 'a line a step in order' "seq 0 96" \
	"net-cat --steps -d ref -b 2 '$net' | awk '{ print \$1 }'"

printf 'input 4 4 3\nnet = a: conv 3 4\n    | swish | b: conv 3 classes\n' >wide.net
check_status 1 'a network that does not end in one pixel is refused' \
	'net-cat --steps -d ref --set classes=10 wide.net'
said 'with its line' 'line 3: b.conv: the network ends in 4x4x10'
check_status 1 'an unknown rewrite is refused' "net-cat --steps -d ref --without fusion '$net'"
said 'with those there are' "no rewrite 'fusion' \(pointwise, gradient, recompute, epilogue, fold, stats, prologue, skip, sums, remat, winograd, outer, all\)"

if [ ! -e "$BIN/millrace-cpu.so" ]; then
	skip 15 'no plug-in for the CPU'
	exit 0
fi
check 'the CPU takes a projected block whole' \
	"net-cat --steps -d cpu -b 2 '$net' >cpu && grep -q 'F  .affine affine add act. .* u7,ab8,u9,ab10>t12 ' cpu"
check 'and recomputes activations behind batch norm' \
	"grep -q 'B  .affine act act_dx bn_sums. .* u4,ab5,dt6,m5>s5,dg5,db5 ' cpu &&
	grep -q 'B  .affine act act_dx bn_dx. .* u4,ab5,dt6,m5,g5,s5>du4 ' cpu"
printf 'input 8 8 3\nnet = a: [conv 3 16 | bn | swish | conv 3 16 | bn | swish | linear 10]\n' >swish.net
check 'also such whose slope is not in their result: it is not stored' \
	"net-cat --steps -d cpu -b 2 swish.net >cpu &&
	grep -q 'F  .affine act. .*,ab2>t3 ' cpu &&
	grep -q 'B  .affine act_dx bn_sums. .* u1,ab2,dt3,m2>s2,dg2,db2 ' cpu &&
	grep -q 'B  .affine act_dx bn_dx. .* u1,ab2,dt3,m2,g2,s2>du1 ' cpu &&
	! grep -q '  v2' cpu"
net-cat --steps -d cpu -b 2 "$net" >cpu
check 'and sums a gradient, masks it and makes both sums in one' \
	"grep -q 'B  .add act_dx bn_sums bn_sums. .* dz18,dt12.2,again t12,u9,m10,u7,m8>dz11,' cpu"
check 'what backward can make again is not kept' \
	"net-cat --steps --memory -d cpu -b 8 resnet18 >again &&
	grep -q 'B  .affine act. .* u60,ab61>again t62 ' again && grep -q 'B  conv_dw .* again t62,du63>dw63 ' again &&
	net-cat --steps --memory -d cpu -b 8 --without remat resnet18 >kept && ! grep -q again kept &&
	awk '\$1 == \"activations\" { m[FILENAME] = \$2 + 0 } END { exit m[\"again\"] < 0.85 * m[\"kept\"] ? 0 : 1 }' again kept"
check 'weights are packed for kernels' "grep -q ' P  pack .* packed@' cpu"
check 'without recompute y is read' \
	"net-cat --steps -d cpu -b 2 --without recompute '$net' >cpu &&
	grep -q 'B  .act_dx bn_sums. .* dt6,again t6,u4,m5>s5,dg5,db5 ' cpu && ! grep -q 'act act_dx' cpu"
check 'without all rewrites there are no brackets' \
	"net-cat --steps -d cpu -b 2 --without all '$net' >cpu && ! grep -q '\[' cpu"
net-cat --steps -d cpu -b 2 --evaluation "$net" >cpu
check 'evaluation folds batch norm, and packs weights from there' \
	"! grep -q ' affine ' cpu && grep -q ' P  fold .* w4,rm5,g5,b5,rv5>fw4,fb4 ' cpu &&
	grep -q ' P  pack .* fw4>fw4. .* packed@' cpu"
check 'and takes the sum and the activation behind a convolution with it' \
	"grep -q 'F  .conv act. .* t3,fw4.,fb4>t6 ' cpu && grep -q 'F  .conv add act. .* t15,fw16.,fb16,t12>t19 ' cpu"
check 'without fold the sum is scaled as before' \
	"net-cat --steps -d cpu -b 2 --evaluation --without fold '$net' >cpu &&
	! grep -q fold cpu && grep -q 'F  .affine act. .* u4,ab5>t6 ' cpu"
check 'without epilogue it is folded all the same' \
	"net-cat --steps -d cpu -b 2 --evaluation --without epilogue '$net' >cpu &&
	! grep -q '.conv a' cpu && grep -q 'F  .add act. .* u16,t12>t19 ' cpu"
check 'nothing falls to a kernel named ref' \
	"net-cat --steps -d cpu -b 16 resnext50_32x4d >cpu && ! grep -q 'ref:' cpu"
check 'what the machine has, and what was chosen' \
	"net-cat --cpu-features -j 1 >features && grep -q '^own kernels: ' features && grep -q '^library: oneDNN' features &&
	grep -q 'threads: 1, asked for' features && grep -Eq 'measured now: [1-9][0-9]* GF/s' features"
check 'an instruction set that is asked for is the one' \
	"net-cat --cpu-features -d cpu:plain | grep -Eq '^own kernels: plain, vectors of 4 .*(asked for|the widest)'"
