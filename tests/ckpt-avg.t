. "${0%/*}/lib.sh"
# ckpt-avg: means of files made by hand, number by number, and of a short training's.
plan 59

# put FILE HEADER BYTES: a safetensors file; bytes as printf writes them.
put() {
	{
		printf "$(printf '\\%03o' $((${#2} % 256)) $((${#2} / 256)))\0\0\0\0\0\0"
		printf '%s' "$2"
		printf "$3"
	} >"$1"
}

# values FILE BYTES [TYPE]: the numbers in the last bytes of a file.
values() {
	tail -c "$2" "$1" | od -An -v -t"${3:-f4}" | tr -s ' \n' '  ' | sed 's/^ //; s/ $//'
}

# In octal, numbers of 32 bits: -1 0 1 2 3 6 1e8 -1e8
m1='\0\0\200\277' z='\0\0\0\0' p1='\0\0\200\077' p2='\0\0\0\100' p3='\0\0\100\100' p6='\0\0\300\100'
big='\040\274\276\114' neg='\040\274\276\314'
w='"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}'
n='"n":{"dtype":"I64","shape":[],"data_offsets":[12,20]}'
put a "{\"__metadata__\":{\"step\":\"5\",\"who\":\"a\"},$w,$n}" "$p1$p2$p3\007\0\0\0\0\0\0\0"
put b "{\"__metadata__\":{\"step\":\"9\",\"who\":\"b\"},$w,$n}" "$p3$p6$m1\011\0\0\0\0\0\0\0"
put c "{\"__metadata__\":{\"step\":\"2\",\"who\":\"c\"},$w,$n}" "$m1$z$p1\001\0\0\0\0\0\0\0"

# ---- numbers ----
check 'two files' 'ckpt-avg -o mean a b'
check 'their mean' 'test "$(values mean 20 | cut -d " " -f 1-3)" = "2 4 1"'
check 'a whole number is the newest file'\''s' 'test "$(values mean 8 d8)" = 9'
check_same 'so are the texts, with what was averaged' 'ckpt-cat --meta mean' \
	'echo "averaged: [{\"step\":5,\"weight\":1.0},{\"step\":9,\"weight\":1.0}]
step: 9
who: b"'
check_same 'the order makes no difference' 'cat mean' 'ckpt-avg -o mean2 b a && cat mean2'
check 'the mean of a mean says only its own files' 'ckpt-avg -o mean3 mean c &&
	test "$(ckpt-cat --get averaged mean3 | grep -o step | wc -l)" = 2'
check 'weights' 'ckpt-avg --weights 1,3 -o weighted a b &&
	test "$(values weighted 20 | cut -d " " -f 1-3)" = "2.5 5 0"'
check 'are kept in the texts' 'ckpt-cat --get averaged weighted | grep -qF "{\"step\":9,\"weight\":3.0}"'
check 'weights go with their files' 'ckpt-avg --weights 3,1 -o other b a && cmp weighted other'
check 'one file is copied' 'ckpt-avg -o copy a && cmp a copy'

s='{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
put x "$s" "$big" && put y "$s" "$p1" && put v "$s" "$neg"
for order in 'x y v' 'x v y' 'y x v' 'y v x' 'v x y' 'v y x'; do
	check "nothing is lost in the order $order" "ckpt-avg -o sum $order &&
		test \"\$(values sum 4 x4)\" = 3eaaaaab"
done

# 0x3c00 and 0x3c01 in 16 bits, 1 and 1 + 1/1024: the mean is a tie, to even
h='{"w":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'
put h1 "$h" '\000\074' && put h2 "$h" '\001\074'
check 'F16 is rounded once, ties to even' 'ckpt-avg -o h h1 h2 && test "$(values h 2 x2)" = 3c00 &&
	ckpt-avg --weights 1,1.01 -o h h1 h2 && test "$(values h 2 x2)" = 3c01'
b='{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
put b1 "$b" '\200\077\0\100' && put b2 "$b" '\0\100\100\100'
check 'BF16' 'ckpt-avg -o bf b1 b2 && test "$(values bf 4 x2)" = "3fc0 4020"'
d='{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}'
put d1 "$d" '\0\0\0\0\0\0\360\077' && put d2 "$d" '\0\0\0\0\0\0\0\100'
check 'F64' 'ckpt-avg -o f64 d1 d2 && test "$(values f64 8 f8)" = 1.5'
put d3 "$d" '\377\377\377\377\377\377\357\177'
check_status 1 'a sum beyond a double' 'ckpt-avg -o none d3 d3'
said 'names the tensor' 'tensor w: the sum of number 0 is beyond'

