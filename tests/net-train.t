#!/bin/sh
# Training: the run's folder, log, options, resuming bit for bit, signals, failures.
. "${0%/*}/lib.sh"
plan 77

# 1,000 digits; 48 does not divide them. A network with batch norm and dropout.
tfrec-pack -q --from-tar "$ROOT/examples/digits.tar" --under test -o set --shards 2 || exit 1
cat >small.net <<'NET'
input 28 28 1
net = maxpool 4 | conv1: conv 3 8 | bn1: bn | relu | dropout 0.2 | fc: linear classes
NET
stream='tfrec-cat --shuffle 300 --seed 3 --epochs 2 set-*'
grey="img-augment 'grey | crop 28 | flip'"
sh -c "$stream | $grey" >two.mrb || exit 1
sh -c "tfrec-cat --seed 3 set-* | img-augment 'grey | crop 28'" >val.mrb || exit 1
common='-b 48 --lr 0.05 --epochs 2 --log-every 1 -q'
t="net-train $common"

check 'a run of two epochs' "$t -o whole small.net <two.mrb"
check 'its folder: last, checkpoints of steps, the log' \
	'cd whole && test -s last.safetensors && test -s 00000041.safetensors && test -s log.ndjson'
check_same 'last is the newest' 'cat whole/last.safetensors' 'cat whole/00000041.safetensors'
check 'the log: begin, a line a step, end' \
	'test $(grep -c "\"event\":\"step\"" whole/log.ndjson) = 41 &&
	 head -n 1 whole/log.ndjson | grep -q "\"event\":\"begin\"" &&
	 tail -n 1 whole/log.ndjson | grep -q "\"event\":\"end\".*\"status\":0.*\"peak_memory\":[1-9]"'
check 'and it learned' \
	'net-eval --json whole/last.safetensors val.mrb | tee eval.json | grep -q . &&
	 awk -F"top1\": " "{ exit !(\$2 + 0 > 0.5) }" eval.json'
check 'the same run again: the same bytes' \
	"$t -o again small.net <two.mrb && cmp whole/last.safetensors again/last.safetensors"
check 'from a file, a pipe, and a command: the same bytes' \
	"$t -o file small.net two.mrb && cmp whole/last.safetensors file/last.safetensors &&
	 $t -o pipe --pipe 'cat two.mrb' small.net && cmp whole/last.safetensors pipe/last.safetensors"
check 'as commands that read half each, side by side' \
	"$t -o parts --pipes 2 --pipe \"tfrec-cat --shuffle 300 --seed 3 --epochs 2 --shard {part}/{parts} \
	 --start-at {start} set-* | $grey\" small.net && ckpt-cat --diff whole/last.safetensors parts/last.safetensors"
check 'records of another size: the same numbers' \
	"tfrec-cat --shuffle 300 --seed 3 --epochs 2 -b 7 set-* | $grey | $t -o seven small.net &&
	 ckpt-cat --diff whole/last.safetensors seven/last.safetensors"

# ---- resuming ----
check_status 2 'a run that is there already is not overwritten' "$t -o whole small.net <two.mrb"
said 'and the remedy is named' 'resume'
check 'print-position: 0 without a run' 'test $(net-train --print-position nothing) = 0'
check 'and the position of a run' 'test $(net-train --print-position whole) = 1968'
check 'a run that is complete needs no input' "$t --resume -o whole small.net </dev/null"
check_same 'stopped by the end of the input in the middle, resumed from a whole stream' \
	"tfrec-cat --shuffle 300 --seed 3 --epochs 2 set-* | $grey | head -c 500000 | $t -o middle small.net;
	 test \$? = 4 && $t --resume -o middle small.net <two.mrb && cat middle/last.safetensors" \
	'cat whole/last.safetensors'
check_same 'the idiom: print-position and start-at' \
	"head -c 300000 two.mrb | $t -o idiom small.net 2>/dev/null; test \$? = 4 || exit 1
	 p=\$(net-train --print-position idiom) && test \$p -gt 0 &&
	 $stream --start-at \$p | $grey | $t --resume -o idiom && cat idiom/last.safetensors" \
	'cat whole/last.safetensors'
