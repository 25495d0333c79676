#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether the advice is true: advise, then try, on programs of the system and the sample.

    python3 bench/truth.py --build BUILD [--inputs DIR] [--only NAMES] [--scale FACTOR] [--seconds N] [--held-out] [-o FILE]

Each site that the advice wants from a pool is tried alone against the control; so are the three hottest sites that were
told something else, with a pool forced on them. Three figures come of it, with a budget each:

  error      of the saving that was predicted for a site told POOL, CAP, CLASSES or PRESIZE, against the measured one: median
  confirmed  share of those sites where the pool wins, by the whole interval
  missed     share of the others where the forced pool wins by more than 1 %, by the whole interval above 0

Told with a + are sites of which the advice says that packing their blocks may pay, and that a trial would tell: what a
pool saves there by where the blocks lie is not in its prices. --held-out takes a second set of programs: held out until 2026-11-25, when
changes were made for what they showed.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

import programs
import workloads

POOLED = ("POOL", "CAP", "CLASSES", "PRESIZE")
HOTTEST = 3
ADVISED_MOST = 6
ADVISED_LONGER = 5
NARROW = 0.5  # of what is predicted, and
NARROW_LEAST_PCT, NARROW_OTHER_PCT = 0.5, 1.0  # points: known within that, a saving is known well enough
NOTICEABLE = 0.01
BUDGETS = {"error": 0.25, "confirmed": 0.90, "missed": 0.10}


def pick(sites):
    """The sites to try: those told a pool, the costliest first, and the hottest of the rest."""
    known = [site for site in sites if site["calls"]]
    told = sorted((site for site in known if site["verdict"] in POOLED), key=lambda site: -(site["upper_bound_cpu_share"] or 0))
    rest = [site for site in known if site["verdict"] not in POOLED]
    rest.sort(key=lambda site: -site["allocations"])
    return told[:ADVISED_MOST], rest[:HOTTEST]


