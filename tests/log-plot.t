#!/bin/sh
# Curves of logs as SVG: what is drawn where, and what is refused.
. "${0%/*}/lib.sh"
plan 29

# Every tag is closed in order, no text has a bare < or &: perl reads it as a tree.
well_formed() {
	perl -0777 -e '
		$_ = <>; my @open;
		while (/\G(?:<(\/?)(\w+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|((?:[^<&]|&(?:lt|gt|amp|quot);)+))/gc) {
			next if defined $5 or $4;
			if ($1) { (pop(@open) // "") eq $2 or die "</$2> closes nothing\n" } else { push @open, $2 }
		}
		(pos() // 0) == length or die "at byte ", pos() // 0, ": ", substr($_, pos() // 0, 40), "\n";
		@open and die "open: @open\n"; $_ =~ /^<svg xmlns=/ or die "no svg\n"' "$@"
}

mkdir run
cat >run/log.ndjson <<'L'
{"event":"begin","network":"a <b> & \"c\"","step":0}
{"event":"step","step":10,"epoch":0.5,"loss":2.0,"top1":0.25,"lr":0.1}
{"event":"step","step":20,"epoch":1.0,"loss":1.0,"top1":0.5,"lr":0.1}
{"event":"val","step":20,"epoch":1.0,"loss":1.5,"top1":0.4,"top5":0.9}
{"event":"step","step":30,"epoch":1.5,"loss":9.0,"top1":0.1,"lr":0.1}
{"event":"begin","network":"a <b> & \"c\"","step":20}
{"event":"step","step":30,"epoch":1.5,"loss":0.5,"top1":0.75,"lr":0.1}
{"event":"step","step":40,"epoch":2.0,"loss":0.0,"top1":1.0,"lr":0.1}
{"event":"val","step":40,"epoch":2.0,"loss":0.75,"top1":0.8,"top5":0.95}
{"event":"st
L
check 'a run' 'log-plot run >a.svg'
said 'a line that a killed run left is counted' '1 lines? (is|are) not JSON'
check 'well-formed' 'well_formed a.svg'
check 'the network is the title, escaped' 'grep -qF "a &lt;b&gt; &amp; &quot;c&quot;</text>" a.svg'
check 'loss and top-1: a thin and a bold line each' \
	'test $(grep -c "<path fill=.none.*stroke-width=.1. " a.svg) = 2 && test $(grep -c "<path fill=.none.*stroke-width=.2. " a.svg) = 2'
# numbers PANEL: the points of the thin line of a panel.
numbers() {
	grep '<path fill="none".*stroke-width="1"' "$1" | sed -n "$2s/.* d=\"//p" | tr 'ML' '\n\n' | tr -d '"/>' | grep .
}
check 'four points: what was taken back is not drawn' 'test $(numbers a.svg 1 | wc -l) = 4'
check 'loss falls: down the picture, in even steps across' \
	'numbers a.svg 1 | awk "NR > 1 { d = \$1 - x; if (\$2 <= y || (NR > 2 && (d - e > 0.02 || e - d > 0.02))) exit 1; e = d } { x = \$1; y = \$2 }"'
check 'a loss of 1 is in the middle of 0 and 2' \
	'numbers a.svg 1 | awk "{ y[NR] = \$2 } END { d = y[1] + y[4] - 2 * y[2]; exit d > 0.03 || d < -0.03 }"'
check 'top-1 rises' 'numbers a.svg 2 | awk "NR > 1 && \$2 >= y { exit 1 } { y = \$2 }"'
check 'every point lies in the picture' \
	'{ numbers a.svg 1; numbers a.svg 2; } | awk "\$1 < 0 || \$1 > 760 || \$2 < 0 || \$2 > 640 { exit 1 }"'
check 'four points of validation, two in the legend' 'test $(grep -c "<circle" a.svg) = 5'
check 'epochs across' 'grep -q ">epochs<" a.svg && ! grep -q ">steps<" a.svg'
check 'steps, where asked' 'log-plot --steps run 2>&1 >s.svg && grep -q ">steps<" s.svg && grep -q ">40</text>" s.svg'
grep -v '"val"' run/log.ndjson | sed 's/"epoch":[0-9.]*,//' | grep '}$' >plain.ndjson
check 'and where the log knows no epochs' 'log-plot plain.ndjson >p.svg && grep -q ">steps<" p.svg && ! grep -q validation p.svg'
check 'the log from stdin is the same' 'log-plot --title t - <plain.ndjson | sed "s/>-</>plain.ndjson</" >q.svg &&
	log-plot --title t plain.ndjson | cmp - q.svg'
check 'two runs: a colour and a name each' \
	'log-plot run plain.ndjson 2>&1 >two.svg && well_formed two.svg && grep -q ">run<" two.svg && grep -q ">plain.ndjson<" two.svg &&
	 test $(grep -o "stroke=.#[0-9a-f]*. stroke-width=.1." two.svg | sort -u | wc -l) = 2'
check 'a title of the user' 'log-plot --title "<&>" plain.ndjson >t.svg && grep -qF ">&lt;&amp;&gt;</text>" t.svg && well_formed t.svg'
check 'its size' 'log-plot --width 1000 --height 500 plain.ndjson | head -n 1 | grep -q "width=.1000. height=.500."'
echo old >out.svg
check 'a file' 'log-plot --title t -o out.svg plain.ndjson && log-plot --title t plain.ndjson | cmp - out.svg'
printf '{"event":"step","step":1,"epoch":0.1,"loss":NaN}\n{"event":"begin"}\n' >none.ndjson
echo old >kept.svg
check_status 1 'nothing to draw' 'log-plot -o kept.svg none.ndjson'
check 'nothing is overwritten then' 'test "$(cat kept.svg)" = old'
printf '{"event":"step","step":1,"epoch":0.1,"loss":2,"top1":0.5}\n' >one.ndjson
check 'one point alone' 'log-plot one.ndjson >one.svg && well_formed one.svg && ! grep -qi "nan\|inf" one.svg'
check_status 3 'no such run' 'log-plot nowhere'
said 'is named' 'nowhere'
check_status 1 'a folder without a log' 'mkdir empty && log-plot empty'
check_status 2 'no run' 'log-plot'
check_status 2 'a picture of no size' 'log-plot --width 10 run'
check_status 2 'more runs than colours and lines' "log-plot \$(yes run | head -n 17)"
check_status 3 'an output that cannot be written' 'log-plot -o nowhere/a.svg plain.ndjson'
