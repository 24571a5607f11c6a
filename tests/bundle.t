#!/bin/sh
# make bundle: a tar that runs by itself from any folder.
. "${0%/*}/lib.sh"
case $BUILD in */build) ;; *) skip_all 'only for the ordinary build' ;; esac
plan 6

cd "$ROOT" || exit 1
make -s bundle >"$TMP/log" 2>&1
tar=$ROOT/build/millrace-$(uname -m).tar.gz
tar -C "$TMP" -xzf "$tar" || exit 1
mv "$TMP"/millrace-* "$TMP/elsewhere"
cd "$TMP" || exit 1
bundle=$TMP/elsewhere
PATH=/usr/bin:/bin

check 'it has less than 60 MB' 'test $(stat -c %s "$tar") -lt 60000000'
check 'all libraries but the C library come with it' \
	"for f in $bundle/bin/*; do ldd \$f; done | grep ' => /' |
	 grep -Ev ' => ($bundle|[^ ]*/lib(c|m|dl|pthread|rt|resolv)\.so)' | { ! grep .; }"
check 'networks are found' 'test "$(env -i '"$bundle"'/bin/net-cat --count resnet18)" = 11689512'
check 'the plug-in finds its library there' \
	"env -i LD_DEBUG=libs $bundle/bin/net-cat --steps -d cpu -b 1 resnet18 2>&1 >steps |
	 grep 'calling init: $bundle.*libdnnl' && test -s steps"
check 'licences are there' "test -s $bundle/share/doc/libarchive13/copyright && test -s $bundle/share/doc/zlib1g/copyright || ! command -v dpkg"
if [ -x "$BUILD/tests/cuda-host" ] && ! ls /dev/nvidia[0-9]* >/dev/null 2>&1; then
	check 'with what checks a GPU: check-gpu, which has none here' "make -s -C '$ROOT' bundle-gpu &&
		tar -xzf '${tar%.tar.gz}-gpu.tar.gz' && env -i PATH=/usr/bin:/bin millrace-*-gpu/check-gpu >said &&
		grep 'SKIP no NVIDIA GPU here' said && rm -r millrace-*-gpu '${tar%.tar.gz}-gpu.tar.gz'"
else
	skip 1 'no plug-in for CUDA, or a GPU'
fi
