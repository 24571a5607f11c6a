#!/bin/sh
# img-augment: the same bytes for any number of threads and without vector code, bad
# images, recipes that do not fit, resuming, and what it does with what is upstream.
. "${0%/*}/lib.sh"
plan 73

D=$TESTS/data
# Twelve kinds of JPEG in two classes.
mkdir -p photos/cat photos/dog
for f in 411 420 422 440 444 arithmetic; do cp "$D/$f.jpg" photos/cat; done
for f in grey progressive restart restart-storm odd rgb; do cp "$D/$f.jpg" photos/dog; done
tfrec-pack -q -o train --shards 3 photos || exit 1
tfrec-cat -q --epochs 5 --shuffle all --seed 9 train-* >coded
tfrec-cat -q --epochs 5 --shuffle all --seed 9 -b 7 train-* >small
recipe='random-crop 0.2 1 | size 48 | flip | maybe 0.3 (pad 3 reflect | crop 48 random)'

# The pixels of a stream, with their shape.
pixels() { batch-cat --npy x.npy --column image "$@" && cat x.npy; }

img-augment -j 1 "$recipe" <coded >one
check 'what comes out is whole' 'batch-cat --verify <one'
for j in 2 3 8; do
	check_same "-j $j gives the bytes of -j 1" 'cat one' "img-augment -j $j '$recipe' <coded"
done
check_same 'so does no vector code' 'cat one' "JSIMD_FORCENONE=1 img-augment '$recipe' <coded"
clang=$ROOT/build-clang/bin/img-augment
if [ -x "$clang" ]; then
	check_same 'so does a build with clang' 'cat one' "'$clang' '$recipe' <coded"
else
	skip 1 'no build with clang here'
fi
check_same 'another spelling of the recipe is the same recipe' 'cat one' \
	"img-augment 'random-crop scale=0.2,1|size width=48 height=48|flip p=.5|maybe 0.3(pad 3 mode=reflect|crop 48 at=random)' <coded"
check_status 1 'another seed gives other bytes' "img-augment -s 10 '$recipe' <coded | cmp -s - one"
check_same "the stream's seed is taken" 'pixels <one' \
	"img-augment -s 9 '$recipe' <coded | pixels"
check_same 'how records are cut changes no pixel' 'pixels <one' \
	"img-augment '$recipe' <small | pixels"

# Resuming: a stream that starts at p is the tail.
for p in 1 5 12 30; do
	check_same "started at $p it gives the tail" \
		"pixels --skip $p <one" \
		"tfrec-cat -q --epochs 5 --shuffle all --seed 9 --start-at $p train-* |
			img-augment '$recipe' | pixels"
done
check 'one of two dealt parts has its positions' \
	"tfrec-cat -q --epochs 5 --shuffle all --seed 9 --shard 1/2 train-* | img-augment '$recipe' |
		batch-cat --json | head -n 2 | tail -n 1 | grep -q '\"position\": *3,'"
printf '420.jpg,0.1,0.2,0.5,0.6\n' >boxes.csv
check 'boxes pass where they stay true' "tfrec-pack -q -o boxed --boxes boxes.csv photos 2>/dev/null &&
	tfrec-cat -q boxed-* >boxed.stream && img-augment 'size 8 | grey' <boxed.stream | batch-cat | grep -q boxes"
check_status 1 'and go where pixels move' "img-augment 'size 8 | flip' <boxed.stream | batch-cat | grep boxes"
check_same 'two segments: the first is as it is alone' "pixels <one" \
	"cat coded coded | img-augment '$recipe' >two && pixels --count 60 <two"
check 'the second is counted on' "batch-cat --verify <two && [ \$(batch-cat --json <two | wc -l) = 120 ] &&
	batch-cat --json <two | tail -n 1 | tr -d ' ' | grep -q '\"position\":119,'"
check_same 'a filter in two stages is the filter in one' \
	"img-augment 'crop 40' <coded | img-augment 'flip 1' | pixels" \
	"img-augment 'crop 40 | flip 1' <coded | pixels"
check 'the stages are in the metadata' \
	"img-augment 'crop 40' <coded | img-augment 'flip 1' | batch-cat | grep -q 'crop 40'"
check 'so is the decoder' 'batch-cat <one | grep -q libjpeg-turbo'
check 'so are mean and deviation' \
	"img-augment --mean 123.675,116.28,103.53 --deviation 58.395,57.12,57.375 'size 9' <coded |
		batch-cat | tr -d ' ' | grep -q '123.675'"
check 'which stay when a second stage does not say others' \
	"img-augment --mean 1,2,3 'size 9' <coded | img-augment 'flip' | batch-cat | tr -d ' ' | grep -q '1,2,3'"
check_status 1 'two numbers for three channels are refused' \
	"img-augment --mean 1,2 'size 9' <coded >/dev/null"
check_status 1 'a deviation of 0 is refused' "img-augment --deviation 0 'size 9' <coded >/dev/null"
check 'grey gives one channel' \
	"img-augment 'grey | size 20 30' <coded | batch-cat | tr -d ' ' | grep -Eq '20,30,1|20x30x1'"

# Image files.
check 'image files are operands' "img-augment 'size 20' '$D/420.jpg' '$D/small.png' '$D/small.ppm' >files"
check 'they are whole' 'batch-cat --verify <files'
check 'with their names' 'batch-cat --json <files | grep -q small.png'
check_same 'a single file, not resized' "img-augment '' '$D/small.png' | pixels >/dev/null && tail -c 7680 x.npy" \
	"tail -c 7680 '$D/small.ppm'"
