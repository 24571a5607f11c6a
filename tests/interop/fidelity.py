"""Every network of the zoo beside torchvision's, timm's, Keras' or a re-statement in PyTorch
(lib/peers.py): random weights with random running statistics give the same logits in
evaluation, within 1e-4 (of images smaller than the network's own, of the largest: statistics
of few numbers magnify roundings), or BRIEF times what the peer's own float32 is off; one step
of training gives the same loss (with those of auxiliary heads), gradients and running
statistics. Prints TAP and a table. Words are names of networks to compare, instead of all;
after 'golden', of those whose files in tests/golden/fidelity are to be written again. Images
are small where the network allows it; after 'own', as large as it says.
tests/golden/net/peers keeps the table, for tests/fidelity.t.

Gradients are the velocity of momentum after one step, which begins at 0: it is read from
the checkpoint; for one network (SUBTRACTED), also what plain SGD takes away. Where
activations have kinks, one unit of a million that is open here and shut there, for a
rounding, changes a gradient by a thousandth of its norm (of small images more: one number of
few), and deep networks of random weights amplify that: PyTorch in float32 and in double are
up to 3 % apart at 224x224. So each network is trained twice: as it is, against the peer in
float32 and within KINKS; and with smooth activations and means instead of maxima
(peers.smooth), against double and within 1e-3. shufflenet_v2_x0_5, say, is 2 % off as it is,
and 4e-5 when smooth: nothing is wrong with shuffle and slice.
"""
import contextlib
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file

import keras_peers
import peers
import streams
from ours import SLOT, furthest, logits, parameters, random_weights, train, written

KINKS, SUBTRACTED = 0.3, 'squeezenet1_1'
# Of logits, where more than 1e-4: beside what the peer's own float32 is off its double.
# Winograd's transforms of inceptions at 299x299 give up to 2e-4.
BRIEF = 4
# Networks of 152 and 200 layers with an activation behind each sum: PyTorch's own float32 is
# 3e-4 off in their logits. A step is within twice the bounds; 200 layers at their own size.
DEEPEST = r'(resnet|slim_resnet_v1_|bench_(official_)?resnet)(152|200)'

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ZOO = os.path.join(TESTS, '..', 'lib', 'zoo')

# Sides of images, if smaller than the network's own. None: that, because the peer is of it
# or a head needs it. Of the deepest, statistics of 2x2 pixels magnify roundings too much:
# resnet101 at 64x64 in float32 is 5e-4 from double in PyTorch as well, at 128x128 8e-5.
SMALL = 64
SIDES = [(r'slim_resnet_v1_200|bench_official_resnet200', None),
         (r'vgg\d.*|alexnet|googlenet|inception_v3|slim_inception_v[234]|bench_inception4|.*_(alexnet|alexnet_v2|overfeat)', None),
         (r'bench_inception3|.*nasnet.*|.*resne.*(101|152|200).*', 128)]


def side_of(name, own):
    side = next((side for pattern, side in SIDES if re.fullmatch(pattern, name)), SMALL)
    return own if side is None else min(side, own)


def without_drops(text):
    """The flat text with nothing dropped."""
    return re.sub(r'\b(dropout|droppath)\b( [0-9.e+-]+)?( ramp=[0-9.e+-]+)?', r'\1 0', text)


def multiply_adds(net):
    last = streams.run('net-cat', net).decode().splitlines()[-1]
    return int(re.search(r'(\d+) multiply-adds', last)[1])


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


def compare_step(words, peer, weights, images, labels, net, file, stream, folder, limit, slack):
    """Gives the largest difference of loss, gradients and statistics."""
    near = slack * 1e-4
    loss, gradients, statistics = peer.step(images, labels)
    our_loss, after = train(net, file, images, stream, folder, '--lr', '1e-9', '--momentum', '0.5')
    ours = {k[len(SLOT):]: v for k, v in after.items() if k.startswith(SLOT)}
    assert set(ours) == set(gradients), set(ours) ^ set(gradients)
    streams.check(f'{words}: loss within {near:.0e}', abs(our_loss - loss) < near * max(1, loss),
                  f'{our_loss:.6f}, {loss:.6f}')
    far, where = furthest(ours, gradients)
    limit *= slack
    streams.check(f'{words}: gradients within {limit:.0e}', far < limit, f'{far:.1e} at {where}')
    drift, where = furthest(after, statistics)
    streams.check(f'{words}: running statistics within {near:.0e}', drift < near,
                  f'{drift:.1e} at {where}')
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


