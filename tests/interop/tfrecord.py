"""TensorFlow reads the shards that tfrec-pack wrote; tfrec-cat and tfrec-ls read shards
that TensorFlow wrote, plain, gzip and zlib. Prints TAP.

With 'golden FOLDER' it writes the small shards that tests/golden/tfrecord/ holds.
"""
import glob
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile

import tensorflow as tf

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DIGITS = os.path.join(ROOT, 'examples', 'digits.tar')
count = failed = 0


def check(words, good):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {words}", flush=True)


def run(*command, data=None):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def digits():
    """Name in the archive and bytes of each digit for training."""
    with tarfile.open(DIGITS) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar
                if m.isfile() and m.name.startswith('train/')}


def bytes_list(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def ints(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats(*values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def examples():
    """Five digits with boxes, as the ImageNet scripts write them."""
    images = digits()
    for i in range(5):
        image = images[f'train/{i}/00{i}.jpg']
        yield tf.train.Example(features=tf.train.Features(feature={
            'image/height': ints(28), 'image/width': ints(28), 'image/channels': ints(1),
            'image/colorspace': bytes_list(b'Grayscale'),
            'image/class/label': ints(i + 1),
            'image/class/synset': bytes_list(str(i).encode()),
            'image/class/text': bytes_list(f'the digit {i}'.encode()),
            'image/object/bbox/xmin': floats(*[0.125 * k for k in range(i)]),
            'image/object/bbox/ymin': floats(*[0.25] * i),
            'image/object/bbox/xmax': floats(*[0.75] * i),
            'image/object/bbox/ymax': floats(*[1.0] * i),
            'image/object/bbox/label': ints(*[i + 1] * i),
            'image/format': bytes_list(b'JPEG'),
            'image/filename': bytes_list(f'{i}.jpg'.encode()),
            'image/encoded': bytes_list(image)}))


KINDS = {'plain': None, 'gzip': 'GZIP', 'zlib': 'ZLIB'}


def write(folder, records):
    for name, kind in KINDS.items():
        with tf.io.TFRecordWriter(os.path.join(folder, name + '.tfrecord'), kind) as w:
            for record in records:
                w.write(record)


def tensorflow_reads_ours(folder):
    images = digits()
    run('tfrec-pack', '-q', '--from-tar', DIGITS, '--under', 'train/', '--shards', '3',
        '-o', os.path.join(folder, 'train'))
    shards = sorted(glob.glob(os.path.join(folder, 'train-*-of-*')))
    check('three shards, and the glob finds nothing else', len(shards) == 3)
    spec = {'image/encoded': tf.io.FixedLenFeature([], tf.string),
            'image/filename': tf.io.FixedLenFeature([], tf.string),
            'image/class/label': tf.io.FixedLenFeature([], tf.int64),
            'image/class/synset': tf.io.FixedLenFeature([], tf.string),
            'image/height': tf.io.FixedLenFeature([], tf.int64),
            'image/width': tf.io.FixedLenFeature([], tf.int64),
            'image/channels': tf.io.FixedLenFeature([], tf.int64),
            'image/format': tf.io.FixedLenFeature([], tf.string),
            'image/colorspace': tf.io.FixedLenFeature([], tf.string),
            'image/object/bbox/xmin': tf.io.VarLenFeature(tf.float32)}
    good = n = 0
    for record in tf.data.TFRecordDataset(shards):
        e = tf.io.parse_single_example(record, spec)
        name = (f"train/{e['image/class/synset'].numpy().decode()}/"
                f"{e['image/filename'].numpy().decode()}")
        n += 1
        good += (images.pop(name) == e['image/encoded'].numpy() and
                 int(e['image/class/label']) == int(name[6]) + 1 and
                 [int(e['image/' + k]) for k in ('height', 'width', 'channels')] ==
                 [28, 28, 1] and e['image/format'].numpy() == b'JPEG' and
                 e['image/colorspace'].numpy() == b'Grayscale')
    check('TensorFlow reads all 4,000 records as they were packed',
          n == 4000 and good == 4000 and not images)
    first = next(iter(tf.data.TFRecordDataset(shards))).numpy()
    again = tf.train.Example.FromString(first).SerializeToString(deterministic=True)
    check("our encoding is protobuf's deterministic one, byte for byte", first == again)
    offsets = [list(map(int, line.split())) for line in
               open(os.path.join(folder, 'idx', os.path.basename(shards[1]) + '.idx'))]
    data = open(shards[1], 'rb').read()
    check('the index cuts a shard into whole TFRecords', all(
        int.from_bytes(data[o:o + 8], 'little') + 16 == size for o, size in offsets) and
        sum(offsets[-1]) == len(data))


def we_read_tensorflows(folder):
    records = [e.SerializeToString() for e in examples()]
    write(folder, records)
    plain = open(os.path.join(folder, 'plain.tfrecord'), 'rb').read()
    for name in KINDS:
        path = os.path.join(folder, name + '.tfrecord')
        check(f'tfrec-cat reads {name}', run('tfrec-cat', '-q', '--tfrecord', path) == plain)
        check(f'and {name} from a pipe', run('tfrec-cat', '--tfrecord', '-',
                                      data=open(path, 'rb').read()) == plain)
        check(f'tfrec-ls counts and verifies {name}',
              run('tfrec-ls', '--count', path) == b'5\n' and
              run('tfrec-ls', '--verify', path).endswith(b'good\n'))
        lines = [json.loads(s) for s in run('tfrec-ls', '--json', path).splitlines()]
        check(f'tfrec-ls shows what {name} holds', all(
            same(line['features'], tf.train.Example.FromString(r))
            for line, r in zip(lines, records)) and len(lines) == 5)


def same(shown, example):
    """Features as tfrec-ls --json shows them against protobuf's."""
    keys = example.features.feature
    if sorted(shown) != sorted(keys):
        return False
    for key, feature in keys.items():
        kind = feature.WhichOneof('kind')
        if kind is None:
            if shown[key] is not None:
                return False
            continue
        want = list(getattr(feature, kind).value)
        have = shown[key]
        if kind == 'bytes_list':
            want = [len(v) for v in want]
            have = [v['bytes'] if isinstance(v, dict) else len(v.encode()) for v in have]
        elif kind == 'float_list':
            want = [tf.constant(v, tf.float32).numpy() for v in want]
            have = [tf.constant(float(v), tf.float32).numpy() for v in have]
        if want != have:
            return False
    return True


def random_feature(r):
    n = r.randrange(20)
    kind = r.randrange(4)
    if kind == 0:
        return bytes_list(*[bytes(r.choices(range(97, 123), k=r.randrange(30)))
                            for _ in range(n)])
    if kind == 1:
        return floats(*[r.uniform(-1e6, 1e6) * 10 ** r.randrange(-30, 30) for _ in range(n)])
    if kind == 2:
        return ints(*[r.randrange(-2 ** 63, 2 ** 63) >> r.randrange(64) for _ in range(n)])
    return tf.train.Feature()


def random_records(folder):
    """1,000 random Examples, each shown as protobuf parses it."""
    r = random.Random(7)
    all_of = [tf.train.Example(features=tf.train.Features(feature={
        f'k{r.randrange(1000)}/é': random_feature(r) for _ in range(r.randrange(12))}))
        for _ in range(1000)]
    path = os.path.join(folder, 'random.tfrecord')
    with tf.io.TFRecordWriter(path) as w:
        for e in all_of:
            w.write(e.SerializeToString())
    lines = [json.loads(s) for s in run('tfrec-ls', '--json', path).splitlines()]
    check('1,000 random Examples are shown as protobuf parses them',
          len(lines) == 1000 and all(same(line['features'], e)
                                     for line, e in zip(lines, all_of)))


def main():
    if sys.argv[1:2] == ['golden']:
        write(sys.argv[2], [e.SerializeToString(deterministic=True) for e in examples()])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tensorflow_reads_ours(folder)
        we_read_tensorflows(folder)
        random_records(folder)
    print(f'1..{count}')
    return failed > 0


sys.exit(main())
