#!/bin/sh
# Records looked at and checked: listings to the letter, counts by index and by headers,
# and each kind of damage found and named.
. "${0%/*}/lib.sh"
plan 46
golden=$TESTS/golden/tfrecord

tar xf "$ROOT/examples/digits.tar" --wildcards 'train/*/00[0-2].jpg'
tfrec-pack -q --shards 3 train -o d || exit 1
all='d-00000-of-00003 d-00001-of-00003 d-00002-of-00003'

# --- listings
check_same 'a line a record' "tfrec-ls $golden/plain.tfrecord" "cat $golden/list.tsv"
check_same 'the same of gzip' "tfrec-ls $golden/gzip.tfrecord" "cat $golden/list.tsv"
check_same 'and of zlib' "tfrec-ls $golden/zlib.tfrecord" "cat $golden/list.tsv"
check_same 'and from a pipe' "cat $golden/zlib.tfrecord | tfrec-ls" "cat $golden/list.tsv"
check_same 'JSON' "tfrec-ls --json $golden/plain.tfrecord" "cat $golden/list.json"
check_same 'the keys' "tfrec-ls --schema $golden/plain.tfrecord" "cat $golden/schema.tsv"
check_same 'statistics' "tfrec-ls --stats $golden/plain.tfrecord" "cat $golden/stats.tsv"
check_same 'shards by their numbers' "tfrec-ls d-00002-of-00003 d-00000-of-00003 | cut -d : -f 1 | uniq" \
	'printf "2\n0\n"'

# --- counting
check_same 'count' "tfrec-ls --count $all" 'echo 30'
check_same 'count of each' "tfrec-ls -c -v $all" \
	'for i in 0 1 2; do printf "10\td-0000$i-of-00003\n"; done; printf "30\ttotal\n"'
check_same 'without indexes' 'mkdir bare && cp d-0* bare && cd bare && tfrec-ls -c d-0*' 'echo 30'
check_same 'of compressed shards' "tfrec-ls --count $golden/gzip.tfrecord $golden/zlib.tfrecord" 'echo 10'
check_same 'no records' ': >void && tfrec-ls --count void && tfrec-ls void' 'echo 0'
check_same 'an empty record' 'printf "\0\0\0\0\0\0\0\0\051\003\230\007\330\352\202\242" | tfrec-ls' \
	'printf "0:0\t0\t0\t-\t-\t-\n"'

# --- indexes
check 'make indexes' 'cd bare && tfrec-ls --index d-0*'
check_same 'as tfrec-pack made them' 'cat idx/*' 'cat bare/idx/*'
check_same 'uncompressed offsets of gzip' \
	"cp $golden/*.tfrecord . && tfrec-ls --index gzip.tfrecord plain.tfrecord && cat idx/gzip*" \
	'cat idx/plain*'

# --- verifying
check 'a good set' "tfrec-ls --verify $all"
said 'is called good' '^30 records in 3 shards: good$'
flip() { printf "\\$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
mkdir bad && cp -r d-0* d.json idx bare bad && cd bad || exit 1
at=$(tfrec-ls d-00001-of-00003 | sed -n 4p | cut -f 2)
flip d-00001-of-00003 $((at + 100)) 377
flip d-00001-of-00003 $(($(tfrec-ls bare/d-00001-of-00003 | sed -n 7p | cut -f 2) + 100)) 377
cd "$TMP" || exit 1
check_status 1 'two flipped bytes' "cd bad && tfrec-ls --verify $all"
said 'are both found' 'record 3, offset [0-9]+: the data.s checksum does not match'
said 'with their records' 'record 6, offset'
said 'and counted' '^30 records in 3 shards: 2 bad$'
check_status 1 'listing stops at the first' "cd bad && tfrec-ls $all"
said 'after those before it' '^1:2	'
cp bare/d-00000-of-00003 framing
flip framing 3 1
check_status 1 'a length that is damaged' 'tfrec-ls --verify framing'
said 'is named' 'framing: record 0, offset 0: the length.s checksum'
check_status 1 'records after the manifest was written' \
	'mkdir more && cp -r d-0* d.json idx more && cd more && cat d-00001-of-00003 >>d-00000-of-00003 &&
	tfrec-ls --verify d-00000-of-00003'
said 'contradict it' 'has 20 records, d.json says 10'
said 'and the index' 'its index does not fit'
check_status 1 'such an index is not used to count' 'cd more && tfrec-ls --count d-00000-of-00003'
said 'and the remedy is named' 'tfrec-ls --index makes one'
check_same 'after that it counts' \
	'cd more && tfrec-ls --index d-00000-of-00003 && tfrec-ls --count d-00000-of-00003' 'echo 20'
check_status 1 'text in the place of an index' 'cd more && echo x >idx/d-00002-of-00003.idx &&
	tfrec-ls --verify d-00002-of-00003'
said 'is named with its line' 'idx/d-00002-of-00003.idx: line 1'

# --- other files
check_status 1 'a tar archive' "tfrec-ls '$ROOT/examples/digits.tar'"
said 'is named with the remedy' 'not TFRecords but a tar archive: tfrec-pack --from-tar'
check_status 1 'an image' 'tfrec-ls train/3/001.jpg'
said 'likewise' 'train/3/001.jpg: not TFRecords but a JPEG image'
check_status 1 'its own index' 'tfrec-ls idx/d-00000-of-00003.idx'
check_status 3 'a folder' 'tfrec-ls train'
check_status 3 'none' 'tfrec-ls nowhere'
check_status 2 'two tasks' 'tfrec-ls --count --json void'
check_status 3 'a full disk' "tfrec-ls $all >/dev/full"
check_status 1 'gzip cut off' "head -c 2000 $golden/gzip.tfrecord >cut && tfrec-ls --verify cut"
said 'is named with the place' 'cut: byte 2000 of the gzip data: ends early'
