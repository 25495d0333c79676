#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the inputs that the benchmarks feed to the system's programs: the same bytes on every machine.

    bench/workloads.py [--scale F] [--only NAME,...] DIRECTORY

An input that is there already, made by this version at this scale, is left alone. At scale 1 all of
them take about 140 MB.
"""

import argparse
import pathlib
import random
import shutil
import subprocess
import sys

VERSION = 2

SYLLABLES = ("ba be bo da de di fa fo ga gu ha hi jo ka ke ko la le lo ma me mi na ne no pa pe po ra re ri "
             "sa se so ta te to va ve vo za zu cra dri flo gra kli pru sta tre vlo").split()


class Text:
    """Made-up words from a fixed vocabulary, the frequent ones first, as in a language."""

    def __init__(self, seed):
        self.random = random.Random(f"poolwise {seed}")
        self.vocabulary = ["".join(self.random.choices(SYLLABLES, k=self.random.choice((1, 2, 2, 3, 3, 4))))
                           for _ in range(4000)]

    def word(self):
        return self.vocabulary[int(len(self.vocabulary) * self.random.random() ** 2)]

    def words(self, low, high):
        return " ".join(self.word() for _ in range(self.random.randint(low, high)))

    def number(self, low, high):
        return self.random.randint(low, high)


def make_jq(directory, scale):
    """A list of records: short and long strings, numbers, nested objects and lists."""
    text = Text("jq")
    with open(directory / "catalogue.json", "w", encoding="ascii") as out:
        for item in range(max(2, int(64000 * scale))):
            labels = ", ".join(f'"{text.word()}"' for _ in range(text.number(0, 9)))
            lots = ", ".join(str(text.number(1, 500)) for _ in range(text.number(1, 6)))
            out.write("[" if item == 0 else ",\n")
            out.write(
                f'{{"id": {item}, "title": "{text.words(2, 4)}", "stock": {text.number(0, 200)}, '
                f'"price": {text.number(99, 99999) / 100}, "labels": [{labels}], "supplier": {{"code": '
                f'"{text.word()}-{text.number(1, 999)}", "rating": {text.random.random():.6f}, '
                f'"lots": [{lots}]}}, "sold_out": {"true" if text.number(0, 3) == 0 else "false"}, '
                f'"note": {"null" if text.number(0, 2) == 0 else chr(34) + text.words(8, 24) + chr(34)}}}')
        out.write("]\n")


def make_xmllint(directory, scale):
    """A deep enough tree with attributes, entities and mixed content."""
    text = Text("xmllint")
    with open(directory / "archive.xml", "w", encoding="ascii") as out:
        out.write('<?xml version="1.0" encoding="ascii"?>\n<archive>\n')
        for entry in range(max(1, int(240000 * scale))):
            out.write(
                f'<entry key="e{entry}" shelf="{text.word()}"><author>{text.words(2, 2)}</author>'
                f'<year>{text.number(1700, 2020)}</year><abstract mood="{text.word()}">{text.words(3, 9)} &lt; '
                f'<em>{text.words(1, 3)}</em> &amp; {text.words(3, 12)}</abstract>'
                f'{"<lost/>" if text.number(0, 4) == 0 else ""}</entry>\n')
        out.write("</archive>\n")


def make_sqlite3(directory, scale):
    """One statement a line, so that parsing and preparing outweigh the queries' own work."""
    text = Text("sqlite3")
    with open(directory / "ledger.sql", "w", encoding="ascii") as out:
        out.write("PRAGMA journal_mode=OFF;\n"
                  "CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT, balance REAL, remark TEXT);\n"
                  "CREATE TABLE entry(account INTEGER, amount INTEGER, purpose TEXT);\nBEGIN;\n")
        rows = max(10, int(80000 * scale))
        for row in range(rows):
            out.write(f"INSERT INTO account VALUES({row}, '{text.word()}', {text.number(0, 10**6) / 100}, "
                      f"'{text.words(2, 20)}');\n")
            if row % 3 != 0:
                out.write(f"INSERT INTO entry VALUES({text.number(0, rows)}, {text.number(-900, 900)}, "
                          f"'{text.words(1, 3)}');\n")
        out.write("COMMIT;\nCREATE INDEX by_owner ON account(owner);\n")
        for _ in range(max(1, int(2500 * scale))):
            out.write(f"SELECT count(*), max(length(remark)) FROM account WHERE owner = '{text.word()}';\n")
        for _ in range(3):
            out.write("SELECT owner, count(*), group_concat(id), avg(balance) FROM account GROUP BY owner "
                      "ORDER BY 2 DESC, 1 LIMIT 7;\n"
                      "SELECT count(*) FROM account JOIN entry ON account.id = entry.account "
                      "WHERE lower(remark) LIKE '%sta%';\n"
                      "SELECT count(DISTINCT replace(remark, 'o', 'oo') || owner) FROM account;\n")


