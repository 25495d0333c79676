#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each event's stack, as the stack table has it, is compared inside the program with a complete unwind:
none may differ.

    oracle.py TALLY_RUN PRELOAD [--make-input KIND] -- COMMAND...
"""

import sys

import checks
import inputs


def main():
    tally_run, preload, *rest = sys.argv[1:]
    checks.preload_beside(tally_run, preload)
    with checks.scratch() as folder:
        command = inputs.command(rest, folder)
        checks.need(command[0])
        done = checks.run([tally_run, "--oracle", "--children", folder / "tally", *command])
        if not checks.check(done.returncode, 0, f"status of recording {command[0]}: {done.stderr}"):
            return
        oracle = checks.Tally(folder / "tally").oracle
        if oracle["checked"] == 0:
            checks.skip("this recorder compares no stacks")
        checks.check(oracle["wrong"], 0, f"{command[0]}: wrong stacks of {oracle['checked']}")


main()
checks.finish()
