. "${0%/*}/lib.sh"
plan 35

texts=$TESTS/golden/net/texts
printf 'param n = 4\ninput 8 8 3\nnet = a: conv 3 n | relu\n' >a.net
printf 'input 8 8 4\nnet = a: conv 3 5 groups=2\n' >bad.net
mkdir folder
cp a.net folder/b
cp a.net mine

check_same 'resnet50 by its short name' 'net-cat --count resnet50' 'echo 25557032'
check_same 'resnet18' 'net-cat --count resnet18' 'echo 11689512'
check_same 'resnet34' 'net-cat --count resnet34' 'echo 21797672'
check_same 'a family, by its file and --set' 'net-cat --count --set depth=18 resnet' 'echo 11689512'
check_same 'the last --set wins, over a short name too' \
	'net-cat --count --set depth=101 --set depth=34 resnet18' 'echo 21797672'
check_same 'a file' 'net-cat --count a.net' 'echo 108'
check_same 'a file in a folder, whatever its name' 'net-cat --count folder/b' 'echo 108'
check_same 'a file of no zoo name' 'net-cat --count mine' 'echo 108'
check_same 'stdin' 'net-cat --count --set n=1 - <a.net' 'echo 27'
check_same 'the flat form is the same network' 'net-cat --flat resnet50 | net-cat -' 'net-cat resnet50'
check_same 'and its own flat form' 'net-cat --flat $texts/nasnet.net | net-cat --flat -' \
	'net-cat --flat $texts/nasnet.net'
check_same 'parameters' 'net-cat --params digits | sed 3q' "cat <<'END'
layer1.0.weight                              16x1x3x3         weight    normal(0.11785113)
layer1.1.weight                              16               gain      1
layer1.1.bias                                16               bias      0
END"
check_same 'the table' 'net-cat a.net' "cat <<'END'
layer  step      output  parameters  multiply-adds
       input      8x8x3
a      conv 3 4   8x8x4         108           6912
       relu       8x8x4
2 steps, 108 parameters and 0 statistics, 6912 multiply-adds
END"
check 'no line of a table is longer than 100 columns' '
	for f in "$texts"/*.net; do
		net-cat "$f" || exit 1
	done | awk "length > 100 { print; bad = 1 } END { exit bad }"'
check 'all of the zoo expands' 'net-cat --zoo'
said 'and is described' '^cifar_fast +32x32x3 +1.51M +106M  gated 3x3s'
check 'its list fits 100 columns' 'net-cat --zoo | awk "length > 100 { print; bad = 1 } END { exit bad }"'
check 'and has each line of names' '
	net-cat --zoo | awk "NR > 1 { print \$1 }" >listed
	awk "NF && !/^#/ { print \$1 }" "$ROOT/lib/zoo/names" >named
	cmp listed named'
check_same 'a drawing' 'net-cat --dot a.net' "cat <<'END'
digraph network {
	graph [ranksep=0.3, nodesep=0.25];
	node [shape=box, style=filled, fontname=\"Helvetica\", fontsize=11, height=0.3, margin=\"0.1,0.05\"];
	edge [fontname=\"Helvetica\", fontsize=9, arrowsize=0.6];
	n0 [label=\"input\", fillcolor=\"#f2f2f2\"];
	n1 [label=\"a\\nconv 3 4\\nrelu\", fillcolor=\"#dbe9f6\"];
	n0 -> n1 [label=\" 8x8x3\"];
	out0 [label=\"logits\", shape=plaintext, style=\"\"];
	n1 -> out0 [label=\" 8x8x4\"];
}
END"
check_same '--set works on a prefixed name' 'net-cat --count --set classes=1000 slim_resnet_v1_50' \
	'echo 25557032'
check 'each file of the zoo can be named' '
	for f in "$ROOT"/lib/zoo/*.net; do
		f=${f##*/}
		net-cat --count "${f%.net}" || exit 1
	done'
check_same 'the small networks say what they cost' \
	'for n in digits cifar_fast resnet20 resnet32 resnet56; do net-cat --count $n; done' \
	'printf "54778\n1513146\n272474\n466906\n855770\n"'
check_same 'the shortcut of the paper' \
	'net-cat --count --set shortcut=pad --set classes=11 resnet20' 'echo 269787'

check_status 1 'a bad text' 'net-cat bad.net'
check_same 'its message: place, cause, what arrives there' 'net-cat bad.net 2>&1 || true' "cat <<'END'
net-cat: bad.net:2:10: conv: groups=2 does not divide 4 channels into 5
    arriving: 8x8x4
END"
check_same 'and nothing on stdout' 'net-cat bad.net 2>/dev/null || true' 'true'
check_status 1 'no such network' 'net-cat resnet19'
said 'says where names are listed' 'net-cat --zoo'
check_status 1 'no such parameter' 'net-cat --set dpeth=18 resnet'
said 'says which there are' 'no such param .depth block n1'
check_status 2 'no operand is a usage error' net-cat
check_status 2 'two networks as well' 'net-cat resnet18 resnet34'
check_status 2 '--zoo and a network as well' 'net-cat --zoo resnet18'
check 'the steps on a device' 'net-cat --steps --memory -d ref -b 2 digits | grep -q "layer1.0.conv"'
check 'the page shows networks that can be read' '
	awk "/^[.]Bd/ { n++; on = 1; next } /^[.]Ed/ { on = 0 } on { print >(\"block\" n) }" \
		"$ROOT/man/net.5"
	found=0
	for b in block*; do
		grep -q "^input" $b || continue
		grep -q "^net = " $b || continue
		net-cat --count $b || exit 1
		found=$((found + 1))
	done
	[ $found = 2 ]'
