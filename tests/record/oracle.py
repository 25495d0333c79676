#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each event's stack, as the stack table has it, is compared inside the program with a complete unwind:
none may differ.

    oracle.py TALLY_RUN PRELOAD [--make-input KIND] -- COMMAND...
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import checks
import inputs
import tallies


def main():
    tally_run, preload, *rest = sys.argv[1:]
    tallies.preload_beside(tally_run, preload)
    with checks.scratch() as folder:
        command = inputs.command(rest, folder)
        checks.need(command[0])
        done = checks.run([tally_run, "--oracle", "--children", folder / "tally", *command])
        if not checks.check(done.returncode, 0, f"status of recording {command[0]}: {done.stderr}"):
            return
        oracle = tallies.Tally(folder / "tally").oracle
        if oracle["checked"] == 0:
            checks.skip("this recorder compares no stacks")
        checks.check(oracle["wrong"], 0, f"{command[0]}: wrong stacks of {oracle['checked']}")


main()
checks.finish()
