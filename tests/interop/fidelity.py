"""Networks of the zoo beside torchvision's, timm's, Keras' and re-statements in PyTorch
(lib/peers.py): random weights with random running statistics give the same logits in
evaluation; one step of training gives the same loss, gradients and running statistics.
Prints TAP and a table. Words are names of networks to compare, instead of all; after
'golden', of those whose files in tests/golden/fidelity are to be written again.

Gradients are the velocity of momentum after one step, which begins at 0: it is read from
the checkpoint; for one network (SUBTRACTED), also what plain SGD takes away. Where
activations have kinks, one unit of a million that is open here and shut there, for a
rounding, changes a gradient by a thousandth of its norm, and deep networks of random
weights amplify that: PyTorch in float32 and in double are up to 3 % apart. So each network
is trained twice: as it is, against the peer in float32 and within KINKS; and with smooth
activations (peers.smooth), against double and within 1e-3.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file

import keras_peers
import peers
import streams

SLOT, KINKS, SUBTRACTED = 'opt.momentum.', 0.05, 'squeezenet1_1'
HALF = ','.join(['127.5'] * 3)
NORMAL = ['--mean', HALF, '--deviation', HALF]


def without_drops(text):
    """The flat text with nothing dropped."""
    return re.sub(r'\b(dropout|droppath)\b( [0-9.e+-]+)?( ramp=[0-9.e+-]+)?', r'\1 0', text)


def parameters(net):
    """Name, shape, class and distribution of each parameter."""
    for line in streams.run('net-cat', '--params', net).decode().splitlines():
        name, shape, kind, begin = line.split()
        yield name, tuple(int(d) for d in shape.split('x')), kind, begin


def multiply_adds(net):
    last = streams.run('net-cat', net).decode().splitlines()[-1]
    return int(re.search(r'(\d+) multiply-adds', last)[1])


def random_weights(net, rng):
    """Such that numbers keep their size from layer to layer."""
    weights = {}
    for name, shape, kind, _ in parameters(net):
        if kind == 'weight':
            fan = int(np.prod(shape[1:]))
            weights[name] = rng.standard_normal(shape) * np.sqrt(2 / fan)
        elif kind == 'gain':
            weights[name] = rng.uniform(0.5, 1.2, shape)
        elif kind == 'bias':
            weights[name] = 0.1 * rng.standard_normal(shape)
        else:
            weights[name] = np.full(shape, float(name.endswith('var')))
    return {k: v.astype(np.float32) for k, v in weights.items()}


def disturbed(statistics, rng):
    """Running statistics near those of the data, but not the same."""
    out = {}
    for name, v in statistics.items():
        if name.endswith('var'):
            out[name] = (v * rng.uniform(0.8, 1.5, v.shape) + 1e-3).astype(np.float32)
        else:
            deviation = np.sqrt(statistics[name.replace('running_mean', 'running_var')])
            out[name] = (v + 0.1 * deviation * rng.standard_normal(v.shape)).astype(np.float32)
    return out


def norm(a):
    return float(np.sqrt(np.sum(np.square(a, dtype=np.float64))))


def furthest(ours, theirs):
    """The tensor that is relatively furthest from its peer, and how far. What is zero but
    for roundings, as the gradient of a bias before batch norm, counts beside the largest."""
    most, far = max([norm(v) for v in theirs.values()], default=0), [(0.0, '-')]
    for name, v in theirs.items():
        unit = norm(v) if norm(v) > 1e-6 * most else 1e-3 * most
        far.append((norm(ours[name].reshape(-1) - v.reshape(-1)) / unit, name))
    return max(far)


def train(net, weights, batch, stream, folder, *more):
    """One step: the loss, and the tensors of the checkpoint after it."""
    run = os.path.join(folder, 'run')
    streams.run('net-train', '-q', '-b', str(batch), *NORMAL, '--steps', '1', '--weight-decay', '0', *more,
                '--log-every', '1', '--save-every', '1s', '--keep', '1', '--init', weights, '-o', run, net,
                data=stream)
    after = load_file(os.path.join(run, 'last.safetensors'))
    with open(os.path.join(run, 'log.ndjson')) as f:
        loss = next(line['loss'] for line in map(json.loads, f) if line['event'] == 'step')
    shutil.rmtree(run)
    return loss, after


def compare_step(words, peer, weights, images, labels, net, file, stream, folder, limit):
    """Gives the largest difference of loss, gradients and statistics."""
    loss, gradients, statistics = peer.step(images, labels)
    our_loss, after = train(net, file, len(labels), stream, folder, '--lr', '1e-9', '--momentum', '0.5')
    ours = {k[len(SLOT):]: v for k, v in after.items() if k.startswith(SLOT)}
    assert set(ours) == set(gradients), set(ours) ^ set(gradients)
    streams.check(f'{words}: loss within 1e-4', abs(our_loss - loss) < 1e-4 * max(1, loss),
                  f'{our_loss:.6f}, {loss:.6f}')
    far, where = furthest(ours, gradients)
    streams.check(f'{words}: gradients within {limit:.0e}', far < limit, f'{far:.1e} at {where}')
    drift, where = furthest(after, statistics)
    streams.check(f'{words}: running statistics within 1e-4', drift < 1e-4, f'{drift:.1e} at {where}')
    return abs(our_loss - loss), far, drift


def deviation(distribution):
    """Of "trunc(0.02)"."""
    kind, number = re.fullmatch(r'(\w+)\((.*)\)', distribution).groups()
    return float(number) * {'normal': 1, 'trunc': 0.8796256, 'uniform': 3 ** -0.5}[kind]


def compare_initial(name, net, peer):
    """Deviations of weights: those of the peer's first values, within what chance explains."""
    size = {p[0]: np.prod(p[1]) for p in parameters(net)}
    want = {p[0]: deviation(p[3]) for p in parameters(net) if p[2] == 'weight'}
    off = [(abs(v / want[k] - 1) * np.sqrt(2 * size[k]), k) for k, v in peer.initial(list(want)).items()]
    if not off:
        return
    far, where = max(off)
    streams.check(f'{name}: initial weights deviate as the peer\'s', far < 6, f'{far:.1f} deviations at {where}')


