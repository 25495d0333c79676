#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pool and its peers: runs `poolwise bench`, counts instructions per pair under callgrind, saves the results and
says of every budget whether it is kept. With --docs it draws the plots in docs/ as well; with --from FILE it does so from
results that were saved. Budgets are for the reader: the status is 0 whatever they say."""
import argparse
import glob
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import budgets
import figures
import plots

ROOT = pathlib.Path(__file__).resolve().parent.parent


# What is compared is measured in one go, so that its rounds are the same stretch of noise.
PIECES = ("Render", "Event", "Frame", "Stall", "Pair", "Depth", "Flow", "Churn|Sharing", "Larson|Xmalloc", "Idle|List",
          "Pool|PoolOverflow|PoolStarvation", "PoolSTW|PoolExpensiveNew")


def measure(options):
    """One document from several runs of the command."""
    command = [f"{options.build}/tool/poolwise", "bench", "--json", "--count", str(options.count), "--time", str(options.time)]
    whole = None
    for piece in PIECES:
        if options.only and not re.search(options.only, piece):
            continue
        words = shlex.split(options.prefix) + command + ["--bench", f"^({piece})/"]
        print(f"measuring {piece}", file=sys.stderr, flush=True)
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"{shlex.join(words)}: status {done.returncode}")
        part = json.loads(done.stdout)
        if whole:
            whole["benchmarks"] += part["benchmarks"]
            whole["verdicts"] += part["verdicts"]
        else:
            whole = part
    if not whole:
        sys.exit(f"--only {options.only} matches none of {', '.join(PIECES)}")
    whole["command"] = shlex.join(["poolwise"] + command[1:2] + command[3:])
    return whole


def collected(worker, preload, variant, count, folder):
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    if preload:
        environment["LD_PRELOAD"] = preload
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", worker, "Pair", variant, "1",
                           "--count", str(count)], env=environment, capture_output=True, text=True, timeout=120, check=True)
    return int(re.search(r"Collected\s*:\s*(\d+)", done.stderr).group(1))


def instructions(options, peers):
    """Per pair, as the difference of a long run and a short one: no noise. Under valgrind the pool runs on its fallback
    path, which takes a lock: that is what is counted for it."""
    if not shutil.which("valgrind"):
        return {}
    worker = f"{options.build}/tool/bench/bench-worker"
    found = {}
    wanted = [("poolwise, fallback path", "pool", None), ("unshared array", "floor", None), ("glibc", "malloc", None)]
    wanted += [(name, "malloc", peers[name]) for name in ("mimalloc", "jemalloc", "tcmalloc") if peers.get(name)]
    with tempfile.TemporaryDirectory() as folder:
        for name, variant, preload in wanted:
            try:
                few, many = (collected(worker, preload, variant, count, folder) for count in (10000, 30000))
                found[name] = (many - few) / 20000
            except (subprocess.SubprocessError, AttributeError):
                found[name] = None
    return found


def recording():
    """The budget column of the last recording benchmark."""
    saved = sorted(glob.glob(str(ROOT / "bench" / "results" / "record-*.md")))
    if not saved:
        return []
    rows = [line.strip().strip("|").split("|") for line in pathlib.Path(saved[-1]).read_text().splitlines()
            if line.startswith("|")]
    said = [f"{row[0].strip()} {row[-1].strip()}" for row in rows[2:]]
    return [f"Recording and analysis ({pathlib.Path(saved[-1]).name}): " + "; ".join(said) + "."]


def page(document, results):
    """The page without its name and date."""
    peers = ", ".join(name for name, path in document["peers"].items() if path is not None)
    lines = [f"- {document['about']}", f"- poolwise {document['poolwise']}; {document['go']}", f"- peers: {peers}",
             f"- `{document['command']}`", ""]
    heads = ["benchmark", "median ns/op", "interval", "allocs/op", "idle bytes"]
    rows = [heads]
    for entry in document["benchmarks"]:
        ns, idle = entry["ns_per_op"], entry["metrics"].get("idle-B")
        rows.append([entry["name"], f"{ns['median']:.4g}", f"{ns['low']:.4g}..{ns['high']:.4g}",
                     f"{entry['allocs_per_op']:g}" if "allocs_per_op" in entry else "",
                     f"{idle['median']:.0f}" if idle else ""])
    lines += [figures.table(rows), ""]
    for verdict in document["verdicts"]:
        lines.append(f"- {verdict['group']}: the timings say {verdict['timings']}; advise says {verdict['verdict']} "
                     f"({verdict['reason']}): {verdict['agreement'] or 'nothing to compare'}")
    lines += ["", "Instructions per pair (callgrind): " + ("; ".join(
        f"{name} {value:.1f}" if value is not None else f"{name} could not be run"
        for name, value in document["instructions"].items()) or "valgrind is not installed") + ".", "",
              figures.table(list(budgets.cells(results))), ""]
    lines += recording()
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--count", type=int, default=6, help="rounds (default 6)")
    parser.add_argument("--time", type=int, default=25, help="ms of one line (default 25)")
    parser.add_argument("--only", help="the pieces that match, without saving anything")
    parser.add_argument("--prefix", default="", help="put before each measuring command, such as 'flock FILE'")
    parser.add_argument("--from", dest="saved", help="judge and draw this saved result instead of measuring")
    parser.add_argument("--docs", action="store_true", help="draw the plots in docs/")
    options = parser.parse_args()
    if options.saved:
        document = json.loads(pathlib.Path(options.saved).read_text())
    else:
        about = figures.machine()
        document = measure(options)
        document["about"] = about
        document["date"] = figures.today()
        document["go"] = figures.first_line("go", "version")
        document["instructions"] = instructions(options, document["peers"])
    results = budgets.Results(document)
    text = page(document, results)
    if not options.saved:
        folder = ROOT / "bench" / "results"
        folder.mkdir(parents=True, exist_ok=True)
        name = folder / f"bench-{document['date']}"
        if not options.only:
            name.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
            name.with_suffix(".md").write_text(f"# The pool and its peers, {document['date']}\n\n" + text)
    print(text)
    if options.docs:
        caption = (f"{document['date']}, {document['about'].split(', load')[0]}, poolwise {document['poolwise']}, "
                   f"{document['go'].removeprefix('go version ')}; {document['command']}")
        plots.all_plots(results, ROOT / "docs", caption)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nstopped")
