"""torchvision's resnet18 with our weights gives our logits, and net-eval with torchvision's
weights gives torchvision's. Prints TAP."""
import os
import tempfile

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file

import streams

CLASSES = 10


def logits_of(model, images):
    model.eval()
    with torch.no_grad():
        return model(streams.normalised(images)).numpy()


with tempfile.TemporaryDirectory() as folder:
    images, labels = streams.pictures(24)
    stream = streams.batch_stream(images, labels, CLASSES, 8)
    run, out = os.path.join(folder, 'run'), os.path.join(folder, 'logits.npy')
    streams.run('net-train', '-q', '-b', '8', '--lr', '0.01', '-o', run, 'resnet18', data=stream)
    last = os.path.join(run, 'last.safetensors')
    streams.run('net-eval', '-q', '-b', '5', '--logits', out, last, data=stream)
    model = torchvision.models.resnet18(num_classes=CLASSES)
    missing, extra = model.load_state_dict({k: v for k, v in load_file(last).items()
                                            if not k.startswith('opt.')}, strict=False)
    streams.check("the names of our weights are torchvision's",
                  not extra and all(k.endswith('num_batches_tracked') for k in missing))
    ours, theirs = np.load(out), logits_of(model, images)
    apart = np.abs(ours - theirs).max()
    streams.check('torchvision with our weights gives our logits within 1e-4',
                  ours.shape == theirs.shape and apart < 1e-4,
                  f'{apart:.1e} apart, largest {np.abs(theirs).max():.2f}')

    torch.manual_seed(3)
    model = torchvision.models.resnet18(num_classes=CLASSES)
    model.train()
    with torch.no_grad():
        for _ in range(5):
            model(streams.normalised(images))   # so that the running statistics are not 0 and 1
    weights = os.path.join(folder, 'torchvision.safetensors')
    save_file(model.state_dict(), weights)
    streams.run('net-eval', '-q', '-n', 'resnet18', '--logits', out, weights, data=stream)
    apart = np.abs(np.load(out) - logits_of(model, images)).max()
    streams.check("net-eval with torchvision's weights gives torchvision's logits within 1e-4", apart < 1e-4,
                  f'{apart:.1e} apart')
streams.done()
