. "${0%/*}/lib.sh"
# The batch stream between programs: faults B03 to B11 of the list, P01, and the readers
# of batchstream(5).
plan 44

tar xf "$ROOT/examples/digits.tar" train/0 train/1 || exit 1
tfrec-pack -q -o d --shards 2 train 2>/dev/null
tfrec-cat d-*-of-00002 >whole 2>/dev/null
size=$(wc -c <whole)

check 'a whole stream is whole' 'batch-cat --verify whole >said 2>&1'
check 'it says nothing' 'test ! -s said'
check 'also through cat, tee, dd and gzip' \
	'cat whole | tee copy | dd bs=1000 2>/dev/null | gzip -1 | gzip -dc | batch-cat --verify &&
	cmp whole copy'
check_same 'the same command gives the same bytes' 'cat whole' 'tfrec-cat d-*-of-00002'

# B03, B05: cut short anywhere.
for n in 0 1 8 63 64 127 128 1000 $((size / 2)) $((size - 65)) $((size - 64)) $((size - 1)); do
	check_status 4 "cut to $n of $size bytes" "head -c $n whole | batch-cat --verify"
done
check_status 4 'a program killed in the middle, without pipefail' \
	"sh -c 'head -c $((size / 3)) whole; kill -9 \$\$' | batch-cat --verify"
said 'the message says where' '^batch-cat: stdin: record [0-9]+ at byte [0-9]+: the input ends early'

# B04: flipped bytes, as the program sees them.
flip() {	# flip AT: the stream with another byte there
	head -c "$1" whole
	tail -c +$(($1 + 1)) whole | head -c 1 | tr '\000-\377' '\001-\377\000'
	tail -c +$(($1 + 2)) whole
}
bad=0
for n in 0 9 13 17 60 64 70 200 400 $((size / 2)) $((size - 70)) $((size - 60)) $((size - 3)); do
	flip "$n" | batch-cat --verify 2>>"$TMP/.flips"
	case $? in 1 | 4) ;; *) bad=$((bad + 1)) && echo "# byte $n" ;; esac
done
check 'no changed byte is accepted' "test $bad = 0"
check_status 1 'a byte of a payload' "flip $((size / 2)) | batch-cat --verify"
said 'is told by its checksum' 'checksum of the payload does not match'

# B07: segments.
check 'cat a b is a stream of two segments' 'cat whole whole | batch-cat --json >two &&
	test $(wc -l <two) = 1600'
check 'whose positions are counted on' \
	'sed -n "s/.*\"position\":\([0-9]*\).*/\1/p" two | awk "\$1 != NR - 1 { exit 1 }"'
check_status 1 'other columns are refused' \
	'(cat whole; img-augment "size 28" <whole) | batch-cat --verify'
said 'with the reason' 'a segment with other columns'
check_status 4 'a second segment cut short' "(cat whole; head -c $((size / 2)) whole) |
	batch-cat --verify"

# B09: no stream at all.
check_status 4 'nothing' 'true | batch-cat'
said 'is said' 'the program before wrote nothing'
check_status 3 'stdin is a folder' 'batch-cat <"$TMP"'
check_status 3 'stdin is closed' 'batch-cat <&-'
check_status 3 'a file that is not there' 'batch-cat nowhere'
check_status 4 'a wrong option upstream' 'tfrec-cat --nonsense | batch-cat --verify'
said 'is told by the last program too' '^batch-cat: tfrec-cat: unknown option --nonsense'
check_status 4 'a wrong recipe upstream' 'img-augment "sise 8" </dev/null | batch-cat --verify'
said 'likewise' '^batch-cat: img-augment: recipe: '
check_status 4 'over two programs' 'tfrec-cat nowhere | img-augment "size 8" | batch-cat --verify'
said 'with the names of both' '^batch-cat: img-augment: tfrec-cat: nowhere: No such file'
tfrec-cat nowhere 2>err1 | img-augment 'size 8' 2>err2 | batch-cat --verify 2>err3
check 'each of the first and the last program says one line, the one between none' \
	'test $(wc -l <err1) = 1 && test $(wc -l <err2) = 0 && test $(wc -l <err3) = 1'

# P01: a reader that goes away.
check_status 141 'a filter dies of its reader, silently' \
	'{ sh -c "tfrec-cat d-*-of-00002; echo \$? >code" | true; } 2>err; test ! -s err || exit 1
	exit $(cat code)'
check_status 141 'also where the parent ignored SIGPIPE' \
	'{ sh -c "trap \"\" PIPE; tfrec-cat d-*-of-00002; echo \$? >code" | true; } 2>err
	test ! -s err || exit 1
	exit $(cat code)'

# The readers on the page and in the examples.
sed -n '/^\.Bd -literal/,/^\.Ed/p' "$ROOT/man/batchstream.5" | sed '1d;$d;s/\\e/\\/g' >labels.c
check 'the reader on the page compiles' '${CC:-cc} -std=c11 -Wall -Wextra -O1 -o labels labels.c -lz'
check_same 'and reads the labels' './labels <whole' \
	'batch-cat --json whole | sed "s/.*\"label\":\([0-9]*\).*/\1/"'
check_status 1 'and refuses a stream cut short' 'head -c 100000 whole | ./labels'
if python3 -c 'import zlib' 2>/dev/null; then
	check_same 'the reader in Python gives the same' \
		'python3 "$ROOT/examples/read_stream.py" <whole' './labels <whole'
else
	skip 1 'no python3 here'
fi
