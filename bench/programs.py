# SPDX-License-Identifier: MIT
"""The programs of the system that the benchmarks measure, and how each is run and driven.

A program is measured as one process tree: its CPU time is what wait4 gives for it. A server's clients
are run beside it and are not part of the tree. Servers listen on the loopback address only.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TIMEOUT_S = 600
# Servers live in sbin, which a user's PATH may leave out.
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Failed(Exception):
    """A run that did not do its work: what was measured means nothing."""


def which(*names):
    for name in names:
        found = shutil.which(name, path=SEARCH)
        if found:
            return found
    return None


class Usage:
    """CPU and wall time of one process tree."""

    def __init__(self, cpu_ns, wall_ns):
        self.cpu_ns = cpu_ns
        self.wall_ns = wall_ns


class Workload:
    """A program and what it works on. The command is complete; `wrap` puts a recorder before it."""

    needs = ()

    def __init__(self, name, command, stdin=None, env=None, needs=()):
        self.name = name
        self.command = command
        self.stdin = stdin
        self.env = env or {}
        self.needs = needs

    def missing(self):
        return [name for name in self.needs if not which(name)]

    def prepare(self, scratch):
        """Before each run; may set self.command."""

    def drive(self, process):
        """What clients do while a server runs, until it has been told to end."""

    def run(self, scratch, wrap=()):
        self.prepare(scratch)
        words = [str(word) for word in (*wrap, *self.command)]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **self.env}
        log_path = pathlib.Path(scratch) / f"{self.name}.log"
        with contextlib.ExitStack() as stack:
            stdin = stack.enter_context(open(self.stdin or os.devnull, "rb"))
            log = stack.enter_context(open(log_path, "wb"))
            begun = time.monotonic_ns()
            process = subprocess.Popen(words, stdin=stdin, stdout=subprocess.DEVNULL, stderr=log,
                                       env=environment, cwd=scratch, start_new_session=True)
            try:
                self.drive(process)
                status, usage = wait_bounded(process)
            except BaseException:
                stop_group(process)
                raise
            wall_ns = time.monotonic_ns() - begun
        if status != 0:
            tail = log_path.read_text(errors="replace")[-400:]
            raise Failed(f"{self.name}: status {status} from {' '.join(words[:6])}...: {tail}")
        return Usage(round((usage.ru_utime + usage.ru_stime) * 1e9), wall_ns)


def wait_bounded(process):
    """wait4 with a limit; returns (exit status or -signal, resource usage)."""
    deadline = time.monotonic() + TIMEOUT_S
    pause = 0.001
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        if time.monotonic() > deadline:
            raise Failed(f"ran past {TIMEOUT_S} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def stop_group(process):
    """Ends all that we started in the process's own session, politely first."""
    for number, patience_s in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                process.poll()
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        # The process is not reaped here: wait4 wants its usage later.
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise Failed("the server ended before it listened")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise Failed(f"nothing listens on port {port}")