def texts_of(name, folder, *more):
    """Files with the network "NAME PARAM=VALUE ...": nothing dropped; without kinks too."""
    word, *settings = name.split()
    settings += more
    flat = without_drops(streams.run('net-cat', '--flat', *[a for s in settings for a in ('--set', s)], word).decode())
    soft = re.sub(r'\b(' + '|'.join(peers.SMOOTH) + r')\b(?!:)', lambda m: peers.SMOOTH[m[1]], flat)
    for file, text in (('network.net', flat), ('smooth.net', soft)):
        with open(os.path.join(folder, file), 'w') as f:
            f.write(text)
        yield f.name
    yield [int(n) for n in re.search(r'^input (\d+) (\d+)', flat, re.M).groups()]


def compare(name, words, peer, folder, smooth):
    rng = np.random.default_rng(5)
    net, soft, size = texts_of(name, folder)
    pixels, labels = streams.pictures(2 if multiply_adds(net) > 2.5e9 else 4, *size)
    images = (pixels.astype(np.float64) - 127.5) / 127.5

    weights = random_weights(net, rng)
    peer.load(weights)
    compare_initial(words, net, peer)
    weights.update(disturbed(peer.settle(images), rng))
    peer.load(weights)
    theirs = peer.logits(images)
    stream = streams.batch_stream(pixels, labels, theirs.shape[1])
    file, out = os.path.join(folder, 'weights.safetensors'), os.path.join(folder, 'logits.npy')
    save_file(weights, file)
    streams.run('net-eval', '-q', '-b', str(len(labels)), *NORMAL, '-n', net, '--logits', out, file, data=stream)
    apart, largest = np.abs(np.load(out) - theirs).max(), np.abs(theirs).max()
    streams.check(f'{words}: logits within 1e-4', 0.1 < largest < 50 and apart < 1e-4,
                  f'{apart:.1e}, largest {largest:.2f}')
    rest = (weights, images, labels, net, file, stream, folder)
    if smooth:
        peer.single()
    loss, far, drift = compare_step(words, peer, *rest, limit=KINKS)
    row = f'{words:<28} {apart:9.1e} {largest:8.2f} {loss:9.1e} {far:9.1e} {drift:9.1e}'
    if not smooth:
        return row
    if words == SUBTRACTED:
        _, after = train(net, file, len(labels), stream, folder, '--optimizer', 'sgd', '--lr', '1')
        far, where = furthest({k: v - after[k] for k, v in weights.items()}, peer.step(images, labels)[1])
        streams.check(f'{words}: plain SGD subtracts the gradients, within 1e-3', far < 1e-3, f'{far:.1e} at {where}')
    with peers.smooth():
        peer.load(weights)
        loss, far, _ = compare_step(words + ', smooth', peer, *rest[:3], soft, *rest[4:], limit=1e-3)
    return f'{row} {loss:9.1e} {far:9.1e}'


