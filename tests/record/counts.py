#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The recorder sees exactly the events that an independent counter sees, size by size, in one and the
same run: both are preloaded, the recorder first, so whatever it misses or makes up shows.

    counts.py TALLY_RUN PRELOAD COUNTSHIM [--make-input KIND] -- COMMAND...

In COMMAND, @INPUT@ stands for a file made by --make-input.
"""

import os
import random
import sys

import checks


def make_input(kind, path):
    """Small inputs, the same each time."""
    source = random.Random(7)

    def word():
        return "".join(source.choices("abcdefghij", k=source.randint(2, 9)))

    with open(path, "w", encoding="ascii") as out:
        if kind == "json":
            rows = (f'{{"id": {i}, "name": "{word()}", "list": [{i % 7}, {i % 11}, "{word()}"]}}' for i in range(4000))
            out.write("[" + ",\n".join(rows) + "]\n")
        elif kind == "xml":
            out.write("<list>\n")
            for i in range(4000):
                out.write(f'<row id="{i}" kind="{word()}"><a>{word()} &amp; {word()}</a><b/></row>\n')
            out.write("</list>\n")
        elif kind == "sql":
            out.write("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT);\n")
            for i in range(3000):
                out.write(f"INSERT INTO t VALUES({i}, '{word()}');\n")
            out.write("SELECT name, count(*) FROM t GROUP BY name ORDER BY 2 DESC, 1 LIMIT 5;\n")
        elif kind == "bash":
            out.write('declare -A h\nfor ((i = 0; i < 3000; i++)); do h[k$((i % 97))]+="$i"; a+=("x$i"); done\n'
                      'echo ${#h[@]} ${#a[@]} "$(echo sub shell)"\n/bin/true | cat\n(exit 0)\n')
        else:
            sys.exit(f"no such kind of input: {kind}")


def main():
    tally_run, preload, countshim = sys.argv[1:4]
    rest = sys.argv[4:]
    command = rest[rest.index("--") + 1:]
    checks.need(command[0])
    checks.preload_beside(tally_run, preload)
    with checks.scratch() as folder:
        given = folder / "input"
        if rest[0] == "--make-input":
            make_input(rest[1], given)
        words = [word.replace("@INPUT@", str(given)) for word in command]
        environment = {**os.environ, "LC_ALL": "C", "COUNTSHIM_OUT": str(folder / "shim"),
                       "LD_PRELOAD": os.path.abspath(countshim)}
        done = checks.run([tally_run, "--children", folder / "tally", *words], env=environment)
        if not checks.check(done.returncode, 0, f"status of recording {command[0]}: {done.stderr}"):
            return
        tally = checks.Tally(folder / "tally")
        counted, programs = checks.read_countshim(folder / "shim")
        checks.check(tally.broken, None, "rules of the trace's model")
        checks.check(tally.end["dropped"], 0, "dropped events")
        checks.check(tally.end["lost_threads"], 0, "threads without a ring")
        checks.check(tally.count("alloc") > 0, True, "something was allocated")
        found, expected = checks.comparable(tally.events), checks.comparable(counted)
        for key in sorted(set(found) | set(expected)):
            checks.check(found[key], expected[key], f"{command[0]}: events (kind, call, size) {key}; "
                                                    f"processes: {sorted(programs)}")


main()
checks.finish()
