"""safetensors in Python opens our checkpoints and means of them, and ours reads what it
writes. Prints TAP."""
import os
import tempfile

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

import streams

NET = b'input 8 8 3\nnet = conv1: conv 3 8 2 | bn1: bn | relu | fc: linear classes\n'

with tempfile.TemporaryDirectory() as folder:
    images, labels = streams.pictures(64, 8, 8, 4)
    stream = streams.batch_stream(images, labels, 4, 16)
    net, run = os.path.join(folder, 'small.net'), os.path.join(folder, 'run')
    with open(net, 'wb') as f:
        f.write(NET)
    streams.run('net-train', '-q', '-b', '16', '--save-every', '1s', '-o', run, net, data=stream)
    last = os.path.join(run, 'last.safetensors')
    with safe_open(last, 'np') as f:
        names, meta = set(f.keys()), f.metadata()
        streams.check('a checkpoint opens, with parameters and slots',
                      {'conv1.weight', 'bn1.running_var', 'opt.momentum.fc.bias'} <= names)
        streams.check('shapes are those of PyTorch', f.get_tensor('conv1.weight').shape == (8, 3, 3, 3)
                      and f.get_tensor('fc.weight').shape == (4, 8 * 4 * 4))
        streams.check('metadata: network, position, step',
                      meta['network.text'] == NET.decode() and meta['position'] == '64' and meta['step'] == '4')

    mean, steps = os.path.join(folder, 'mean.safetensors'), [os.path.join(run, f'{i:08d}.safetensors')
                                                             for i in (2, 3, 4)]
    streams.run('ckpt-avg', '-o', mean, '--weights', '1,2,1', *steps)
    files = [safe_open(s, 'np') for s in steps]
    with safe_open(mean, 'np') as f:
        exact = all(np.array_equal(f.get_tensor(k), (sum(np.float64(w) * s.get_tensor(k).astype(np.float64)
                                                         for w, s in zip((1, 2, 1), files)) / 4)
                                   .astype(np.float32)) for k in f.keys())
    streams.check("the weighted mean is numpy's in double, rounded once", exact)

    theirs, copy = os.path.join(folder, 'theirs.safetensors'), os.path.join(folder, 'copy.safetensors')
    rng = np.random.default_rng(1)
    tensors = {'a': rng.standard_normal((3, 4)).astype(np.float16), 'b': rng.standard_normal(7).astype(np.float32),
               'c': np.arange(5, dtype=np.int64), 'd': rng.standard_normal(()).astype(np.float64),
               'e': np.zeros((0, 3), np.float32), 'f': np.array([True, False])}
    save_file(tensors, theirs, metadata={'step': '7', 'words': 'süß\n'})
    out = streams.run('ckpt-cat', '--stats', theirs).decode()
    streams.check('ckpt-cat lists their file', all(f'{k} ' in out for k in tensors))
    streams.run('ckpt-avg', '-o', copy, theirs, theirs)
    with safe_open(copy, 'np') as f:
        streams.check('the mean of their file with itself is the file',
                      all(np.array_equal(f.get_tensor(k), tensors[k]) for k in tensors)
                      and f.metadata()['words'] == 'süß\n')
streams.done()