# ---- what make check compares without Python: tests/fidelity.t ----

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'golden', 'fidelity')
KEPT = ['squeezenet1_1', 'resnet18', 'mobilenet_v3_small']


def write_golden(name, folder):
    """Of our first weights, which fidelity.t draws again, and our input: the peer's loss and
    gradients of one step, and its logits with the running statistics that the step left."""
    net, _, size = texts_of(name, folder, 'classes=4')
    stream = streams.run('sh', os.path.join(os.path.dirname(GOLDEN), '..', 'interop', 'input'), str(size[0]))
    array = os.path.join(folder, 'a.npy')
    column = {}
    for which in ('image', 'label'):
        streams.run('batch-cat', '-q', '--npy', array, '--column', which, data=stream)
        column[which] = np.load(array)
    run = os.path.join(folder, 'run')
    streams.run('net-train', '-q', '-b', '4', '--steps', '0', '-s', '1', '-o', run, net, data=stream)
    first = load_file(os.path.join(run, 'last.safetensors'))
    order = [p[0] for p in parameters(net)]
    peer = peers.PEERS[name](classes=4)
    peer.load({k: first[k] for k in order})
    images = (column['image'].astype(np.float64) - 127.5) / 127.5
    loss, gradients, _ = peer.step(images, column['label'].reshape(-1).astype(np.int64))
    logits = peer.logits(images)
    kinds = [p[0] for p in parameters(net) if p[2] in ('weight', 'gain')]
    with open(os.path.join(GOLDEN, name), 'w') as f:
        f.write(f'side {size[0]}\nloss {loss:.6g}\nlogits ' + ' '.join(f'{v:.6g}' for v in logits.reshape(-1)) + '\n')
        for k in (kinds[0], kinds[len(kinds) // 3], kinds[len(kinds) // 2], kinds[-1]):
            f.write(f'gradient {k} {np.sqrt(np.mean(np.square(gradients[k]))):.5g}\n')


def main():
    if sys.argv[1:2] == ['golden']:
        for name in sys.argv[2:] or KEPT:
            with tempfile.TemporaryDirectory() as folder:
                write_golden(name, folder)
        return
    table = ['# Largest differences; gradients relative to the norm of each tensor.',
             f"# {'network':<28} {'logits':>9} {'(largest)':>8} {'loss':>9} {'gradient':>9} "
             f"{'statist.':>9} {'smooth l.':>9} {'gradient':>9}"]
    todo = {name: (name, make, True) for name, make in peers.PEERS.items()}
    todo.update({name + ' (Keras)': (name, make, False) for name, make in keras_peers.PEERS.items()})
    for words in sys.argv[1:] or todo:
        name, make, smooth = todo[words]
        with tempfile.TemporaryDirectory() as folder:
            try:
                table.append('# ' + compare(name, words, make(), folder, smooth))
                print(table[-1], flush=True)
            except (subprocess.CalledProcessError, AssertionError) as e:
                streams.check(f'{words}: {e}', False)
    print('\n'.join(table))
    streams.done()


main()