def make_bash(directory, scale):
    """Associative and plain arrays, expansions, a function called in a loop: no command but builtins."""
    turns = max(10, int(30000 * scale))
    (directory / "inventory.sh").write_text(f"""\
declare -A tally
list=()
for ((n = 0; n < {turns}; n++)); do
    part="part$((n * 6007 % 4801))"
    tally[$part]="${{tally[$part]}}$((n % 7))"
    list+=("${{part^^}}/$n")
    twin="${{list[n / 2]//P/qq}}"
done
classify() {{
    local name="$1"
    case "$name" in
    *3) echo -n ;;
    *) : "${{name%%/*}}" ;;
    esac
}}
for ((n = 0; n < {turns}; n++)); do
    classify "${{list[n]}}"
done
sum=0
for part in "${{!tally[@]}}"; do
    sum=$((sum + ${{#tally[$part]}}))
done
echo "${{#list[@]}} ${{#tally[@]}} $sum ${{#twin}}"
""", encoding="ascii")


def make_git(directory, scale):
    """A history of small edits to text files, imported into a bare repository."""
    text = Text("git")
    commits = max(3, int(1700 * scale))
    files = {}
    stream = directory / "history.fi"
    with open(stream, "w", encoding="ascii") as out:
        for commit in range(commits):
            message = f"{text.words(3, 9)}\n"
            out.write(f"commit refs/heads/main\ncommitter Nobody <nobody@example.org> {1500000000 + commit * 600} "
                      f"+0000\ndata {len(message)}\n{message}\n")
            for _ in range(text.number(1, 5)):
                path = f"{text.vocabulary[text.number(0, 14)]}/{text.vocabulary[text.number(15, 30)]}.txt"
                lines = files.setdefault(path, [text.words(4, 10) for _ in range(120)])
                for _ in range(text.number(1, 8)):
                    lines[text.number(0, len(lines) - 1)] = text.words(4, 10)
                lines.insert(text.number(0, len(lines)), text.words(4, 10))
                body = "\n".join(lines) + "\n"
                out.write(f"M 100644 inline {path}\ndata {len(body)}\n{body}\n")
    repository = directory / "history.git"
    shutil.rmtree(repository, ignore_errors=True)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", repository], check=True)
    with open(stream, "rb") as commands:
        subprocess.run(["git", f"--git-dir={repository}", "fast-import", "--quiet"], stdin=commands, check=True)
    stream.unlink()


def make_redis(directory, scale):
    """Protocol text: strings, lists, hashes and sorted sets, set, read and deleted; few values are large."""
    text = Text("redis")

    def command(*words):
        return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)

    with open(directory / "commands.resp", "w", encoding="ascii", newline="") as out:
        for _ in range(max(10, int(560000 * scale))):
            key = text.number(0, 29999)
            value = f"{text.random.getrandbits(64):016x}"
            if text.number(0, 3999) == 0:
                value *= text.number(2500, 6000)
            else:
                value *= text.number(1, 7)
            out.write(text.random.choice((
                lambda: command("SET", f"text:{key}", value),
                lambda: command("SET", f"text:{key}", value),
                lambda: command("GET", f"text:{key}"),
                lambda: command("DEL", f"text:{key}"),
                lambda: command("RPUSH", f"queue:{key % 211}", value[:40]),
                lambda: command("LPOP", f"queue:{key % 211}"),
                lambda: command("HSET", f"record:{key % 4001}", text.word(), value[:60]),
                lambda: command("ZADD", f"rank:{key % 97}", str(key), text.word()),
            ))())


def make_nginx(directory, scale):
    """Documents of several sizes to be served; the configuration names ports and is written per run."""
    text = Text("nginx")
    root = directory / "www"
    root.mkdir(exist_ok=True)
    for name, words in (("small", 60), ("medium", 1500), ("large", 9000)):
        (root / f"{name}.html").write_text(f"<p>{text.words(words, words)}</p>\n", encoding="ascii")


MAKERS = {"jq": make_jq, "sqlite3": make_sqlite3, "xmllint": make_xmllint, "bash": make_bash,
          "git": make_git, "redis": make_redis, "nginx": make_nginx}


def make(directory, names=None, scale=1.0):
    """Makes what the named workloads need (None: all); a workload without files of its own may be named."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, maker in MAKERS.items():
        if names is not None and name not in names:
            continue
        stamp = directory / f".{name}"
        made = f"{VERSION} {scale}\n"
        if stamp.exists() and stamp.read_text() == made:
            continue
        maker(directory, scale)
        stamp.write_text(made)


def main():
    parser = argparse.ArgumentParser(description="Makes the benchmarks' inputs.")
    parser.add_argument("--scale", type=float, default=1.0, help="size factor (default 1)")
    parser.add_argument("--only", help="comma-separated names: " + ", ".join(MAKERS))
    parser.add_argument("directory")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else None
    unknown = set(names or ()) - set(MAKERS)
    if unknown:
        parser.error("no such workload: " + ", ".join(sorted(unknown)))
    if options.scale <= 0:
        parser.error("--scale must be above 0")
    make(options.directory, names, options.scale)
    return 0


if __name__ == "__main__":
    sys.exit(main())
