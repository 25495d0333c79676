#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether the advice is true: advise, then try, on programs of the system and the sample.

    python3 bench/truth.py --build BUILD [--inputs DIR] [--only NAMES] [--scale FACTOR] [--seconds N] [-o FILE]

Each site that the advice wants from a pool is tried alone against the control; so are the three hottest sites that were
told something else, with a pool forced on them. Three figures come of it, with a budget each:

  error      of the saving that was predicted for a site told POOL, CAP, CLASSES or PRESIZE, against the measured one: median
  confirmed  share of those sites where the pool wins, by the whole interval
  missed     share of the others where the forced pool wins by more than 1 %, by the whole interval above 0
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

    def measure(self, workload, load):
        workload.prepare(self.scratch)
        advice_path, tried_path = self.scratch / f"{workload.name}-advice.json", self.scratch / f"{workload.name}-try.json"
        bench = ["--bench", load(workload)] if load else []
        if bench:
            advice = self.advise_server(workload, advice_path, bench[1])
        else:
            advice = self.run([self.poolwise, "-q", "advise", "--json", "-o", advice_path, "--", *workload.command], workload,
                              advice_path)
        told, rest = pick(advice["sites"])
        if not told + rest:
            return advice, None
        ids = ",".join(site["id"] for site in told + rest)
        tried = self.run([self.poolwise, "-q", "try", "--json", "-o", tried_path, "--from", advice_path, "--site", ids,
                          "--time", self.seconds, *bench, "--", *workload.command], workload, tried_path)
        return advice, tried

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


def rows_of(name, advice, tried):
    verdicts = {site["id"]: site for site in advice["sites"]}
    for site in tried["sites"] if tried else ():
        told = verdicts[site["id"]]["verdict"]
        yield {**site, "workload": name, "told": told, "advised": told in POOLED}


def percent(share):
    return "-" if share is None else f"{100 * share:+.1f}"


def line(row):
    saving = row["saved_share_against_control"]
    measured = interval = "-"
    if saving:
        measured, interval = percent(saving["median"]), f"{percent(saving['ci95'][0])} to {percent(saving['ci95'][1])}"
    predicted = percent(row["predicted_share"]) if row["advised"] else "-"
    return (f"{row['workload']:<9} {row['id']:<13} {row['function'][:26]:<26} {row['told']:<8} {row['tried_as']:<8} "
            f"{predicted:>9} {measured:>9}  {interval:<16} {row['result']}")


def figures(rows):
    advised = [row for row in rows if row["advised"] and row["saved_share_against_control"]]
    others = [row for row in rows if not row["advised"] and row["saved_share_against_control"]]
    errors = []
    for row in advised:
        measured = row["saved_share_against_control"]["median"]
        scale = max(abs(measured), abs(row["predicted_share"]))
        errors.append(abs(measured - row["predicted_share"]) / scale if scale else 0)
    won = [row for row in advised if row["saved_share_against_control"]["ci95"][0] > 0]
    missed = [row for row in others if row["saved_share_against_control"]["ci95"][0] > 0 and
              row["saved_share_against_control"]["median"] > NOTICEABLE]
    return {"error": (statistics.median(errors) if errors else None, len(errors)),
            "confirmed": (len(won) / len(advised) if advised else None, len(advised)),
            "missed": (len(missed) / len(others) if others else None, len(others))}


def verdict_lines(found):
    yield from ("", "figure      found   budget   over")
    for name, (value, count) in found.items():
        bound = BUDGETS[name]
        kept = value is None or (value >= bound if name == "confirmed" else value <= bound)
        shown = "-" if value is None else f"{100 * value:.0f} %"
        yield (f"{name:<9} {shown:>7}  {'>=' if name == 'confirmed' else '<='} {100 * bound:.0f} %   {count} sites"
               f"{'' if value is None else '   kept' if kept else '   NOT KEPT'}")


def main():
    parser = argparse.ArgumentParser(description="Tries what the advice says.")
    parser.add_argument("--build", default="build")
    parser.add_argument("--inputs", help="where the workloads' inputs are, or are to be made (default: BUILD/inputs)")
    parser.add_argument("--only", help="comma-separated names of workloads")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=60, help="for the runs of one workload (default 60)")
    parser.add_argument("-o", "--output", help="a file for the table, too")
    options = parser.parse_args()
    build = pathlib.Path(options.build).resolve()
    inputs = pathlib.Path(options.inputs or build / "inputs").resolve()
    only = options.only.split(",") if options.only else None
    sample = programs.Workload("sample", [str(build / "examples/sample/sample")])
    chosen = [workload for workload in [sample, *programs.workloads(inputs, options.scale)]
              if (only is None or workload.name in only)]
    workloads.make(inputs, [workload.name for workload in chosen], options.scale)
    loads = {"redis": lambda redis: f"redis-cli -p {redis.port} --pipe < {shlex.quote(str(redis.commands))}",
             "nginx": None}
    rows, text, skipped = [], [], []
    head = (f"{'workload':<9} {'site':<13} {'function':<26} {'told':<8} {'tried':<8} {'predicted':>9} {'measured':>9}  {'95 %':<16} "
            "result")
    print(head, flush=True)
    text.append(head)
    with tempfile.TemporaryDirectory(prefix="poolwise-truth-") as scratch:
        bench = Bench(build / "tool/poolwise", options.seconds, pathlib.Path(scratch))
        for workload in chosen:
            if workload.missing() or (workload.name in loads and not loads[workload.name]):
                skipped.append(f"{workload.name}: {', '.join(workload.missing()) or 'its load needs more than a shell command'}")
                continue
            try:
                advice, tried = bench.measure(workload, loads.get(workload.name))
            except (programs.Failed, subprocess.TimeoutExpired, json.JSONDecodeError) as problem:
                skipped.append(f"{workload.name}: {problem}")
                continue
            for row in rows_of(workload.name, advice, tried):
                rows.append(row)
                text.append(line(row))
                print(text[-1], flush=True)
    tail = list(verdict_lines(figures(rows))) + [f"skipped: {reason}" for reason in skipped]
    print("\n".join(tail))
    if options.output:
        pathlib.Path(options.output).write_text("\n".join(text + tail) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
