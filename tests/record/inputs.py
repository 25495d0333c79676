# SPDX-License-Identifier: MIT
"""Small inputs for programs of the system, the same each time."""

import random
import sys


def make_input(kind, path):
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


def command(arguments, folder):
    """[--make-input KIND] -- COMMAND...: the command, with @INPUT@ replaced by the file made."""
    words = arguments[arguments.index("--") + 1:]
    if arguments[0] != "--make-input":
        return words
    path = str(folder / "input")
    make_input(arguments[1], path)
    return [word.replace("@INPUT@", path) for word in words]
