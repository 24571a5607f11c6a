. "${0%/*}/lib.sh"
# Rules of the house: layers, who may print and exit, every program with its page and
# its test, pages that are clean and list the options there are, what programs link.
cd "$ROOT" || exit 1

programs=$(ls bin/*.c | sed 's|bin/||;s|\.c$||')
pages=$(ls man/*.[157])
plan $((15 + 8 * $(echo "$programs" | wc -l) + $(echo "$pages" | wc -l)))

# includes FOLDER: "file what" for each header of ours that its files include.
includes() {
	grep -HE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$1"/*.[ch] 2>/dev/null |
		sed -E 's/^([^:]*):[^"]*"([^"]*)".*/\1 \2/'
}

# only FOLDER WORDS: files in lib/FOLDER include only headers that match the words.
only() {
	includes "lib/$1" | awk -v allowed="^($2)/" '
		$2 !~ allowed && $2 !~ /\.pb-c\.h$/ { print "# " $1 " includes " $2; bad = 1 }
		END { exit bad }'
}

check 'the test of layers sees the lines' 'includes lib/cli | grep -q "^lib/cli/die.c data/stream.h$"'
check 'base includes base' 'only base base'
check 'data includes base, data' 'only data "base|data"'
check 'net includes base, net' 'only net "base|net"'
check 'zoo holds text' '! ls lib/zoo | grep -vE "\.net$|^names$"'
check 'dev includes base, net, dev' 'only dev "base|net|dev/[a-z_]+\.h|dev/ref"; only dev "base|net|dev"'
check 'ref includes base, net, dev, ref, not cpu and not cuda' 'only dev/ref "base|net|dev" &&
	! includes lib/dev/ref | grep -E " dev/(cpu|cuda)/"'
check 'cpu not ref and not cuda' 'only dev/cpu "base|net|dev" &&
	! includes lib/dev/cpu | grep -E " dev/(ref|cuda)/"'
check 'cuda not ref and not cpu' 'test ! -d lib/dev/cuda || only dev/cuda "base|net|dev" &&
	! includes lib/dev/cuda | grep -E " dev/(ref|cpu)/"'
check 'train includes base, data, net, dev, train' 'only train "base|data|net|dev|train" &&
	! includes lib/train | grep -E " dev/(ref|cpu|cuda)/"'
check 'cli includes base, data, cli' 'only cli "base|data|cli"'
check 'no file of the library includes one of a program' \
	'! grep -rnE "#include \"(\.\./)+bin" lib'

# Calls outside of comments and strings, which are blanked out first. A second signal
# that ends the program at once can do so only in the handler itself.
check 'only cli prints and exits' \
	'for f in $(ls lib/*/*.c lib/dev/*/*.c | grep -v ^lib/cli/); do
		sed -E "s/\"([^\"\\\\]|\\\\.)*\"/\"\"/g; s|/\*.*\*/||; /^[[:space:]]*\/?\*/d" $f |
		grep -nE "(^|[^a-z_.>])(printf|puts|putchar|perror|exit|_exit|_Exit|abort|quick_exit|vprintf)[[:space:]]*\(|[^a-z_]std(out|err)[^a-z_]" |
		grep -v "_exit(128 + signo)" | sed "s|^|$f:|"
	done >"$TMP/calls"; ! grep . "$TMP/calls"'
check 'no line comments, no typedef of a struct, no line over 100 columns' \
	'! grep -nE "^[[:space:]]*//|typedef (struct|union)" bin/*.c $(find lib -name "*.[ch]") &&
	for f in bin/*.c $(find lib -name "*.[ch]"); do
		expand -t 8 $f | grep -nE "^.{101}" | sed "s|^|$f:|"
	done >"$TMP/wide"; ! cut -c 1-80 "$TMP/wide" | grep .'
check 'every folder of formats has its page' 'test -f man/batchstream.5 && test -f man/net.5'

# Options of --complete as "-x --name", sorted, one a line.
of_program() {
	"$1" --complete | awk -F '\t' '{ print ($1 == "-" ? "" : "-" $1 " ") "--" $2 }' | sort |
		grep .
}

# The same from a page: its list of options, rendered.
of_page() {
	mandoc -Tascii -Owidth=200 "$1" | col -bx | sed -nE \
		-e 's/^     (-[A-Za-z0-9]), (--[a-z0-9-]+).*/\1 \2/p' \
		-e 's/^     (--[a-z0-9-]+).*/\1/p' | sort -u
}

for p in $programs; do
	check "$p has a page" "test -f man/$p.1"
	check "$p has a test" "ls tests/*.t | grep -v house.t | xargs grep -lwe $p | grep -q ."
	check "$p --help prints usage and exits with 0" \
		"$p --help >\"$TMP/help\" && head -n 1 \"$TMP/help\" | grep -q '^usage: $p '"
	check "$p --help stays within 100 columns" "! grep -E '^.{101}' \"$TMP/help\""
	check_status 2 "$p refuses a wrong option" "$p --no-such-option </dev/null"
	check_same "$p: page and --help list the same options" "of_program $p" "of_page man/$p.1"
	check "$p: page has EXIT STATUS and EXAMPLES" \
		"grep -q '^\.Sh EXIT STATUS' man/$p.1 && grep -q '^\.Sh EXAMPLES' man/$p.1"
	# The libraries that the Makefile names for it, and the C library's own.
	names=$(sed -nE "s/^($p-LIBS|LIBS|IMAGE_LIBS|NET_LIBS) *:= *//p" Makefile | tr ' ' '\n' |
		sed -n 's/^-l//p' | tr '\n' '|')
	check "$p links what the Makefile says" "readelf -d \"\$BIN/$p\" >\"$TMP/needs\" &&
		! sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' \"$TMP/needs\" |
		grep -vE '^(lib(${names}c|pthread|gcc_s|asan|ubsan|tsan)[0-9]*|ld-linux[^.]*)\.'"
done

for page in $pages; do
	check "$page is clean" "test -z \"\$(mandoc -Tlint -Wwarning $page)\""
done
