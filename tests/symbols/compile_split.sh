#!/bin/sh
# SPDX-License-Identifier: MIT
# compile_split.sh OUTPUT INPUT COMPILER FLAGS...: in two steps, so that the .dwo file is named after OUTPUT;
# in one, clang names it after INPUT, and several fixtures would share it.
set -e
output=$1 input=$2
shift 2
"$@" -gsplit-dwarf -c -o "$output.o" "$input"
"$@" -o "$output" "$output.o"
