"""Ten steps of training beside PyTorch: the same weights, batches and rule (momentum SGD,
decay on weights only). The losses agree to 1e-3. Prints TAP.

resnet18 takes small steps: with the usual ones the losses of PyTorch itself in float and
in double are 1e-2 apart after five steps from random weights. The small network takes
steps as in earnest.
"""
import json
import os
import tempfile
from collections import OrderedDict

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

import streams

STEPS, CLASSES = 10, 10
SMALL = '''input 28 28 3
net = conv1: conv 3 16 | bn1: bn | relu | maxpool 2 | conv2: conv 3 32 2 | bn2: bn | relu
    | avgpool | fc: linear classes
'''


def small():
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(3, 16, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(16), r1=nn.ReLU(),
        pool=nn.MaxPool2d(2), conv2=nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        bn2=nn.BatchNorm2d(32), r2=nn.ReLU(), mean=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
        fc=nn.Linear(32, CLASSES)))


def torch_losses(model, weights, images, labels, batch, lr, momentum, decay, nesterov, smoothing):
    model.load_state_dict({k: v for k, v in load_file(weights).items() if not k.startswith('opt.')})
    model.train()
    optimizer = torch.optim.SGD(
        [{'params': [p for p in model.parameters() if p.ndim > 1], 'weight_decay': decay},
         {'params': [p for p in model.parameters() if p.ndim == 1], 'weight_decay': 0}],
        lr=lr, momentum=momentum, nesterov=nesterov)
    loss_of = nn.CrossEntropyLoss(label_smoothing=smoothing)
    x, y, losses = streams.normalised(images), torch.from_numpy(labels), []
    for step in range(STEPS):
        part = slice(step * batch, (step + 1) * batch)
        loss = loss_of(model(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


def compare(words, network, model, size, batch, lr, momentum, decay, nesterov=False, smoothing=0.0,
            limit=0.01):
    images, labels = streams.pictures(batch * STEPS, size, size)
    stream = streams.batch_stream(images, labels, CLASSES)
    common = ['net-train', '-q', '-b', str(batch), '--lr', str(lr), '--momentum', str(momentum),
              '--weight-decay', str(decay), '--label-smoothing', str(smoothing)] + ['--nesterov'] * nesterov
    with tempfile.TemporaryDirectory() as folder:
        begin, run = os.path.join(folder, 'begin'), os.path.join(folder, 'run')
        weights = os.path.join(begin, 'last.safetensors')
        streams.run(*common, '--steps', '0', '-o', begin, network, data=stream)
        streams.run(*common, '--steps', str(STEPS), '--log-every', '1', '--init', weights, '-o', run,
                    network, data=stream)
        with open(os.path.join(run, 'log.ndjson')) as f:
            ours = [line['loss'] for line in map(json.loads, f) if line['event'] == 'step']
        theirs, state = torch_losses(model, weights, images, labels, batch, lr, momentum, decay,
                                     nesterov, smoothing)
        apart = max(abs(a - b) for a, b in zip(ours, theirs))
        streams.check(f'{words}: ten losses within 1e-3', len(ours) == STEPS and apart < 1e-3,
                      f'{apart:.1e} apart, {theirs[0]:.3f} to {theirs[-1]:.3f}')
        first, last = load_file(weights), load_file(os.path.join(run, 'last.safetensors'))
        names = [k for k in first if k in state]
        far = max((last[k] - state[k]).norm().item() / (state[k] - first[k]).norm().item() for k in names)
        streams.check(f'{words}: each parameter and statistic moved the same way, within {100 * limit:.0f} %',
                      far < limit, f'{100 * far:.2f} %')


with tempfile.TemporaryDirectory() as where:
    text = os.path.join(where, 'small.net')
    with open(text, 'w') as f:
        f.write(SMALL)
    compare('small, momentum', text, small(), 28, 32, lr=0.05, momentum=0.9, decay=0.02)
    compare('small, sgd', text, small(), 28, 32, lr=0.1, momentum=0, decay=0.02)
    compare('small, Nesterov, label smoothing', text, small(), 28, 32, lr=0.05, momentum=0.9, decay=0.02,
            nesterov=True, smoothing=0.1)
compare('resnet18', 'resnet18', torchvision.models.resnet18(num_classes=CLASSES), 224, 16,
        lr=3e-5, momentum=0.9, decay=1e-4, limit=0.3)
streams.done()
