#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""poolwise try: which blocks it serves, what it says of programs that do not suit, and what it refuses.

    cli.py POOLWISE BUILD_DIRECTORY CASE
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

poolwise, build = sys.argv[1], pathlib.Path(sys.argv[2])
mine, programs = build / "trial", build / "programs"


def run(*words, **options):
    return checks.run([poolwise, *words], **options)


def attempt(*words, status=0, **options):
    done = run("try", "-n", "1", *words, **options)
    check(done.returncode, status, f"status of try {' '.join(map(str, words))}: {done.stderr}")
    return done


def refused(pattern, *words, status=2, lines=1, **options):
    done = run("try", *words, **options)
    check(done.returncode, status, f"status of try {' '.join(map(str, words))}: {done.stderr}")
    check(len(done.stderr.strip().splitlines()), lines, f"lines on standard error: {done.stderr!r}")
    check(bool(re.search(pattern, done.stderr, re.I | re.S)), True, f"{done.stderr!r} says {pattern!r}")


def advice(folder, *command):
    path = folder / "advice.json"
    done = run("advise", "--json", "-o", path, "--", *command)
    check(done.returncode, 0, f"advise: {done.stderr}")
    return path, {site["function"]: site for site in json.loads(path.read_text())["sites"]}


def arm(document, name):
    return next(arm for arm in document["arms"] if arm["name"] == name)


@case
def exact_sites(folder):
    """Each site's blocks come from a pool, and no other's, however the wrappers on the way lay out their frames."""
    path, sites = advice(folder, mine / "wrapped")
    sites = sites | {"five": next(site for site in sites.values() if site["allocations"] == 5005)}
    for name, count in {"one": 1001, "two": 2002, "three": 3003, "four": 4004, "five": 5005}.items():
        check(sites[name]["allocations"], count, f"allocations of {name}")
        check(len(sites[name]["calls"]) >= 2, True, f"{name} is known by more than malloc's caller: {sites[name]['calls']}")
        for kind in "pool", "classes", "slab":
            done = attempt("--json", "--from", path, "--site", sites[name]["id"], "--as", kind, "--", mine / "wrapped")
            document = json.loads(done.stdout)
            check(arm(document, "pooled")["blocks_from_pools"], count, f"blocks of {name} from pools, as {kind}")
            check(arm(document, "control")["blocks_from_pools"], 0, "blocks from pools without a site")
    two = f"{sites['one']['id']},{sites['four']['id']}"
    document = json.loads(attempt("--json", "--from", path, "--site", two, "--as", "classes", "--", mine / "wrapped").stdout)
    check(arm(document, "pooled")["blocks_from_pools"], 5005, "blocks of two sites")
    check([site["function"] for site in document["sites"]], ["one", "four"], "sites one by one")


@case
def grows_in_place(folder):
    """A block from a pool of one size stays where it is while it grows within it, as a pooled buffer does."""
    path, sites = advice(folder, mine / "grower")
    check(sites["start"]["size"]["max"], 16, "bytes asked for at first")
    for bytes_ in 4096, 16:
        document = json.loads(path.read_text())
        for site in document["sites"]:
            if site["function"] == "start":
                site |= {"verdict": "POOL", "advised_bytes": bytes_}
        path.write_text(json.dumps(document))
        done = attempt("--from", path, "--site", sites["start"]["id"], "--as", "pool", "--", "sh", "-c",
                       f"exec {mine / 'grower'} 2>>{folder}/moves")
        check("wrote something else" in done.stdout, False, "output differs")
    said = [int(line.split()[1]) for line in (folder / "moves").read_text().splitlines()]
    check(len(said), 8, "runs: one before, as it is, the control and pooled, twice")
    check(said[3], 0, f"moves in a pool of 4096 bytes: {said}")
    check(said[7] >= 2000, True, f"each block leaves a pool of 16 bytes: {said}")


@case
def idle_is_bounded(folder):
    """What pools of all sizes keep idle together has a bound: no more than the plain program's memory plus that."""
    path, sites = advice(folder, mine / "phases")
    for words in ["--all=8192"], ["--from", path, "--site", sites["block_make"]["id"], "--as", "classes"]:
        done = attempt("--json", *words, "--", mine / "phases")
        document = json.loads(done.stdout)
        plain, pooled = (arm(document, name)["peak_rss_bytes"][0] for name in ("plain", "pooled"))
        check(arm(document, "pooled")["blocks_from_pools"] > 100000, True, "blocks come from pools")
        check(pooled < plain + ((64 + 16 + 24) << 20), True, f"peak memory {pooled / 2**20:.0f} MiB against {plain / 2**20:.0f}")