# ---- what is refused ----
put other-shape "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]},$n}" "$p1$p2$p3$z$z"
check_status 1 'another shape' 'ckpt-avg -o none a other-shape'
said 'names it' '^ckpt-avg: other-shape: not the tensors of a: it has another shape or type of w$'
put other-name "{\"u\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},$n}" "$p1$p2$p3$z$z"
check_status 1 'other names' 'ckpt-avg -o none a other-name'
said 'lists both' 'it lacks w, has besides u$'
put nan "{$w,$n}" "$p1\0\0\300\177$p3$z$z"
check_status 1 'a NaN' 'ckpt-avg -o none a nan'
said 'says where' '^ckpt-avg: nan: tensor w: number 1 is not finite$'
check_status 1 'a NaN of one file' 'ckpt-avg -o none nan'
put inf "{$w,$n}" "$p1$p1\0\0\200\177$z$z"
check_status 1 'an infinity' 'ckpt-avg -o none inf a'
check_status 1 'a broken file' 'head -c 100 a >short; ckpt-avg -o none a short'
check_status 3 'a file that is not there' 'ckpt-avg -o none a missing'
said 'is named' '^ckpt-avg: missing: No such file'
check_status 3 'a folder that is not there' 'ckpt-avg -o no/none a b'
check_status 2 'an input as output' 'ckpt-avg -o a a b'
said 'is said' 'a: is an input and the output'
check_status 2 'also under another name' 'ln b link; ckpt-avg -o link a b'
check 'nothing was written by these' 'test ! -e none && test "$(values a 20 | cut -d " " -f 1-3)" = "1 2 3" &&
	test -z "$(ls -A | grep tmp)"'
check_status 0 'a file twice' 'ckpt-avg -o twice a b a'
said 'is noted' '^ckpt-avg: a and a are the same file: it counts twice$'
check 'and counts twice' 'ckpt-avg -q -o thrice --weights 2,1 a b 2>said && ! test -s said &&
	test "$(values twice 12 | cut -d " " -f 1)" = "$(values thrice 12 | cut -d " " -f 1)"'
check_status 2 'no output' 'ckpt-avg a b'
check_status 2 'no file' 'ckpt-avg -o none'
check_status 2 'too few weights' 'ckpt-avg -o none --weights 1 a b'
check_status 2 'a weight of 0' 'ckpt-avg -o none --weights 0,1 a b'
check_status 2 '--last and --best' 'ckpt-avg -o none --last 1 --best 1 run'
check_status 2 '--metric without --best' 'ckpt-avg -o none --metric loss:min a b'

# ---- a run: 20 steps, a checkpoint and a validation every 5 ----
tfrec-pack -q --from-tar "$ROOT/examples/digits.tar" --under test -o d --shards 1 2>/dev/null
stream='tfrec-cat -q --shuffle all --seed 1 d-0* | img-augment -q "grey | crop 28"'
eval "$stream" | net-train -q -b 50 --lr 0.05 --steps 20 --save-every 5s --val-every 5s \
	--val-pipe "$stream" -o run digits 2>"$TMP/trained"
remark "$TMP/trained"
check 'the newest three of a run' 'ckpt-avg --last 3 -o last3 run &&
	ckpt-avg -o by-name run/00000010.safetensors run/00000015.safetensors run/00000020.safetensors &&
	cmp last3 by-name && ! cmp -s last3 run/last.safetensors'
check_status 1 'more than there are' 'ckpt-avg --last 5 -o none run'
said 'says how many' '4 checkpoints of steps, not 5'
check 'statistics of batch norm are averaged' 'ckpt-avg --last 2 -o last2 run &&
	for f in run/00000015.safetensors run/00000020.safetensors last2; do
		ckpt-cat --stats --json $f | sed -n "/\"layer1.1.running_var\"/s/.*\"mean\":\([^,]*\),.*/\1/p"
	done | awk "{ v[NR] = \$1 } END { d = (v[1] + v[2]) / 2 - v[3];
		exit !(NR == 3 && v[1] != v[2] && d * d < 1e-12 * v[3] * v[3]) }"'
check 'without the optimizer' 'ckpt-avg --weights-only --last 2 -o slim run &&
	ckpt-cat slim | grep -q "^fc.bias " && ! ckpt-cat slim | grep -q "^opt\." &&
	ckpt-cat last2 | grep -q "^opt\."'
check 'a mean can be evaluated' "$stream | net-eval -q --json slim | grep -q '\"samples\": 1000,'"
check 'the best one is best.safetensors' 'ckpt-avg --best 1 -o best run && cmp best run/best.safetensors'

# The same checkpoints, other opinions of them.
cp -r run judged
i=0
for scores in '0.5 0.9' '0.8 0.1' '0.7 0.3' '0.8 0.4'; do
	i=$((i + 5))
	printf '{"event":"val","step":%d,"top1":%s,"loss":%s}\n' $i ${scores% *} ${scores#* }
done >judged/log.ndjson
check '--best goes by top-1, of equal ones the later' 'ckpt-avg --best 1 -o best judged &&
	cmp best run/00000020.safetensors'
check 'the best two' 'ckpt-avg --best 2 -o best judged &&
	ckpt-avg -o by-name run/00000010.safetensors run/00000020.safetensors && cmp best by-name'
check 'the least loss' 'ckpt-avg --best 1 --metric loss:min -o best judged &&
	cmp best run/00000010.safetensors'
check 'the most' 'ckpt-avg --best 1 --metric loss:max -o best judged &&
	cmp best run/00000005.safetensors'
check_status 1 'a metric that the log has not' 'ckpt-avg --best 1 --metric top5:max -o none judged'
check_status 2 'a metric that is none' 'ckpt-avg --best 1 --metric lr:max -o none judged'
