#!/bin/sh
# How the plug-in for CUDA chooses engines, works ahead of the host and goes on with its loss
# scale, on its emulation: engines of cuDNN are names there, with times on a clock of their
# own, and what a device is given waits till somebody waits for it.
. "${0%/*}/lib.sh"

[ -f "$BUILD/emulated/millrace-cuda.so" ] ||
	skip_all 'no emulated plug-in: no toolkit, cuDNN or C++ compiler where this was built'
plan 36

MILLRACE_PLUGINS=$BUILD/emulated
EMULATED_TIMES=$TMP/times
export MILLRACE_PLUGINS EMULATED_TIMES
tfrec-pack -q --from-tar "$ROOT/examples/digits.tar" --under test -o set --shards 2 || exit 1
tfrec-cat -b 64 --shuffle 300 --seed 3 set-* | img-augment 'grey | crop 28' >one.mrb || exit 1
cat >small.net <<'NET'
input 28 28 1
net = maxpool 4 | conv1: conv 3 8 | bn1: bn | relu | conv2: conv 3 8 1 groups=8
    | avgpool | fc: linear classes
NET
common='-q -b 10 --lr 0.05 --steps 8 --log-every 1'
look='net-cat --steps -d cuda:0:fp16 -b 2 small.net'
train() {
	rm -rf "$2" times && net-train $common -d "$1" -o "$2" small.net <one.mrb
}
# lines PATTERN: how often, in what the emulation tells.
lines() {
	grep -c -e "$1" times
}
cache() {
	MILLRACE_CACHE=$TMP/$1
}

# ---- timing ----
cache kept
check 'a first start times the engines' 'train cuda:0:fp16 first && test $(lines "run cudnn emulated") -ge 8'
check 'and says so once' 'test $(grep -c "engines were chosen by timing" first/log.ndjson) = 1'
check 'the fastest is taken, where own kernels are not' \
	'$look >steps && grep -q "cudnn faster" steps && grep -q "conv .*own" steps &&
	 ! grep -qE "cudnn (emulated|broken)" steps'
check 'each shape is asked for once' 'test $(lines "made cudnn broken") = $(grep -c ^graph kept/*.engines)'
check 'a second start takes plans from the file and times nothing' \
	'train cuda:0:fp16 second && test $(lines "read cudnn faster") -ge 4 &&
	 test $(lines "made cudnn broken") = 0 && test $(lines "run cudnn emulated") = 0'
check_same 'the numbers are the same' 'cat first/last.safetensors' 'cat second/last.safetensors'
cache two
check 'of two devices one times, the other obeys' \
	'train cuda:0:fp16,cuda:1:fp16 two && test $(lines "made cudnn broken") = \
		$(grep -c ^graph two/*.engines 2>/dev/null || grep -c ^graph "$MILLRACE_CACHE"/*.engines)'
cache none
check 'a run that goes on keeps its engines, whatever the cache says' \
	'rm -rf none half && head -c 70000 one.mrb | net-train $common -d cuda:0:fp16 -o half small.net
	 test $(net-train --print-position half) = 60 && rm -rf none times && net-train $common -d cuda:0:fp16 --resume -o half small.net <one.mrb &&
	 test $(lines "made cudnn broken") = 0 && cmp half/last.safetensors first/last.safetensors'

