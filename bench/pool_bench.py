#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs bench/pool_worker.c for the pool and every allocator that is installed, in rotating order so
that a noisy machine disturbs all alike; prints medians, spread and ratios against the budgets."""
import argparse
import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

ALLOCATORS = {
    "mimalloc": "libmimalloc.so.2",
    "jemalloc": "libjemalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
}
GO_TEST = """package pool_test

import (
\t"runtime"
\t"sort"
\t"sync"
\t"sync/atomic"
\t"testing"
\t"time"
)

func BenchmarkPair(b *testing.B) {
\tp := sync.Pool{New: func() any { return new([64]byte) }}
\tfor i := 0; i < b.N; i++ {
\t\tx := p.Get().(*[64]byte)
\t\tx[0] = 1
\t\tp.Put(x)
\t}
}

func BenchmarkPool(b *testing.B) {
\tvar p sync.Pool
\tb.RunParallel(func(pb *testing.PB) {
\t\tfor pb.Next() {
\t\t\tp.Put(1)
\t\t\tp.Get()
\t\t}
\t})
}

func loop(b *testing.B, puts, gets int) {
\tvar p sync.Pool
\tb.RunParallel(func(pb *testing.PB) {
\t\tfor pb.Next() {
\t\t\tfor i := 0; i < puts; i++ {
\t\t\t\tp.Put(1)
\t\t\t}
\t\t\tfor i := 0; i < gets; i++ {
\t\t\t\tp.Get()
\t\t\t}
\t\t}
\t})
}

func BenchmarkOverflow(b *testing.B)   { loop(b, 100, 100) }
func BenchmarkStarvation(b *testing.B) { loop(b, 67, 100) }

func BenchmarkSTW(b *testing.B) {
\tvar p sync.Pool
\tvar stats runtime.MemStats
\tvar pauses []int
\tfor i := 0; i < b.N; i++ {
\t\tvar item any = 42
\t\tfor j := 0; j < 100000; j++ {
\t\t\tp.Put(item)
\t\t}
\t\truntime.GC()
\t\truntime.ReadMemStats(&stats)
\t\tpauses = append(pauses, int(stats.PauseNs[(stats.NumGC+255)%256]))
\t}
\tsort.Ints(pauses)
\tb.ReportMetric(float64(pauses[len(pauses)/2]), "ns/op")
}

var garbage []byte

