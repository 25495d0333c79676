#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether two threads record at the cost of one: CPU time that recording adds inside the program, per event,
with 1 and 2 threads. Not wall time, since the collector takes a processor, too.

    record_threads.py POOLWISE RECORD_THREADS [ROUNDS]
"""

import statistics
import subprocess
import sys

PAIRS = "2000000"


def measure(words):
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True, timeout=300)
    return [float(word) for word in done.stdout.split()]


def main():
    poolwise, program = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    added = {}
    for threads in (1, 2):
        plain, recorded = [], []
        for _ in range(rounds):
            words = [program, str(threads), PAIRS]
            plain.append(measure(words))
            recorded.append(measure([poolwise, "-q", "record", "-o", "/dev/null", "--", *words]))
        ns = [[row[0] for row in rows] for rows in (plain, recorded)]
        added[threads] = (statistics.median(ns[1]) - statistics.median(ns[0])) / 2
        print(f"{threads} thread(s): plain {statistics.median(ns[0]):.1f} ns a pair "
              f"({min(ns[0]):.1f}..{max(ns[0]):.1f}), recorded {statistics.median(ns[1]):.1f} "
              f"({min(ns[1]):.1f}..{max(ns[1]):.1f}), added {added[threads]:.1f} ns an event; wall "
              f"{statistics.median(row[1] for row in plain):.2f} s plain, "
              f"{statistics.median(row[1] for row in recorded):.2f} s recorded")
    print(f"an event costs {added[2] / added[1]:.2f} times as much with two threads as with one")


main()
