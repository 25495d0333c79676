#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What pools do to a real server: examples/server in its three builds, each endpoint driven by wrk over the
loopback in short runs whose order alternates. Requests a second and CPU time per request, as ratios to the
build without pools of the same round, the CPU time of the endpoint alone, and peak memory. A server of one thread runs
on one CPU, wrk on another."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import figures

BUILDS = ("plain", "everything", "advised")
CONNECTIONS = 32  # enough that the server is never idle
ENDPOINTS = ("render", "event", "frame", "ping")


def run(binary, endpoint, seconds, cpus):
    def pin(cpu):
        return lambda: os.sched_setaffinity(0, {cpu})

    with subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          preexec_fn=pin(cpus[0])) as server:
        try:
            port = int(server.stdout.readline())
            url = f"http://127.0.0.1:{port}/{endpoint}"
            driven = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url], stdout=subprocess.PIPE, text=True,
                                    preexec_fn=pin(cpus[-1]), timeout=seconds + 30, check=True).stdout
            said = json.loads(server.communicate(timeout=10)[0])
        finally:
            server.kill()
    if "Non-2xx" in driven or "Socket errors" in driven:
        raise RuntimeError(f"{binary} {endpoint}: {driven}")
    requests = int(re.search(r"(\d+) requests in", driven).group(1))
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", driven).group(1)),
            "cpu_us": said["cpu_s"] * 1e6 / requests, "own_us": said["endpoint_us"],
            "peak_kib": said["peak_kib"]}


def cell(values, form):
    return "{:{f}} [{:{f}}..{:{f}}]".format(*values, f=form)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", help="build directory (default build)")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=1, help="of one run (default 1)")
    parser.add_argument("-o", "--output", help="default bench/results/server-DATE.md")
    options = parser.parse_args()
    binaries = {build: f"{options.build}/examples/server/server-{build}" for build in BUILDS}
    if not shutil.which("wrk") or not all(os.access(path, os.X_OK) for path in binaries.values()):
        print("server: left out: wrk or libmicrohttpd is not installed (scripts/deps bench)")
        return 0
    cpus = sorted(os.sched_getaffinity(0))
    about = figures.machine()
    done = {}
    for turn in range(options.rounds):
        for endpoint in ENDPOINTS:
            order = BUILDS[turn % 3:] + BUILDS[:turn % 3]
            for build in order if turn % 2 == 0 else reversed(order):
                done.setdefault((endpoint, build), []).append(run(binaries[build], endpoint, options.seconds, cpus))
        print(f"server: round {turn + 1} of {options.rounds}", file=sys.stderr)
    rows = [["endpoint", "build", "requests/s", "of plain", "CPU us/request", "of plain", "in the endpoint, us", "of plain",
             "peak KiB"]]
    for endpoint in ENDPOINTS:
        for build in BUILDS:
            def values(key, of=build, at=endpoint):
                return [each[key] for each in done[(at, of)]]
            rows.append([f"/{endpoint}", build, cell(figures.interval(values("rate")), ".0f"),
                         cell(figures.ratio(values("rate"), values("rate", "plain")), ".3f"),
                         cell(figures.interval(values("cpu_us")), ".2f"),
                         cell(figures.ratio(values("cpu_us"), values("cpu_us", "plain")), ".3f"),
                         cell(figures.interval(values("own_us")), ".2f"),
                         cell(figures.ratio(values("own_us"), values("own_us", "plain")), ".3f"),
                         cell(figures.interval(values("peak_kib")), ".0f")])
    text = "\n".join([f"# What pools do to a server, {figures.today()}", "", f"- {about}",
                      f"- libmicrohttpd {figures.first_line('pkg-config', '--modversion', 'libmicrohttpd')}, "
                      f"{figures.first_line('wrk', '-v')}",
                      f"- `{' '.join(['bench/server.py', *sys.argv[1:]])}`", "", figures.table(rows), "",
                      f"Medians of {options.rounds} rounds, in brackets the interval that holds the true median with 95 % "
                      "(with few rounds:", "the least and the most); ratios are paired by round. An interval that holds 1 "
                      "means: no difference shown.", ""])
    print(text)
    output = pathlib.Path(options.output or pathlib.Path(__file__).parent / "results" / f"server-{figures.today()}.md")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
