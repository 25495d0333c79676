# SPDX-License-Identifier: MIT
"""The budgets, each with its figure and spread, from what `poolwise bench --json` measured."""
import figures

ALLOCATORS = ("glibc", "mimalloc", "jemalloc", "tcmalloc")
GO_CASES = ("Pool", "PoolOverflow", "PoolStarvation", "PoolSTW", "PoolExpensiveNew")


class Results:
    def __init__(self, document):
        self.document = document
        self.by_name = {entry["name"]: entry for entry in document["benchmarks"]}

    def runs(self, name, metric=None):
        entry = self.by_name.get(name)
        if not entry:
            return None
        return entry["metrics"][metric]["runs"] if metric else entry["ns_per_op"]["runs"]

    def ratio(self, one, other, metric=None):
        first, second = self.runs(one, metric), self.runs(other, metric)
        return figures.ratio(first, second) if first and second else None


def hardest(results, case, suffix, peer):
    """Against the allocator that does best, by medians."""
    rivals = [f"{case}/peer={name}{suffix}" for name in ALLOCATORS if f"{case}/peer={name}{suffix}" in results.by_name]
    if not rivals:
        return None, "none"
    best = min(rivals, key=lambda name: results.by_name[name]["ns_per_op"]["median"])
    return results.ratio(f"{case}/peer={peer}{suffix}", best), best.split("=")[1].removesuffix(suffix)


def rows(results):
    """(what, (median, low, high) or None, relation, bound)"""
    for peer, how in (("poolwise", "compiled in"), ("poolwise-called", "called")):
        found, rival = hardest(results, "Pair", "", peer)
        yield f"pair, {how} / fastest allocator ({rival})", found, "<=", 0.55
        yield f"pair, {how} / Go's sync.Pool", results.ratio(f"Pair/peer={peer}", "Pair/peer=go"), "<=", 0.25
        yield f"pair, {how} / unshared array", results.ratio(f"Pair/peer={peer}", "Pair/peer=floor"), "<=", 1.8
    for case in GO_CASES:
        for suffix, threads in (("", "1 thread"), ("-2", "2 threads")):
            yield (f"{case} / Go's, {threads}", results.ratio(f"{case}/peer=poolwise{suffix}", f"{case}/peer=go{suffix}"),
                   "<", 1)
    for peer in ("poolwise", "floor"):
        note = " (for comparison: what this machine gives)" if peer == "floor" else ""
        yield (f"2 threads / 1, throughput, {peer}{note}", results.ratio(f"Pair/peer={peer}", f"Pair/peer={peer}-2"),
               ">=", 1.9)
        yield (f"64 threads / 2, throughput, {peer}{note}", results.ratio(f"Pair/peer={peer}-2", f"Pair/peer={peer}-64"),
               ">=", 0.9)
    yield ("idle memory, 64 threads / 2", results.ratio("Idle/peer=poolwise-64", "Idle/peer=poolwise-2", "idle-B"),
           "<=", 1.25)
    for name in ALLOCATORS + ("tbb",):
        yield (f"producer to consumer / {name}", results.ratio("Flow/peer=poolwise-2", f"Flow/peer={name}-2"), "<", 1)
    waits = {variant: results.runs(f"Stall/variant={variant}-2", "max-ns") for variant in ("cycles", "quiet", "unmap")}
    own = [(one - other) / 1000 for one, other in zip(waits["cycles"] or (), waits["quiet"] or ())]
    yield ("longest get and put during cycles over 100,000 items, less the longest without, us",
           figures.interval(own) if own else None, "<=", 100)
    for variant, what in (("cycles", "as it is"), ("unmap", "for comparison: during munmap of as much")):
        yield (f"longest get and put during cycles, us ({what})",
               figures.interval([value / 1000 for value in waits[variant]]) if waits[variant] else None, "<=", 100)
    yield "walk of a list of pooled nodes / malloc'd", results.ratio("List/peer=poolwise", "List/peer=glibc"), "<=", 0.6


def kept(value, relation, bound):
    return value < bound if relation == "<" else value <= bound if relation == "<=" else value >= bound


def judge(found, relation, bound):
    if found is None:
        return "not measured"
    median, low, high = found
    word = "kept" if kept(median, relation, bound) else "MISSED"
    clear = kept(low, relation, bound) == kept(high, relation, bound)
    return word if clear else word + ", within noise"


def cells(results):
    yield ["budget", "figure [interval]", "bound", ""]
    for what, found, relation, bound in rows(results):
        figure = "{:.3g} [{:.3g}..{:.3g}]".format(*found) if found else "-"
        yield [what, figure, f"{relation} {bound:g}", judge(found, relation, bound)]
