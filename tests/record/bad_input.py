#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What cannot be recorded, written or read is said in one line, with the status the documents promise;
and what can be saved is.

    bad_input.py POOLWISE PROGRAMS_DIRECTORY CASE
"""

import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import checks
from checks import case, check

poolwise, programs = sys.argv[1], pathlib.Path(sys.argv[2])


def run(*words, **options):
    return checks.run([poolwise, *words], **options)


def check_refused(done, pattern, what, status=2):
    """One line on standard error that matches, the status given, and no signal."""
    check(done.returncode, status, f"{what}: status; {done.stderr}")
    lines = done.stderr.strip().splitlines()
    check(len(lines), 1, f"{what}: lines on standard error: {lines}")
    check(bool(re.search(pattern, done.stderr, re.I)), True, f"{what}: {done.stderr!r} says {pattern!r}")


def record(folder, *command, options=(), **rest):
    return run("record", "-o", folder / "trace", "--stats", folder / "stats", *options, "--", *command, **rest)


def stats(folder):
    return json.loads((folder / "stats").read_text())


@case
def missing_command(folder):
    check_refused(record(folder, "/nonexistent/program"), "no such file|not found", "absolute path")
    check_refused(record(folder, "no-such-command-anywhere"), "no-such-command-anywhere", "name in PATH")


@case
def not_executable(folder):
    (folder / "data").write_text("just text\n")
    check_refused(record(folder, folder / "data"), "executable", "no execute bit")
    check_refused(record(folder, folder), "directory", "a directory")
    empty = folder / "empty"
    empty.touch(mode=0o755)
    check_refused(record(folder, empty), str(empty), "an empty executable")


@case
def static_program(folder):
    marker = folder / "started"
    check_refused(record(folder, programs / "static_program", marker), "static", "static binary")
    check(marker.exists(), False, "the static program was started")


@case
def setuid_program(folder):
    """Ours if we may make one, else one of the system's."""
    program = folder / "setuid"
    if os.geteuid() == 0:
        shutil.copy(programs / "killself", program)
        os.chown(program, 65534, -1)
        program.chmod(0o4755)
    else:
        found = [path for path in pathlib.Path("/usr/bin").iterdir() if not path.is_symlink()
                 and path.stat().st_mode & stat.S_ISUID and path.stat().st_uid == 0]
        if not found:
            checks.skip("no setuid program here")
        program = found[0]
    check_refused(record(folder, program), "setuid", "setuid program")


@case
def usage(folder):
    check_refused(run("record", "-o", folder / "trace", "--"), "program", "no program")
    check_refused(run("record", "--no-such-option", "--", "true"), "--no-such-option", "unknown option")
    check_refused(run("record", "-o"), "-o", "option without its value")
    check_refused(run("record", "--timeout", "soon", "--", "true"), "soon", "timeout that is no number")
    check_refused(run("advise"), "program|trace", "advise of nothing")
    check_refused(run("advise", "a.trace", "b.trace"), "one trace|--", "advise of two traces")
    check_refused(run("advise", "--wrapper", "(", "--", "true"), r"\(", "a pattern that is none")
    check_refused(run("advise", "--threshold", "no-such=1", "--", "true"), "no-such", "unknown threshold")
    check_refused(run("no-such-command"), "no-such-command", "unknown command")
    check(run("--version").stdout.startswith("poolwise "), True, "--version")
    for words in (["--help"], ["record", "--help"], ["advise", "--help"]):
        check(run(*words).returncode, 0, f"status of {words}")


@case
def unwritable_output(folder):
    marker = folder / "started"
    missing = folder / "no" / "such" / "folder" / "x.trace"
    check_refused(run("record", "-o", missing, "--", "touch", marker), "no such file", "folder of the trace")
    check(marker.exists(), False, "a program was started whose trace has no place")
    check_refused(run("record", "-o", folder, "--", "touch", marker), "directory", "trace over a directory")


@case
def full_disk(folder):
    done = run("record", "-o", "/dev/full", "--", programs / "killself", "200000", "exit")
    check_refused(done, "no space", "/dev/full")
    if done.stdout:
        check(json.loads(done.stdout)["paths"][0]["count"], 200000, "the program's own work")
    record(folder, programs / "killself", "1000", "exit")
    with open("/dev/full", "w") as full:
        done = run("advise", "--json", folder / "trace", stdout=full)
        check_refused(done, "no space", "advice to a full disk")


@case
def closed_streams(folder):
    """The shell closes what poolwise then finds closed; nothing else may take its place."""
    quoted = f"'{poolwise}' record -o '{folder}/trace' -- '{programs}/killself' 1000 exit"
    for closing in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        done = checks.run(["sh", "-c", f"{quoted} {closing}"])
        check(done.returncode in (0, 2), True, f"status with {closing}: {done.returncode} {done.stderr}")
        head = (folder / "trace").read_bytes()[:200]
        check(b"paths" in head, False, f"with {closing} the program's output went into the trace")


