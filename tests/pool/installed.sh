#!/bin/sh
# SPDX-License-Identifier: MIT
# installed.sh BUILD HEADER_C HEADER_CPP MAP: installs the build into an empty folder; a C and a C++
# program are compiled by what pkg-config says and run; the library exports what the map says.
set -eu
build=$1 c=$2 cpp=$3 map=$4
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root meson install -C "$build" --no-rebuild >"$root/log" 2>&1 || { cat "$root/log"; exit 1; }
pc=$(find "$root" -name poolwise.pc)
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_LIBDIR="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" LD_LIBRARY_PATH="$lib"
cc -std=c11 -O2 -Wall -Wextra -Werror $(pkg-config --cflags poolwise) "$c" -o "$root/c" $(pkg-config --libs poolwise)
"$root/c"
if command -v c++ >/dev/null; then
    c++ -std=c++17 -O2 -Wall -Wextra -Werror $(pkg-config --cflags poolwise) "$cpp" -o "$root/cpp" $(pkg-config --libs poolwise)
    "$root/cpp"
fi
nm -D --defined-only "$lib/libpoolwise.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$root/exported"
sed -n 's/^ *\(pwise_[a-z_]*\);$/\1/p' "$map" | sort >"$root/mapped"
diff "$root/mapped" "$root/exported"
echo "$(wc -l <"$root/exported") functions exported, as the map says"
