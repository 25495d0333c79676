#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The recorder sees exactly the events that an independent counter sees, size by size, in one and the
same run: both are preloaded, the recorder first, so whatever it misses or makes up shows.

    counts.py TALLY_RUN PRELOAD COUNTSHIM [--make-input KIND] -- COMMAND...
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import checks
import inputs
import tallies


def main():
    tally_run, preload, countshim, *rest = sys.argv[1:]
    tallies.preload_beside(tally_run, preload)
    with checks.scratch() as folder:
        command = inputs.command(rest, folder)
        checks.need(command[0])
        environment = {**os.environ, "LC_ALL": "C", "COUNTSHIM_OUT": str(folder / "shim"),
                       "LD_PRELOAD": os.path.abspath(countshim)}
        done = checks.run([tally_run, "--children", folder / "tally", *command], env=environment)
        if not checks.check(done.returncode, 0, f"status of recording {command[0]}: {done.stderr}"):
            return
        tally = tallies.Tally(folder / "tally")
        counted, programs = tallies.read_countshim(folder / "shim")
        checks.check(tally.broken, None, "rules of the trace's model")
        checks.check(tally.end["dropped"], 0, "dropped events")
        checks.check(tally.end["lost_threads"], 0, "threads without a ring")
        checks.check(tally.count("alloc") > 0, True, "something was allocated")
        found, expected = tallies.comparable(tally.events), tallies.comparable(counted)
        for key in sorted(set(found) | set(expected)):
            checks.check(found[key], expected[key], f"{command[0]}: events (kind, call, size) {key}; "
                                                    f"processes: {sorted(programs)}")


main()
checks.finish()
