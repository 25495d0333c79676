#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The recorder stands what a recorded program, or its own end, does to it.

    hostile.py POOLWISE SCRIBBLE PROGRAMS scribble|zombie
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import checks
from checks import case, check

poolwise, program, programs = sys.argv[1:4]


@case
def scribble(folder):
    """Garbage in the shared mapping: the collector neither crashes nor hangs."""
    for seed in range(1, 6):
        done = checks.run([poolwise, "-q", "record", "--timeout", "20", "-o", folder / "trace", "--", program, seed,
                           "300"])
        check(done.returncode >= 0, True, f"seed {seed}: ended by signal {-done.returncode}: {done.stderr}")
        check(done.returncode == 124, False, f"seed {seed}: ran into its time limit")
        if not (folder / "trace").exists():
            continue
        done = checks.run([poolwise, "-q", "advise", "--no-replay", folder / "trace"])
        check(done.returncode >= 0, True, f"seed {seed}: advice ended by signal {-done.returncode}")


@case
def zombie(folder):
    """The collector is killed, and nobody waits for it: its process id lives on, and the program must not
    wait for it, either."""
    marker = folder / "finished"
    process = subprocess.Popen([poolwise, "record", "-o", str(folder / "trace"), "--", "sh", "-c",
                                f"echo started >&2; sleep 0.3; '{programs}/killself' 300000 exit >/dev/null; "
                                f"touch '{marker}'"], stderr=subprocess.PIPE, start_new_session=True)
    check(process.stderr.readline(), b"started\n", "the program's first line")
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    check(marker.exists(), True, "the program ended by itself")
    check(pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0], "Z",
                 "state of the collector all the while")
    process.wait()


checks.run_case(sys.argv[4])
