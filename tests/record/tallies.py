# SPDX-License-Identifier: MIT
"""What the recorder's tests share: reading what tally_run and the independent counter wrote."""

import collections
import contextlib
import glob
import json
import os
import pathlib

import checks


def preload_beside(tally_run, preload):
    """record_run looks for the library in record/ beside the executable that calls it."""
    folder = pathlib.Path(tally_run).resolve().parent / "record"
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / pathlib.Path(preload).name).symlink_to(pathlib.Path(preload).resolve())


class Tally:
    """What tally_run wrote."""

    def __init__(self, path):
        self.processes, self.stacks = [], []
        self.events = collections.Counter()  # (kind, call, size)
        self.elsewhere = {}                  # size: count
        self.end = self.oracle = self.broken = None
        self.implied_frees = 0
        for line in pathlib.Path(path).read_text().splitlines():
            row = json.loads(line)
            if "kind" in row:
                self.events[row["kind"], row["call"], row["size"]] += row["count"]
            elif "stack" in row:
                self.stacks.append(row)
            elif "elsewhere" in row:
                self.elsewhere[row["elsewhere"]] = row["count"]
            elif "process" in row:
                self.processes.append(row)
            else:
                self.end = row.get("end", self.end)
                self.implied_frees = row.get("implied_frees", self.implied_frees)
                self.oracle = row.get("oracle", self.oracle)
                self.broken = row.get("broken", self.broken)

    def count(self, kind, size=None):
        return sum(count for (a, _, b), count in self.events.items() if a == kind and size in (None, b))


# How the trace groups the entry points.
GROUPS = {"reallocarray": "realloc", "posix_memalign": "aligned", "aligned_alloc": "aligned", "memalign": "aligned",
          "valloc": "aligned", "pvalloc": "aligned"}


def comparable(events):
    """By kind, group of entry points and size; frees are frees, by whatever call."""
    result = collections.Counter()
    for (kind, call, size), count in events.items():
        result[kind, "" if kind == "free" else GROUPS.get(call, call), size] += count
    return result


def read_countshim(base, program=None):
    """Sums over all processes but those of the tests' own runner; of one program if named."""
    events = collections.Counter()
    programs = []
    for path in glob.glob(f"{base}.*"):
        rows = [json.loads(line) for line in open(path) if line.strip()]
        name = os.path.basename(rows[0]["program"])
        if name in ("tally_run", "poolwise") or (program and name != program):
            continue
        programs.append(name)
        for row in rows[1:]:
            events[row["kind"], row["call"], row["size"]] += row["count"]
    return events, programs


class Functions:
    """Names by the symbol tables of the files themselves, so that no part of poolwise is relied upon."""

    def __init__(self):
        self.tables = {}

    def table(self, module):
        if module not in self.tables:
            listing = checks.run(["nm", "-C", "--defined-only", module]).stdout
            symbols = []
            for line in listing.splitlines():
                words = line.split(None, 2)
                if len(words) == 3 and words[1] in "tTwW":
                    symbols.append((int(words[0], 16), words[2].split("(")[0]))
            self.tables[module] = sorted(symbols)
        return self.tables[module]

    def name(self, module, return_address):
        best = ""
        for start, name in self.table(module):
            if start > return_address - 1:
                break
            best = name
        return best.split(".")[0]


def counts_by_function(tally, sizes):
    """(size, function): how many blocks of that size have the function in their stack."""
    functions, result, names = Functions(), collections.Counter(), {}
    for row in tally.stacks:
        if row["size"] not in sizes:
            continue
        seen = set()
        for module, offset in row["stack"]:
            key = module, offset
            if key not in names:
                names[key] = functions.name(module, offset) if module else ""
            seen.add(names[key])
        for name in seen:
            result[row["size"], name] += row["count"]
    return result
