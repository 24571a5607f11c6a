#!/bin/sh
# The CUDA plug-in on machines without a GPU: that it loads, what it says, and that
# every convolution has an engine on an H100 and an H200 (cuDNN is asked by the devices'
# properties). Its kernels are tried as loops of the host. With a GPU: make check-gpu.
. "${0%/*}/lib.sh"

[ -f "$BIN/millrace-cuda.so" ] ||
	skip_all 'no plug-in for CUDA: no toolkit, cuDNN or NCCL where this was built'
networks='resnet18 resnet50 resnext50_32x4d vgg16 mobilenet_v2 mnasnet1_0 densenet121 googlenet
inception_v3 efficientnet_b0 shufflenet_v2_x1_0'
golden=$TESTS/golden/cuda
kernels='ops-loss ops-pool fold'
plan $((4 + 8 + 2 + 4 + 2 + 1 + 14 + $(echo $kernels | wc -w)))

# ---- a machine without a device ----
if ls /dev/nvidia[0-9]* >/dev/null 2>&1; then
	skip 4 'there is an NVIDIA GPU here'
else
	check_status 3 'net-train without a GPU: a system error' \
		'net-train -q -d cuda -o run digits </dev/null'
	said 'that names the remedy' '^net-train: cuda: no NVIDIA GPU.*-d cpu'
	check 'in one line' \
		'test "$(net-train -q -d cuda -o run digits 2>&1 </dev/null | wc -l)" = 1'
	check_status 3 'nor has net-cat' 'net-cat --steps -d cuda:1:bf16 -b 2 digits'
fi

# ---- engines ----
# engines NETWORK <STEPS: "network count kinds output engine", each shape once.
engines() {
	awk '{
		kinds = $3; shape = how = ""
		for (i = 4; kinds ~ /^\[/ && kinds !~ /\]$/; i++) kinds = kinds " " $i
		for (; i <= NF; i++) {
			if (!shape && $i ~ /^[0-9]+x[0-9]+x[0-9]+x[0-9]+$/) shape = $i " " $(i + 1)
			if ($i == "cudnn") how = $i " " $(i + 1)
			if ($i == "own") how = $i
		}
		if (kinds ~ /conv/) print kinds, shape, how
	}' | LC_ALL=C sort | uniq -c | sed "s/^ */$1 /"
}

if version=$(net-cat --cpu-features -d cuda:h200 2>"$TMP/why" |
	grep -o 'cuDNN [0-9.]*'); then
	for d in h100 h200; do
		for n in $networks; do
			net-cat --steps -d cuda:$d -b 256 "$n" >"$d-$n" </dev/null &
		done
		wait
		for n in $networks; do
			engines "$n" <"$d-$n"
		done >"$d"
		check "$d: every convolution of these networks has an engine of cuDNN" \
			"test \$(cut -d ' ' -f 1 $d | uniq | wc -l) = $(echo $networks | wc -w) &&
			 ! grep -v ' cudnn e[0-9]' $d"
		if grep -q "^# $version\$" "$golden/$d"; then
			check_same "$d: the engines that were chosen ever" "cat $d" \
				"grep -v '^#' $golden/$d"
		else
			skip 1 "another $version than that of the golden table"
		fi
		# These engines are compiled when they are asked for: seconds for a network.
		case $d in h100) n=resnet18 ;; *) n=mobilenet_v2 ;; esac
		net-cat --steps --evaluation -d cuda:$d -b 256 $n </dev/null | engines $n >"$d.evaluation"
		check "$d: in evaluation bias, sum and activation are their engines' too" \
			"grep -q '.conv act. ' $d.evaluation && grep -q '.conv add' $d.evaluation &&
			 ! grep -v ' cudnn e[0-9]' $d.evaluation"
		if grep -q "^# $version\$" "$golden/$d.evaluation"; then
			check_same "$d: the engines of evaluation" "cat $d.evaluation" \
				"grep -v '^#' $golden/$d.evaluation"
		else
			skip 1 "another $version than that of the golden table"
		fi
	done