func BenchmarkExpensive(b *testing.B) {
\tballast := make([]byte, 8<<20)
\tvar made uint64
\tp := sync.Pool{New: func() any {
\t\tatomic.AddUint64(&made, 1)
\t\ttime.Sleep(time.Millisecond)
\t\treturn 42
\t}}
\tb.RunParallel(func(pb *testing.PB) {
\t\titems := make([]any, 100)
\t\tfor pb.Next() {
\t\t\tfor i := range items {
\t\t\t\titems[i] = p.Get()
\t\t\t\tgarbage = make([]byte, 32<<10)
\t\t\t}
\t\t\tfor i := range items {
\t\t\t\tp.Put(items[i])
\t\t\t\titems[i] = nil
\t\t\t}
\t\t}
\t})
\truntime.KeepAlive(ballast)
}
"""


def worker(path, case, kind, threads, preload=None, backend=None):
    environment = dict(os.environ)
    if preload:
        environment["LD_PRELOAD"] = preload
    if backend:
        environment["PWISE_BACKEND"] = backend
    result = subprocess.run([path, case, kind, str(threads)], env=environment, capture_output=True,
                            text=True, check=True)
    return float(result.stdout)


def go_figures(cpus):
    if not shutil.which("go"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "go.mod"), "w") as module:
            module.write("module pool\n\ngo 1.18\n")
        with open(os.path.join(folder, "pool_test.go"), "w") as source:
            source.write(GO_TEST)
        binary = os.path.join(folder, "pool.test")
        environment = dict(os.environ, GOFLAGS="-mod=mod", GOPROXY="off", GOCACHE=folder + "/cache",
                           HOME=folder)
        subprocess.run(["go", "test", "-c", "-o", binary], cwd=folder, env=environment, check=True)

        def run(bench):
            output = subprocess.run([binary, "-test.run=^$", "-test.bench=^Benchmark%s$" % bench,
                                     "-test.benchtime=300ms", "-test.cpu=%d" % cpus],
                                    capture_output=True, text=True, check=True).stdout
            for line in output.splitlines():
                fields = line.split()
                if line.startswith("Benchmark") and "ns/op" in fields:
                    return float(fields[fields.index("ns/op") - 1])
            raise RuntimeError(output)
        names = {"pair": "Pair", "go-pool": "Pool", "go-overflow": "Overflow",
                 "go-starvation": "Starvation", "go-stw": "STW", "go-expensive": "Expensive"}
        return {case: [run(bench) for _ in range(3)] for case, bench in names.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worker")
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--no-go", action="store_true")
    arguments = parser.parse_args()
    peers = {"poolwise": ("pool", None), "inline": ("inline", None), "empty": ("empty", None),
             "floor": ("floor", None), "glibc": ("malloc", None)}
    for name, library in ALLOCATORS.items():
        found = [path for folder in ("/usr/lib/*-linux-gnu", "/usr/lib", "/usr/lib64")
                 for path in glob.glob(os.path.join(folder, library))]
        if found:
            peers[name] = ("malloc", found[0])
        else:
            print("%s is not installed: left out" % name, file=sys.stderr)
    rows = [("pair", threads, peer) for threads in (1, 2, 64) for peer in peers]
    rows += [("prodcons", 2, peer) for peer in peers
             if peer not in ("floor", "inline", "empty")]
    go_cases = ["go-pool", "go-overflow", "go-starvation", "go-stw", "go-expensive"]
    cpus = len(os.sched_getaffinity(0))
    rows += [(case, cpus, "poolwise") for case in go_cases]
    figures = {row: [] for row in rows}
    for turn in range(arguments.rounds):
        order = rows[turn % len(rows):] + rows[:turn % len(rows)]
        for case, threads, peer in order if turn % 2 == 0 else reversed(order):
            kind, preload = peers[peer]
            figures[(case, threads, peer)].append(
                worker(arguments.worker, case, kind, threads, preload))
    print("%-14s %7s %-9s %10s %10s %10s" % ("case", "threads", "peer", "median", "least", "most"))
    for (case, threads, peer), values in figures.items():
        print("%-14s %7d %-9s %10.2f %10.2f %10.2f" %
              (case, threads, peer, statistics.median(values), min(values), max(values)))

    def median(case, threads, peer="poolwise"):
        return statistics.median(figures[(case, threads, peer)])

    def ratio(one, other):
        """The median over rounds: both of a pair ran within the same stretch of noise."""
        return statistics.median(a / b for a, b in zip(figures[one], figures[other]))

    allocators = [peer for peer in peers if peer not in ("poolwise", "inline", "empty", "floor")]

    def hardest(case, threads, peer):
        """The allocator that comes out best against `peer`, and the ratio."""
        return max((ratio((case, threads, peer), (case, threads, other)), other)
                   for other in allocators)

    pair = ("pair", 1, "poolwise")
    inline = ("pair", 1, "inline")
    empty = ("pair", 1, "empty")
    floor = ("pair", 1, "floor")
    inline_hardest, inline_peer = hardest("pair", 1, "inline")
    called_hardest, called_peer = hardest("pair", 1, "poolwise")
    flow_hardest, flow_peer = hardest("prodcons", 2, "poolwise")
    verdicts = [
        ("inline pair / fastest allocator (%s)" % inline_peer, inline_hardest, "<=", 0.55),
        ("inline pair / unshared array", ratio(inline, floor), "<=", 1.8),
        ("called pair / fastest allocator (%s)" % called_peer, called_hardest, "<=", 0.55),
        ("called pair / two calls that do nothing", ratio(pair, empty), "<=", 1.8),
        ("called pair / unshared array", ratio(pair, floor), "<=", 1.8),
        ("two threads / one, throughput", ratio(pair, ("pair", 2, "poolwise")), ">=", 1.9),
        ("the same, inline", ratio(inline, ("pair", 2, "inline")), ">=", 1.9),
        ("the same, unshared array (what this machine gives)",
         ratio(floor, ("pair", 2, "floor")), ">=", 1.9),
        ("64 threads / two, throughput",
         ratio(("pair", 2, "poolwise"), ("pair", 64, "poolwise")), ">=", 0.9),
        ("the same, unshared array (what this machine gives)",
         ratio(("pair", 2, "floor"), ("pair", 64, "floor")), ">=", 0.9),
        ("producer to consumer / fastest allocator (%s)" % flow_peer, flow_hardest, "<=", 1.0),
    ]
    go = None if arguments.no_go else go_figures(cpus)
    if go:
        verdicts.append(("called pair / Go's sync.Pool",
                         median("pair", 1) / statistics.median(go["pair"]), "<=", 0.25))
        verdicts.append(("inline pair / Go's sync.Pool", median("pair", 1, "inline") /
                         statistics.median(go["pair"]), "<=", 0.25))
        for case in go_cases:
            theirs = statistics.median(go[case])
            verdicts.append(("%s / Go's, %d threads (Go %.1f ns)" % (case, cpus, theirs),
                             median(case, cpus) / theirs, "<=", 1.0))
    print()
    for name, ratio, relation, budget in verdicts:
        kept = ratio <= budget if relation == "<=" else ratio >= budget
        print("%-58s %6.2f  budget %s %.2f  %s" %
              (name, ratio, relation, budget, "kept" if kept else "MISSED"))


main()