def client(*words, stdin=None):
    with open(stdin or os.devnull, "rb") as source:
        done = subprocess.run([str(word) for word in words], stdin=source, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise Failed(f"{words[0]}: {done.stdout[-300:].decode(errors='replace')}")


class Redis(Workload):
    """Debian's redis-tools holds the server's binary under another name; it goes by argv[0]."""

    def __init__(self, commands):
        super().__init__("redis", [], needs=("redis-check-rdb", "redis-cli"))
        self.commands = commands

    def prepare(self, scratch):
        server = pathlib.Path(scratch) / "redis-server"
        if not server.exists():
            server.symlink_to(which("redis-server", "redis-check-rdb"))
        self.port = free_port()
        self.command = [server, "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                        "--lazyfree-lazy-user-del", "yes", "--dir", scratch]

    def drive(self, process):
        wait_port(self.port, process)
        cli = which("redis-cli")
        client(cli, "-p", self.port, "--pipe", stdin=self.commands)
        subprocess.run([cli, "-p", str(self.port), "shutdown", "nosave"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60)


class Nginx(Workload):
    """One process that serves files and passes one location on to itself, under keep-alive."""

    def __init__(self, root, requests):
        super().__init__("nginx", [], needs=("nginx", "ab"))
        self.root = root
        self.requests = requests

    def prepare(self, scratch):
        self.port, behind = free_port(), free_port()
        self.pid_file = pathlib.Path(scratch) / "nginx.pid"
        self.pid_file.unlink(missing_ok=True)
        temporary = "\n".join(f"{kind}_temp_path {scratch}/{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (pathlib.Path(scratch) / "nginx.conf").write_text(f"""\
daemon off;
master_process off;
pid {self.pid_file};
error_log {scratch}/nginx-error.log warn;
events {{ worker_connections 256; }}
http {{
access_log off;
keepalive_requests 1000000;
{temporary}
upstream behind {{ server 127.0.0.1:{behind}; keepalive 16; }}
server {{
    listen 127.0.0.1:{self.port};
    root {self.root};
    location /through/ {{
        proxy_pass http://behind/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }}
}}
server {{ listen 127.0.0.1:{behind}; root {self.root}; }}
}}
""")
        self.command = [which("nginx"), "-p", scratch, "-e", "stderr", "-c", f"{scratch}/nginx.conf"]

    def drive(self, process):
        wait_port(self.port, process)
        for path in ("small.html", "through/medium.html"):
            client(which("ab"), "-q", "-n", self.requests, "-k", "-c", 16,
                   f"http://127.0.0.1:{self.port}/{path}")
        os.kill(int(self.pid_file.read_text()), signal.SIGTERM)


def compiler_binary():
    """A large ELF file that any machine that builds us has: the compiler proper."""
    found = subprocess.run(["gcc", "-print-prog-name=cc1"], stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.strip()


def workloads(inputs, scale):
    inputs = pathlib.Path(inputs).resolve()
    return [
        Workload("jq", ["jq", "-c", ".[] | select(.id % 2 == 0) | {id, title: (.title | ascii_upcase), "
                        "labels: (.labels | length), lots: (.supplier.lots | add)}", inputs / "catalogue.json"],
                 needs=("jq",)),
        Workload("sqlite3", ["sqlite3", ":memory:"], stdin=inputs / "ledger.sql", needs=("sqlite3",)),
        Workload("xmllint", ["xmllint", "--format", inputs / "archive.xml"], needs=("xmllint",)),
        # In the C locale bash does without multibyte strings, and readelf without gettext's allocations.
        Workload("bash", ["bash", inputs / "inventory.sh"], needs=("bash",), env={"LC_ALL": "C"}),
        Workload("readelf", ["readelf", "-a", "-W", *[compiler_binary()] * max(1, round(4 * scale))],
                 needs=("readelf", "gcc")),
        Workload("git", ["git", "--no-pager", f"--git-dir={inputs / 'history.git'}", "log", "-p", "--stat", "main"],
                 needs=("git",)),
        Redis(inputs / "commands.resp"),
        Workload("gst", ["gst-launch-1.0", "-q", "fakesrc", f"num-buffers={max(100, int(600000 * scale))}",
                         "sizetype=2", "sizemax=4096", "!", "queue", "!", "fakesink"],
                 env={"G_SLICE": "always-malloc"}, needs=("gst-launch-1.0",)),
        Nginx(inputs / "www", max(100, int(15000 * scale))),
    ]


def held_out():
    """A second set of programs, held out until 2026-11-25, that need no inputs beside their script."""
    scripts = pathlib.Path(__file__).resolve().parent / "held_out"
    return [
        Workload("perl", ["perl", scripts / "split.pl"], needs=("perl",)),
        Workload("lua", ["lua5.4", scripts / "collect.lua"], needs=("lua5.4",)),
        Workload("bc", ["bc", "-q", scripts / "digits.bc"], needs=("bc",)),
        # Its own allocator would hide all blocks of up to 512 bytes.
        Workload("python", ["python3", "-S", scripts / "documents.py"], needs=("python3",), env={"PYTHONMALLOC": "malloc"}),
        Workload("mawk", ["mawk", "-f", scripts / "pairs.awk"], needs=("mawk",)),
    ]


@contextlib.contextmanager
def scratch_directory():
    with tempfile.TemporaryDirectory(prefix="poolwise-bench-") as path:
        yield path