check_status 1 'files of different sizes need a recipe' "img-augment '' '$D/420.jpg' '$D/small.png' >/dev/null"
said 'which is said' '40x64 .* comes out where 83x107 came before: end the recipe with size or crop'
check_status 3 'a file that is not there' "img-augment 'size 9' '$D/420.jpg' nowhere.jpg >/dev/null"
said 'is named' 'nowhere.jpg: No such file'
check_status 1 'a GIF' "img-augment 'size 9' '$D/small.gif' >/dev/null"
said 'is named as what it is' 'small.gif .*a GIF image: JPEG, PNG, PPM are read'
check_status 2 'no --max-bad for files' "img-augment --max-bad 3 'size 9' '$D/small.gif' >/dev/null"
check_same 'orientation is left alone' "img-augment '' '$D/exif1.jpg' | pixels" \
	"img-augment '' '$D/exif6.jpg' | pixels"
check 'unless it is asked for' "img-augment --exif-orient '' '$D/exif6.jpg' | batch-cat | tr -d ' ' | grep -Eq '64,40,3|64x40x3'"

# Mistakes in the command line.
check_status 2 'no recipe' 'img-augment <coded'
check_status 2 'a recipe without quotes' 'img-augment size 224 <coded'
said 'is shown with quotes' "put it in quotes: img-augment 'size 224'"
check_status 2 'a file for a recipe' "img-augment '$D/420.jpg'"
said 'is told' 'the first operand is the recipe'
check_status 2 'an unknown step' "img-augment 'resize 224' <coded"
said 'is told with the known one' "column 1: no step is called 'resize': is 'size' meant"
check_status 2 'no threads' "img-augment -j 0x 'size 9' <coded"
check_status 2 'a negative seed' "img-augment -s -1 'size 9' <coded"
check 'the steps are listed' 'img-augment --steps | grep -q "^random-crop: "'

# Bad images.
head -c 1500 "$D/420.jpg" >photos/cat/aa-cut.jpg
head -c 3000 "$D/progressive.jpg" >photos/dog/aa-cut.jpg
echo 'no image' >photos/dog/zz-text.jpg
tfrec-pack -q --no-shuffle -o bad --list /dev/stdin <<EOF >pack.txt 2>&1
1 photos/cat/420.jpg
2 photos/dog/aa-cut.jpg
1 photos/cat/aa-cut.jpg
2 photos/dog/grey.jpg
EOF
if tfrec-cat -q bad-* >bad.stream 2>/dev/null; then
	check_status 1 'a damaged image stops the pipeline' "img-augment 'size 16' <bad.stream >out.stream"
	said 'name, record, position and cause are said' 'aa-cut.jpg \(record 0:1, position 1\): jpeg: '
	check_status 4 'and the stream says so too' 'batch-cat --verify <out.stream'
	check_status 1 'with a crop far above the damage too' \
		"img-augment 'crop 8 | size 16' <bad.stream >out.stream"
	check '--max-bad goes on' "img-augment --max-bad 2 'size 16' <bad.stream >out.stream"
	said 'saying which' 'position 2\): jpeg: .*: bad, number 2'
	said 'and how many' '2 of 4 images were bad'
	check_same 'their labels are -1, the others stay' \
		"batch-cat --json <out.stream | tr -d ' ' | sed 's/.*\"label\":\([-0-9]*\).*/\1/' | tr '\\n' ' '" \
		"printf '1 -1 -1 2 '"
	check 'their pixels are 128' "pixels --skip 1 --count 1 <out.stream >/dev/null &&
		tail -c 768 x.npy | tr -d '\\200' | wc -c | grep -qx ' *0'"
	check_status 1 'one more than allowed stops' "img-augment --max-bad 1 'size 16' <bad.stream >/dev/null"
	said 'saying so' 'bad image number 2, with --max-bad 1'
	check_same 'the same with one thread and three' \
		"img-augment -j 1 --max-bad 2 'size 16' <bad.stream" \
		"img-augment -j 3 --max-bad 2 'size 16' <bad.stream"
else
	cat pack.txt | sed 's/^/# /'
	skip 12 'tfrec-pack does not take damaged images'
fi

# What is upstream.
check_status 4 'an error from upstream passes through' \
	"(tfrec-cat --no-such-option | img-augment 'size 9' >out.stream)"
check_status 4 'and reaches the end' 'batch-cat --verify <out.stream'
check_status 4 'nothing at all from upstream' "img-augment 'size 9' </dev/null >/dev/null"
said 'is said' 'wrote nothing'
check_status 4 'input cut short' "head -c 30000 coded | img-augment 'size 9' >out.stream"
check_status 4 'reaches the end too' 'batch-cat --verify <out.stream'
check_status 141 'a reader that goes away' "(img-augment 'size 224' <coded; echo \$? >code) | head -c 10 >/dev/null; exit \$(cat code)"

# To look at.
check '--each-step shows every step' \
	"img-augment --each-step 'random-crop | size 24 | flip 1 | grey' <coded >steps && batch-cat --verify <steps"
check 'five images for each' "[ \$(batch-cat --json <steps | wc -l) = 300 ]"
check 'named by their step' "batch-cat --json <steps | head -n 5 | tail -n 1 | grep -q '4 grey'"
check_same 'the last is what comes without it' \
	"img-augment 'random-crop | size 24 | flip 1' <coded | pixels --count 1 >/dev/null && tail -c 1728 x.npy" \
	"img-augment --each-step 'random-crop | size 24 | flip 1' <coded | pixels --skip 3 --count 1 >/dev/null && tail -c 1728 x.npy"
