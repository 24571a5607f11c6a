#!/bin/sh
# Records in order: each once an epoch, any start the tail of the whole, parts that
# together are the whole; what does not fit is refused.
. "${0%/*}/lib.sh"
plan 85
golden=$TESTS/golden/tfrecord

# Forty digits in five uneven shards with manifest and indexes, and the same without.

tar xf "$ROOT/examples/digits.tar" --wildcards 'train/*/00[0-3].jpg'
tfrec-pack -q --shards 5 train -o d || exit 1
mkdir bare && cp d-0* bare && mkdir idx-only && cp -r d-0* idx idx-only
all='d-00000-of-00005 d-00001-of-00005 d-00002-of-00005 d-00003-of-00005 d-00004-of-00005'

# label and name of each record of TFRecords on stdin, in order
names() { tfrec-ls - | cut -f 4,5; }
# the same of each sample of a stream: id, label, name
samples() { batch-cat -q --json | sed 's/^.*"label": *\([0-9-]*\).*"id": *"\([0-9:]*\)".*$/\2 \1/'; }

# --- file order
check_same 'file order as TFRecords is the shards themselves' "tfrec-cat --tfrecord $all" "cat $all"
check_same 'from stdin as well' "cat $all | tfrec-cat --tfrecord" "cat $all"
check_same 'operands in any order' 'tfrec-cat --tfrecord d-00003-of-00005 d-00001-of-00005' \
	'cat d-00003-of-00005 d-00001-of-00005'
check_same 'what TensorFlow wrote' "tfrec-cat --tfrecord $golden/gzip.tfrecord" \
	"cat $golden/plain.tfrecord"
check_same 'and zlib, from a pipe' "cat $golden/zlib.tfrecord | tfrec-cat --tfrecord -" \
	"cat $golden/plain.tfrecord"
check 'the stream is whole' "tfrec-cat $all | batch-cat --verify"
check_same 'ids are shard and record, labels from 0' "tfrec-cat $all | samples" \
	"tfrec-ls $all | awk -F '\t' '{ print \$1, \$4 - 1 }'"
check_same 'whatever the order of the operands' \
	'tfrec-cat d-00003-of-00005 d-00001-of-00005 2>.note | samples' \
	"tfrec-ls $all | awk -F '\t' '/^3:/ { print \$1, \$4 - 1 }';
	tfrec-ls $all | awk -F '\t' '/^1:/ { print \$1, \$4 - 1 }'"
check 'missing shards are told' 'grep -q "3 of 5 shards are missing" .note'
check 'and stand in the metadata' 'tfrec-cat -q d-00003-of-00005 | grep -a -q "\"missing_shards\":4"'
check_same 'two epochs' "tfrec-cat --epochs 2 --tfrecord $all" "cat $all $all"
check 'endless' "test \$(tfrec-cat --epochs 0 --tfrecord $all | head -c 200000 | wc -c) = 200000"
check_same 'the stream marks each boundary of epochs' \
	"tfrec-cat --epochs 3 $all | grep -a -o 'EPOC\|END ' | tr -d '\n'" 'printf "EPOCEPOCEND "'

# --- shuffle
for order in 'all' 1 2 7 16 39 40 100000; do
	check_same "--shuffle $order gives each record once" \
		"tfrec-cat --shuffle $order --tfrecord $all | names | sort" \
		"tfrec-ls $all | cut -f 4,5 | sort"
done
check 'epochs and seeds differ' "
	for a in '-s 1' '-s 2' '-s 1 --start-at 40 --epochs 2'; do
		tfrec-cat --shuffle all \$a --tfrecord $all | md5sum
		tfrec-cat --shuffle 16 \$a --tfrecord $all | md5sum
	done | sort -u | wc -l | awk '{ exit \$1 != 6 }'"
check_same 'the same seed gives the same' "tfrec-cat --shuffle 9 -s 5 $all" \
	"tfrec-cat --shuffle 9 --seed=5 $all"
