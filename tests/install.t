#!/bin/sh
# make install: programs find their networks and the plug-in where they were put.
. "${0%/*}/lib.sh"
case $BUILD in */build) ;; *) skip_all 'only for the ordinary build' ;; esac
plan 5

cd "$TESTS/.." || exit 1
make -s install DESTDIR="$TMP" PREFIX=/usr >"$TMP/log" 2>&1
installed=$TMP/usr/bin

check 'every program is there' 'for p in bin/*.c; do p=${p##*/}; test -x "'"$installed"'/${p%.c}" || exit 1; done'
check 'net-cat finds a network by name' \
	'cd / && test "$("'"$installed"'/net-cat" --count resnet18)" = 11689512'
check 'the plug-in is found' 'cd / && "'"$installed"'/net-cat" --steps -d cpu -b 1 resnet18 >/dev/null'
check 'pages are there' 'test -f "'"$TMP"'/usr/share/man/man5/batchstream.5"'
make -s uninstall DESTDIR="$TMP" PREFIX=/usr >>"$TMP/log" 2>&1
check 'uninstall leaves no file' 'test -z "$(find "'"$TMP"'/usr" -type f)"'
