# SPDX-License-Identifier: MIT
"""Property: the scripts judge budgets by the figure and say when the interval leaves it open."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import budgets  # noqa: E402
import figures  # noqa: E402

failures = []


def expect(what, got, wanted):
    if got != wanted:
        failures.append(f"{what}: {got!r}, not {wanted!r}")


def entry(name, runs, **metrics):
    return {"name": name, "ns_per_op": {"runs": runs, "median": figures.interval(runs)[0]},
            "metrics": {unit: {"runs": values} for unit, values in metrics.items()}}


expect("five values", figures.interval([5, 1, 4, 2, 3]), (3, 1, 5))
expect("ten values", figures.interval(list(range(1, 11))), (5.5, 2, 9))
expect("paired", figures.ratio([2, 4, 40], [1, 2, 20]), (2, 2, 2))
expect("kept", budgets.judge((0.5, 0.4, 0.52), "<=", 0.55), "kept")
expect("missed", budgets.judge((0.7, 0.6, 0.8), "<=", 0.55), "MISSED")
expect("open", budgets.judge((0.5, 0.4, 0.6), "<=", 0.55), "kept, within noise")
expect("at least", budgets.judge((1.95, 1.8, 2), ">=", 1.9), "kept, within noise")
expect("absent", budgets.judge(None, "<", 1), "not measured")

results = budgets.Results({"benchmarks": [
    entry("Pair/peer=poolwise", [2, 2, 2]), entry("Pair/peer=glibc", [9, 9, 9]), entry("Pair/peer=tcmalloc", [4, 4, 4]),
    entry("Stall/variant=cycles-2", [50, 50, 50], **{"max-ns": [5000, 7000, 6000]}),
    entry("Stall/variant=quiet-2", [50, 50, 50], **{"max-ns": [4000, 5000, 6000]})]})
found = {what: figure for what, figure, _, _ in budgets.rows(results)}
expect("against the fastest", found["pair, compiled in / fastest allocator (tcmalloc)"], (0.5, 0.5, 0.5))
expect("in us", found["longest get and put during cycles, us (as it is)"], (6, 5, 7))
expect("less the quiet ones", found["longest get and put during cycles over 100,000 items, less the longest without, us"],
       (1, 0, 2))
expect("no control", found["longest get and put during cycles, us (for comparison: during munmap of as much)"], None)
expect("no Go", found["Pool / Go's, 1 thread"], None)
if failures:
    sys.exit("\n".join(failures))
