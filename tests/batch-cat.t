. "${0%/*}/lib.sh"
# What batch-cat says of a stream: summary, JSON, arrays, sheets.
plan 44

tar xf "$ROOT/examples/digits.tar" test/3 test/5 || exit 1
tfrec-pack -q -o d --no-shuffle test 2>/dev/null
tfrec-cat --epochs 2 d-*-of-00001 >files 2>/dev/null
img-augment 'size 28' <files >pixels 2>/dev/null

check 'the summary' 'batch-cat files >summary'
for line in '^columns     image u8 \[\*\]$' '^            label i32 \[1\]$' \
	'^samples     400, positions 0 to 399$' '^epochs      2 of 200 samples$' \
	'^classes     2$' '^labels      2 different, 0 to 1; most often 0 \(200\), least 0 \(200\)$' \
	'^    1       200 #+ 5$' '^image bytes [0-9]+ to [0-9]+$' '^metadata    classes: 2 names$' \
	'^metadata    provenance: .*"tfrec-cat"' '^rate '; do
	check "has $line" "grep -qE '$line' summary"
done
check 'two files, each with its name' 'batch-cat files pixels | grep -c "^files:$\|^pixels:$" |
	grep -q 2'
check 'shapes of pixels' 'batch-cat - <pixels | grep -q "image u8 \[28,28,3\]"'

check 'a line of JSON for each sample' 'batch-cat --json pixels >lines && test $(wc -l <lines) = 400'
check 'its form' 'sed -n 202p lines | grep -qE "^\{\"position\":201,\"image\":\{\"shape\":\[28,28,3\]\},\
\"label\":0,\"class\":\"3\",\"id\":\"0:1\",\"name\":\"[0-9]+\.jpg\"\}$"'
check_same '--skip and --count' 'batch-cat --json --skip 10 --count 5 pixels' \
	'sed -n 11,15p lines'
check_same 'they go on over inputs' 'batch-cat --json --skip 399 --count 3 pixels files |
	grep -c position' 'echo 3'
check_status 0 'enough is enough: the rest is not read' \
	'head -c 500000 pixels | batch-cat --json --count 3'

check 'an array' 'batch-cat --npy label.npy --column label pixels'
check_same 'header of the array' 'head -c 192 label.npy | tail -c +9 | tr -s " " | tail -c +3' \
	'printf "%s\n" "{'\''descr'\'': '\''<i4'\'', '\''fortran_order'\'': False, '\''shape'\'': (400,), } "'
check_same 'numbers of the array' 'tail -c +193 label.npy | od -An -v -tu4 -w4 | tr -d " "' \
	'sed "s/.*\"label\":\([0-9]*\).*/\1/" lines'
check 'pixels are an array of four dimensions' 'batch-cat --npy image.npy --column image pixels &&
	grep -aq "shape.: (400, 28, 28, 3), }" image.npy && test $(wc -c <image.npy) = 940992'
check_status 1 'sizes that differ are no array' 'batch-cat --npy image2.npy --column image files'
said 'says which' 'column image has another size'
check 'no broken file stays' 'test ! -e image2.npy && test -z "$(ls -A | grep tmp)"'
check_status 1 'a column that is not there' 'batch-cat --npy x.npy --column nothing pixels'
said 'lists those there are' "no column 'nothing'; there are: image label id name"

check 'a sheet' 'batch-cat --sheet sheet.png --columns 5 --rows 2 pixels'
check_same 'is a PNG of that size' 'head -c 24 sheet.png | od -An -tx1' \
	'printf "\211PNG\r\n\032\n\000\000\000\015IHDR\000\000\001\274\000\000\000\334" | od -An -tx1'
check 'files of the stream are decoded' 'batch-cat --sheet sheet2.png --columns 5 --rows 2 files'
check_same 'to the same sheet' 'cat sheet.png' 'cat sheet2.png'
check 'the terminal' 'batch-cat --show --count 2 --columns 2 --size 8 pixels >shown &&
	test $(grep -c "▀" shown) = 4 && test $(grep -o "▀" shown | wc -l) = 64'

check_status 2 '--verify and others' 'batch-cat --verify --json pixels'
check_status 2 '--npy without --column' 'batch-cat --npy x pixels'
check_status 2 '--count of a summary' 'batch-cat --count 3 pixels'
check_status 2 '--columns without a sheet' 'batch-cat --columns 3 pixels'
check_status 2 '--columns 0' 'batch-cat --sheet x.png --columns -1 pixels'
check_status 3 'a full disk' 'batch-cat --json pixels >/dev/full'
said 'is said' '^batch-cat: stdout: No space left on device'
check_status 3 'stdout closed' 'batch-cat --json pixels >&-'
check_status 3 'a sheet in a folder that is not there' 'batch-cat --sheet no/x.png pixels'
check 'stderr closed' 'batch-cat pixels 2>&- >out && test -s out'
check_status 141 'a reader that leaves' '{ sh -c "batch-cat --json pixels pixels pixels; echo \$? >code" |
	head -n 1 >one; }; exit $(cat code)'