check_same 'a window from stdin: each record once' \
	"cat $all | tfrec-cat --shuffle 7 --tfrecord | names | sort" \
	"tfrec-ls $all | cut -f 4,5 | sort"
check 'and mixed' "cat $all | tfrec-cat --shuffle 7 --tfrecord | cmp -s - d-00000-of-00005; test \$? = 1"
check_same 'the whole window of stdin is that of one shard' \
	"cat $all >one && tfrec-cat --shuffle 64 -s 3 --tfrecord one | names" \
	'tfrec-cat --shuffle 64 -s 3 --tfrecord <one | names'

# --- start-at: each position of two epochs, with indexes and without
for order in '' '--shuffle all' '--shuffle 7'; do
	for where in . bare; do
		(cd $where && tfrec-cat $order --epochs 2 --tfrecord $all | names) >whole
		check "--start-at anywhere: ${order:-file order}, $where" "cd $where &&
			for p in \$(seq 0 3 80) 40 41 79; do
				tail -n +\$((p + 1)) \$TMP/whole >\$TMP/want
				tfrec-cat $order --epochs 2 --start-at \$p --tfrecord $all |
				names | cmp - \$TMP/want || exit 1
			done"
	done
done
check_same 'at the end nothing is left' "tfrec-cat --start-at 40 --tfrecord $all" 'true'
check 'and the stream says so' "tfrec-cat --start-at 40 $all | batch-cat --verify"
check_status 2 'beyond the end is an error' "tfrec-cat --start-at 41 $all"

# --- parts
for order in '' '--shuffle all' '--shuffle 7'; do
	for n in 2 3 7; do
		check_same "$n parts together: ${order:-file order}" \
			"tfrec-cat $order --epochs 2 --start-at 5 --tfrecord $all | names" \
			"for i in \$(seq 0 $((n - 1))); do
				tfrec-cat $order --epochs 2 --start-at 5 --shard \$i/$n --tfrecord $all |
				names | awk -v n=$n -v i=\$i \
				'{ print (5 + (i - 5 % n + n) % n) + (NR - 1) * n \" \" \$0 }'
			done | sort -n | cut -d ' ' -f 2-"
	done
done
check 'a part is a stream of its own' "tfrec-cat --shard 2/3 --epochs 3 $all | batch-cat --verify"
check 'also with more parts than samples' "tfrec-cat --shard 49/50 --epochs 3 $all | batch-cat --verify"
check_same 'parts of stdin' "cat $all | tfrec-cat --shard 1/3 --tfrecord | names" \
	"tfrec-ls $all | cut -f 4,5 | awk 'NR % 3 == 2'"

# --- carriage
check_same 'samples in a record' "tfrec-cat -b 16 $all | grep -a -o 'DATA' | wc -l" 'echo 3'
check_same 'bytes in a record' "tfrec-cat -b 8k $all | grep -a -o 'DATA' | wc -l" 'echo 5'
check_same 'the same samples however carried' "tfrec-cat -b 1 $all | samples" "tfrec-cat -b 1M $all | samples"

# --- without a manifest
check_status 2 'labels need a base' 'cd bare && tfrec-cat d-0* >stream'
said 'and the remedy is named' '--label-base 1'
check_same 'then they are the same' "tfrec-cat $all | samples" \
	"cd bare && tfrec-cat --label-base 1 $all | samples"
check_same 'with indexes too' "tfrec-cat $all | samples" \
	"cd idx-only && tfrec-cat --label-base 1 $all | samples"
check_status 1 'a label below the base' 'tfrec-cat --label-base 5 bare/d-0*'
said 'names the record' 'bare/d-0000.-of-00005: record [0-9]+, offset [0-9]+: label [0-4] with label base 5'
check_same 'boxes come with the records that have them' \
	"tfrec-cat --label-base 1 $golden/plain.tfrecord | batch-cat -q | grep -o 'boxes f32.*'" \
	'echo "boxes f32 [*,4]"'

