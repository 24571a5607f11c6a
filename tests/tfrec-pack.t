#!/bin/sh
# Images become shards: from folders, lists, tar archives and archives of archives; the
# same bytes from each, at any number of threads; what cannot be packed is refused whole.
. "${0%/*}/lib.sh"
plan 67
tar=$ROOT/examples/digits.tar

mkdir all photos
tar xf "$tar" -C all --wildcards '*/*/[04][0-3]?.jpg'
tar cf some.tar --sort=name -C all train test
for c in 2 7 9; do
	mkdir photos/$c
	for i in 0 1 2 3 4; do cp all/train/$c/00$i.jpg photos/$c/$c$i.jpg; done
done

# --- what is written
check 'pack an archive' 'tfrec-pack -q --from-tar some.tar --under train/ --shards 4 -o a'
check_same 'names of the shards' 'ls | grep -v some.tar' 'printf "%s\n" a-00000-of-00004 a-00001-of-00004 \
	a-00002-of-00004 a-00003-of-00004 a.json all idx photos'
check_same 'an index each' 'ls idx' 'printf "%s\n" a-00000-of-00004.idx a-00001-of-00004.idx \
	a-00002-of-00004.idx a-00003-of-00004.idx'
check 'all of it verifies' 'tfrec-ls --verify a-*-of-00004'
check_same 'the images come out as they went in' \
	'tfrec-cat --files out a-*-of-00004 && diff -r out all/train' 'true'
check_same 'ImageNet keys' 'tfrec-ls --schema a-*-of-00004 | cut -f 1,2,3' \
	'for k in "channels int64" "class/label int64" "class/synset bytes" "colorspace bytes" \
		"encoded bytes" "filename bytes" "format bytes" "height int64" "width int64"; do
		set -- $k; printf "image/%s\t%s\t400\n" $1 $2; done'
check_same 'classes are counted' 'grep -c "\"samples\": 40}" a.json' 'echo 10'
check_same 'labels begin at 1' 'tfrec-ls --stats a-*-of-00004 | grep -c "^label.*40$"' 'echo 10'
check 'and each is its folder' \
	'tfrec-ls --json a-*-of-00004 | grep -o "label\":\[[0-9]*\],\"image/class/synset\":\[\"[0-9]\"" |
	tr -cd "0-9\n" | sed "s/\([0-9]*\)\([0-9]\)$/\1 \2/" |
	awk "{ if (\$1 != \$2 + 1) exit 1; n++ } END { exit n != 400 }"'
check 'the order is mixed' \
	'tfrec-ls a-00000-of-00004 | cut -f 4 | uniq | wc -l | awk "{ exit \$1 < 70 }"'

# --- the same bytes another way
check 'pack folders' 'tfrec-pack -q all/train --shards 4 -o b'
check 'pack with other threads' 'tfrec-pack -q -j 1 all/train --shards 4 -o c'
check 'and more of them' 'tfrec-pack -q -j 7 all/train --shards 4 -o d'
check_same 'folders give the bytes of the archive' 'cat a-0*' 'cat b-0*'
check_same 'at one thread' 'cat a-0*' 'cat c-0*'
check_same 'at seven' 'cat a-0*' 'cat d-0*'
check 'another seed' 'tfrec-pack -q -s 1 all/train --shards 4 -o e'
check 'gives another order' '! cmp -s a-00000-of-00004 e-00000-of-00004'
check_same 'of the same images' 'tfrec-ls a-0* | cut -f 3- | sort' 'tfrec-ls e-0* | cut -f 3- | sort'
check 'without shuffle' 'tfrec-pack -q --no-shuffle photos --shards 2 -o plain'
check_same 'the order is that of the names' 'tfrec-ls plain-0* | cut -f 4,5' \
	'for c in "1 2" "2 7" "3 9"; do set -- $c; for i in 0 1 2 3 4; do
	printf "%s\t%s%s.jpg\n" $1 $2 $i; done; done'

check 'all of the digits' "tfrec-pack -q --from-tar '$tar' --under train/ --shards 3 -o whole &&
	tfrec-ls --verify whole-0* | grep '^4000 records in 3 shards: good'"

