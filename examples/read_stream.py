"""Reads a batch stream, batchstream(5), and gives its samples: python3 read_stream.py < stream"""
import json, struct, sys, zlib

TYPES = {1: "B", 2: "i", 3: "q", 4: "e", 5: "H", 6: "f"}    # bf16 comes as its 16 bits

def need(good, what):
    if not good:
        sys.exit("read_stream: " + what)

def records(f):
    """Yields (position, {column: [(dimensions, memoryview of a sample's numbers), ...]})."""
    head = f.read(64)
    need(len(head) == 64 and head.startswith(b"\x89MRB\r\n\x1a\n\1\0\0\0"), "no batch stream")
    size, columns, meta, _, _, _, _, _, parts, crc = struct.unpack("<IIIQQIIQII", head[12:])
    head += f.read(size - 64)
    need(zlib.crc32(head[:60] + bytes(4) + head[64:]) == crc, "header damaged")
    cols = [struct.unpack("<24sBBxx4I", head[64 * i:64 * i + 44]) for i in range(1, columns + 1)]
    while True:
        h = f.read(64)
        need(len(h) == 64, "the input ends early")
        kind, n, bytes_, position, crc = struct.unpack("<4sIQQI", h[:28])
        need(zlib.crc32(h[:60]) == int.from_bytes(h[60:], "little"), "record damaged")
        load = memoryview(f.read(bytes_))
        need(len(load) == bytes_ and zlib.crc32(load) == crc, "payload damaged or cut short")
        need(kind != b"ERR ", bytes(load).decode(errors="replace"))
        if kind == b"END ":
            return
        at, record = 0, {}
        for name, kind_, rank, *dims in cols if kind == b"DATA" else []:
            free = [k for k in range(rank) if dims[k] == 0xffffffff]
            given = load[at:at + 4 * len(free) * n].cast("I")
            at += -(-4 * len(free) * n // 64) * 64
            samples, start = [], at
            for i in range(n):
                shape = dims[:rank]
                for j, k in enumerate(free):
                    shape[k] = given[i * len(free) + j]
                count = struct.calcsize(TYPES[kind_])
                for d in shape:
                    count *= d
                samples.append((shape, load[at:at + count].cast(TYPES[kind_])))
                at += count
            at = start + -(-(at - start) // 64) * 64
            record[name.rstrip(b"\0").decode()] = samples
        if record:
            yield position, record

if __name__ == "__main__":
    for position, record in records(sys.stdin.buffer):
        for i, (shape, numbers) in enumerate(record.get("label", [])):
            print(numbers[0])