def zoo_text(name):
    """Settings and text of a name of the zoo, or of "FILE PARAM=VALUE ..."."""
    with open(os.path.join(ZOO, 'names')) as f:
        lines = [line.split('#')[0].split() for line in f]
    file, *settings = next((words[1:] for words in lines if words[:1] == [name]), name.split())
    with open(os.path.join(ZOO, file + '.net')) as f:
        return settings, f.read()


def own_side(name, folder):
    settings, text = zoo_text(name)
    return input_of(expanded(written(folder, 'own.net', text), settings))[0]


def expanded(file, settings):
    """The flat text, nothing dropped."""
    options = [a for s in settings for a in ('--set', s)]
    return without_drops(streams.run('net-cat', '--flat', *options, file).decode())


def flat_text(name, side, folder, *more):
    """Of a network for images of that side."""
    settings, text = zoo_text(name)
    column = re.search(r'^input ([a-z]+)', text, flags=re.M)
    if column:
        settings += [f'{column[1]}={side}']
    text = re.sub(r'^input \d+ \d+', f'input {side} {side}', text, flags=re.M)
    return expanded(written(folder, 'text.net', text), [*settings, *more])


def input_of(flat):
    return [int(n) for n in re.search(r'^input (\d+) (\d+) (\d+)', flat, re.M).groups()]


def smoothed(flat):
    return re.sub(r'\b(' + '|'.join(peers.SMOOTH) + r')\b(?!:)', lambda m: peers.SMOOTH[m[1]], flat)


def compare(name, source, peer, folder, own):
    """Checks it; gives its row of the table."""
    rng = np.random.default_rng(5)
    whole = own_side(name, folder)
    peer.side = whole if own else side_of(name, whole)
    flat = flat_text(name, peer.side, folder)
    net = written(folder, 'network.net', flat)
    pixels, labels = streams.pictures(2 if multiply_adds(net) > 1.2e9 else 4, peer.side, peer.side)
    pixels = np.ascontiguousarray(pixels[..., :input_of(flat)[2]])
    images = (pixels.astype(np.float64) - 127.5) / 127.5
    words = f'{name}, {source}'

    weights = random_weights(net, rng)
    peer.load(weights)
    compare_initial(words, net, peer)
    weights.update(disturbed(peer.settle(images), rng))
    peer.load(weights)
    theirs = peer.logits(images)
    stream = streams.batch_stream(pixels, labels, theirs.shape[1])
    file = os.path.join(folder, 'weights.safetensors')
    save_file(weights, file)
    apart, largest = np.abs(logits(net, file, images, stream, folder) - theirs).max(), np.abs(theirs).max()
    near = 1e-4 if peer.side == whole else 1e-4 * max(1, largest)
    peer.single()
    brief = np.abs(peer.logits(images) - theirs).max()
    streams.check(f'{words}: logits within 1e-4', 0.1 < largest < 50 and apart < max(near, BRIEF * brief),
                  f'{apart:.1e}, its own float32 {brief:.1e}, largest {largest:.2f}')
    rest = (weights, images, labels, net, file, stream, folder)
    slack = 2 if re.fullmatch(DEEPEST, name) else 1
    loss, far, drift = compare_step(words, peer, *rest, limit=KINKS, slack=slack)
    row = f'{name} | {source} | {peer.side} {apart:.1e} {largest:.2f} {loss:.1e} {far:.1e} {drift:.1e}'
    if source == 'Keras':
        return row
    if name == SUBTRACTED:
        _, after = train(net, file, images, stream, folder, '--optimizer', 'sgd', '--lr', '1')
        far, where = furthest({k: v - after[k] for k, v in weights.items()}, peer.step(images, labels)[1])
        streams.check(f'{words}: plain SGD subtracts the gradients, within 1e-3', far < 1e-3, f'{far:.1e} at {where}')
    soft = written(folder, 'smooth.net', smoothed(flat))
    with peers.smooth():
        peer.load(weights)
        loss, far, _ = compare_step(words + ', smooth', peer, *rest[:3], soft, *rest[4:], limit=1e-3,
                                    slack=slack)
    return f'{row} {loss:.1e} {far:.1e}'


# ---- what make check compares without Python: tests/fidelity.t ----

