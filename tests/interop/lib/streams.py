"""What the scripts about training share: TAP, a batch stream made by hand, checkpoints."""
import json
import os
import struct
import subprocess
import sys
import zlib

count = failed = 0


def check(words, good, remark=''):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {words}" + (f' ({remark})' if remark else ''), flush=True)


def done():
    print(f'1..{count}')
    sys.exit(failed > 0)


def run(*command, data=None):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def pad(data, fill=b'\0'):
    return data + fill * (-len(data) % 64)


def batch_stream(images, labels, classes, record=64):
    """uint8 [N,H,W,C] and labels as the bytes of a batch stream of one epoch."""
    n, columns = len(images), [(b'image', 1, images.shape[1:]), (b'label', 2, (1,)), (b'id', 3, (1,))]

    def payload(a, b):
        return (pad(images[a:b].tobytes()) + pad(labels[a:b].astype('<i4').tobytes()) +
                pad(struct.pack(f'<{b - a}q', *range(a, b))))

    meta = pad(json.dumps({'seed': 1, 'order': 'by hand', 'provenance': []}).encode(), b' ')
    head = b'\x89MRB\r\n\x1a\n' + struct.pack(
        '<HHIIIQQIIQI4x', 1, 0, 64 + 64 * len(columns) + len(meta), len(columns), len(meta), n, n,
        record, classes, len(payload(0, min(n, record))), 1)
    for name, dtype, dims in columns:
        head += struct.pack('<24sBBH4I20x', name, dtype, len(dims), 0, *dims, *[0] * (4 - len(dims)))
    head += meta
    out = [head[:60] + struct.pack('<I', zlib.crc32(head)) + head[64:]]
    for kind, a, b in [(b'DATA', a, min(a + record, n)) for a in range(0, n, record)] + [(b'END ', n, n)]:
        load = payload(a, b) if b > a else b''
        r = kind + struct.pack('<IQQI32x', b - a, len(load), a, zlib.crc32(load))
        out += [r, struct.pack('<I', zlib.crc32(r)), load]
    return b''.join(out)


def pictures(n, h=224, w=224, classes=10, seed=1):
    """Smooth coloured images whose class shows in their colours and stripes."""
    import numpy as np
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    y, x = np.mgrid[0:h, 0:w] / h
    images = np.empty((n, h, w, 3), np.uint8)
    for i, k in enumerate(labels):
        phase = rng.random(3) * 6.28
        for c in range(3):
            v = np.sin(6.28 * ((k + 1) * x * (c + 1) / 3 + (classes - k) * y / 2) + phase[c])
            images[i, :, :, c] = np.clip(127 + 90 * v + 20 * rng.standard_normal((h, w)), 0, 255)
    return images, labels


def normalised(images):
    """As net-train without --mean: ImageNet's mean and deviation; torch, NCHW."""
    import numpy as np
    import torch
    mean = np.float32([123.675, 116.28, 103.53])
    deviation = np.float32([58.395, 57.12, 57.375])
    return torch.from_numpy(((images.astype(np.float32) - mean) / deviation).transpose(0, 3, 1, 2).copy())
