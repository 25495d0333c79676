#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dynamic.py POOLWISE DIRECTORY [jq] [redis] [--missed] : the verdicts on real programs against what they do when they run.

Fetches the programs' sources (Debian's, into DIRECTORY), builds them without optimisation, analyses them, and looks in
two ways for blocks that outlived the call of which the source analysis says that none can: in a recording of a run, as
`poolwise advise` joins the two; and for all calls on the way to each block, by activations (activations.py, which says
what is counted), under a wider load: jq's own tests and three filters, redis-benchmark and the commands below.
Needs a network and Debian; takes minutes. Status 1 when there is a violation. With --missed: what stands between each
call whose blocks always died in it and the proof."""
import glob
import json
import os
import re
import subprocess
import sys
import time

import activations

JQ_FLAGS = ("-D_GNU_SOURCE -DIEEE_8087 -DHAVE_MEMMEM -DHAVE_TIMEGM -DHAVE_GMTIME_R -DHAVE_LOCALTIME_R -DHAVE_GMTIME "
            "-DHAVE_MKTIME -DHAVE_STRPTIME -DHAVE_STRFTIME -DHAVE_TM_TM_GMT_OFF -DHAVE_SETLOCALE "
            "-DHAVE_PTHREAD_KEY_CREATE -DHAVE_PTHREAD_ONCE -DHAVE_ATEXIT -DHAVE_ISATTY -DHAVE_ASPRINTF -I.").split()
JQ_PROGRAM = ('[.[] | {a: (.name | ascii_upcase | split("A") | join("-")), b: (.list | sort | map(tostring) | add), '
              'c: (.name | ltrimstr("ban")), d: (.when | todate), e: ([.list[] | select(. > 3)] | unique | length)}] '
              '| group_by(.e) | map(length) | tojson | fromjson | @json "x \\(.)"')


REDIS_FLAGS = ["-std=gnu11"] + [f"-I../deps/{d}" for d in ("hiredis", "linenoise", "lua/src", "hdr_histogram")]


def redis_files(folder):
    skip = ("redis-cli", "redis-benchmark", "redis-check", "mkrelease", "siphash_test", "cli_")
    files = sorted(os.path.basename(f) for f in glob.glob(folder + "/*.c") if not any(s in f for s in skip))
    return files + ["../deps/hdr_histogram/hdr_histogram.c", "../deps/hiredis/sds.c"]


def run(command, **more):
    return subprocess.run(command, check=True, text=True, **more)


def fetch(directory, package, pattern):
    found = glob.glob(f"{directory}/{pattern}")
    if found:
        return found[0]
    os.makedirs(f"{directory}/lists/partial", exist_ok=True)
    # The sources that belong to the packages this machine installs from, whichever those are.
    known = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
                capture_output=True).stdout
    with open(f"{directory}/sources.list", "w", encoding="ascii") as out:
        for line in sorted(set(known.splitlines())):
            if "-" in line.split()[1]:  # updates of the release: what was released is all that is wanted
                continue
            out.write(f"deb-src {line}\n")
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={directory}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::lists={directory}/lists"]
    run(apt + ["update"])
    run(apt + ["source", "--download-only", package], cwd=directory)
    archive = glob.glob(f"{directory}/{package}_*.orig.tar.*")[0]
    run(["tar", "xf", archive], cwd=directory)
    return glob.glob(f"{directory}/{pattern}")[0]


def jq(poolwise, directory):
    folder = fetch(directory, "jq", "jq-*1.6") + "/src"
    os.makedirs(folder + "/src", exist_ok=True)
    lines = open(folder + "/builtin.jq", encoding="utf-8").read().splitlines()
    with open(folder + "/src/builtin.inc", "w", encoding="utf-8") as out:
        for line in lines:
            out.write('"' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"\n')
    with open(folder + "/src/version.h", "w", encoding="ascii") as out:
        out.write('#define JQ_VERSION "1.6"\n')
    files = sorted(os.path.basename(f) for f in glob.glob(folder + "/*.c") if "inject_errors" not in f)
    program = f"{directory}/jq-program"
    run(["gcc", "-w", "-g", "-O0", *JQ_FLAGS, *files, "-o", program, "-lm", "-lpthread"], cwd=folder)
    with open(f"{directory}/input.json", "w", encoding="ascii") as out:
        json.dump([{"name": f"banana {i} x", "list": [i % 7, i, 3, "s"], "when": i * 1000} for i in range(3000)], out)
    trace = f"{directory}/jq.trace"
    run([poolwise, "record", "-o", trace, "--", program, JQ_PROGRAM, f"{directory}/input.json"], stdout=subprocess.DEVNULL)
    return folder, files, JQ_FLAGS, trace


def jq_activations(directory, folder, files):
    program, out = activations.build(directory, "jq", folder, files, JQ_FLAGS, ["-lm", "-lpthread"]), f"{directory}/jq-activations.txt"
    if os.path.exists(out):
        os.remove(out)
    with open(f"{directory}/few.json", "w", encoding="ascii") as few:
        json.dump([{"name": f"banana {i} x", "list": [i % 7, i, 3, "s"], "when": i * 1000} for i in range(300)], few)
    runs = [["-L", "modules", "--run-tests", test] for test in ("jq.test", "base64.test", "optional.test")]
    runs += [[JQ_PROGRAM, f"{directory}/few.json"], ["-c", "--stream", ".", f"{directory}/few.json"],
             ["-S", "-r", "--arg", "a", "b", '.[].name | test("a")?', f"{directory}/few.json"]]
    for arguments in runs:  # some of the tests fail, as they do without the functions of libm that are left out
        subprocess.run([program, *arguments], cwd=folder + "/../tests", env={**os.environ, "ACTIVATIONS_OUT": out}, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    return program, out


def redis_load(socket, requests):
    for _ in range(300):
        if os.path.exists(socket):
            break
        time.sleep(0.1)
    run(["redis-benchmark", "-s", socket, "-q", "-n", requests, "-c", "5"], stdout=subprocess.DEVNULL)
    commands = ["SET a 1", "APPEND a 23", "GETRANGE a 0 1", "SORT mylist LIMIT 0 5", "HSET h f 1 g 2", "HGETALL h", "ZADD z 1 a 2 b 3 c",
                "ZRANGE z 0 -1 WITHSCORES", "ZRANGEBYLEX z - +", "ZUNIONSTORE y 1 z", "SADD s 1 2 a", "SADD t 2 a", "SINTER s t",
                "SUNIONSTORE u s t", "SDIFF s t", "CONFIG GET *", "CONFIG SET maxmemory 100mb", "INFO all", "CLIENT LIST", "CLIENT SETNAME me",
                "OBJECT ENCODING z", "DEBUG OBJECT a", "DEBUG DIGEST", "EVAL return{1,KEYS[1]} 1 a", "EVAL return(redis.call('get','a')) 0",
                "XADD x * f v", "XRANGE x - +", "XGROUP CREATE x g 0", "XREADGROUP GROUP g c STREAMS x >", "XINFO STREAM x FULL",
                "GEOADD geo 13 38 P", "GEOSEARCH geo FROMLONLAT 15 37 BYRADIUS 200 km ASC", "PFADD p a b", "PFCOUNT p", "BITOP AND d a a",
                "LPUSH l 1 2 3", "LRANGE l 0 -1", "LPOS l 2", "SCAN 0 MATCH *", "KEYS *", "DUMP z", "COPY z zz", "RENAME zz zy", "ACL LIST",
                "ACL SETUSER bob on >x ~* +@all", "ACL GETUSER bob", "ACL WHOAMI", "COMMAND INFO get", "COMMAND DOCS get", "MEMORY USAGE z",
                "MEMORY DOCTOR", "LATENCY DOCTOR", "SLOWLOG GET", "SUBSCRIBE_ x", "PUBLISH c m", "LOLWUT", "MULTI", "FLUSHALL"]
    for command in commands:
        subprocess.run(["redis-cli", "-s", socket, *command.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["redis-cli", "-s", socket, "SHUTDOWN", "NOSAVE"], stdout=subprocess.DEVNULL, check=False)


def redis_activations(directory, folder, _):
    others = ("redis-cli", "redis-benchmark", "redisassert", "mkrelease", "siphash_test", "cli_", "ae_", "crccombine")
    files = [f for f in sorted(os.path.basename(f) for f in glob.glob(folder + "/*.c")) if not any(o in f for o in others)]
    libraries = [f"../deps/{lib}" for lib in ("hiredis/libhiredis.a", "lua/src/liblua.a", "hdr_histogram/libhdrhistogram.a")]
    program = activations.build(directory, "redis", folder, files, REDIS_FLAGS, libraries + ["-lm", "-ldl", "-lpthread"])
    out, socket = f"{directory}/redis-activations.txt", f"{directory}/redis-activations.socket"
    if os.path.exists(out):
        os.remove(out)
    with subprocess.Popen([program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory], stdout=subprocess.DEVNULL,
                          env={**os.environ, "ACTIVATIONS_OUT": out}) as server:
        redis_load(socket, "3000")
        server.wait(120)
    return program, out


def redis(poolwise, directory):
    folder = fetch(directory, "redis", "redis-[0-9]*") + "/src"
    if not os.path.exists(folder + "/redis-server"):
        run(["make", "-j2", "MALLOC=libc", "OPTIMIZATION=-O0", "CFLAGS=-w -g", "redis-server"], cwd=folder,
            stdout=subprocess.DEVNULL)
    trace, socket = f"{directory}/redis.trace", f"{directory}/redis.socket"
    server = subprocess.Popen([poolwise, "record", "-o", trace, "--", folder + "/redis-server", "--port", "0", "--unixsocket",
                               socket, "--save", "", "--dir", directory], stdout=subprocess.DEVNULL)
    redis_load(socket, "500")
    server.wait(120)
    return folder, redis_files(folder), REDIS_FLAGS, trace


def beside(site, static):
    """Was the block made by the call for another owner, as a cache that it fills? Then on the way in some frame
    allocates at a place whose block the source says is not the one handed over."""
    inner = None
    for frame in site["stack"]:
        function, _, place = frame.partition(" ")
        file, _, line = os.path.basename(place).rpartition(":")
        if file == os.path.basename(site["file"] or "") and line == str(site["line"]):
            return False
        # By name, since compilers put calls that are spread over lines at different ones.
        classes = {s["class"] for group in static.values() for s in group if s["function"] == function and s["callee"] == inner}
        if classes and "returned" not in classes:
            return True
        inner = function
    return False


def judge(name, poolwise, sites, trace):
    static = {}
    for site in sites:
        static.setdefault((os.path.basename(site["file"]), site["line"], site["callee"]), []).append(site)
    handing = sorted({s["callee"] for group in static.values() for s in group if s["allocating_call"] and re.fullmatch(r"\w+", s["callee"])})
    checked, other, bad, lives = 0, 0, [], {}
    # Twice: as the sites are seen by themselves, and with each function that hands over a block looked through.
    for wrappers in ([], ["--wrapper", "|".join(handing)]):
        advice = json.loads(run([poolwise, "advise", "--json", *wrappers, trace], capture_output=True).stdout)
        for site in advice["sites"]:
            callees = {frame.split()[0] for frame in site["stack"]}
            here = [s for (file, line, callee), group in static.items() for s in group
                    if site.get("file") and file == os.path.basename(site["file"]) and line == site.get("line") and callee in
                    callees | {"malloc", "calloc", "realloc", "strdup"}]
            # The one nearest to the site, where the stack tells; a line may hold several.
            if len(here) != 1:
                continue
            verdict, outlived = here[0], site["outlived"]
            later = sum(outlived[1:]) + (site["frees"] * (site["freed_by_other_thread"] or 0) > 0.5)
            dead = outlived and not later and not site["never_freed"]
            besides = verdict["allocating_call"] and beside(site, static)
            if not besides and (outlived or site["never_freed"]):
                lives.setdefault((verdict["file"], verdict["line"], verdict["callee"]), (verdict, []))[1].append(bool(dead))
            if verdict["class"] != "does-not-escape":
                continue
            checked += 1
            certain = verdict["freed"] in ("all-paths", "each-iteration")
            if later or (certain and site["never_freed"]):
                if besides:
                    other += 1
                    print(f"  {verdict['file']}:{verdict['line']} {verdict['callee']}: blocks beside the one handed over live on, "
                          f"as {' < '.join(f.split()[0] for f in site['stack'][:6])}")
                else:
                    bad.append((site, verdict, later))
    died = [verdict for verdict, dead in lives.values() if all(dead)]
    proven = [verdict for verdict in died if verdict["class"] == "does-not-escape"]
    print(f"{name}: {checked} sites that ran are said not to escape, {len(bad)} of them outlived their call "
          f"(and {other} made blocks for others besides); of {len(died)} places whose blocks always died in their call, "
          f"{len(proven)} are proven ({100 * len(proven) // max(1, len(died))} %)")
    for site, verdict, later in bad:
        print(f"  {verdict['file']}:{verdict['line']} {verdict['callee']} in {verdict['function']}: {verdict['verdict']}; "
              f"{later} freed later, {site['never_freed']} never, of {site['allocations']}: {' < '.join(re.sub('/[^ ]*/', '', f) for f in site['stack'][:9])}")
    return len(bad)


def main():
    poolwise, directory = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    os.makedirs(directory, exist_ok=True)
    missed = "--missed" in sys.argv
    wanted = [name for name in sys.argv[3:] if name != "--missed"] or ["jq", "redis"]
    bad = 0
    for name in wanted:
        folder, files, flags, trace = {"jq": jq, "redis": redis}[name](poolwise, directory)
        report = run([poolwise, "escape", "--json", *files, "--", *flags], cwd=folder, capture_output=True).stdout
        sites = json.loads(report)["sites"]
        bad += judge(name, poolwise, sites, trace)
        ran = {"jq": jq_activations, "redis": redis_activations}[name](directory, folder, files)
        bad += activations.judge(name, *ran, sites, missed)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