else
	skip 8 "$(head -n 1 "$TMP/why")"
fi

# ---- what is fused ----
# kinds STEPS: how many brackets with convolutions there are, by kind.
kinds() {
	grep -o '\[[^]]*conv[^]]*\]' "$1" | LC_ALL=C sort | uniq -c | sed 's/^ *//'
}

if [ -n "$version" ]; then
	check_same 'resnet50 in fp16: prologues, statistics, skips, masks and sums' "printf '%s\n' \
		'32 [affine act conv stats]' '32 [affine act conv_dw]' \
		'11 [affine add act conv stats]' '9 [conv stats]' \
		'32 [conv_dx affine act act_dx bn_sums]'" 'kinds h100-resnet50'
	check 'each can be left out' \
		"net-cat --steps -d cuda:h100 --without skip,sums -b 256 resnet50 >without &&
		 kinds without | grep -c . >count && test \$(cat count) = 3 &&
		 net-cat --steps -d cuda:h100 --without prologue,stats,skip,sums -b 256 resnet50 >without &&
		 ! kinds without | grep ."
	check 'bf16 and fp32 have only those that there are plans for: none' \
		"net-cat --steps -d cuda:h100:bf16 -b 256 resnet50 >bf16 && ! kinds bf16 | grep . &&
		 net-cat --steps -d cuda:h100:fp32 -b 256 resnet50 >fp32 && ! kinds fp32 | grep ."
	check 'what is not stored needs no room' \
		"net-cat --memory -d cuda:h100 -b 256 resnet50 | sed -n 's/^activations *\([0-9.]*\)G.*/\1/p' >with &&
		 net-cat --memory -d cuda:h100 --without prologue -b 256 resnet50 |
		 sed -n 's/^activations *\([0-9.]*\)G.*/\1/p' >without &&
		 awk 'NR == FNR { a = \$1; next } { exit !(a > 1 && a < 0.9 * \$1) }' with without"
else
	skip 4 'no cuDNN'
fi

# The program is built by developers (make build/bench/fused).
if [ -x "$BUILD/bench/fused" ] && [ -n "$version" ]; then
	for d in h100 h200; do
		check "$d: each of ten shapes of resnet50 has plain and fused engines" \
			"'$BUILD/bench/fused' --plans $d >fused-$d &&
			 test \$(grep -c 'plain 1  fused 1' fused-$d) = 40"
	done
else
	skip 2 'build/bench/fused is not built'
fi

# ---- plans as text ----
if [ -x "$BUILD/tests/cuda-host" ] && [ -n "$version" ]; then
	check 'a plan is made again from its text' \
		"'$BUILD/tests/cuda-host' plans h200 >plans && test \$(grep -c ': same\$' plans) -ge 24"
else
	skip 1 'no cuDNN, or build/tests/cuda-host is not built'
fi

