. "${0%/*}/lib.sh"
# ckpt-cat: lists, statistics, metadata, differences; files that are broken in any way.
plan 80

# put FILE HEADER BYTES: a safetensors file; bytes as printf writes them.
put() {
	{
		printf "$(printf '\\%03o' $((${#2} % 256)) $((${#2} / 256)))\0\0\0\0\0\0"
		printf '%s' "$2"
		printf "$3"
	} >"$1"
}

# In octal, numbers of 32 bits: -1 0 1 2 3 NaN
m1='\0\0\200\277' z='\0\0\0\0' p1='\0\0\200\077' p2='\0\0\0\100' p3='\0\0\100\100' nan='\0\0\300\177'
w='"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}'
n='"n":{"dtype":"I64","shape":[],"data_offsets":[16,24]}'
texts='"__metadata__":{"step":"7","poem":"one\n\u001btwo\n","who":"a"}'
put a "{$texts,$n,$w}" "$p1$p2$p3$nan\007\0\0\0\0\0\0\0"

# ---- what there is ----
check_same 'the list, in the order of the bytes' 'ckpt-cat a' 'printf "%s\n" "w     F32   2x2" "n     I64   "'
check 'statistics' 'ckpt-cat --stats a >stats'
check_same 'of what is finite' 'tr -s " " <stats' 'echo "name dtype shape mean deviation min max not finite
w F32 2x2 2 0.8165 1 3 1
n I64 7 0 7 7 0"'
check_same 'the list as JSON' 'ckpt-cat --json a' \
	'printf "%s\n" "{\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,2]}" "{\"name\":\"n\",\"dtype\":\"I64\",\"shape\":[]}"'
check_same 'statistics as JSON' 'ckpt-cat --json --stats a | tail -n 1' \
	'echo "{\"name\":\"n\",\"dtype\":\"I64\",\"shape\":[],\"mean\":7.0,\"deviation\":0.0,\"min\":7.0,\"max\":7.0,\"not_finite\":0}"'
check_same 'the texts; what drives a terminal is left out' 'ckpt-cat --meta a' 'echo "poem:
    one
    ?two
step: 7
who: a"'
check_same 'the texts as JSON' 'ckpt-cat --meta --json a' \
	'printf "%s\n" "{\"poem\":\"one\\n\\u001Btwo\\n\",\"step\":\"7\",\"who\":\"a\"}"'
check_same 'one text, as it is' 'ckpt-cat --get poem a' 'printf "one\n\033two\n"'
check_same 'its line is ended' 'ckpt-cat --get who a' 'echo a'
check_status 1 'a text that is not there' 'ckpt-cat --get nothing a'
said 'is named' "^ckpt-cat: a: no 'nothing' in its metadata"
check_same 'several files, each with its name' 'ckpt-cat a a' \
	'echo a: && ckpt-cat a && echo && echo a: && ckpt-cat a'
put none '{}' ''
check_same 'a file of nothing' 'ckpt-cat none && ckpt-cat --meta none' ':'
put bool '{"b":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]},"e":{"dtype":"F16","shape":[0,4],"data_offsets":[2,2]}}' '\0\001'
check 'other types, and tensors without numbers' 'ckpt-cat --stats bool | tr -s " " >out &&
	grep -q "^b BOOL 2 0.5 0.5 0 1 0$" out && grep -qE "^e F16 0x4 -?nan -?nan -?nan -?nan 0$" out'
check_same 'no number is null in JSON' 'ckpt-cat --json --stats bool | grep -c "\"e\".*\"mean\":null"' 'echo 1'

# ---- differences ----
check_status 0 'the same file' 'ckpt-cat --diff a a'
check 'says nothing' 'test ! -s "$TMP/.out"'
put b "{$texts,$n,$w}" "$p1$p2$p2$nan\007\0\0\0\0\0\0\0"
check_status 1 'another number' 'ckpt-cat --diff a b'
said 'is told' '^w: 1 of 4 numbers, by 1 at most$'
check_status 0 'within the tolerance' 'ckpt-cat --diff --tolerance 1 a b'
check_status 1 'beyond it' 'ckpt-cat --diff --tolerance 0.999 a b'
put c "{$texts,$n,$w}" "$p1$p2$p3$p1\010\0\0\0\0\0\0\0"
check_status 1 'a NaN is never close' 'ckpt-cat --diff --tolerance 1e300 a c'
said 'it is infinitely far' '^w: 1 of 4 numbers, by inf at most$'
check 'whole numbers are compared' 'ckpt-cat --diff a c | grep -q "^n: 1 of 1 numbers, by 1 at most$"'
put zero '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' "$z"
put minus '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' '\0\0\0\200'
check_status 0 '0 and -0 are not apart' 'ckpt-cat --diff zero minus'
put d "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[16,17]}}" "$p1$p2$p3$nan\0"
check_status 1 'names and shapes' 'ckpt-cat --diff a d'
check_same 'each has a line' 'ckpt-cat --diff a d || true' 'echo "w: F32 2x2 and F32 4
n: only in the first
u: only in the second"'
check_same 'as JSON' 'ckpt-cat --diff --json a d | head -n 1' \
	'echo "{\"name\":\"w\",\"difference\":\"F32 2x2 and F32 4\"}"'
