"""Steps with more than one convention, beside TensorFlow's and PyTorch's: `same` with strides
on odd and even sizes, means that count padding or not, local response normalisation, in a
network of a convolution, the step and a classifier: its logits, and the loss and gradients of
one step of training. Prints TAP."""
import os
import tempfile

import numpy as np
import tensorflow as tf
import torch
from safetensors.numpy import save_file
from torch.nn import functional as F

import streams
from ours import SLOT, furthest, logits, random_weights, train, written

SIZES = [(11, 8), (12, 9), (7, 13)]


def network(step, h, w):
    return f'input {h} {w} 3\nnet = a: conv 1 12 bias=yes | {step} | fc: linear classes\nparam classes = 10\n'


def tensorflow(function):
    """function(x, the step's weight or None): logits, loss, gradients."""
    def run(images, labels, weights):
        p = {k: tf.Variable(v.astype(np.float64)) for k, v in weights.items()}
        with tf.GradientTape() as tape:
            x = tf.nn.conv2d(images, tf.transpose(p['a.weight'], (2, 3, 1, 0)), 1, 'VALID') + p['a.bias']
            x = function(x, tf.transpose(p['b.weight'], (2, 3, 1, 0)) if 'b.weight' in p else None)
            x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (len(images), -1))
            out = tf.matmul(x, p['fc.weight'], transpose_b=True) + p['fc.bias']
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, out))
        return out.numpy(), float(loss), {k: g.numpy() for k, g in zip(p, tape.gradient(loss, list(p.values())))}
    return run


def pytorch(function):
    def run(images, labels, weights):
        p = {k: torch.from_numpy(v.astype(np.float64)).requires_grad_() for k, v in weights.items()}
        x = F.conv2d(torch.from_numpy(images).permute(0, 3, 1, 2), p['a.weight'], p['a.bias'])
        out = F.linear(function(x).flatten(1), p['fc.weight'], p['fc.bias'])
        loss = F.cross_entropy(out, torch.from_numpy(labels))
        loss.backward()
        return out.detach().numpy(), loss.item(), {k: v.grad.numpy() for k, v in p.items()}
    return run


def compare(words, step, peer, size, folder):
    net = written(folder, 'net.net', network(step, *size))
    rng = np.random.default_rng(3)
    weights = random_weights(net, rng)
    weights['a.weight'] *= 3                # so that what is squared matters
    pixels = rng.integers(0, 256, (4, *size, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, 4)
    images = (pixels.astype(np.float64) - 127.5) / 127.5
    file = os.path.join(folder, 'weights.safetensors')
    save_file(weights, file)
    stream = streams.batch_stream(pixels, labels, 10)
    theirs, loss, gradients = peer(images, labels, weights)
    apart = np.abs(logits(net, file, pixels, stream, folder) - theirs).max() / np.abs(theirs).max()
    our_loss, after = train(net, file, pixels, stream, folder, '--lr', '1e-9', '--momentum', '0.5')
    far, where = furthest({k[len(SLOT):]: v for k, v in after.items() if k.startswith(SLOT)}, gradients)
    good = apart < 1e-5 and abs(our_loss - loss) < 1e-5 * loss and far < 1e-4
    streams.check(f'{words}: {step}, {size[0]}x{size[1]}', good, f'{apart:.0e}; gradients {far:.0e} at {where}')


def cases():
    """(software, step, function of software)"""
    for k, s in ((1, 2), (2, 2), (2, 1), (3, 1), (3, 2), (3, 3), (5, 2), (7, 2), (4, 3)):
        yield ('TensorFlow', f'b: conv {k} 8 {s} same',
               tensorflow(lambda x, w, s=s: tf.nn.conv2d(x, w, s, 'SAME')))
        yield ('TensorFlow', f'b: conv {k} 12 {s} same groups=12',
               tensorflow(lambda x, w, s=s: tf.nn.depthwise_conv2d(x, tf.transpose(w, (0, 1, 3, 2)), (1, s, s, 1),
                                                                   'SAME')))
        yield ('TensorFlow', f'maxpool {k} {s} same',
               tensorflow(lambda x, _, k=k, s=s: tf.nn.max_pool2d(x, k, s, 'SAME')))
        yield ('TensorFlow', f'avgpool {k} {s} same',
               tensorflow(lambda x, _, k=k, s=s: tf.nn.avg_pool2d(x, k, s, 'SAME')))
    for count in (False, True):
        for k, s, pad in ((3, 1, 1), (3, 2, 1), (5, 2, 2), (2, 2, 1)):
            for ceil in (False, True):
                step = f'avgpool {k} {s} {pad} ceil={"yes" if ceil else "no"} countpad={"yes" if count else "no"}'
                yield ('PyTorch', step, pytorch(lambda x, k=k, s=s, pad=pad, ceil=ceil, count=count:
                                                F.avg_pool2d(x, k, s, pad, ceil, count)))
    for k, s, pad in ((3, 2, 1), (3, 2, 0), (2, 2, 0)):
        yield ('PyTorch', f'maxpool {k} {s} {pad} ceil=yes',
               pytorch(lambda x, k=k, s=s, pad=pad: F.max_pool2d(x, k, s, pad, 1, True)))
    for n, alpha, part, beta, k in ((9, 0.001, 9, 0.75, 1), (5, 1, 1, 0.75, 2), (3, 0.3, 1, 0.5, 1)):
        yield ('TensorFlow', f'lrn {n} alpha={alpha}/{part} beta={beta} k={k}',
               tensorflow(lambda x, _, n=n, a=alpha / part, b=beta, k=k: tf.cast(tf.nn.lrn(
                   tf.cast(x, tf.float32), n // 2, k, a, b), tf.float64)))
    for n, alpha, beta, k in ((5, 1e-4, 0.75, 1), (5, 1, 0.75, 2), (4, 0.5, 0.5, 1)):
        yield ('PyTorch', f'lrn {n} alpha={alpha}/{n} beta={beta} k={k}',
               pytorch(lambda x, n=n, a=alpha, b=beta, k=k: F.local_response_norm(x, n, a, b, k)))


def main():
    with tempfile.TemporaryDirectory() as folder:
        for words, step, peer in cases():
            for size in SIZES:
                compare(words, step, peer, size, folder)
    streams.done()


main()
