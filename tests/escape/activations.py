# SPDX-License-Identifier: MIT
"""What each allocating call's blocks did, exactly: for dynamic.py.

The program is built once more, by clang with -finstrument-functions and activations.c, so that each activation of each
function is known by itself. A call is told by (file, line, name of the callee), as the source analysis' sites are; for each
block, all calls on the way to it count, those that were still running when it was freed and those that were not.

- A call "ran" when a block was made on its way. It "always died" when each such block was freed, by whichever thread, while
  the function that made the call had not returned; so nothing was left at exit either. What realloc makes of a block has
  to die as well for that, since to the user it is the same string or list that grew; the old block counts as freed then.
- Two sites at one place, with one callee, count once, with the worse verdict of the two.
- A proven site's blocks that outlive it are a violation. Only those do not count that the callee made for another owner, as
  a cache that it fills: on the way down some function allocates where the source says that the block is not handed over.
- Blocks that libc makes for the program count for the calls on the way to libc's function but not for the call of
  that itself, but for malloc, calloc, realloc, strdup and strndup. Calls through pointers have no name, and are left out.
"""
import concurrent.futures
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
CHAINS_MAX = 256  # as in activations.c


def build(directory, name, folder, files, flags, libraries):
    """The instrumented program's path; not made anew when it is there."""
    program, objects = f"{directory}/{name}-activations", f"{directory}/{name}-objects"
    os.makedirs(objects, exist_ok=True)
    subprocess.run(["clang", "-O2", "-g", "-c", HERE + "/activations.c", "-o", objects + "/activations.o"], check=True)

    def compile_one(file):
        made = f"{objects}/{os.path.basename(file)}.o"
        if not os.path.exists(made):
            subprocess.run(["clang", "-w", "-g", "-O0", "-finstrument-functions", *flags, "-c", file, "-o", made], cwd=folder, check=True)
        return made
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(compile_one, files))
    # Addresses that do not move, so that several runs count together.
    subprocess.run(["clang", "-no-pie", "-rdynamic", *made, objects + "/activations.o", *libraries, "-o", program], cwd=folder, check=True)
    return program


def places(program, addresses):
    """By return address: (function, file, line) of the call."""
    known = sorted(addresses)
    lines = subprocess.run(["addr2line", "-f", "-e", program], input="".join(f"{a - 1:#x}\n" for a in known), check=True,
                           capture_output=True, text=True).stdout.splitlines()
    found = {}
    for address, function, place in zip(known, lines[::2], lines[1::2]):
        file, _, line = place.split(" ")[0].rpartition(":")
        found[address] = (function, os.path.basename(file), int(line) if line.isdigit() else 0)
    return found


def read(program, path):
    """What the runs wrote: {(file, line, callee): six numbers}, and the same keys to the ways down to what outlived them."""
    numbers, ways, names, last = {}, {}, {}, None
    for line in subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tTwW":
            names.setdefault(int(words[0], 16), words[2])
    with open(path, encoding="ascii") as lines:
        for line in lines:
            words = line.split()
            if words[0] == "call":
                last = (int(words[1], 16), words[2])
                before = numbers.setdefault(last, [0] * 6)
                for i, word in enumerate(words[3:]):
                    before[i] += int(word)
            else:
                ways.setdefault(last, set()).add((tuple(int(w, 16) for w in words[1:-1]), words[-1]))
    where = places(program, {at for at, _ in numbers} | {a for group in ways.values() for way, _ in group for a in way})
    by_key, ways_by_key = {}, {}
    for call, counts in numbers.items():
        callee = names.get(int(call[1], 16), "?") if call[1].startswith("0x") else call[1]
        key = where[call[0]][1:] + (callee,)
        total = by_key.setdefault(key, [0] * 6)
        for i, count in enumerate(counts):
            total[i] += count
        for way, name in ways.get(call, ()):
            # From the outermost: the call itself, then those below it; each in which function.
            ways_by_key.setdefault(key, []).append([where[a][0] for a in way] + [name])
    return by_key, ways_by_key


def is_beside(way, sites):
    """Was the block made for another owner than the one that the outermost call hands it to?"""
    if way[-1] == "?" and not any(site["function"] == way[-2] and not site["allocating_call"] for site in sites):
        return True  # by libc, where the program asks it for none: its own, as a stream's buffer
    for function, callee in zip(way[1:], way[2:]):
        classes = {site["class"] for site in sites if site["function"] == function and site["callee"] == callee}
        if classes and "returned" not in classes:
            return True
    return False


def judge(name, program, path, sites, missed):
    """Prints the count and what is wrong; returns how many violations there are."""
    worst, rank = {}, {"does-not-escape": 0, "may-escape": 1}
    for site in sites:
        key = (os.path.basename(site["file"]), site["line"], site["callee"])
        if key not in worst or rank.get(site["class"], 2) > rank.get(worst[key]["class"], 2):
            worst[key] = site
    numbers, ways = read(program, path)
    ran = {key: counts for key, counts in numbers.items() if key in worst}
    said = [key for key in ran if worst[key]["class"] == "does-not-escape"]
    bad, other = [], 0
    for key in said:
        if not ran[key][1]:
            continue
        outside = [way for way in ways[key] if not is_beside(way, sites)]
        if outside or len(ways[key]) >= CHAINS_MAX:
            bad.append((key, (outside or ways[key])[0]))
        else:
            other += 1
    died = sorted(key for key, (_, outlived, left, _, first_outlived, first_left) in ran.items()
                  if not outlived + left + first_outlived + first_left)
    proven = [key for key in died if key in said]
    print(f"{name}, by activations: {len(ran)} of {len(worst)} calls ran; {len(said)} are said not to escape, blocks of {len(bad)} of "
          f"them outlived their call (and {other} made blocks for others besides); of {len(died)} whose blocks always died in "
          f"their call, {len(proven)} are proven ({100 * len(proven) / max(1, len(died)):.1f} %)")
    for key, way in bad:
        print(f"  {key[0]}:{key[1]} {key[2]}: {worst[key]['verdict']}; {ran[key][1]} outlived it, as {' > '.join(way)}")
    for key in died if missed else []:
        if key in said:
            continue
        print(f"  not proven: {key[0]}:{key[1]} {key[2]} in {worst[key]['function']}: {worst[key]['verdict']}")
        for step in worst[key]["chain"]:
            print(f"      {'  ' * step['depth']}{step['file']}:{step['line']}: {step['text']}")
    return len(bad)