put e "{\"__metadata__\":{\"step\":\"8\",\"poem\":\"one\n\u001btwo\n\",\"new\":\"\"},$n,$w}" "$p1$p2$p3$nan\007\0\0\0\0\0\0\0"
check_status 0 'other texts are no difference' 'ckpt-cat --diff a e'
check_status 1 'unless they are asked for' 'ckpt-cat --diff --meta a e'
check_same 'each has a line' 'ckpt-cat --diff --meta a e || true' 'echo "metadata step: differs
metadata who: only in the first
metadata new: only in the second"'

# ---- what is broken: a line on stderr and status 1 ----
broken() {      # WORDS, PATTERN
	check_status 1 "$1" 'ckpt-cat --stats broken >out 2>err'
	check 'one line says why' "test ! -s out && test \$(wc -l <err) = 1 &&
		grep -qE \"^ckpt-cat: broken: .*$2\" err"
}
t='{"dtype":"F32","shape":[1],"data_offsets":'
printf '\007\0\0' >broken && broken 'a few bytes' '3 bytes'
printf 'PK\003\004\0\0\0\0\0\0\0\0' >broken && broken 'a pickle of PyTorch' 'not safetensors; convert it: '
{ printf '\200\0\0\0\0\0\0\0'; printf '{}'; } >broken && broken 'a header that is cut short' 'header of 128 bytes in a file of 10'
printf '\377\377\377\377\377\377\377\377{}' >broken && broken 'a header of 2^64 bytes' 'header of 18446744073709551615 bytes'
put broken '[]' '' && broken 'a header that is no object' "does not begin with '{'"
put broken '{"w":' '' && broken 'a header that is no JSON' 'header byte'
put broken '{"w":{"dtype":"F32","shape":[[[[[[[[1]]]]]]]]}}' '' && broken 'a deep header' 'nested deeper than 8'
put broken "{\"w\":${t}[0,4]},\"w\":${t}[0,4]}}" "$z" && broken 'a name twice' 'duplicate'
put broken "{\"u\":${t}[0,4]},\"w\":${t}[8,12]}}" "$z$z$z" && broken 'a hole' 'w: starts at byte 8 .* not at 4: a hole'
put broken "{\"u\":${t}[0,4]},\"w\":${t}[2,6]}}" "$z$z" && broken 'an overlap' 'w: starts at byte 2 .* not at 4: an overlap'
put broken "{\"u\":${t}[0,4]}}" "$z$z" && broken 'bytes after the last' '4 bytes after the last tensor'
put broken "{\"u\":${t}[0,4]}}" '\0\0' && broken 'tensors that are cut short' 'cut short'
put broken "{\"u\":${t}[4,0]}}" "$z" && broken 'an end before the start' 'the end 0 is before the start 4'
put broken "{\"u\":${t}[0,-4]}}" "$z" && broken 'an offset below 0' 'not two counts'
put broken '{"u":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}' "$z" && broken 'bytes that do not fit the shape' '4 bytes do not fit'
put broken '{"u":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}' '' && broken 'a shape of 2^64' 'beyond 64 bits'
put broken '{"u":{"dtype":"Q7","shape":[4],"data_offsets":[0,4]}}' "$z" && broken 'a type that is not known' "dtype 'Q7' is not known"
put broken '{"__metadata__":{"step":7}}' '' && broken 'a text that is a number' 'step: not a text'
put broken '{"u":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}' "$z$z"
check_status 1 'statistics of complex numbers' 'ckpt-cat --stats broken'
check 'they are listed all the same' 'ckpt-cat broken | grep -q "^u     C64   1$"'

check_status 3 'a file that is not there' 'ckpt-cat missing'
said 'is named' '^ckpt-cat: missing: No such file'
check_status 3 'a folder' 'ckpt-cat .'
check_status 1 'a pipe' 'mkfifo fifo; ckpt-cat fifo'
check_status 2 'no file' 'ckpt-cat'
check_status 2 '--diff of one' 'ckpt-cat --diff a'
check_status 2 '--tolerance without --diff' 'ckpt-cat --tolerance 1 a'
check_status 2 'a tolerance below 0' 'ckpt-cat --diff --tolerance -1 a b'
check_status 2 '--stats and --meta' 'ckpt-cat --stats --meta a'
check_status 2 '--get and --json' 'ckpt-cat --get who --json a'
check_status 3 'a full disk' 'ckpt-cat a >/dev/full'
