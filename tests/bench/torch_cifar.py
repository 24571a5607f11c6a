"""examples/cifar10.sh in PyTorch on the CPU, its network and recipe: images per second.

torch_cifar.py IMAGES.npy LABELS.npy BATCH MODE [SECONDS]; MODE as in torch_steps.py, and
+loader1, +loader2: a DataLoader with so many processes, else the training process itself.
Images [N,32,32,3] u8 are in memory, decoded already. Shifted, mirrored and normalised
they are by the batch, which costs a fraction of what transforms by the image do.
"""
import sys

import numpy
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from torch_steps import begin, layout, measure

MEAN, DEVIATION, PAD, SIDE = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7), 2, 32
STEPS = 20 * 50000 // 128


class Unit(nn.Sequential):
    def __init__(self, inputs, c, pool=False):
        super().__init__(nn.Conv2d(inputs, c, 3, padding=1, bias=False),
                         *[nn.MaxPool2d(2)] * pool, nn.BatchNorm2d(c), nn.SiLU())


class Gate(nn.Sequential):
    def __init__(self, c):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c // 8, 1), nn.SiLU(),
                         nn.Conv2d(c // 8, c, 1), nn.Sigmoid())

    def forward(self, x):
        return x * super().forward(x)


class Sum(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def cifar_fast(w=64):
    c = 3 * w
    return nn.Sequential(Unit(3, 24), Unit(24, w, True), Unit(w, w), Gate(w),
                         Unit(w, c, True), Unit(c, c), Gate(c),
                         Unit(c, c, True), Sum(Unit(c, c), Unit(c, c)), Gate(c),
                         nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(c, 10))


class Batches(Dataset):
    """dataset[indices] is a batch: 'pad 2 reflect | crop 32 random | flip', normalised."""

    def __init__(self, images, labels, mode):
        self.format = layout(mode)
        around = ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0))
        self.images = torch.from_numpy(numpy.pad(numpy.load(images), around, mode="reflect"))
        self.labels = torch.from_numpy(numpy.load(labels)).long().flatten()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, indices):
        i = torch.tensor(indices)
        n = len(i)
        at = torch.arange(SIDE)
        y = at + torch.randint(2 * PAD + 1, (n, 1))
        x = torch.where(torch.rand(n, 1) < 0.5, at, SIDE - 1 - at) + torch.randint(2 * PAD + 1, (n, 1))
        images = self.images[i[:, None, None], y[:, :, None], x[:, None, :]]
        images = (images - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
        return images.permute(0, 3, 1, 2).contiguous(memory_format=self.format), self.labels[i]


def forever(loader):
    while True:
        yield from loader


def main(images, labels, batch, mode, seconds="15"):
    begin()
    data, model = Batches(images, labels, mode), cifar_fast()
    workers = int(mode.partition("loader")[2][:1] or 0)
    order = BatchSampler(RandomSampler(data), int(batch), drop_last=True)
    loader = DataLoader(data, batch_size=None, sampler=order, num_workers=workers,
                        persistent_workers=workers > 0)
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    sgd = torch.optim.SGD([{"params": weights, "weight_decay": 1.5e-3}, {"params": others}],
                          lr=0.1, momentum=0.9, nesterov=True, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        sgd, lambda step: min(step / (STEPS / 24), 1 - step / STEPS))
    measure(model, mode, sgd, forever(loader), 0.2, float(seconds), rate.step)


if __name__ == "__main__":
    main(*sys.argv[1:])
