#!/bin/sh
# Evaluation: every sample once whatever the batch, what is written about samples, what
# is refused.
. "${0%/*}/lib.sh"
plan 43

tfrec-pack -q --from-tar "$ROOT/examples/digits.tar" --under test -o set --shards 2 || exit 1
cat >small.net <<'NET'
input 28 28 1
net = maxpool 4 | conv1: conv 3 8 | bn1: bn | relu | dropout 0.2 | fc: linear classes
NET
grey="img-augment 'grey | crop 28'"
sh -c "tfrec-cat --shuffle 300 --seed 3 set-* | $grey | net-train -q -b 50 --lr 0.05 -o run small.net" || exit 1
c=run/last.safetensors
sh -c "tfrec-cat set-* | $grey" >all.mrb || exit 1
sh -c "tfrec-cat -b 16 --shard 0/27 set-* | $grey" >few.mrb || exit 1

# ---- every sample, once ----
check 'the scores' "net-eval $c <few.mrb >plain && grep -x 'samples 38' plain && grep -q '^loss    [0-9.]*\$' plain"
check 'a table: id, name, label, best five' \
	"net-eval -q --predict few.tsv $c few.mrb && test \$(grep -c . few.tsv) = 39 &&
	 awk -F'\t' 'NF != 13 { exit 1 }' few.tsv"
for b in 1 7 16 37 38 39 64; do
	check "batches of $b: the same scores" "net-eval -b $b $c few.mrb | cmp - plain"
	check "batches of $b: the same best classes" \
		"net-eval -q -b $b --predict b.tsv $c few.mrb && cut -f 1-4,6,8 b.tsv >one && cut -f 1-4,6,8 few.tsv | cmp - one"
done
check 'two devices' "net-eval -b 8 -d 'cpu*2' $c few.mrb | cmp - plain"
check 'the reference device' "net-eval -b 8 -d ref $c few.mrb | cmp - plain"
check 'two files one after the other' \
	"net-eval --json $c few.mrb few.mrb | grep -q '\"samples\": 76,'"
check 'from the whole pipeline' "tfrec-cat set-* | $grey | net-eval --json $c | grep -q '\"samples\": 1000,'"

# ---- what is written ----
check 'the table agrees with the scores' \
	"net-eval --json --predict all.tsv $c all.mrb >all.json &&
	 awk -F'\t' 'NR > 1 { n++; one += \$3 == \$4; for (i = 4; i < 13; i += 2) five += \$3 == \$i }
	 END { printf \"\\\"top1\\\": %.9g, \\\"top5\\\": %.9g\n\", one / n, five / n }' all.tsv >shares &&
	 sed 's/0*,/,/g; s/\.,/.0,/g' all.json | grep -qF \"\$(sed 's/0*,/,/g' shares)\""
check 'no sample is missing, none there twice' \
	"tail -n +2 all.tsv | cut -f 1 | sort -u | wc -l | grep -qx 1000"
check 'probabilities fall and are at most 1' \
	"awk -F'\t' 'NR > 1 { s = 0; for (i = 5; i <= 13; i += 2) { s += \$i; if (i > 5 && \$i > \$(i - 2)) exit 1 }
	 if (s > 1.00001 || s <= 0.5) exit 1 }' all.tsv"
check 'as NDJSON' \
	"net-eval -q --predict all.ndjson $c all.mrb && test \$(grep -c '^{.*}\$' all.ndjson) = 1000"
check 'to stdout, with the scores on stderr' \
	"net-eval --predict - $c few.mrb 2>scores | cmp - few.tsv && grep -q '^samples 38' scores"
check 'logits: NPY of 38 rows of 10 numbers' \
	"net-eval -q --logits few.npy $c few.mrb && head -c 100 few.npy | grep -aq \"'<f4'.*(38, 10)\" &&
	 test \$(wc -c <few.npy) = \$((128 + 38 * 40))"
check 'logits do not depend on the batch' \
	"net-eval -q -b 5 --logits five.npy $c few.mrb && tail -c 1520 few.npy | od -An -v -tf4 -w4 >one &&
	 tail -c 1520 five.npy | od -An -v -tf4 -w4 | paste one - |
	 awk '{ d = \$1 - \$2; if (d > 1e-4 || d < -1e-4) exit 1; n++ } END { exit n != 380 }'"
check 'the best logit is the best class' \
	"od -An -v -tf4 -w40 -j 128 few.npy | awk '{ b = 1; for (i = 2; i <= 10; i++) if (\$i > \$b) b = i; print b - 1 }' >one &&
	 tail -n +2 few.tsv | cut -f 4 >two && net-eval --confusion - -q $c few.mrb >counts &&
	 test \$(wc -l <one) = \$(wc -l <two)"
check 'confusion: rows sum up to the classes, the diagonal is top-1' \
	"net-eval --json --confusion table $c all.mrb >scores &&
	 awk -F'\t' 'NR > 1 { for (i = 2; i <= NF; i++) n += \$i; right += \$NR } END { printf \"%d %.4f\n\", n, right / n }' table >one &&
	 awk -F'[:,]' '{ printf \"%d %.4f\n\", \$2, \$4 }' scores | cmp - one"
check 'a table of classes' "net-eval --per-class $c all.mrb >classes && grep -q '^samples 1000' classes && test \$(wc -l <classes) -ge 14"
check 'weights alone, with a network named' \
	"net-eval -n small.net $c few.mrb | cmp - plain"

# ---- bad samples and bad input ----
mkdir -p photos && tar -xf "$ROOT/examples/digits.tar" -C photos test/3 || exit 1
head -c 1500 "$TESTS/data/420.jpg" >photos/cut.jpg
good=$(find photos/test -type f | sort | head -n 1)
seq 0 9 >classes.txt
printf '4 %s\n8 photos/cut.jpg\n' "$good" |
	tfrec-pack -q --no-shuffle --classes classes.txt -o bad --list /dev/stdin 2>pack.txt || cat pack.txt
check 'a sample that could not be decoded counts as wrong and is reported' \
	"tfrec-cat bad-* | img-augment --max-bad 1 'grey | crop 28' 2>/dev/null |
	 net-eval --json $c >scored.json && grep -q '\"samples\": 2,.*\"bad\": 1' scored.json"
check_status 4 'a stream cut short: no scores' "head -c 20000 all.mrb | net-eval $c >out"
check 'nothing was printed' 'test ! -s out'
check_status 4 'upstream killed: likewise' \
	"sh -c 'head -c 9000 all.mrb; kill -9 \$\$' | net-eval $c"
check_status 2 'logits that cannot be shared by devices' "net-eval -b 7 -d 'cpu*2' $c few.mrb"
check_status 3 'no checkpoint' "net-eval none.safetensors few.mrb"
said 'its name' 'none.safetensors'
check_status 1 'a checkpoint that is none' "net-eval few.mrb few.mrb"
check_status 1 'another network than that of the weights' "net-eval -n digits $c few.mrb"
said 'with what is missing' 'digits|missing|tensor'
n=$(($(od -An -tu8 -N8 $c) + 8))
{ head -c $n $c; printf '\0\0\300\177'; tail -c +$((n + 5)) $c; } >nan.safetensors
check_status 1 'weights that are no numbers' 'net-eval nan.safetensors few.mrb'
said 'which ones' 'nan.safetensors: .*: number 0 of [0-9]* is not finite'