# --- files
check 'image files' "tfrec-cat --shuffle 5 --files out $all && diff -r out train"
check_status 3 'are not written over' "tfrec-cat --files out $all"

# --- odd readings
check_same 'a byte at a time' "dd if=one bs=1 2>/dev/null | tfrec-cat --tfrecord" 'cat one'
check_same 'also compressed' \
	"dd if=$golden/gzip.tfrecord bs=1 2>/dev/null | tfrec-cat --tfrecord" "cat $golden/plain.tfrecord"
check 'a hundred shards and few descriptors' 'mkdir wide &&
	tar xf "$ROOT/examples/digits.tar" -C wide --wildcards "train/*/00?.jpg" &&
	tfrec-pack -q --shards 100 wide/train -o w'
check_same 'each record once' \
	'(ulimit -n 48 && tfrec-cat --shuffle 30 --tfrecord w-*-of-00100) | names | sort' \
	'tfrec-ls w-*-of-00100 | cut -f 4,5 | sort'
check_same 'the same from another start' \
	'tfrec-cat --shuffle 30 --epochs 3 --tfrecord w-*-of-00100 | names | tail -n +155' \
	'tfrec-cat --shuffle 30 --epochs 3 --start-at 154 --tfrecord w-*-of-00100 | names'
check_same 'a reader that goes away is no error to tell' \
	"{ tfrec-cat --epochs 0 $all 2>said; echo \$? >gone; } | head -c 1 >/dev/null;
	cat gone said" 'echo 141'

# --- what does not fit
check_status 1 'no samples' ': >void && tfrec-cat --label-base 0 void'
mkdir cut && cp -r d-0* d.json idx cut
check_status 1 'a shard cut between two records' "cd cut && tfrec-ls d-00001-of-00005 |
	tail -n 1 | cut -f 2 | xargs truncate d-00001-of-00005 -s && tfrec-cat $all >stream"
said 'contradicts the manifest' 'd.json says [0-9]+ bytes, the file has [0-9]+'
check_status 1 'and its index, where there is no manifest' \
	"cd cut && rm d.json && tfrec-cat --label-base 1 --shuffle all $all >stream"
said 'with the remedy' 'tfrec-ls --index makes one'
check_status 1 'a label beyond the classes' 'mkdir odd && cp d-0* odd && sed "/\"9\"/d; s/\(\"8\".*\),$/\1/" d.json >odd/d.json &&
	tfrec-cat odd/d-0* >stream'
said 'is refused' 'label 10 with label base 1, but there are 9 classes'
check_status 1 'a record that is no Example' \
	'printf "\0\0\0\0\0\0\0\0\051\003\230\007\330\352\202\242" | tfrec-cat --label-base 1 >stream'
said 'is refused by what it lacks' 'stdin: record 0, offset 0: no image/encoded; the record has no features'
check_status 1 'a flipped byte' "cp bare/d-00000-of-00005 flip &&
	printf X | dd of=flip bs=1 seek=500 conv=notrunc 2>/dev/null && tfrec-cat --label-base 1 flip >stream"
said 'is named with its record' 'flip: record 0, offset 0: the data.s checksum does not match'
check 'and told down the stream' 'grep -a -q "ERR .*" stream && ! batch-cat --verify stream 2>/dev/null'
check_status 1 'gzip and --shuffle all' "tfrec-cat --label-base 1 --shuffle all $golden/gzip.tfrecord"
said 'with the remedy' 'take --shuffle N, or inflate'
check_status 2 'stdin and --shuffle all' 'tfrec-cat --shuffle all --label-base 1 <one'
check_status 2 'stdin and --start-at' 'tfrec-cat --start-at 3 --label-base 1 <one'
check_status 2 'stdin and --epochs' 'tfrec-cat --epochs 2 --label-base 1 <one'
check_status 2 'a wrong part' "tfrec-cat --shard 3/3 $all"
check_status 3 'a file that is not there' 'tfrec-cat --label-base 1 none'
check_status 3 'a full disk' "tfrec-cat $all >/dev/full"
