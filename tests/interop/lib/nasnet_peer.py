"""NASNet-A (Zoph et al. 2017) of TF-slim, stated again as the networks in stated.py."""
import torch
from torch.nn import functional as F

from stated import avgpool, cat, maxpool, mean, of

# How the five pairs of a cell are made: (operation, state) twice. State 0 is what arrives,
# 1 what arrived at the cell before, 2 and more the sums of the pairs.
NORMAL = [('5', 0, '3', 1), ('5', 1, '3', 1), ('avg', 0, 'none', 1), ('avg', 1, 'avg', 1), ('3', 0, 'none', 0)]
REDUCTION = [('5', 0, '7', 1), ('max', 0, '7', 1), ('avg', 0, '5', 1), ('avg', 2, 'none', 3), ('3', 2, 'max', 0)]


class Cells:
    def __init__(self, net):
        self.net = net

    def bn(self, x):
        return self.net.bn(x, decay=0.9997)

    def thin(self, x, c):
        return x if x.shape[1] == c else self.bn(self.net.conv(x, 1, c))

    def apply(self, operation, x, c, s):
        if operation == 'none':
            return x if x.shape[1] == c else self.thin(F.relu(x), c)
        if operation == 'avg':
            return self.thin(avgpool(x, 3, s), c)
        if operation == 'max':
            return maxpool(x, 3, s)
        for stride in (s, 1):
            x = self.net.conv(F.relu(x), int(operation), x.shape[1], stride, groups=x.shape[1])
            x = self.bn(self.net.conv(x, 1, c))
        return x

    def fit(self, older, x, c):
        """What arrived before, brought to the size and width of what arrives."""
        if older.shape[2] == x.shape[2]:
            return older if older.shape[1] == c else self.bn(self.net.conv(F.relu(older), 1, c))
        older = F.relu(older)
        even = self.net.conv(older[:, :, ::2, ::2], 1, c // 2)
        odd = self.net.conv(F.pad(older, [0, 1, 0, 1])[:, :, 1::2, 1::2], 1, c // 2)
        return self.bn(cat(even, odd))

    def cell(self, pairs, older, x, c, first=False):
        s = 2 if pairs is REDUCTION else 1
        older = older if first else self.fit(older, x, c)
        states = [self.bn(self.net.conv(F.relu(x), 1, c)), older]
        if pairs is NORMAL:
            kept = [self.thin(older, c)]
        for left, i, right, k in pairs:
            one = self.apply(left, states[i], c, s if i < 2 else 1)
            states.append(one + self.apply(right, states[k], c, s if k < 2 else 1))
        return cat(*kept, *states[2:]) if pairs is NORMAL else cat(*states[3:])


def nasnet(n, filters, stem, skip, net, x):
    cells = Cells(net)
    small = filters == 32                       # for CIFAR: no cells in the stem
    x = cells.bn(net.conv(x, 3, stem, 1 if small else 2, 'same' if small else 0))
    outputs, heads = [x, x], []
    if not small:
        outputs.append(cells.cell(REDUCTION, x, x, filters // 4, first=True))
        outputs.append(cells.cell(REDUCTION, *outputs[-2:], filters // 2))
    for stage in range(3):
        c = filters << stage
        older = outputs[-2]
        if stage:
            outputs.append(cells.cell(REDUCTION, *outputs[-2:], c))
        for i in range(n):
            before = older if skip and stage and i == 0 else outputs[-2]
            outputs.append(cells.cell(NORMAL, before, outputs[-1], c, first=small and not stage and i == 0))
        if stage == 1:
            y = F.avg_pool2d(F.relu(outputs[-1]), 5, 3)
            y = F.relu(cells.bn(net.conv(y, 1, 128)))
            y = F.relu(cells.bn(net.linear(y, 768, bias=False)[:, :, None, None]))
            heads.append(net.linear(y))
    return [net.linear(mean(F.relu(outputs[-1]))), *heads]


SMALL, LARGE, CIFAR = ((4, 44, 32, False), (6, 168, 96, True), (6, 32, 96, False))
PEERS = {
    'slim_nasnet_v1_small': of(nasnet, *SMALL, aux=(0.4,)),
    'slim_nasnet_v1_large': of(nasnet, *LARGE, aux=(0.4,)),
    'slim_nasnet_cifar': of(nasnet, *CIFAR, aux=(0.4,)),
    'bench_nasnet': of(nasnet, *SMALL, aux=(0.4,)),
    'bench_nasnetlarge': of(nasnet, *LARGE, aux=(0.4,)),
    'bench_cifar_nasnet': of(nasnet, *CIFAR, aux=(0.4,)),
}
