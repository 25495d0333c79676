# SPDX-License-Identifier: MIT
"""Property: the example server answers alike in all its builds, refuses what it does not know, and ends with its input."""
import json
import subprocess
import sys
import urllib.error
import urllib.request

SERVER = sys.argv[1]
PAGE = "".join(f"row={i} val={i * 7}\n" for i in range(200))
EVENTS = sum(i * 31 + i * 7 % 65536 + i % 5 for i in range(100))
FRAMES = sum(range(100))
failures = []

with subprocess.Popen([SERVER, "--threads", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
    base = f"http://127.0.0.1:{int(server.stdout.readline())}"
    for _ in range(5):
        for path, wanted in (("render", PAGE), ("event", f"{EVENTS}\n"), ("frame", f"{FRAMES}\n"), ("ping", "pong\n")):
            got = urllib.request.urlopen(f"{base}/{path}", timeout=60).read().decode()
            if got != wanted:
                failures.append(f"/{path}: {got[:60]!r}, not {wanted[:60]!r}")
    for path, method, wanted in (("nothing", "GET", 404), ("ping", "POST", 405)):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{base}/{path}", method=method), timeout=60)
            failures.append(f"{method} /{path} was answered")
        except urllib.error.HTTPError as refused:
            if refused.code != wanted:
                failures.append(f"{method} /{path}: {refused.code}, not {wanted}")
    said = json.loads(server.communicate(timeout=60)[0])
if server.returncode or set(said) != {"cpu_s", "endpoint_us", "peak_kib"}:
    failures.append(f"at its end: {server.returncode} {said}")
for words in (["--port"], ["--port", "70000"], ["--threads", "0"], ["--threads", "x"], ["--fast", "1"]):
    done = subprocess.run([SERVER, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 2 or not done.stderr.startswith("usage:"):
        failures.append(f"{words}: {done.returncode} {done.stderr}")
if failures:
    sys.exit("\n".join(failures))
