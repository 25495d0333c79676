#!/bin/sh
# SPDX-License-Identifier: MIT
# report.sh PROGRAM LIBRARY: the accounts at exit of a program that knows nothing of it, to a file, to
# standard error, and to where they cannot go.
set -eu
program=$1 library=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PWISE_REPORT=$folder/report LD_PRELOAD=$library "$program" report
cat "$folder/report"
for row in "POOL good" "LOSES useless" "CAP inflated" "TAIL seldom"; do
    set -- $row
    grep -Eq "^$1 +$2 " "$folder/report" || { echo "no line: $row"; exit 1; }
done
[ "$(wc -l <"$folder/report")" -eq 6 ]
PWISE_REPORT=stderr LD_PRELOAD=$library "$program" report 2>"$folder/stderr"
grep -q "^poolwise: 4 pools of process" "$folder/stderr"
LD_PRELOAD=$library "$program" report 2>"$folder/none"
[ ! -s "$folder/none" ]
PWISE_REPORT=$folder/no/such LD_PRELOAD=$library "$program" report 2>"$folder/error"
grep -q "cannot write the report to $folder/no/such: No such file" "$folder/error"