# --- lists
(cd photos && ls -d */*) | sed 's,\(.\)/\(.*\),\1 photos/\1/\2,' >by-name
awk '{ print $1 % 3, $2 }' by-name >by-number
printf '2\ttwo\n7\tseven, lucky\n9\tnine\n' >classes
check 'a list of class names' 'tfrec-pack -q --list by-name --classes classes --no-shuffle -o l'
check_same 'names are the paths' 'tfrec-ls l-0* | cut -f 4,5' \
	'awk "{ print (\$1 == 2 ? 1 : \$1 == 7 ? 2 : 3) \"\t\" \$2 }" by-name'
check_same 'words of the classes are stored' \
	'tfrec-ls --json l-0* | grep -o "class/text.:\[[^]]*" | sort | uniq -c | tr -s " "' \
	'for w in nine "seven, lucky" two; do echo " 5 class/text\":[\"$w\""; done'
check 'a list of numbers' 'tfrec-pack -q --list - --no-shuffle --label-base 0 -o n <by-number'
check_same 'stored as they are with base 0' 'tfrec-ls n-0* | cut -f 4' 'cut -d " " -f 1 by-number'
check 'a list of members' "tar cf flat.tar --sort=name -C photos 2 7 9 &&
	sed 's,photos/,,' by-name | sort -r >members &&
	tfrec-pack -q --from-tar flat.tar --list members --classes classes --no-shuffle -o m"
check_same 'takes those, in order of the archive' 'tfrec-ls m-0* | cut -f 4' 'tfrec-ls l-0* | cut -f 4'
check_status 1 'a member that is not there' \
	'echo "2 2/none.jpg" | tfrec-pack --from-tar flat.tar --list - --classes classes -o x'
said 'is named' 'has no member 2/none.jpg'

# --- archives of archives, and those read as they come
mkdir inner
for c in 2 7 9; do tar cf inner/$c.tar --sort=name -C photos/$c .; done
tar cf outer.tar -C inner 2.tar 7.tar 9.tar
gzip -c outer.tar >outer.tar.gz
check 'an archive of archives' 'tfrec-pack -q --from-tar outer.tar --no-shuffle -o o'
check_same 'gives what its members hold' 'cat o-0* | tfrec-ls --json - | sort' \
	'tfrec-pack -q --no-shuffle photos -o p && cat p-0* | tfrec-ls --json - | sort'
check 'from a pipe' 'cat outer.tar | tfrec-pack -q --from-tar - --no-shuffle --classes classes -o q'
check 'and compressed' 'tfrec-pack -q --from-tar outer.tar.gz --no-shuffle --classes classes -o r'
check_same 'the same' 'cat q-0*' 'cat r-0*'
check_same 'images' 'tfrec-ls q-0* | cut -f 4,5' 'tfrec-ls o-0* | cut -f 4,5'
check 'side by side into shards' \
	'tfrec-pack -q -j 3 --from-tar - --no-shuffle --classes classes --shards 4 -o s <flat.tar'
check_same 'image i goes to shard i modulo 4' 'tfrec-ls s-00001-of-00004 | cut -f 5' \
	'tfrec-ls p-0* | cut -f 5 | awk "NR % 4 == 2"'
check_status 2 'a pipe needs --no-shuffle' 'tfrec-pack --from-tar - --classes classes -o x <flat.tar'
said 'and says so' 'needs --no-shuffle'
check_status 2 'and --classes' 'tfrec-pack --from-tar - --no-shuffle -o x <flat.tar'

# --- boxes
cat >boxes <<'END'
21.jpg,0.1,0.2,0.3,0.4
90.jpg,0,0,1,1
21.jpg,0.5,0.5,0.75,1
END
check 'boxes' 'tfrec-pack -q --boxes boxes --no-shuffle photos -o boxed'
check_same 'are stored as floats' \
	'tfrec-ls --json boxed-0* | grep 21.jpg | grep -o "bbox/x[a-z]*.:[^]]*" | tr "\n" " "' \
	'printf "%s" "bbox/xmax\":[0.3,0.75 bbox/xmin\":[0.1,0.5 "'
check_same 'and where there are none the lists are empty' \
	'tfrec-ls --json boxed-0* | grep -c "bbox/ymin.:\[\]"' 'echo 13'

# --- what is refused, and leaves nothing behind
check_status 1 'a class that is not among those given' \
	'printf "2\n7\n" >two && tfrec-pack --classes two photos -o x'
said 'with its image' "photos/9/90.jpg: class '9' is not among the 2 of --classes"
check_status 1 'the same name twice in a class' 'mkdir again && cp -r photos/2 again/ &&
	tfrec-pack photos again -o x'
said 'is named' 'again/2/20.jpg: its class has another image named 20.jpg'
cp -r photos bad && printf 'GIF89a' >bad/7/71.jpg
check_status 1 'what is no image' 'tfrec-pack bad --shards 2 -o x'
said 'is named' 'bad/7/71.jpg: a GIF image'
: >bad/7/71.jpg
check_status 1 'an empty file' 'tfrec-pack bad -o x'
check_status 1 'no images' 'mkdir empty && tfrec-pack empty -o x'
check_status 1 'more shards than images' 'tfrec-pack photos --shards 16 -o x'
check_status 1 'files beside the class folders' 'tfrec-pack photos/2 -o x'
check_status 1 'both sides of an archive' 'tfrec-pack --from-tar some.tar -o x'
said 'with the remedy' 'choose one side by --under'
head -c 300000 some.tar >cut.tar
check_status 1 'an archive cut off' 'tfrec-pack --from-tar cut.tar --under train -o x'
check_status 1 'also between two members' 'head -c 6144 flat.tar >cut.tar &&
	tfrec-pack --from-tar cut.tar -o x'
mkdir -p link/2 && cp photos/2/20.jpg link/2/ && ln link/2/20.jpg link/2/21.jpg
check_status 1 'a hard link' 'tar cf link.tar -C link 2 && tfrec-pack --from-tar link.tar -o x'
check_status 3 'what is there already' 'tfrec-pack photos -o plain'
check 'unless --force' 'tfrec-pack -q --force --shards 2 photos -o plain'
check_status 2 'no prefix' 'tfrec-pack photos'
check_status 2 'two kinds of input' "tfrec-pack photos --from-tar '$tar' -o x"
check_status 3 'a folder that is not there' 'tfrec-pack nowhere -o x'
check_status 3 'a place that cannot be written' 'tfrec-pack photos -o nowhere/x'
check_same 'nothing is left of what failed' 'ls -A | grep "^x\|tmp$"; ls -A idx | grep "^x\|tmp$"; true' 'true'
