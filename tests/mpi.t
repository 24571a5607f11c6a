#!/bin/sh
# Several processes, started by mpirun: the same numbers as several devices of one process,
# one who speaks for all, and an end for all where one is lost.
. "${0%/*}/lib.sh"
command -v mpirun >/dev/null 2>&1 || skip_all 'no mpirun: make deps installs it'
[ -e "$BIN/millrace-mpi.so" ] || skip_all 'no plug-in millrace-mpi.so: it was built without mpicc'
plan 46

# MPI keeps memory to the end.
ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
# Where there are no other machines, their daemons are not wanted either.
OMPI_MCA_plm_rsh_agent=
OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_plm_rsh_agent OMPI_MCA_btl_vader_single_copy_mechanism
mpirun="timeout 150 mpirun --allow-run-as-root --oversubscribe --bind-to none"

tfrec-pack -q --from-tar "$ROOT/examples/digits.tar" --under test -o set --shards 2 || exit 1
cat >small.net <<'NET'
input 28 28 1
net = maxpool 4 | conv1: conv 3 8 | bn1: bn | relu | dropout 0.2 | fc: linear classes
NET
from="--shuffle 300 --seed 3 --shard {part}/{parts} --start-at {start} set-*"
grey="img-augment 'grey | crop 28 | flip'"
pipe="tfrec-cat --epochs 2 $from | $grey"
val="tfrec-cat --shard {part}/{parts} set-* | img-augment 'grey | crop 28'"
t="net-train -b 48 --lr 0.05 --epochs 2 --log-every 1 -q"

# numbers FOLDER: the bytes of all tensors of its last checkpoint.
numbers() {
	f=$1/last.safetensors
	tail -c +$((9 + $(od -An -tu8 -N8 "$f"))) "$f"
}
# same FOLDER FOLDER: all numbers, and all that the checkpoint says but the options (-d).
same() {
	numbers "$1" >one && numbers "$2" >two && test -s one && cmp one two &&
		! ckpt-cat --diff --meta "$1/last.safetensors" "$2/last.safetensors" | grep -v '^metadata options'
}

# ---- the same numbers ----
check 'two devices of one process' "$t -d 'cpu*2' -j 2 --pipes 2 -o d2 --pipe \"$pipe\" small.net"
check 'two processes' "$mpirun -n 2 $t -d cpu -j 1 -o p2 --pipe \"$pipe\" small.net"
check 'give the same bytes' 'same d2 p2'
check 'one of them writes the log' 'test $(grep -c "\"event\":\"step\"" p2/log.ndjson) = 41 &&
	test $(grep -c "\"event\":\"begin\"" p2/log.ndjson) = 1 && tail -n 1 p2/log.ndjson | grep -q "\"status\":0"'
losses() { sed -n 's/.*"event":"step".*"loss":\([0-9.]*\),"top1":\([0-9.]*\).*/\1 \2/p' "$1/log.ndjson"; }
check_same 'whose losses are those of all' 'losses d2' 'losses p2'
check 'three, with batch norm over all, as three devices' \
	"$t -d 'cpu*3' -j 3 --sync-bn --pipes 3 -o d3 --pipe \"$pipe\" small.net &&
	 $mpirun -n 3 $t -d cpu -j 1 --sync-bn -o p3 --pipe \"$pipe\" small.net && same d3 p3"
check 'two with two devices and two pipes each, as four devices' \
	"$t -d 'ref*4' --sync-bn --pipes 4 -o d4 --pipe \"$pipe\" small.net &&
	 $mpirun -n 2 $t -d 'ref*2' --sync-bn --pipes 4 -o p4 --pipe \"$pipe\" small.net && same d4 p4"
cat >large.net <<'NET'
input 28 28 1
net = conv1: conv 3 8 2 | bn1: bn | relu | maxpool 2 | fc1: linear 1024 | relu | fc2: linear 2048 | relu
    | fc3: linear 1024 | relu | dropout 0.2 | fc: linear classes
NET
check 'gradients in several buckets, added up beside backward and beside batch norm over all' \
	"$t -d 'cpu*4' -j 4 --sync-bn --pipes 4 --lr 0.01 --epochs 0.5 -o d5 --pipe \"$pipe\" large.net &&
	 $mpirun -n 2 $t -d 'cpu*2' -j 2 --sync-bn --pipes 4 --lr 0.01 --epochs 0.5 -o p5 --pipe \"$pipe\" large.net && same d5 p5"
