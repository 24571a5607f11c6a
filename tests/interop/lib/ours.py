"""What interop scripts have net-cat, net-train and net-eval do."""
import json
import os
import re
import shutil

import numpy as np
from safetensors.numpy import load_file, save_file

import streams

SLOT = 'opt.momentum.'


def normal(channels):
    """Options with which pixels become -1 to 1."""
    half = ','.join(['127.5'] * channels)
    return ['--mean', half, '--deviation', half]


def parameters(net):
    """Name, shape, class and distribution of each parameter."""
    for line in streams.run('net-cat', '--params', net).decode().splitlines():
        name, shape, kind, begin, *_ = line.split()
        yield name, tuple(int(d) for d in shape.split('x')), kind, begin


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


def norm(a):
    return float(np.sqrt(np.sum(np.square(a, dtype=np.float64))))


def furthest(ours, theirs):
    """The tensor that is relatively furthest from its peer, and how far. What is zero but
    for roundings, as the gradient of a bias before batch norm, counts beside the largest."""
    most, far = max([norm(v) for v in theirs.values()], default=0), [(0.0, '-')]
    for name, v in theirs.items():
        least = 1e-5 if name.endswith('bias') else 1e-6
        unit = norm(v) if norm(v) > least * most else 1e-3 * most
        far.append((norm(ours[name].reshape(-1) - v.reshape(-1)) / unit, name))
    return max(far)


def train(net, weights, images, stream, folder, *more):
    """One step: the loss, and the tensors of the checkpoint after it."""
    run = os.path.join(folder, 'run')
    streams.run('net-train', '-q', '-b', str(len(images)), *normal(images.shape[3]), '--steps', '1',
                '--weight-decay', '0', *more, '--log-every', '1', '--save-every', '1s', '--keep', '1',
                '--init', weights, '-o', run, net, data=stream)
    after = load_file(os.path.join(run, 'last.safetensors'))
    with open(os.path.join(run, 'log.ndjson')) as f:
        loss = next(line['loss'] for line in map(json.loads, f) if line['event'] == 'step')
    shutil.rmtree(run)
    return loss, after


def written(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, 'w') as f:
        f.write(text)
    return path


def logits(net, weights, images, stream, folder):
    """Of evaluation. weights: a file."""
    out = os.path.join(folder, 'logits.npy')
    streams.run('net-eval', '-q', '-b', str(len(images)), *normal(images.shape[3]), '-n', net, '--logits', out, weights,
                data=stream)
    return np.load(out)
