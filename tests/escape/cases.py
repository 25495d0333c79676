#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cases.py POOLWISE FILE.c... : every tagged allocation against its verdict, as a table.

Fails when a block is said not to escape that does, or to be freed that is not; when an answer is less exact
than the tag admits; and when a tag has no site."""
import json
import re
import subprocess
import sys

CLASSES = {"does-not-escape": "N", "may-escape": "M"}
FREED = {"all-paths": "F", "each-iteration": "R", "not-provable": "U", "leak": "L", "never": "-"}


def tags(path):
    for number, line in enumerate(open(path), 1):
        found = re.search(r"/\* (\w+) ([NEM])( [FRULS-])?(?:\|([NEM])( [FRUL-])?)? \*/", line)
        if found:
            name, kind, freed, other, other_freed = found.groups()
            yield number, name, kind + (freed or "").strip(), (other or "") + (other_freed or "").strip()


def unsound(truth, got):
    if truth[0] == "E":
        return got[0] == "N"
    if truth[0] == "M":
        return got[0] == "N"
    # A leak or an unknown end must not be called "freed on all paths".
    return len(truth) > 1 and got[0] != "E" and got[1] in "FR" and truth[1] in "L-"


def main():
    poolwise, files = sys.argv[1], sys.argv[2:]
    exact = conservative = wrong = worse = total = 0
    for path in files:
        run = subprocess.run([poolwise, "escape", "--json", "--no-cache", path, "--", "-std=gnu17", "-D_GNU_SOURCE"],
                             capture_output=True, text=True)
        if run.returncode == 2 and "needs" in run.stderr:
            print(run.stderr.strip())
            sys.exit(77)
        if run.returncode:
            sys.exit(f"{path}: status {run.returncode}: {run.stderr}")
        sites = {}
        for site in json.loads(run.stdout)["sites"]:
            kind = CLASSES.get(site["class"], "E")
            got = kind + (FREED[site["freed"]] if kind != "E" else "")
            sites.setdefault(site["line"], []).append(got)
        for line, name, truth, admitted in tags(path):
            total += 1
            answers = sites.get(line, [])
            got = min(answers, key=lambda a: "EMN".index(a[0])) if answers else "none"
            judged = "exact"
            if any(unsound(truth, a) for a in answers):
                judged, wrong = "UNSOUND", wrong + 1
            elif got == truth or (got[0] == truth[0] == "M"):
                exact += 1
            elif got == admitted:
                judged, conservative = "conservative", conservative + 1
            else:
                judged, worse = "NOT AS EXPECTED", worse + 1
            print(f"{name:26} line {line:4}  expected {truth:3} got {got:5} {judged}")
    print(f"{total} allocations: {exact} exact, {conservative} on the safe side as known, {worse} otherwise, {wrong} unsound")
    sys.exit(1 if wrong or worse else 0)


main()
