#!/bin/sh
# SPDX-License-Identifier: MIT
# Property: the sample prints the same whatever its threads, and refuses what it does not understand.
sample=$1
failed=0

expect() { # expected status, expected output, arguments
    status=$1
    wanted=$2
    shift 2
    got=$("$sample" "$@" 2>&1)
    code=$?
    if [ "$code" != "$status" ] || [ "$got" != "$wanted" ]; then
        printf '%s: sample %s: status %s, not %s\n  expected: %s\n  got:      %s\n' "$0" "$*" "$code" "$status" \
            "$wanted" "$got" >&2
        failed=1
    fi
}

one=$("$sample" --requests 60000)
case $one in
"60000 requests, checksum "????????????????) ;;
*)
    echo "$0: unexpected output: $one" >&2
    failed=1
    ;;
esac
for threads in 1 2 3 16; do
    expect 0 "$one" --threads $threads --requests 60000
done
expect 0 "$("$sample" --requests 1)" --threads 64 --requests 1

usage="usage: sample [--threads 1..64] [--requests N]"
expect 2 "$usage" --threads 0
expect 2 "$usage" --threads 65
expect 2 "$usage" --threads
expect 2 "$usage" --requests -1
expect 2 "$usage" --requests 12x
expect 2 "$usage" --requests 99999999999999999999
expect 2 "$usage" fast
exit $failed