check_status 1 'a stream that starts beyond the position is refused' \
	"head -c 300000 two.mrb | $t -o beyond small.net 2>/dev/null
	 $stream --start-at 1500 | $grey | $t --resume -o beyond"
said 'with the right --start-at' 'use --start-at [0-9]+'
check_status 2 'another learning rate is refused' "$t --lr 0.2 --resume -o beyond <two.mrb"
said 'by name' 'checkpoint: lr; --allow-change'
check_status 2 'another order likewise' \
	"tfrec-cat --shuffle 300 --seed 4 --epochs 2 set-* | $grey | $t --resume -o beyond"
said 'by name' 'order of samples'
check_status 2 'another recipe likewise' \
	"tfrec-cat --shuffle 300 --seed 3 --epochs 2 set-* | img-augment 'grey | crop 28' | $t --resume -o beyond"
said 'by name' 'recipe'
check 'with --allow-change it goes on and is recorded' \
	"$t --lr 0.02 --resume --allow-change -o beyond <two.mrb &&
	 ckpt-cat --get changes beyond/last.safetensors | grep -q lr"
check '--resume without a checkpoint begins' \
	"$t --resume -o fresh small.net <two.mrb && ckpt-cat --diff --meta whole/last.safetensors fresh/last.safetensors"

# moments N: so many random delays in seconds. KILLS=100 makes more of them than here.
moments() {
	awk -v n="$1" -v seed="${SEED:-1}" 'BEGIN { srand(seed); while (n--) printf "%.3f ", 0.02 + 0.3 * rand() }'
}

# Killed at many moments, with a checkpoint each step; then left alone.
killed() {
	rm -rf "$1"
	for delay in $(moments "${KILLS:-8}"); do
		$t --save-every 1s --keep 2 --resume -o "$1" --pipe "$stream --start-at {start} | $grey" small.net \
			2>/dev/null &
		p=$!
		sleep $delay
		kill -9 $p 2>/dev/null
		wait $p 2>/dev/null
		[ ! -e "$1/last.safetensors" ] || ckpt-cat "$1/last.safetensors" >/dev/null || return 1
	done
	$t --save-every 1s --keep 2 --resume -o "$1" --pipe "$stream --start-at {start} | $grey" small.net
}
check 'killed with -9 many times: the same final bytes' \
	'killed dead && cmp whole/last.safetensors dead/last.safetensors'
check 'and no temporary files stay' 'test -z "$(find dead -name "*.tmp")" && test $(ls dead/0* | wc -l) = 2'

# ---- signals ----
stopped() {     # stopped SIGNAL FOLDER: the status of a run that gets the signal
	# A shell starts its background jobs with SIGINT ignored.
	env --default-signal=INT $t -o "$2" --pipe 'head -c 400000 two.mrb; sleep 20' small.net 2>/dev/null &
	p=$!
	n=0
	until grep -q '"step":[6-9],' "$2/log.ndjson" 2>/dev/null || [ $n -gt 200 ]; do
		sleep 0.05
		n=$((n + 1))
	done
	kill -"$1" $p
	wait $p
}
check_status 75 'SIGTERM: 75' 'stopped TERM term'
check 'with a checkpoint that resumes to the same bytes' \
	"$t --resume -o term <two.mrb && cmp whole/last.safetensors term/last.safetensors"
check_status 130 'SIGINT: death by SIGINT' 'stopped INT int'
check 'after a checkpoint that resumes to the same bytes' \
	"$t --resume -o int <two.mrb && cmp whole/last.safetensors int/last.safetensors"

