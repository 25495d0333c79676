#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second reader, written from docs/trace-format.md alone: what it makes of a trace must be what is expected.

independent.py TRACE EXPECTED
"""
import ctypes
import ctypes.util
import re
import struct
import sys

NO_BLOCK = 2**32 - 1
MASK = 2**64 - 1
name = ctypes.util.find_library("zstd")
if not name:
    sys.exit(77)
zstd = ctypes.CDLL(name)
zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]


def unpack(packed, raw):
    out = ctypes.create_string_buffer(raw + 1)
    got = zstd.ZSTD_decompress(out, raw, packed, len(packed)) if packed else 0
    assert got == raw, f"{got} bytes unpacked, want {raw}"
    return out.raw[:raw]


def check(header, at):
    value = 2166136261
    for byte in header[:at] + bytes(4) + header[at + 4:]:
        value = (value ^ byte) * 16777619 % 2**32
    return value


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def take(self):
        size = self.varint()
        self.at += size
        return self.data[self.at - size:self.at]

    def address(self):
        value = self.varint()
        high = value >> 1
        return (high >> 1 ^ -(high & 1)) * 16 + (self.byte() if value & 1 else 0)


def signed(value):
    return value - 2**32 if value >= 2**31 else value


def slot_of(stack):
    return stack * 0x9E3779B1 % 2**32 >> 20


def class_of(size):
    steps = (size + 23) % 2**64 // 16
    return (64 + steps // 64 if steps > 64 else steps) % 1024


class Reader:
    def __init__(self, write):
        self.write = write
        self.node = self.slot = self.address = 0
        self.live, self.thread_time = {}, {}

    def definitions(self, data):
        while data.at < len(data.data):
            tag = chr(data.varint())
            if tag == "P":
                number, parent, pid = data.varint(), data.varint(), signed(data.varint())
                self.write(f'process {number} parent {parent} pid {pid} "{data.take().decode()}"')
            elif tag == "M":
                number, process, bias, start, end = [data.varint() for _ in range(5)]
                path, build_id = data.take().decode(), data.take().hex()
                self.write(f"module {number} process {process} bias {bias:#x} at {start:#x} to {end:#x} "
                           f'path of {len(path)} bytes "{path[:40]}" build id {build_id}.')
            elif tag == "T":
                number, process, tid, start = data.varint(), data.varint(), signed(data.varint()), data.varint()
                self.write(f"thread {number} process {process} tid {tid} start {start}")
            else:
                assert tag == "N", tag
                for _ in range(data.varint()):
                    self.node += 1
                    parent = self.node - data.varint()
                    thread, module, flags = data.varint(), data.varint() - 1, data.varint()
                    self.slot = (self.slot + data.zigzag()) & MASK
                    self.address = (self.address + data.zigzag()) & MASK
                    self.write(f"node {self.node} parent {parent} thread {thread} module {module} "
                               f"flags {flags} slot {self.slot:#x} address {self.address:#x}")

    def events(self, data, count):
        head, threads, times, stacks, sizes, blocks, addresses = [Bytes(data.take()) for _ in range(7)]
        assert len(head.data) == count
        last, after, size_of, known = [0] * 256, [0] * 4096, [0] * 4096, {}
        freed, classes = [], [{"ring": [0] * 8, "top": 0, "count": 0, "next": 0} for _ in range(1024)]
        last_block = step = unknown = thread = time = 0
        for _ in range(count):
            bits = head.byte()
            kind, call, same = bits & 3, bits >> 2 & 7, bits & 128
            time += times.zigzag()
            thread = thread if bits & 32 else threads.varint()
            expected = after[last[thread % 256]]
            stack = expected if bits & 64 else stacks.varint()
            after[last[thread % 256]] = stack
            slot = last[thread % 256] = slot_of(stack)
            size = address = 0
            if kind == 1:
                block = (last_block + step + (0 if same else blocks.zigzag())) % 2**32
                if block == NO_BLOCK:
                    address = unknown = (unknown + (0 if same else addresses.address())) & MASK
                else:
                    number, at, group = known.get(block % 16384, (None, 0, 0))
                    if number == block:
                        group = classes[group]
                        group["ring"][group["top"] % 8] = at
                        group["top"] += 1
                        group["count"] = min(group["count"] + 1, 8)
                    freed.append(block)
                    step = block - last_block if abs(block - last_block) == 1 else 0
                    last_block = block
                    address = self.live.pop(block)
            else:
                written = 0 if same else sizes.varint()
                size = written - 1 if written else size_of[slot]
                group = classes[class_of(size)]
                if kind == 0:
                    block = freed[-1] if freed else last_block + 1
                else:
                    block = last_block
                block = (block + (0 if same else blocks.zigzag())) % 2**32
                if kind == 0:
                    address = group["ring"][(group["top"] - 1) % 8] if group["count"] else group["next"]
                else:
                    number, at, _ = known.get(block % 16384, (None, 0, 0))
                    address = at if number == block else 0
                address = (address + (0 if same else addresses.address())) & MASK
                if kind == 0:
                    if group["count"]:
                        group["count"] -= 1
                        group["top"] -= 1
                    group["next"] = (address + ((size + 23) & ~15)) & MASK
                    if freed:
                        freed.pop()
                    step = 0
                size_of[slot] = size
                known[block % 16384] = (block, address, class_of(size))
                last_block = block
                self.live[block] = address
            self.thread_time[thread] = max(self.thread_time.get(thread, 0), time * 16)
            self.write(f"event {self.thread_time[thread]} kind {kind} call {call} thread {thread} stack {stack} "
                       f"block {signed(block)} size {size} address {address:#x}")

    def end(self, data):
        names = ["wall", "cpu", "events", "allocations", "frees", "reallocs", "unknown", "dropped", "lost threads",
                 "recording", "hits", "status", "threads", "processes"]
        numbers = [(name, data.varint()) for name in names]
        self.write("end " + " ".join(f"{name} {signed(value) if name == 'status' else value}"
                                     for name, value in numbers))


def main(trace, expected):
    with open(trace, "rb") as file:
        data = file.read()
    lines = []
    magic, version, header_bytes, _, _, told = struct.unpack_from("<8sIIQII", data)
    assert magic == b"PWTRACE\n" and version == 1 and told == check(data[:32], 28)
    reader, at, complete = Reader(lines.append), header_bytes, 0
    while not complete:
        magic, kind, packed, raw, event_packed, event_raw, count, told, first, latest = struct.unpack_from(
            "<8I2Q", data, at)
        assert magic == 0x424B5750 and told == check(data[at:at + 48], 28)
        at += 48
        definitions = Bytes(unpack(data[at:at + packed], raw))
        at += packed
        events = Bytes(unpack(data[at:at + event_packed], event_raw))
        at += event_packed
        if kind == 2:
            reader.end(definitions)
            complete = 1
        elif kind == 1:
            reader.definitions(definitions)
            if count:
                begin = len(lines)
                reader.events(events, count)
                times = [int(line.split()[1]) for line in lines[begin:]]
                assert (min(times), max(times)) == (first, latest), (min(times), max(times), first, latest)
    assert at == len(data), f"{len(data) - at} bytes behind the end"
    lines = [re.sub(r"\b0x0\b", "0", line) for line in lines]  # as C prints it
    lines.append('version 1 complete 1 message ""')
    with open(expected, encoding="utf-8") as file:
        wanted = file.read().splitlines()
    for number, (got, want) in enumerate(zip(lines, wanted), 1):
        if got != want:
            sys.exit(f"{expected}:{number}: is\n{got}\nwant\n{want}")
    if len(lines) != len(wanted):
        sys.exit(f"{expected}: {len(lines)} lines, want {len(wanted)}")


main(*sys.argv[1:])
