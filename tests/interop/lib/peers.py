"""Networks of other software to compare with, one interface for all:

    peer.side = 64          of images: Keras' is made for it
    peer.load(weights)      our names to arrays of float32; computes in double from here
    peer.settle(images)     running statistics become those of these images; gives them
    peer.logits(images)     of evaluation
    peer.step(images, labels)   loss, {our name: gradient}, {our name: statistic after it}
    peer.single()           the peer in float32
    peer.initial(names)     {our name: root mean square of its own first values}; after load()

Images are normalised, float64, [N,H,W,C]. All compute in double, without dropout. PEERS
gives for the name of a network of the zoo a function of the classes that makes its peer.
"""
import contextlib

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.googlenet import InceptionAux

import bench_peers
import nasnet_peer
import stated


class Torch:
    """rename: our name to theirs. aux: weights of the heads that training gives besides."""

    def __init__(self, model, rename=lambda name: name, aux=()):
        self.model, self.rename, self.aux = model.double(), rename, aux
        self.first = {k: v.square().mean().sqrt().item() for k, v in self.model.named_parameters()}
        for m in model.modules():
            if isinstance(m, (nn.Dropout, torchvision.ops.StochasticDepth)):
                m.p = 0.0
            elif type(m).__name__ == 'DropPath':
                m.drop_prob = 0.0

    def initial(self, names):
        return {name: self.first[self.rename(name)] for name in names}

    def load(self, weights):
        self.model.double()
        self.theirs = {name: self.rename(name) for name in weights}
        state = self.model.state_dict()
        extra = {k for k in set(state) - set(self.theirs.values()) if not k.endswith('num_batches_tracked')}
        assert not extra, f'of no use to us: {sorted(extra)[:5]}'
        for name, value in weights.items():
            to = state[self.theirs[name]]
            assert [d for d in to.shape if d != 1] == [d for d in value.shape if d != 1], \
                f'{name}: {value.shape}, not {tuple(to.shape)}'
            to.copy_(torch.from_numpy(value.reshape(to.shape)))

    def settle(self, images):
        norms = [m for m in self.model.modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d))]
        momentum = [m.momentum for m in norms]
        for m in norms:
            m.momentum = 1.0
        self.single().model.train()
        with torch.no_grad():
            self.model(self.input(images))
        for m, old in zip(norms, momentum):
            m.momentum = old
        return self.statistics()

    def statistics(self):
        state = self.model.state_dict()
        return {name: state[their].numpy().copy() for name, their in self.theirs.items()
                if name.endswith(('running_mean', 'running_var'))}

    def input(self, images):
        some = next(self.model.parameters())
        return torch.from_numpy(images).to(some.dtype).permute(0, 3, 1, 2).contiguous()

    def logits(self, images):
        self.model.eval()
        with torch.no_grad():
            return self.model(self.input(images)).numpy()

    def single(self):
        self.model.float()
        return self

    def step(self, images, labels):
        self.model.train()
        out, y = self.model(self.input(images)), torch.from_numpy(labels)
        heads = [out] if isinstance(out, torch.Tensor) else list(out)
        weights = [1.0, *self.aux]
        assert len(heads) == len(weights)
        loss = sum(w * F.cross_entropy(h, y) for w, h in zip(weights, heads))
        self.model.zero_grad()
        loss.backward()
        parameter = dict(self.model.named_parameters())
        gradients = {name: parameter[their].grad.numpy().copy() for name, their in self.theirs.items()
                     if their in parameter}
        return loss.item(), gradients, self.statistics()


# What smooth networks have instead.
SMOOTH = {'relu': 'swish', 'relu6': 'swish', 'hardswish': 'swish', 'hardsigmoid': 'sigmoid', 'maxpool': 'avgpool'}


def average(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Instead of a max pool: of what is in the window, neither padding nor -inf."""
    def pool(x):
        return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad=False)

    there = torch.isfinite(x)
    return pool(torch.where(there, x, 0.0)) / pool(there.to(x.dtype))


@contextlib.contextmanager
def smooth():
    """Within, networks of PyTorch have no step with a kink: see SMOOTH."""
    def swish(x, *_, **__):
        return x * torch.sigmoid(x)

    old = {name: getattr(F, name) for name in ('relu', 'relu6', 'hardtanh', 'hardswish', 'hardsigmoid', 'max_pool2d')}
    for name in old:
        setattr(F, name, swish)
    F.max_pool2d = average
    F.hardsigmoid = lambda x, *_, **__: torch.sigmoid(x)
    try:
        yield
    finally:
        for name, function in old.items():
            setattr(F, name, function)


def of_torchvision(name, aux=(), **options):
    def make(classes=1000):
        return Torch(getattr(torchvision.models, name)(num_classes=classes, **options), aux=aux)
    return make


def of_timm(name):
    def make(classes=1000):
        import timm
        return Torch(timm.create_model(name, num_classes=classes))
    return make


def plain(*names):
    return {name: of_torchvision(name) for name in names}


class PaperHead(InceptionAux):
    """Pools 5x5 in steps of 3, as the paper says; torchvision's windows vary in size."""

    def forward(self, x):
        x = self.conv(F.avg_pool2d(x, 5, 3)).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


def googlenet(classes=1000):
    model = torchvision.models.googlenet(num_classes=classes, init_weights=True)
    model.aux1.__class__ = model.aux2.__class__ = PaperHead
    return Torch(model, aux=(0.3, 0.3))


def thin_convnext(classes=4, c=16):
    """ConvNeXt tiny with fewer channels."""
    widths = [c, 2 * c, 4 * c, 8 * c, None]
    blocks = [CNBlockConfig(i, o, n) for i, o, n in zip(widths, widths[1:], (3, 3, 9, 3))]
    return Torch(torchvision.models.ConvNeXt(blocks, num_classes=classes))


TORCHVISION = {
    **plain('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'resnext50_32x4d',
            'resnext101_32x8d', 'resnext101_64x4d', 'wide_resnet50_2', 'wide_resnet101_2', 'alexnet',
            *[f'vgg{n}{bn}' for n in (11, 13, 16, 19) for bn in ('', '_bn')], 'squeezenet1_0', 'squeezenet1_1',
            'densenet121', 'densenet161', 'densenet169', 'densenet201', 'mobilenet_v2', 'mobilenet_v3_small',
            'mobilenet_v3_large', 'shufflenet_v2_x0_5', 'shufflenet_v2_x1_0', 'shufflenet_v2_x1_5',
            'shufflenet_v2_x2_0', 'mnasnet0_5', 'mnasnet0_75', 'mnasnet1_0', 'mnasnet1_3', 'convnext_tiny',
            'convnext_small', 'convnext_base', 'convnext_large',
            *[f'regnet_y_{s}' for s in ('400mf', '800mf', '1_6gf', '3_2gf', '8gf', '16gf', '32gf')],
            *[f'efficientnet_b{i}' for i in range(8)]),
    'googlenet': googlenet,
    'inception_v3': of_torchvision('inception_v3', aux=(0.4,), init_weights=True),
}
TIMM = {'nasnetalarge': of_timm('nasnetalarge')}
STATED = {**stated.PEERS, **bench_peers.PEERS, **nasnet_peer.PEERS}
PEERS = {**TORCHVISION, **TIMM, **STATED}


def software(name):
    """Where the peer of a network is from."""
    return 'torchvision' if name in TORCHVISION else 'timm' if name in TIMM else 're-stated'