@case
def killed_program(folder):
    for how, number in (("kill", signal.SIGKILL), ("abort", signal.SIGABRT), ("segv", signal.SIGSEGV)):
        done = record(folder, programs / "killself", "30001", how, options=["--propagate-exit"])
        check(done.returncode, 128 + number, f"status after {how}: {done.stderr}")
        check(stats(folder)["allocations"], 30001, f"allocations before {how}")
        check(stats(folder)["frees"], 15000, f"frees before {how}")
        advice = json.loads(run("advise", "--json", folder / "trace").stdout)
        check(advice["program"]["allocations"], 30001, f"allocations in the trace before {how}")


@case
def exit_status(folder):
    check(record(folder, programs / "killself", "10", "exit").returncode, 0, "status without --propagate-exit")
    for how in ("exit", "_exit"):
        done = record(folder, programs / "killself", "10", how, options=["--propagate-exit"])
        check(done.returncode, 7, f"status of a program that ends by {how}")
        check(stats(folder)["allocations"], 10, f"allocations before {how}")


@case
def timeout(folder):
    begun = time.monotonic()
    done = record(folder, "sh", "-c", "exec sleep 60", options=["--timeout", "0.5"])
    check(done.returncode, 124, f"status of a program that ran too long: {done.stderr}")
    check(time.monotonic() - begun < 50, True, "it was ended")


@case
def collector_killed(folder):
    """The program goes on without its recorder, and no part of it hangs."""
    marker = folder / "finished"
    process = subprocess.Popen([poolwise, "record", "-o", str(folder / "trace"), "--", "sh", "-c",
                                f"echo started >&2; sleep 0.5; '{programs}/killself' 300000 exit >/dev/null; "
                                f"touch '{marker}'"], stderr=subprocess.PIPE, start_new_session=True)
    check(process.stderr.readline(), b"started\n", "the program's first line")
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    check(marker.exists(), True, "the program ended by itself after its recorder was killed")


@case
def closed_descriptors(folder):
    done = record(folder, programs / "closefds", options=["--propagate-exit"])
    check(done.returncode, 0, f"status of a program that closes all descriptors: {done.stderr}")
    check(stats(folder)["allocations"], json.loads(done.stdout)["paths"][0]["count"], "its allocations")


@case
def nothing_allocated(folder):
    done = record(folder, programs / "nothing")
    check(done.returncode in (0, 2), True, f"status of recording a program that allocates nothing: {done.stderr}")
    check(len(done.stderr.strip().splitlines()), 1, f"lines about it: {done.stderr}")
    done = run("advise", "--", programs / "nothing")
    check(done.returncode in (0, 2), True, f"status of advice on nothing: {done.stderr}")
    check(bool(re.search("nothing|no allocation", done.stdout + done.stderr, re.I)), True,
          f"it is said that there was nothing: {done.stdout} {done.stderr}")


@case
def damaged_trace(folder):
    check_refused(run("advise", folder / "none.trace"), "no such file", "missing trace")
    check_refused(run("advise", folder), "directory", "a directory")
    (folder / "text").write_text("this is not a trace, it is a sentence\n" * 50)
    check_refused(run("advise", folder / "text"), "trace", "text instead of a trace")
    (folder / "empty").touch()
    check_refused(run("advise", folder / "empty"), "trace", "an empty file")
    record(folder, programs / "killself", "20000", "exit")
    whole = (folder / "trace").read_bytes()
    cut = folder / "cut"
    for size in {1, 8, 16, 40, 100, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        cut.write_bytes(whole[:size])
        done = run("advise", "--json", "--no-replay", cut)
        check(done.returncode in (0, 2), True, f"trace cut to {size} bytes: status {done.returncode}: {done.stderr}")
        check(len(done.stdout + done.stderr) > 0, True, f"trace cut to {size} bytes: something is said")
    # One byte changed at a time, spread over the file: refused or read, never a crash.
    for step in range(64):
        at = len(whole) * step // 64
        cut.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        done = run("advise", "--json", "--no-replay", cut)
        check(done.returncode in (0, 2), True, f"byte {at} changed: status {done.returncode}: {done.stderr[-300:]}")


@case
def broken_pipe(folder):
    record(folder, programs / "killself", "20000", "exit")
    done = checks.run(["sh", "-c", f"'{poolwise}' advise '{folder}/trace' | head -c 1 >/dev/null; echo done"])
    check(done.stdout, "done\n", "advice to a reader that leaves")
    check("Assert" in done.stderr or "Segm" in done.stderr, False, f"how it ended: {done.stderr}")


checks.run_case(sys.argv[3])