# ---- the file ----
cache kept
file=$(echo kept/*.engines)
rm "$file" && $look >steps && cp "$file" good
size=$(wc -c <good)
check 'its name is the device and its libraries' 'test "$file" = kept/emulated--emulated--CUDA-13.0--driver-13.0.engines'
check 'a damaged byte anywhere: chosen anew, and the file is whole again' '
	for at in 0 25 $((size / 2)) $((size - 30)) $((size - 1)); do
		cp good "$file" && printf "~" | dd of="$file" bs=1 seek=$at conv=notrunc 2>/dev/null &&
		$look >/dev/null && cmp "$file" good || exit 1
	done'
check 'cut anywhere likewise' '
	for n in 0 30 $((size / 2)) $((size - 1)); do
		head -c $n good >"$file" && $look >/dev/null && cmp "$file" good || exit 1
	done'
check 'and told in a note' 'head -c 90 good >"$file" && train cuda:0:fp16 third &&
	grep -q "engines: damaged: *\|engines are chosen anew" third/log.ndjson'
check "another device's file is not used" 'sed s/emulated,/another,/ good | head -n -1 >body &&
	cp body "$file" && $look >/dev/null && cmp "$file" good'
check 'a folder in its place is no failure' 'rm "$file" && mkdir "$file" && train cuda:0:fp16 fourth &&
	grep -q "cuda: engines are not kept: " fourth/log.ndjson && rmdir "$file"'
check 'several starts at the same time' '
	for i in 1 2 3; do $look >steps-$i & done; wait
	for i in 1 2 3; do cmp steps steps-$i || exit 1; done; cmp "$file" good && test $(ls kept | wc -l) = 1'
check 'programs add to it' 'net-cat --steps -d cuda:0:fp16 -b 10 small.net >/dev/null &&
	test $(grep -c ^graph "$file") -gt $(grep -c ^graph good) && rm -f times && $look >/dev/null &&
	test $(lines "made cudnn broken") = 0'

# ---- the folder ----
unset MILLRACE_CACHE
check 'XDG_CACHE_HOME' 'XDG_CACHE_HOME=$TMP/xdg $look >/dev/null && ls xdg/millrace/*.engines'
check 'or that of HOME' 'XDG_CACHE_HOME= HOME=$TMP/home $look >/dev/null && ls home/.cache/millrace/*.engines'
check 'MILLRACE_CACHE goes before' 'MILLRACE_CACHE=$TMP/own/a HOME=$TMP/home2 $look >/dev/null &&
	ls own/a/*.engines && ! ls home2'
check 'empty: none is kept' 'MILLRACE_CACHE= HOME=$TMP/home3 $look >/dev/null && ! ls home3'
check 'no folder at all' 'unset HOME XDG_CACHE_HOME; $look >/dev/null'
check 'one that cannot be made: a note' 'MILLRACE_CACHE=/dev/null/x; export MILLRACE_CACHE
	train cuda:0:fp16 fifth && grep -q "cuda: engines are not kept: /dev/null" fifth/log.ndjson'

# ---- working ahead ----
# A run that is profiled takes steps one by one.
MILLRACE_CACHE=$TMP/kept
export MILLRACE_CACHE
tfrec-pack -q --from-tar "$ROOT/examples/digits.tar" --under test -o few --shards 16 &&
	tfrec-cat -q few-00000-* | img-augment 'grey | crop 28' >few.mrb || exit 1
for d in cuda:0:fp16 cuda:0:fp32,cuda:1:fp32; do
	more="-q -b 10 --lr 0.05 --steps 12 --log-every 1 --save-every 4s -d $d"
	check "$d: steps begun ahead" "rm -rf ahead && net-train $more --val-pipe 'cat few.mrb' \
		--val-every 5s -o ahead small.net <one.mrb"
	check 'give what steps one by one give' "rm -rf single && net-train $more --profile \
			--val-pipe 'cat few.mrb' --val-every 5s -o single small.net <one.mrb &&
		for r in ahead single; do
			sed -n 's/\"\(rate\|seconds\)\".*//; /event.:.\(step\|val\|checkpoint\)/p' \
				\$r/log.ndjson >\$r.log
		done
		cmp ahead.log single.log && test \$(grep -c top1 ahead.log) -ge 14 &&
		for f in ahead/*.safetensors; do cmp \$f single/\${f##*/} || exit 1; done"
done
check_status 1 'a loss that is not finite stops the run' \
	'net-train -q -b 10 --lr 1e30 --log-every 1 -d cuda:0:fp32 -o nan small.net <one.mrb'
said 'naming the step that ref names' "$(net-train -q -b 10 --lr 1e30 --log-every 1 -d ref \
	-o nan-ref small.net <one.mrb 2>&1 | grep -o 'step [0-9]*: not finite')"
# The step that is open when the signal comes is ended.
check 'SIGTERM: the last step begun is in the checkpoint' '
	(head -c 70000 one.mrb; touch fed; sleep 20) |
		net-train -q -b 10 --lr 0.05 --epochs 1 --log-every 1 -d cuda:0:fp16 -o term small.net &
	until grep -q "\"step\":5," term/log.ndjson 2>/dev/null; do sleep 0.1; done
	sleep 0.5; kill -TERM $!; wait $!; test $? = 75 &&
	test $(net-train --print-position term) = 60'

# ---- the loss scale ----
cat >steep.net <<'NET'
input 28 28 1
net = fc: linear classes
NET
steep='-q -b 10 --lr 1e-6 --steps 10 --log-every 1 --mean 0 --deviation 0.02'
scale() {
	head -c 20000 "$1/last.safetensors" | grep -ao 'good[^}]*}'
}
for d in cuda:0:fp16 ref; do
	n=${d%%:*}
	check "$d: a run to compare with" "net-train $steep -d $d -o $n steep.net <one.mrb"
	check_same "$d: stopped and gone on, the same bytes" \
		"head -c 70000 one.mrb | net-train $steep -d $d -o $n-half steep.net
		 test \$(net-train --print-position $n-half) = 60 &&
		 net-train $steep -d $d --resume -o $n-half steep.net <one.mrb &&
		 cat $n-half/last.safetensors" "cat $n/last.safetensors"
done
check 'fp16: the scale has moved, and the steps since then are counted' \
	'scale cuda && scale cuda | grep -aq good && ! scale cuda | grep -aq "loss_scale.*: *65536\.0"'
check 'fp32: it is 1' 'scale ref | grep -aq "good.*:0,.*loss_scale.*:1.0}"'
check 'without one a run does not go on' '
	cp -r ref broken && sed "s/loss_scale/lost_scale/" ref/last.safetensors >broken/last.safetensors &&
	net-train $steep --steps 11 --allow-change -d ref --resume -o broken steep.net <one.mrb 2>said
	test $? = 1 && grep "no loss scale in its metadata" said'