GOLDEN = os.path.join(TESTS, 'golden', 'fidelity')
# Small ones: side of images; whether its kinks are smoothed, as one unit that is open here
# and shut there would be seen; settings.
KEPT = {
    'resnet18': (64, False), 'squeezenet1_1': (64, False), 'mobilenet_v3_small': (64, False),
    'efficientnet_b0': (64, False), 'convnext_tiny': (32, False, 'c=16'), 'shufflenet_v2_x0_5': (64, True),
    'mnasnet0_5': (64, False), 'regnet_y_400mf': (64, False), 'resnet20': (32, False), 'cifar_fast': (32, False),
    'slim_mobilenet_v1_025': (64, False), 'slim_inception_v1': (64, False), 'slim_nasnet_cifar': (24, True),
    'bench_lenet': (28, False), 'bench_cifar_alexnet': (32, False), 'bench_cifar_densenet40_k12': (32, False),
    'bench_cifar_resnet20_v2': (32, False), 'keras_mobilenet_v2': (64, True), 'keras_osnet': (64, False),
}


def write_golden(name, folder, side, smooth, *settings):
    """Of our first weights, which fidelity.t draws again, and our input: the peer's loss and
    gradients of one step, and its logits with the running statistics that the step left."""
    flat = flat_text(name, side, folder, 'classes=4', *settings)
    net = written(folder, 'network.net', smoothed(flat) if smooth else flat)
    stream = streams.run('sh', os.path.join(TESTS, 'interop', 'input'), str(side))
    array = os.path.join(folder, 'a.npy')
    column = {}
    for which in ('image', 'label'):
        streams.run('batch-cat', '-q', '--npy', array, '--column', which, data=stream)
        column[which] = np.load(array)
    run = os.path.join(folder, 'run')
    streams.run('net-train', '-q', '-b', '4', '--steps', '0', '-s', '1', '-o', run, net, data=stream)
    first = load_file(os.path.join(run, 'last.safetensors'))
    order = [p[0] for p in parameters(net)]
    peer = peers.PEERS[name](classes=4) if name != 'convnext_tiny' else peers.thin_convnext()
    images = (column['image'].astype(np.float64) - 127.5) / 127.5
    with peers.smooth() if smooth else contextlib.nullcontext():
        peer.load({k: first[k] for k in order})
        loss, gradients, _ = peer.step(images, column['label'].reshape(-1).astype(np.int64))
        logits = peer.logits(images)
    kinds = [p[0] for p in parameters(net) if p[2] in ('weight', 'gain')]
    with open(os.path.join(GOLDEN, name), 'w') as f:
        f.write(f'side {side}\n' + 'smooth\n' * smooth + ''.join(f'set {s}\n' for s in settings))
        f.write(f'loss {loss:.6g}\nlogits ' + ' '.join(f'{v:.6g}' for v in logits.reshape(-1)) + '\n')
        for k in dict.fromkeys((kinds[0], kinds[len(kinds) // 3], kinds[len(kinds) // 2], kinds[-1])):
            f.write(f'gradient {k} {np.sqrt(np.mean(np.square(gradients[k]))):.5g}\n')


HEAD = """# By tests/interop/fidelity.py: largest differences from the same network in other software;
# gradients beside the norm of each tensor; smooth: with swish for what has kinks, peer in double
# network | peer | side, logits (the largest), loss, gradient, statistics, smooth: loss, gradient"""


def all_pairs():
    """Each network with each of its peers: name, software, function that makes it."""
    for name, make in peers.PEERS.items():
        yield name, peers.software(name), make
    for name, make in keras_peers.PEERS.items():
        yield name, 'Keras', make


def main():
    words = sys.argv[1:]
    if words[:1] == ['golden']:
        for name in words[1:] or KEPT:
            with tempfile.TemporaryDirectory() as folder:
                write_golden(name, folder, *KEPT[name])
        return
    own = words[:1] == ['own']
    words = words[own:]
    listed = {line.split()[0] for line in streams.run('net-cat', '--zoo').decode().splitlines()[1:]}
    streams.check('each network of the zoo has a peer', listed <= set(peers.PEERS), listed - set(peers.PEERS))
    print(HEAD)
    pairs = [p for p in all_pairs() if p[0] in words or not words]
    for name, source, make in sorted(pairs, key=lambda p: words.index(p[0]) if words else 0):
        with tempfile.TemporaryDirectory() as folder:
            try:
                print('# ' + compare(name, source, make(), folder, own), flush=True)
            except (subprocess.CalledProcessError, AssertionError) as e:
                streams.check(f'{name}, {source}: {e}', False)
    streams.done()


main()
