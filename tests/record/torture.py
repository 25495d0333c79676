#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the torture program says it did is what was recorded, size by size.

    torture.py TALLY_RUN PRELOAD [--lossy] [--heap LIBRARY] -- TORTURE ARGUMENT...

With --lossy, what was recorded and what was dropped add up to what was done. --heap preloads an allocator
of the test's own behind the recorder.
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import checks
import tallies


def main():
    tally_run, preload, *options = sys.argv[1:]
    at = options.index("--")
    options, command = options[:at], options[at + 1:]
    environment = dict(os.environ)
    lossy = "--lossy" in options
    if "--heap" in options:
        environment["LD_PRELOAD"] = os.path.abspath(options[options.index("--heap") + 1])
    tallies.preload_beside(tally_run, preload)
    with checks.scratch() as folder:
        done = checks.run([tally_run, *(["--lossy"] if lossy else []), folder / "tally", *command], env=environment)
        if not checks.check(done.returncode, 0, f"status of recording {command}: {done.stderr}"):
            return
        tally, said = tallies.Tally(folder / "tally"), json.loads(done.stdout)
    name = " ".join(command[1:])
    checks.check(tally.broken, None, f"{name}: rules of the trace's model")
    checks.check(tally.end["processes"], said["processes"], f"{name}: processes")
    made = sum(said["alloc"].values()) + sum(said["realloc"].values()) + said["frees"]
    # More signals than a thread has room to note while it records one event are dropped, but counted.
    if lossy or ("--heap" in options and tally.end["dropped"]):
        # The C library's own few calls, of threads and their keys, come on top.
        total = tally.end["events"] + tally.end["dropped"] - tally.implied_frees
        print(f"made {made}, recorded {tally.end['events']}, dropped {tally.end['dropped']}, "
              f"implied frees {tally.implied_frees}, unknown frees {tally.end['unknown_frees']}")
        checks.check(0 <= total - made < 100, True, f"{name}: recorded and dropped events {total}, made {made}")
        return
    checks.check(tally.end["dropped"], 0, f"{name}: dropped events")
    checks.check(tally.end["lost_threads"], 0, f"{name}: threads without a ring")
    checks.check(tally.implied_frees, 0, f"{name}: frees that nobody made")
    checks.check(tally.end["unknown_frees"], 0, f"{name}: frees of unknown blocks")
    sizes = {int(size) for size in {**said["alloc"], **said["realloc"]}}
    for kind in ("alloc", "realloc"):
        for size in sorted(sizes):
            checks.check(tally.count(kind, size), said[kind].get(str(size), 0), f"{name}: {kind} of {size} bytes")
    others = sum(count for (kind, _, size), count in tally.events.items() if kind == "alloc" and size not in sizes)
    extra = tally.end["frees"] - said["frees"]
    checks.check(0 <= extra <= others, True, f"{name}: frees besides the program's: {extra}, other blocks {others}")


main()
checks.finish()