@case
def found_again(folder):
    """Without --from the ids are those of the advice; a trace will do, too; and so will an exec on the way."""
    _, sites = advice(folder, mine / "wrapped")
    trace = folder / "trace"
    check(run("record", "-o", trace, "--", mine / "wrapped").returncode, 0, "record")
    for where in [], ["--from", trace]:
        done = attempt("--json", *where, "--site", sites["two"]["id"][:8], "--", mine / "wrapped")
        check(arm(json.loads(done.stdout), "pooled")["blocks_from_pools"], 2002, f"blocks by {where}")
    done = attempt("--json", "--site", sites["two"]["id"], "--", "sh", "-c", f"exec {mine / 'wrapped'}")
    check(arm(json.loads(done.stdout), "pooled")["blocks_from_pools"], 2002, "blocks after an exec")


@case
def rebuilt(folder):
    """Sites of another build are named as such, and nothing is claimed."""
    program = folder / "program"
    shutil.copy(mine / "wrapped", program)
    path, sites = advice(folder, program)
    shutil.copy(mine / "wrapped_other", program)
    refused(r"another build.*none of the sites was served", "-n", "1", "--from", path, "--site", sites["one"]["id"], "--", program,
            lines=2)
    refused(f"no site {sites['one']['id']}", "-n", "1", "--site", sites["one"]["id"], "--", program)


@case
def mapped_with_holes(folder):
    """A program whose segments lie apart is known again by its build id, too."""
    path, sites = advice(folder, mine / "wrapped_holes")
    check(bool(sites["one"]["calls"][0]["build_id"]), True, "the build is known")
    done = attempt("--json", "-n", "1", "--from", path, "--site", sites["one"]["id"], "--", mine / "wrapped_holes")
    check(arm(json.loads(done.stdout), "pooled")["blocks_from_pools"], 1001, "blocks from pools")


@case
def not_asked_for(folder):
    """A site that this run does not come by is not passed over in silence."""
    path, sites = advice(folder, mine / "fussy", "reads")
    other, others = advice(folder, mine / "wrapped")
    refused(r"not loaded|another build", "-n", "1", "--from", other, "--site", others["one"]["id"], "--", mine / "fussy", lines=2)


@case
def outcomes(folder):
    """What changes when pooled is found, with the site that does it, and is never called a saving."""
    _, sites = advice(folder, mine / "fussy")
    ids = ",".join(sites[name]["id"] for name in ("calm", "touchy", "steady"))
    for mode, words, options in (("prints", "standard output differs", []),
                                 ("aborts", r"ends otherwise \(signal 6", []),
                                 ("hangs", "ran past --timeout", ["--timeout", "1.5"])):
        done = attempt(*options, "--site", ids, "--as", "classes", "--", mine / "fussy", mode, status=1)
        check(bool(re.search(rf"site {sites['touchy']['id']} \(touchy.*{words}", done.stdout)), True,
              f"{mode}: the site and {words!r} are in {done.stdout!r}")
    done = attempt("--json", "--site", sites["calm"]["id"], "--", mine / "fussy", "aborts")
    check(json.loads(done.stdout)["arms"][2]["outcome"], "same", "a site that matters to nothing")


@case
def varying_output(folder):
    done = attempt("-n", "3", "--all", "--", mine / "fussy", "varies")
    check("varies by itself" in done.stdout, True, done.stdout)


@case
def input_again(folder):
    """Each run reads standard input from its start, a file or a pipe."""
    text = "".join(f"line {i}\n" for i in range(3000))
    (folder / "input").write_text(text)
    with open(folder / "input") as file:
        done = attempt("--json", "-n", "2", "--all", "--", mine / "fussy", "reads", stdin=file)
    check(arm(json.loads(done.stdout), "pooled")["outcome"], "same", "output from a file")
    served = arm(json.loads(done.stdout), "pooled")["blocks_from_pools"]
    done = subprocess.run([poolwise, "try", "--json", "-n", "2", "--all", "--", mine / "fussy", "reads"], input=text, text=True,
                          capture_output=True, timeout=checks.TIMEOUT_S)
    check(done.returncode, 0, done.stderr)
    check(arm(json.loads(done.stdout), "pooled")["blocks_from_pools"] >= served - 50, True, "as many lines from a pipe")
    check(served > 9000, True, f"{served} blocks for 3000 lines and 6300 others")


@case
def server(folder):
    """The load starts once the server listens; the server ends by SIGTERM; the metric is read from the load's output."""
    socket = folder / "socket"
    load = f"{mine / 'echo_server'} {socket} 300"
    _, served = advice_of_server(folder, socket, load)
    done = attempt("--json", "--bench", load, "--metric", "awk '{print $1}'", "--higher", "--site", served["answer"]["id"],
                   "--as", "pool", "--", mine / "echo_server", socket)
    document = json.loads(done.stdout)
    check(document["metric"], "metric", "what decides")
    check(arm(document, "pooled")["metric"], [300], "answers")
    check(arm(document, "pooled")["blocks_from_pools"], 300, "blocks for them")
    refused("the load failed: exit 3", "-n", "1", "--all", "--bench", "exit 3", "--", mine / "echo_server", socket)
    refused("ended before it accepted", "-n", "1", "--all", "--bench", "true", "--", mine / "fussy")
    refused("gave no number", "-n", "1", "--all", "--bench", load, "--metric", "echo none", "--", mine / "echo_server", socket)


