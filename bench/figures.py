# SPDX-License-Identifier: MIT
"""What the benchmark scripts share: figures with a spread, and what the machine is."""
import datetime
import math
import os
import pathlib
import platform
import statistics
import subprocess


def interval(values):
    """Median, and the two values between which the true median lies with at least 95 % (with few
    values: the least and the most). The same rule as tool/bench/series.c."""
    ordered = sorted(values)
    count = len(ordered)
    cut = 0
    while cut + 1 < count // 2:
        outside = 2 * sum(math.comb(count, i) for i in range(cut + 2)) / 2 ** count
        if 1 - outside < 0.95:
            break
        cut += 1
    return statistics.median(ordered), ordered[cut], ordered[count - 1 - cut]


def ratio(one, other):
    """Of two lists of the same rounds: both of a pair ran within the same stretch of noise."""
    return interval([a / b for a, b in zip(one, other)])


def first_line(*words):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
        return (done.stdout.strip().splitlines() or ["?"])[0]
    except OSError:
        return "not installed"


def machine():
    model = "?"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return (f"{model}, {len(os.sched_getaffinity(0))} CPUs, Linux {platform.release()}, "
            f"{' '.join(platform.libc_ver())}, load before {os.getloadavg()[0]:.1f}")


def today():
    return datetime.date.today().isoformat()


def table(rows):
    """Markdown from rows of cells, the first one the heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