check 'validation is shared out' \
	"$t -d 'cpu*2' -j 2 --pipes 2 -o v1 --pipe \"$pipe\" --val-pipe \"$val\" small.net &&
	 $mpirun -n 2 $t -d cpu -j 1 -o v2 --pipe \"$pipe\" --val-pipe \"$val\" small.net && same v1 v2 &&
	 test -s v2/best.safetensors"
scores() { sed -n 's/.*"event":"val".*\("top1":.*"bad":[0-9]*\).*/\1/p' "$1/log.ndjson"; }
check_same 'and counts every sample once' 'scores v1' 'scores v2'
said_samples() { scores v2 | grep -c '"samples":1000'; }
check 'a thousand of them, each time' 'test $(said_samples) = 2'

# ---- resuming ----
check 'two processes begin' \
	"$mpirun -n 2 $t -d cpu -j 1 --save-every 10s -o re --pipe \"tfrec-cat --epochs 2 $from | $grey |
	 if [ {part} = 0 ]; then head -c 250000; else cat; fi\" small.net 2>/dev/null; test \$? = 4 &&
	 p=\$(net-train --print-position re) && test \$p -gt 0 && test \$p -lt 1968"
check_status 2 'three may not go on' "$mpirun -n 3 $t -d cpu -j 1 --resume -o re --pipe \"$pipe\""
said 'unless allowed' 'other than in the checkpoint: devices \(2 then\); --allow-change'
check 'then they do' \
	"$mpirun -n 3 $t -d cpu -j 1 --resume --allow-change -o re --pipe \"tfrec-cat --epochs 2 $from | $grey |
	 if [ {part} = 1 ]; then head -c 150000; else cat; fi\" 2>/dev/null; test \$? = 4"
check 'and then one, to the end; it is on record' \
	"$t -d cpu -j 1 --resume --allow-change -o re --pipe \"$pipe\" &&
	 test \$(net-train --print-position re) = 1968 &&
	 test \$(ckpt-cat --get changes re/last.safetensors | grep -o devices | wc -l) = 2"
check 'weights to begin with are rank 0'"'"'s' \
	"$t -d 'cpu*2' -j 2 --pipes 2 --init p2/last.safetensors -o i1 --pipe \"$pipe\" small.net &&
	 $mpirun -n 2 $t -d cpu -j 1 --init p2/last.safetensors -o i2 --pipe \"$pipe\" small.net && same i1 i2"

# ---- what is refused ----
check_status 2 'one stdin for two' \
	"$mpirun -n 2 $t -o x small.net <set-00000-of-00002 2>refused; s=\$?; cat refused >&2; exit \$s"
said 'with the remedy' '2 processes cannot share one input: .*--shard \{part\}/\{parts\}'
check 'by one of them' 'test $(grep -c "^net-train:" refused) = 1'
check_status 2 'a command without {part}' "$mpirun -n 2 $t -o x --pipe 'cat all.mrb' small.net"
said 'and why' 'no \{part\}: all 2 processes'
check_status 2 'validation without' "$mpirun -n 2 $t -o x --pipe \"$pipe\" --val-pipe 'cat all.mrb' small.net"
check_status 2 'a batch that they cannot share' "$mpirun -n 3 $t -b 50 -o x --pipe \"$pipe\" small.net"
check_status 2 'pipes that they cannot share' "$mpirun -n 2 $t --pipes 3 -o x --pipe \"$pipe\" small.net"
check_status 2 'other orders' "$mpirun -n 2 $t -s 1 -o o --pipe \"tfrec-cat --epochs 2 --shuffle 300 --seed 3{part} \
	--shard {part}/{parts} --start-at {start} set-* | $grey\" small.net"
said 'of whom' 'rank 1 on [^ ]+: other than rank 0.s: order of samples'
check_status 2 'other options' \
	"$mpirun -n 1 $t -o o2 --pipe \"$pipe\" small.net : -n 1 $t --lr 0.1 -o o2 --pipe \"$pipe\" small.net"
said 'of whom' 'rank 1 on [^ ]+: other than rank 0.s: options'
check_status 2 'other numbers of devices' \
	"$mpirun -n 1 $t -d 'ref*2' -o o3 --pipe \"$pipe\" small.net : -n 1 $t -d ref -o o3 --pipe \"$pipe\" small.net ||
	 exit \$((\$? == 3 ? 2 : 9))"
