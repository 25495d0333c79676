# SPDX-License-Identifier: MIT
"""What tests of the command line share: checks that fail in words, and scripts of which a run does one named case."""

import contextlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

failures = 0
TIMEOUT_S = 150


def check(found, expected, what):
    """Notes a failure with file, line and both values, and goes on."""
    global failures
    if found == expected:
        return True
    failures += 1
    where = traceback.extract_stack(limit=2)[0]
    print(f"{where.filename}:{where.lineno}: {what}\n  expected: {expected}\n  found:    {found}", file=sys.stderr)
    return False


def finish():
    sys.exit(1 if failures else 0)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def need(command):
    found = shutil.which(command)
    if not found:
        skip(f"{command} is not installed")
    return found


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="poolwise-test-") as path:
        yield pathlib.Path(path)


def run(words, **options):
    options.setdefault("timeout", TIMEOUT_S)
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run([str(word) for word in words], text=True, errors="replace", **options)


CASES = {}


def case(function):
    """Makes the function a case: it gets an empty folder. A name that Python or the script uses ends in an underscore."""
    CASES[function.__name__.rstrip("_")] = function
    return function


def run_case(name):
    """Runs the case of that name, and ends with 0 if all checks held."""
    with scratch() as folder:
        CASES[name](folder)
    finish()
