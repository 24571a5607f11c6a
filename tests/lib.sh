# For tests of programs, in TAP. A test is a POSIX sh script that begins with
#
#	. "${0%/*}/lib.sh"
#	plan 3
#	check 'a pipeline succeeds' 'a | b'
#	check_same 'two give the same bytes' 'a | b' 'c'
#	check_status 2 'a wrong option is a usage error' 'a --wrong'
#
# Pipelines run in a subshell in $TMP, an empty folder that is removed at the end; what
# they print is shown where they fail. $BIN (programs) is first in PATH; $TESTS is this
# folder, $ROOT the one above; $SHARED holds larger data sets and may be empty: then
# skip. After check_status, $TMP/.out and $TMP/.err hold what the command said, for
# said 'words' 'pattern of grep -E'.
#
# What devices keep between starts is kept in $TMP.
#
# A report of a sanitizer fails the check, whatever the exit status.

TESTS=$(cd "${0%/*}" && pwd) || exit 1
ROOT=${TESTS%/*}
BIN=${BIN:-$ROOT/bin}
case $BIN in /*) ;; *) BIN=$ROOT/$BIN ;; esac
BUILD=${BUILD:-$ROOT/build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
if [ -z "${SHARED-}" ]; then
	for d in "$ROOT/shared/data" "$ROOT/../shared/data"; do
		[ -d "$d" ] && SHARED=$d && break
	done
fi
SHARED=${SHARED-}
PATH=$BIN:$PATH
TMP=$(mktemp -d "${TMPDIR:-/tmp}/millrace.XXXXXX") || exit 1
trap 'rm -rf "$TMP"' EXIT
trap 'exit 1' HUP INT TERM
LC_ALL=C TZ=UTC0 MILLRACE_CACHE=$TMP/.cache
ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=1:exitcode=99}:log_path=$TMP/.report
UBSAN_OPTIONS=${UBSAN_OPTIONS-print_stacktrace=1:exitcode=99}:log_path=$TMP/.report
# die() leaves while other threads are at work: that is no leak.
TSAN_OPTIONS=${TSAN_OPTIONS-exitcode=99:suppressions=$TESTS/tsan.supp}:report_thread_leaks=0:log_path=$TMP/.report
export TESTS ROOT BIN BUILD SHARED PATH TMP LC_ALL TZ MILLRACE_CACHE ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
cd "$TMP" || exit 1
number=0

plan() {
	echo "1..$1"
}

# Lines of a file as comments, at most 20.
remark() {
	[ -f "$1" ] && head -c 4000 "$1" | tr -d '\000-\010\013-\037' | head -n 20 | sed 's/^/# /'
	return 0
}

# result STATUS WORDS: one line of TAP.
result() {
	number=$((number + 1))
	for report in "$TMP"/.report*; do
		[ -f "$report" ] || continue
		echo "# a sanitizer reports:"
		remark "$report"
		rm -f "$report"
		set -- 1 "$2"
	done
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
	fi
}

# check WORDS PIPELINE: it must exit with 0.
check() {
	(eval "$2") >"$TMP/.out" 2>"$TMP/.err" </dev/null
	code=$?
	if [ $code -ne 0 ]; then
		echo "# exit status $code of: $2"
		remark "$TMP/.out"
		remark "$TMP/.err"
	fi
	result $code "$1"
}

# check_status N WORDS COMMAND: it must exit with N.
check_status() {
	(eval "$3") >"$TMP/.out" 2>"$TMP/.err" </dev/null
	code=$?
	if [ $code -ne "$1" ]; then
		echo "# exit status $code, not $1, of: $3"
		remark "$TMP/.out"
		remark "$TMP/.err"
	fi
	result $((code != $1)) "$2"
}

# check_same WORDS PIPELINE PIPELINE: both must exit with 0 and print the same bytes.
check_same() {
	(eval "$2") >"$TMP/.one" 2>"$TMP/.err" </dev/null
	one=$?
	(eval "$3") >"$TMP/.two" 2>>"$TMP/.err" </dev/null
	two=$?
	cmp -s "$TMP/.one" "$TMP/.two"
	same=$?
	if [ $one -ne 0 ] || [ $two -ne 0 ] || [ $same -ne 0 ]; then
		echo "# exit status $one of: $2"
		remark "$TMP/.one"
		echo "# exit status $two of: $3"
		remark "$TMP/.two"
		remark "$TMP/.err"
		same=1
	fi
	result $same "$1"
}

# said WORDS PATTERN: what the command before printed (stdout or stderr) matches.
said() {
	grep -qE -e "$2" "$TMP/.out" "$TMP/.err"
	code=$?
	if [ $code -ne 0 ]; then
		echo "# no line matches: $2"
		remark "$TMP/.out"
		remark "$TMP/.err"
	fi
	result $code "$1"
}

# skip COUNT WHY: these checks cannot be made here.
skip() {
	left=$1
	while [ "$left" -gt 0 ]; do
		number=$((number + 1))
		left=$((left - 1))
		echo "ok $number # SKIP $2"
	done
}

# skip_all WHY: none can; before plan.
skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}