def advice_of_server(folder, socket, load):
    """The site that try itself would find: by name, from an advice made beside a load."""
    path = folder / "server.json"
    with subprocess.Popen([poolwise, "advise", "--json", "-o", path, "--", mine / "echo_server", socket],
                          stdout=subprocess.DEVNULL) as advise:
        until = time.monotonic() + 60
        while not socket.exists() and time.monotonic() < until:
            time.sleep(0.01)
        subprocess.run(load, shell=True, check=True, stdout=subprocess.DEVNULL)
        for child in pathlib.Path(f"/proc/{advise.pid}/task/{advise.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        advise.wait(60)
    return path, {site["function"]: site for site in json.loads(path.read_text())["sites"]}


@case
def require(folder):
    done = attempt("-n", "2", "--all", "--require", "100", "--", mine / "fussy", status=1)
    check("100 % was required" in done.stderr, True, done.stderr)
    attempt("--all", "--", mine / "fussy")


@case
def rounds_within(folder):
    """Ten rounds when any interval will do, and as many as there is time for when none is narrow enough."""
    def rounds(*words):
        done = run("try", "--json", "--all", *words, "--", mine / "fussy")
        check(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["rounds"]
    check(rounds("--within", "100", "--time", "60"), 10, "rounds that are enough")
    check(rounds("--within", "0.01", "--time", "2") > 10, True, "more rounds where they are not")


@case
def bad_input(folder):
    refused("which program", "--all")
    refused("which program", "--all", mine / "fussy")
    refused("no such command|not found", "--all", "--", "no-such-command-anywhere")
    refused("statically linked", "--all", "--", programs / "static_program")
    refused("no site ffffffff", "--site", "ffffffff", "--", mine / "fussy")
    refused("first four digits", "--site", "ab", "--", mine / "fussy")
    refused("--as wants --site", "--as", "pool", "--", mine / "fussy")
    refused("--as arena", "--as", "arena", "--site", "ffffffff", "--", mine / "fussy")
    refused("-n 0", "-n", "0", "--all", "--", mine / "fussy")
    refused("--time never", "--time", "never", "--all", "--", mine / "fussy")
    refused("--within 0", "--within", "0", "--all", "--", mine / "fussy")
    refused("--within says when there are enough", "--within", "1", "-n", "5", "--all", "--", mine / "fussy")
    refused("--higher is about --metric", "--higher", "--all", "--", mine / "fussy")
    refused("needs a value", "--site")
    refused("unknown option --sites", "--sites=x", "--", mine / "fussy")
    refused("/nonexistent/x", "-o", "/nonexistent/x", "--all", "--", mine / "fussy")
    refused("/nonexistent/advice", "--from", "/nonexistent/advice", "--site", "ffffffff", "--", mine / "fussy")
    (folder / "other.json").write_text('{"sites": []}')
    refused("is no advice", "--from", folder / "other.json", "--site", "ffffffff", "--", mine / "fussy")
    (folder / "cut.json").write_text('{"poolwise": "0.1.0", "sites": [')
    refused("is no advice", "--from", folder / "cut.json", "--site", "ffffffff", "--", mine / "fussy")
    (folder / "empty.json").write_text("")
    refused("not a trace|no advice|too short|empty", "--from", folder / "empty.json", "--site", "ffffffff", "--", mine / "fussy")
    refused("killed by signal", "-n", "1", "--all", "--", "sh", "-c", "kill -9 $$")
    refused("past its time limit", "-n", "1", "--all", "--timeout", "0.2", "--", "sleep", "5")


@case
def setuid_program(folder):
    if os.getuid() == 0:
        program = folder / "program"
        shutil.copy(mine / "fussy", program)
        os.chown(program, 12345, 12345)
        program.chmod(program.stat().st_mode | stat.S_ISUID)
        refused("setuid", "--all", "--", program)
    else:
        refused("setuid", "--all", "--", checks.need("su"))


@case
def sanitized_program(folder):
    compiler = checks.need("gcc")
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    if checks.run([compiler, "-fsanitize=address", "-o", folder / "empty", folder / "empty.c"]).returncode:
        checks.skip("no AddressSanitizer here")
    refused("built with AddressSanitizer", "--all", "--", folder / "empty")


@case
def no_address_space(folder):
    """Where the range cannot be had, everything comes from the program's own allocator, and that is said."""
    done = checks.run(["sh", "-c", f"ulimit -v 4000000; exec {poolwise} try -n 1 --all -- {mine / 'fussy'}"])
    check(done.returncode, 2, f"status: {done.stdout} {done.stderr}")
    check("address space" in done.stderr, True, done.stderr)


@case
def finds_by_itself(folder):
    """Without a site: a program of few allocations has nothing to try, and that is no failure."""
    done = attempt("--", "sleep", "0.1", status=0)
    check("nothing to try" in done.stdout, True, done.stdout)
    done = attempt("--json", "--", "sleep", "0.1", status=0)
    check(json.loads(done.stdout)["result"], "NOTHING_TO_TRY", "as a document")


checks.run_case(sys.argv[3])