# ---- a lost input ----
lost() {        # every run must fail, and its last checkpoint load
	for delay in $(moments "${KILLS:-3}"); do
		rm -rf lost fifo
		mkfifo fifo
		{ head -c 700000 two.mrb; sleep 2; tail -c +700001 two.mrb; } >fifo &
		up=$!
		$t --save-every 1s -o lost small.net <fifo 2>/dev/null &
		p=$!
		sleep $delay
		kill -9 $up $(ps -o pid= --ppid $up)
		wait $p
		s=$?
		[ $s -eq 4 ] || { echo "status $s"; return 1; }
		[ ! -e lost/last.safetensors ] || ckpt-cat lost/last.safetensors >/dev/null || return 1
	done
}
check 'upstream killed: 4 each time, and the last checkpoint loads' lost
check_status 4 'no input at all' "$t -o none small.net </dev/null"
said 'is explained' 'wrote nothing'
check_status 4 'an error from upstream is told' \
	"tfrec-cat --epochs 2 nowhere-* 2>/dev/null | $grey 2>/dev/null | $t -o err small.net"
said 'with its words' 'nowhere'
check_status 4 'the input is shorter than the epochs' "$t --epochs 3 -o short small.net <two.mrb"
said 'where it ended is told' 'ended at position 2000, after step 41 of 62'
check 'and its checkpoint is there' 'test $(net-train --print-position short) = 1968'
check_status 1 'no full batch' "net-train -q -b 5000 -o few small.net <two.mrb"
said 'how many there were' 'no full batch: 2000 samples'
check 'without --epochs all of the input is trained' \
	"net-train -b 48 --lr 0.05 -o all small.net <two.mrb && ckpt-cat --diff whole/last.safetensors all/last.safetensors"
said 'and the remainder told' '32 samples at the end did not fill a batch of 48'

# ---- profile ----
check 'a profile changes nothing but the time taken' \
	"$t -o profiled --profile small.net <two.mrb 2>profile && ckpt-cat --diff whole/last.safetensors profiled/last.safetensors"
check 'its two tables, within 100 columns' \
	'test "$(grep -c "GF/s.*GB/s.*limit" profile)" = 2 && ! grep -E ".{101}" profile'
check 'every step once: shares make 100 %, calls are those of the program, longest first' \
	"net-cat --set classes=10 --steps -b 48 small.net | wc -l >steps && awk 'getline steps <\"steps\" { }
	 /% +calls/ { table++; sum = calls = 0; before = 1e9; next }
	 / all steps\$/ { good += (calls == \$3 && calls == steps && sum > 98 && sum < 102); next }
	 table && NF > 4 { sum += \$2; calls += \$3; bad += \$1 > before; before = \$1 }
	 END { exit !(good == 2 && !bad) }' profile"

# ---- rewrites ----
printf 'input 28 28 1\nnet = a: [maxpool 4 | conv 3 16 | bn | relu | conv 3 16 | bn | relu | linear classes]\n' >deep.net
check 'what backward makes again is the same to the last bit' \
	"net-cat --steps -d cpu -b 48 --set classes=10 deep.net | grep -q 'conv_dw .* again t4,' &&
	$t -o again6 deep.net <two.mrb && $t --without remat -o kept6 deep.net <two.mrb &&
	ckpt-cat --diff again6/last.safetensors kept6/last.safetensors"
check_status 2 'a rewrite that there is not' "$t --without fusion -o fusion small.net <two.mrb"
said 'with its option' "--without: no rewrite 'fusion'"
check 'left out, the log says so' \
	"$t --without all -o apart small.net <two.mrb && grep -Eq '\"without\": ?\"all\"' apart/log.ndjson"
check_status 2 'and it goes on without them only' \
	"net-train -q --epochs 3 --resume --without gradient -o apart <two.mrb"

# ---- precision ----
check 'auto takes the faster and says which' \
	"$t --precision auto -o auto small.net <two.mrb && grep -Eq '\"precision\": ?\"(fp32|bf16)\"' auto/log.ndjson"
check_status 2 'a precision that there is not' "$t --precision fp8 -o fp8 small.net <two.mrb"
check_status 3 'one that the device has not' "$t -d ref --precision bf16 -o refused small.net <two.mrb"
said 'is told' 'ref: bf16: it computes in fp32 only'
if net-cat --cpu-features | grep -q '^bf16: not here'; then
	skip 3 'no bf16 on this machine'
