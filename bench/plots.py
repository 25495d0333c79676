# SPDX-License-Identifier: MIT
"""Plots of a result, as SVG by gnuplot."""
import subprocess

PEERS = ("poolwise", "poolwise-called", "mimalloc", "jemalloc", "tcmalloc", "glibc", "tbb", "go", "dpdk", "apr", "floor")
COLOURS = {"poolwise": "#0b6e4f", "poolwise-called": "#69b578", "mimalloc": "#c1666b", "jemalloc": "#d4a373",
           "tcmalloc": "#7d8597", "glibc": "#33415c", "tbb": "#a98467", "go": "#4895ef", "dpdk": "#8e7dbe",
           "apr": "#b8b8b8", "floor": "#d9d9d9"}
LABELS = {"floor": "plain array", "go": "Go sync.Pool", "apr": "APR pool (arena)", "dpdk": "DPDK mempool",
          "poolwise-called": "poolwise, called", "tbb": "TBB"}

SETTINGS = """set terminal svg size 820,{height} enhanced font "Helvetica,13" background "#ffffff"
set output "{output}"
set title "{title}" font ",16" offset 0,0.5
set label 99 "{caption}" at graph 0, screen 0.045 left font ",9" textcolor rgb "#666666" noenhanced
set bmargin {bottom}
set border 3 lc rgb "#888888"
set tics nomirror
set grid ytics lc rgb "#dddddd"
"""


def summary(results, name, metric=None):
    entry = results.by_name.get(name)
    if not entry:
        return None
    found = entry["metrics"].get(metric) if metric else entry["ns_per_op"]
    return (found["median"], found["low"], found["high"]) if found else None


def draw(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def bars(results, output, caption):
    found = [(peer, summary(results, f"Pair/peer={peer}")) for peer in PEERS]
    found = sorted(((peer, values) for peer, values in found if values), key=lambda pair: -pair[1][0])
    script = SETTINGS.format(output=output, title="One get and one put of 64 bytes, one thread", caption=caption,
                             height=80 + 36 * len(found) + 60, bottom=5.5)
    script += 'set grid noytics xtics\nset xlabel "ns a pair, median and 95 % interval"\nset xrange [0:*]\n'
    script += f"set yrange [-0.6:{len(found) - 0.4}]\nset lmargin 19\nunset key\nset ytics ("
    script += ", ".join(f'"{LABELS.get(peer, peer)}" {row}' for row, (peer, _) in enumerate(found)) + ") scale 0\n"
    script += "$data << EOD\n"
    for row, (peer, (median, low, high)) in enumerate(found):
        script += f"{median} {row} {low} {high} {int(COLOURS[peer][1:], 16)}\n"
    script += "EOD\n"
    script += ("plot $data using (0):2:(0):1:($2-0.32):($2+0.32):5 with boxxyerror fill solid 1 noborder lc rgb variable, \\\n"
               '     $data using 1:2:3:4 with xerrorbars pt -1 lw 1.6 lc rgb "#222222", \\\n'
               '     $data using 4:2:(sprintf("%.1f", $1)) with labels left offset 0.8,0 font ",11"\n')
    draw(script)


def lines(results, output, caption, title, xlabel, ylabel, points, name, options, of=lambda value, x: value, metric=None,
          peers=PEERS, key="top left"):
    blocks, plots = "", []
    for peer in peers:
        rows = []
        for x in points:
            found = summary(results, name(peer, x), metric)
            if found:
                median, low, high = (of(value, x) for value in found)
                rows.append(f"{x} {median} {min(low, high)} {max(low, high)}\n")
        if len(rows) < 2:
            continue
        block = "$" + peer.replace("-", "_")
        blocks += f"{block} << EOD\n{''.join(rows)}EOD\n"
        width = 3 if peer == "poolwise" else 1.7
        plots.append(f'{block} using 1:2:3:4 with yerrorlines lw {width} pt 7 ps 0.5 lc rgb "{COLOURS[peer]}" '
                     f'title "{LABELS.get(peer, peer)}"')
    if not plots:
        return
    script = SETTINGS.format(output=output, title=title, caption=caption, height=480, bottom=5.5)
    script += f'set xlabel "{xlabel}"\nset ylabel "{ylabel}"\nset key {key} samplen 1.5 font ",11"\n{options}\n'
    script += "set logscale x\nset xtics (" + ", ".join(f'"{x}" {x}' for x in points) + ")\n"
    script += f"set xrange [{points[0] * 0.85}:{points[-1] * 1.18}]\n"
    draw(script + blocks + "plot " + ", \\\n  ".join(plots) + "\n")


def suffix(threads):
    return f"-{threads}" if threads > 1 else ""


def all_plots(results, folder, caption):
    bars(results, f"{folder}/bench-pair.svg", caption)
    lines(results, f"{folder}/bench-depth.svg", caption, "Items out at once, one thread", "items got before they are put",
          "ns an item, median and 95 % interval", (1, 10, 100), lambda peer, n: f"Depth/n={n}/peer={peer}", "set yrange [0:*]",
          key="outside right")
    lines(results, f"{folder}/bench-threads.svg", caption, "Pairs by number of threads", "threads",
          "million pairs a second, median and 95 % interval", (1, 2, 4, 64),
          lambda peer, threads: f"Pair/peer={peer}{suffix(threads)}", "set yrange [0:*]", of=lambda ns, _: 1000 / ns,
          peers=[peer for peer in PEERS if peer != "floor"], key="outside right")
    lines(results, f"{folder}/bench-idle.svg", caption,
          "Memory kept after each thread, in turn, used 1000 items", "threads that are alive",
          "KiB resident, median and 95 % interval", (1, 2, 8, 64), lambda peer, threads: f"Idle/peer={peer}{suffix(threads)}",
          "set logscale y", of=lambda value, _: max(value, 1024) / 1024, metric="idle-B", key="outside right")