mkdir lone && cp "$BIN/net-train" lone
check_status 3 'no plug-in for MPI' "OMPI_COMM_WORLD_SIZE=2 lone/$t -o x --pipe \"$pipe\" small.net"
said 'and the remedy' 'mpi: no plug-in millrace-mpi.so in .*MPI \(Debian: apt-get install'

# ---- the ends ----
check_status 4 'input lost on one' \
	"$mpirun -n 2 $t -d cpu -j 1 -o lost --pipe \"$pipe | if [ {part} = 1 ]; then head -c 300000; else cat; fi\" small.net"
said 'is told of whom' '^net-train: rank 1 on [^ ]+: pipe 1: .*ends early'
check 'the last whole step is kept, and goes on to the same bytes' \
	"test \$(net-train --print-position lost) -gt 0 &&
	 $mpirun -n 2 $t -d cpu -j 1 --resume -o lost --pipe \"$pipe\" && same lost p2"
check_status 1 'a loss that is not finite' "$mpirun -n 2 net-train -q -b 48 --lr 1e30 -o nan --pipe \"$pipe\" small.net"
said 'is found by all' 'step [0-9]+: not finite: (layer|parameter) '

# of_run FOLDER: the processes of a run here.
of_run() {
	for p in $(pgrep -f "^net-train .*-o $1 "); do
		[ "$(readlink "/proc/$p/cwd")" = "$TMP" ] && echo "$p"
	done
}
# of_rank N FOLDER: one of them; its environment says its rank.
of_rank() {
	for p in $(of_run "$2"); do
		tr '\0' '\n' <"/proc/$p/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$p"
	done
}
long="tfrec-cat --epochs 2000 $from | $grey"
# stopped FOLDER WHOM SIGNAL: the status of an endless run of two, one of whom gets a signal.
stopped() {
	$mpirun -n 2 $t --epochs 2000 -d cpu -j 1 --comm-timeout 4 --save-every 20s -o "$1" --pipe "$long" small.net &
	m=$!
	n=0
	until grep -q '"step":2[0-9],' "$1/log.ndjson" 2>/dev/null || [ $n -gt 600 ]; do
		sleep 0.05
		n=$((n + 1))
	done
	case $2 in
	mpirun) kill -"$3" $(pgrep -P $m) ;;
	*) kill -"$3" $(of_rank "$2" "$1") ;;
	esac
	began=$(date +%s)
	wait $m
	s=$?
	echo $(($(date +%s) - began)) >seconds
	return $s
}
# Its checkpoint, and the end of its epochs, as that of a run that was not disturbed.
whole() { net-train --print-position "$1" >at && test $(cat at) -gt 0 && test $(($(cat at) % 48)) = 0 &&
	ckpt-cat "$1/last.safetensors" >/dev/null; }
check_status 75 'SIGTERM for one: all end with 75' 'stopped term 1 TERM'
check 'one checkpoint, of the last step of the log' 'whole term &&
	grep "\"event\":\"step\"" term/log.ndjson | tail -n 1 | grep -q "\"position\":$(cat at),"'
check_status 75 'SIGUSR1 for mpirun, which passes it on: 75' 'stopped usr mpirun USR1; s=$?; whole usr && exit $s'
check 'SIGTERM for mpirun: a checkpoint, too' 'stopped mpi mpirun TERM; test $? != 0 && whole mpi &&
	tail -n 1 mpi/log.ndjson | grep -q "\"status\":75"'
check 'kill -9 of one ends all, soon' 'stopped killed 1 KILL; test $? != 0 && test $(cat seconds) -lt 60 &&
	test -z "$(of_run killed)" && whole killed'
said 'and it is named' 'rank 1'
check_status 3 'one that is stopped is given up' 'stopped silent 1 STOP'
said 'and named' '^net-train: rank 1 on [^ ]+: not heard of for 4 s'

# ---- NCCL's part, emulated ----
if [ -f "$BUILD/emulated/millrace-cuda.so" ]; then
	MILLRACE_PLUGINS=$BUILD/emulated
	export MILLRACE_PLUGINS
	check 'two processes with a GPU each, as two GPUs of one (all emulated)' \
		"$t --epochs 1 -d cuda:0:fp32,cuda:1:fp32 --pipes 2 -o g1 --pipe \"$pipe\" small.net &&
		 $mpirun -n 2 $t --epochs 1 -d cuda:0:fp32 -o g2 --pipe \"$pipe\" small.net && same g1 g2"
else
	skip 1 'no emulated plug-in of CUDA'
fi