else
	check 'bf16 learns as much, and leaves fp32 in the checkpoint' \
		"$t --precision bf16 -o bf16 small.net <two.mrb && ! ckpt-cat bf16/last.safetensors | grep -qi bf16 &&
		 net-eval --json bf16/last.safetensors val.mrb >bf16.json && awk -F'top1\": ' '{ exit !(\$2 + 0 > 0.5) }' bf16.json &&
		 net-eval --precision bf16 -q bf16/last.safetensors val.mrb"
	check_status 2 'and goes on in bf16 only' \
		"$t --precision bf16 -o half small.net <two.mrb --steps 20 --epochs 2 2>/dev/null
		 net-train -q -b 48 --lr 0.05 --steps 20 --precision bf16 -o half small.net <two.mrb &&
		 net-train -q --steps 41 --resume --precision fp32 -o half <two.mrb"
	said 'unless allowed' 'other than in the checkpoint: .*precision'
fi

# ---- wrong data ----
check_status 1 'fewer classes than the data has' "$t --set classes=5 -o five small.net <two.mrb"
said 'both counts are told' '5 classes, the data has 10'
check_status 1 'images of another size' \
	"tfrec-cat set-* | img-augment 'grey | crop 20' | net-train -q -b 48 -o size small.net"
said 'both sizes are told' '20x20x1.*28x28x1'
check_status 1 'colour for a network that takes grey' \
	"tfrec-cat set-* | img-augment 'crop 28' | net-train -q -b 48 -o size small.net"
said 'with the remedy' "3 channels, the network takes 1: add 'grey'"
check_status 1 'a loss that is not finite stops the run' "net-train -q -b 48 --lr 1e30 -o nan small.net <two.mrb"
said 'naming step and place' 'step [0-9]+: not finite: (layer|parameter) '
check 'the weights before are kept' 'ckpt-cat --stats nan/last.safetensors | grep -q fc.weight'
check_status 2 'several pipes need {part}' "net-train --pipes 2 --pipe 'cat two.mrb' -o x small.net"
check_status 2 'a batch that devices cannot share' "net-train -b 47 -d 'ref*2' -o x small.net <two.mrb"

# ---- validation, disks ----
check 'validation and the best checkpoint' \
	"$t -o val --val-pipe 'cat val.mrb' small.net <two.mrb && test -s val/best.safetensors &&
	 test \$(grep -c '\"event\":\"val\"' val/log.ndjson) = 2 && ckpt-cat --diff whole/last.safetensors val/last.safetensors"
check_status 1 'a validation command that fails is found before training' \
	"$t -o badval --val-pipe 'head -c 100 val.mrb' small.net <two.mrb; s=\$?; test ! -e badval/last.safetensors && test \$s = 4 && exit 1"
check_status 4 'one that fails later is told at the end' \
	"$t -o later --val-pipe 'if [ -e once ]; then head -c 90000 val.mrb; else touch once; cat val.mrb; fi' small.net <two.mrb"
check 'but training went on' 'ckpt-cat --diff whole/last.safetensors later/last.safetensors'
check_status 3 'a checkpoint that cannot be written: training goes on, the status is 3' \
	"(ulimit -f 2; exec $t -o full --log - small.net <two.mrb | grep -c '\"event\":\"step\"' >steps.txt)
	 test \$(cat steps.txt) = 41 && (ulimit -f 2; exec $t -o full2 --log - small.net <two.mrb >/dev/null)"
check 'and what was last before still is' \
	"$t -o disk --steps 20 --epochs 2 small.net <two.mrb 2>/dev/null
	 net-train -q -b 48 --lr 0.05 --steps 20 -o disk small.net <two.mrb && cp disk/last.safetensors was &&
	 (ulimit -f 2; net-train -q --steps 41 --allow-change --resume -o disk --log /dev/null <two.mrb 2>/dev/null); cmp was disk/last.safetensors"
check_status 2 'an option of no sense' 'net-train --schedule up -o x small.net <two.mrb'