class Bench:
    def __init__(self, poolwise, seconds, scratch):
        self.poolwise, self.seconds, self.scratch = poolwise, seconds, scratch

    def run(self, words, workload, output):
        """poolwise with a document as its output. The status 1 of try, where a pool breaks a program, is an answer."""
        environment = os.environ | workload.env
        with open(workload.stdin or os.devnull, "rb") as standard_input:
            done = subprocess.run([str(word) for word in words], stdin=standard_input, env=environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=1800)
        if done.returncode not in (0, 1):
            raise programs.Failed(f"{workload.name}: {done.stderr.strip()}")
        return json.loads(pathlib.Path(output).read_text())

    def advise(self, workload, load):
        workload.prepare(self.scratch)
        path = self.scratch / f"{workload.name}-advice.json"
        if load:
            return path, self.advise_server(workload, path, load(workload))
        return path, self.run([self.poolwise, "-q", "advise", "--json", "-o", path, "--", *workload.command], workload, path)

    def attempt(self, workload, load, advice_path, site, advised):
        """One site against a control that looks up that site alone, as its own program would not have to."""
        path = self.scratch / f"{workload.name}-try.json"
        bench = ["--bench", load(workload)] if load else []
        within = max(NARROW_LEAST_PCT, 100 * NARROW * (site["saved_cpu_share"] or 0)) if advised else NARROW_OTHER_PCT
        return self.run([self.poolwise, "-q", "try", "--json", "-o", path, "--from", advice_path, "--site", site["id"],
                         "--time", self.seconds * (ADVISED_LONGER if advised else 1), "--within", within, *bench, "--", *workload.command], workload, path)

    def rows(self, workload, load):
        path, advice = self.advise(workload, load)
        told, rest = pick(advice["sites"])
        for site in told + rest:
            advised = site["verdict"] in POOLED
            tried = self.attempt(workload, load, path, site, advised)
            for row in tried["sites"]:
                yield {**row, "workload": workload.name, "told": site["verdict"], "advised": advised,
                       "hinted": not advised and site["slab_hint"], "rounds": tried["rounds"]}

    def advise_server(self, workload, path, load):
        words = [str(word) for word in (self.poolwise, "-q", "advise", "--json", "-o", path, "--", *workload.command)]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as advise:
            programs.wait_port(workload.port, advise)
            subprocess.run(load, shell=True, check=True, stdout=subprocess.DEVNULL, timeout=programs.TIMEOUT_S)
            children = pathlib.Path(f"/proc/{advise.pid}/task/{advise.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), 15)
            if advise.wait(600):
                raise programs.Failed(f"{workload.name}: advise failed")
        return json.loads(path.read_text())


def percent(share):
    return "-" if share is None else f"{100 * share:+.1f}"


def line(row):
    saving = row["saved_share_against_control"]
    measured = interval = "-"
    if saving:
        measured, interval = percent(saving["median"]), f"{percent(saving['ci95'][0])} to {percent(saving['ci95'][1])}"
    predicted = percent(row["predicted_share"]) if row["advised"] else "-"
    told = row["told"] + "+" * row["hinted"]
    return (f"{row['workload']:<9} {row['id']:<13} {row['function'][:26]:<26} {told:<9} {row['tried_as']:<8} "
            f"{predicted:>9} {measured:>9}  {interval:<16} "
            f"{row['rounds']:>6} {row['result']}")


def figures(rows):
    advised = [row for row in rows if row["advised"] and row["saved_share_against_control"]]
    others = [row for row in rows if not row["advised"] and row["saved_share_against_control"]]
    errors = []
    for row in advised:
        measured = row["saved_share_against_control"]["median"]
        scale = max(abs(measured), abs(row["predicted_share"]))
        errors.append(abs(measured - row["predicted_share"]) / scale if scale else 0)
    won = [row for row in advised if row["saved_share_against_control"]["ci95"][0] > 0]
    missed = [row for row in others if is_missed(row)]
    return {"error": (statistics.median(errors) if errors else None, len(errors)),
            "confirmed": (len(won) / len(advised) if advised else None, len(advised)),
            "missed": (len(missed) / len(others) if others else None, len(others))}


def is_missed(row):
    saving = row["saved_share_against_control"]
    return not row["advised"] and saving and saving["ci95"][0] > 0 and saving["median"] > NOTICEABLE


def hinted_line(rows):
    """How the hint at SLAB did, which is no verdict: it asks for a trial."""
    hinted = [row for row in rows if row["hinted"] and row["saved_share_against_control"]]
    missed = [row for row in rows if is_missed(row)]
    return (f"told with a +: {len(hinted)} sites, {sum(map(bool, map(is_missed, hinted)))} of them among the {len(missed)} missed")


def verdict_lines(found):
    yield from ("", "figure      found   budget   over")
    for name, (value, count) in found.items():
        bound = BUDGETS[name]
        kept = value is None or (value >= bound if name == "confirmed" else value <= bound)
        shown = "-" if value is None else f"{100 * value:.0f} %"
        yield (f"{name:<9} {shown:>7}  {'>=' if name == 'confirmed' else '<='} {100 * bound:.0f} %   {count} sites"
               f"{'' if value is None else '   kept' if kept else '   NOT KEPT'}")


def nginx_load(nginx):
    return " && ".join(f"ab -q -n {nginx.requests} -k -c 16 http://127.0.0.1:{nginx.port}/{page}"
                       for page in ("small.html", "through/medium.html"))


def main():
    parser = argparse.ArgumentParser(description="Tries what the advice says.")
    parser.add_argument("--build", default="build")
    parser.add_argument("--inputs", help="where the workloads' inputs are, or are to be made (default: BUILD/inputs)")
    parser.add_argument("--only", help="comma-separated names of workloads")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=25,
                        help="for the runs of one site at most, five times that where a pool is advised (default 25)")
    parser.add_argument("--held-out", action="store_true", help="the second set of programs instead, held out until 2026-11-25")
    parser.add_argument("-o", "--output", help="a file for the table, too")
    options = parser.parse_args()
    build = pathlib.Path(options.build).resolve()
    inputs = pathlib.Path(options.inputs or build / "inputs").resolve()
    only = options.only.split(",") if options.only else None
    sample = programs.Workload("sample", [str(build / "examples/sample/sample")])
    known = programs.held_out() if options.held_out else [sample, *programs.workloads(inputs, options.scale)]
    chosen = [workload for workload in known if only is None or workload.name in only]
    if not options.held_out:
        workloads.make(inputs, [workload.name for workload in chosen], options.scale)
    loads = {"redis": lambda redis: f"redis-cli -p {redis.port} --pipe < {shlex.quote(str(redis.commands))}",
             "nginx": nginx_load}
    rows, text, skipped = [], [], []
    head = (f"{'workload':<9} {'site':<13} {'function':<26} {'told':<9} {'tried':<8} {'predicted':>9} {'measured':>9}  {'95 %':<16} "
            "rounds result")
    print(head, flush=True)
    text.append(head)
    with tempfile.TemporaryDirectory(prefix="poolwise-truth-") as scratch:
        bench = Bench(build / "tool/poolwise", options.seconds, pathlib.Path(scratch))
        for workload in chosen:
            if workload.missing():
                skipped.append(f"{workload.name}: not installed: {', '.join(workload.missing())}")
                continue
            try:
                for row in bench.rows(workload, loads.get(workload.name)):
                    rows.append(row)
                    text.append(line(row))
                    print(text[-1], flush=True)
            except (programs.Failed, subprocess.TimeoutExpired, json.JSONDecodeError) as problem:
                skipped.append(f"{workload.name}: {problem}")
    tail = [*verdict_lines(figures(rows)), hinted_line(rows), *(f"skipped: {reason}" for reason in skipped)]
    print("\n".join(tail))
    if options.output:
        pathlib.Path(options.output).write_text("\n".join(text + tail) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
