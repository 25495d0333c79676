#!/bin/sh
# SPDX-License-Identifier: MIT
# separate.sh KIND OBJCOPY NM INPUT OUTPUT: INPUT with its names and debug information put elsewhere
#   link   beside it in OUTPUT.debug, named by .gnu_debuglink
#   mini   names alone, compressed inside it, in .gnu_debugdata
set -e
kind=$1 objcopy=$2 nm=$3 input=$4 output=$5
case $kind in
link)
    "$objcopy" --only-keep-debug "$input" "$output.debug"
    "$objcopy" --strip-all --add-gnu-debuglink="$output.debug" "$input" "$output"
    ;;
mini)
    "$nm" --format=posix --defined-only "$input" | sed -n 's/^\([^ ]*\) [Tt] .*/\1/p' >"$output.keep"
    "$objcopy" --only-keep-debug "$input" "$output.debug"
    "$objcopy" --strip-all --keep-symbols="$output.keep" "$output.debug" "$output.names"
    xz --force "$output.names"
    "$objcopy" --strip-all --add-section .gnu_debugdata="$output.names.xz" "$input" "$output"
    rm "$output.debug" "$output.keep" "$output.names.xz"
    ;;
esac