# ---- where NVIDIA's libraries are ----
place() {
	mkdir -p "$1" && cp "$sample" "$1/libfound.so.1"
}
# find_in WORDS FOLDER ENVIRONMENT: a library put there is found there.
find_in() {
	place "$2"
	check "$1" "test \"\$($3 '$BUILD/tests/cuda-host' find libfound.so.1 |
		sed 's|/\./|/|')\" = '$2/libfound.so.1'"
	rm -r "$2"
}
if [ -x "$BUILD/tests/cuda-host" ]; then
	sample=$TMP/sample.so
	echo 'int sample;' | ${CC:-cc} -shared -fPIC -x c -o "$sample" - || exit 1
	mkdir -p "$TMP/home" "$TMP/py/bin" "$TMP/real/bin"
	printf '#!/bin/sh\necho python was run >&2\n' >py/bin/python3
	cp py/bin/python3 real/bin/python3.12 && ln -s python3.12 real/bin/python3
	mkdir venv && mkdir venv/bin && ln -s ../../real/bin/python3 venv/bin/python3
	chmod +x py/bin/python3 real/bin/python3.12
	bare="env -i PATH=/nowhere HOME=$TMP/home"
	packages=lib/python3.12/site-packages/nvidia
	find_in 'in the folder that is given' "$TMP/given" "$bare MILLRACE_CUDA_LIBS=$TMP/given"
	find_in 'in its parts, as Python has them' "$TMP/given/nvidia/cudnn/lib" \
		"$bare MILLRACE_CUDA_LIBS=$TMP/given"
	find_in 'in a folder of such parts' "$TMP/nvidia/nccl/lib" "$bare MILLRACE_CUDA_LIBS=$TMP/nvidia"
	find_in 'of CUDA_HOME' "$TMP/cuda/lib64" "$bare CUDA_HOME=$TMP/cuda"
	find_in 'of a virtual environment' "$TMP/venv/$packages/cudnn/lib" "$bare VIRTUAL_ENV=$TMP/venv"
	find_in 'of conda' "$TMP/conda/$packages/cu13/lib" "$bare CONDA_PREFIX=$TMP/conda"
	find_in 'of ~/.local' "$TMP/home/.local/$packages/cudnn/lib" "$bare"
	place "$TMP/py/$packages/cudnn/lib"
	check 'of the python3 on PATH, which is not run' \
		"env -i PATH=/nowhere:$TMP/py/bin '$BUILD/tests/cuda-host' find libfound.so.1 2>ran |
		 grep -q '^$TMP/py/bin/../$packages/cudnn/lib/libfound' && ! test -s ran"
	rm -r py/lib
	find_in 'where that is linked to' "$TMP/real/$packages/cudnn/lib" "env -i PATH=$TMP/venv/bin"
	check_status 1 'nowhere: an error' "$bare '$BUILD/tests/cuda-host' find libfound.so.1"
	said 'that names what was looked for, and the remedy' \
		'a library: no libfound.so.1 where .*packages of Python: --cuda-libs DIR .*pip install'
	check 'one that is damaged: what the loader says' \
		"mkdir -p bad && echo x >bad/libfound.so.1 &&
		 ! MILLRACE_CUDA_LIBS=bad '$BUILD/tests/cuda-host' find libfound.so.1 >said &&
		 grep 'bad/./libfound.so.1: ' said"
else
	skip 12 'build/tests/cuda-host is not built'
fi
check_status 3 '--cuda-libs without them: a system error' \
	"net-cat --steps -d cuda:h200 --cuda-libs '$TMP/empty' -b 2 digits"
said 'that names the folder' "^net-cat: cuda: cuDNN 9: no libcudnn.so.9 in $TMP/empty, "

# ---- kernels ----
for type in fp32 fp16; do
	if [ -f "$BUILD/emulated/millrace-cuda.so" ] && [ -x "$BUILD/tests/ops-fused" ]; then
		check "ops-fused in $type: brackets with convolutions give what their parts give" \
			"MILLRACE_PLUGINS='$BUILD/emulated' OPS_DEVICE=cuda:0:$type '$BUILD/tests/ops-fused'"
	else
		skip 1 'no emulated plug-in: no toolkit or C++ compiler'
	fi
done

# The others take minutes so, and are left to those who change the kernels: OPS_DEVICE and
# MILLRACE_PLUGINS as here.
for t in $kernels; do
	if [ -f "$BUILD/emulated/millrace-cuda.so" ] && [ -x "$BUILD/tests/$t" ]; then
		check "$t: the kernels as loops of the host give what ref gives" \
			"MILLRACE_PLUGINS='$BUILD/emulated' OPS_DEVICE=cuda:0:fp32 \
				'$BUILD/tests/$t' >out 2>&1 && ! grep '^.  SKIPPED' out | grep -v 'in_bf16 on cpu\|listed below'"
	else
		skip 1 'no emulated plug-in: no toolkit or C++ compiler'
	fi
done
