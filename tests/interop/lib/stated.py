"""Networks that exist in the reference systems only, stated again in PyTorch from their
descriptions. Each is a function of a Stated, which holds the parameters, and an image;
it takes layers in the order of our text and says what each must be. The same interface
as peers.Torch.
"""
from functools import partial

import torch
from torch.nn import functional as F

STATISTICS = ('running_mean', 'running_var')


class Stated:
    """forward(net, x) gives logits, or a list with those of auxiliary heads in training."""

    def __init__(self, forward, aux=()):
        self.forward, self.aux, self.training = forward, aux, False
        self.settling = False

    def initial(self, names):
        return {}

    def load(self, weights):
        self.dtype = torch.float64
        self.p = {k: torch.from_numpy(v).to(self.dtype).requires_grad_(not k.endswith(STATISTICS))
                  for k, v in weights.items()}
        self.layers = list(dict.fromkeys(k.rpartition('.')[0] for k in weights))

    def single(self):
        self.dtype = torch.float32
        self.p = {k: v.detach().float().requires_grad_(v.requires_grad) for k, v in self.p.items()}
        return self

    def run(self, images):
        self.at = 0
        out = self.forward(self, torch.from_numpy(images).to(self.dtype).permute(0, 3, 1, 2))
        assert self.at == len(self.layers), f'{len(self.layers)} layers, the peer has {self.at}'
        return out

    def statistics(self):
        return {k: v.numpy().copy() for k, v in self.p.items() if k.endswith(STATISTICS)}

    def settle(self, images):
        self.single().training = self.settling = True
        with torch.no_grad():
            self.run(images)
        self.settling = False
        return self.statistics()

    def logits(self, images):
        self.training = False
        with torch.no_grad():
            out = self.run(images)
        return (out[0] if isinstance(out, list) else out).numpy()

    def step(self, images, labels):
        self.training = True
        out, y = self.run(images), torch.from_numpy(labels)
        heads = out if isinstance(out, list) else [out]
        assert len(heads) == 1 + len(self.aux)
        loss = sum(w * F.cross_entropy(h, y) for w, h in zip((1.0, *self.aux), heads))
        loss.backward()
        gradients = {k: v.grad.numpy() for k, v in self.p.items() if v.requires_grad}
        return loss.item(), gradients, self.statistics()

    # ---- what forward functions say ----

    def take(self, *suffixes):
        """The next layer, which must have these parameters and no others."""
        layer = self.layers[self.at]
        self.at += 1
        have = [k for k in self.p if k.rpartition('.')[0] == layer]
        assert have == [f'{layer}.{s}' for s in suffixes], f'{have}, not {suffixes}'
        return [self.p[k] for k in have]

    def conv(self, x, k, c, s=1, pad='same', groups=1, bias=False):
        k = k if isinstance(k, tuple) else (k, k)
        w, *b = self.take('weight', *['bias'] * bias)
        assert tuple(w.shape) == (c, x.shape[1] // groups, *k), \
            f'{self.layers[self.at - 1]}: {tuple(w.shape)}, not {c} from {x.shape[1]} by {k}'
        if pad == 'same':
            x, pad = same(x, k, s), 0
        return F.conv2d(x, w, b[0] if b else None, s, pad, 1, groups)

    def linear(self, x, c=None, bias=True):
        w, *b = self.take('weight', *['bias'] * bias)
        assert c in (w.shape[0], None)
        return F.linear(x.flatten(1), w, b[0] if b else None)

    def bn(self, x, eps=1e-3, decay=0.99, gain=True):
        *gain, bias, m, v = self.take(*['weight'] * gain, 'bias', *STATISTICS)
        if self.training:
            keep, n, old = 0.0 if self.settling else decay, x.numel() // x.shape[1], (m, v)
            m, v = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            with torch.no_grad():
                old[0].mul_(keep).add_((1 - keep) * m)
                old[1].mul_(keep).add_((1 - keep) * v * n / (n - 1))
        y = (x - spread(m)) / (spread(v) + eps).sqrt()
        return (y * spread(gain[0]) if gain else y) + spread(bias)


def spread(v):
    return v.view(1, -1, 1, 1)


def same(x, k, s, value=0.0):
    """TensorFlow's padding: what is odd comes after."""
    pad = []
    for size, window in ((x.shape[3], k[1]), (x.shape[2], k[0])):
        both = max(0, (-(-size // s) - 1) * s + window - size)
        pad += [both // 2, both - both // 2]
    return F.pad(x, pad, value=value)


def maxpool(x, k, s):
    return F.max_pool2d(same(x, (k, k), s, -torch.inf), k, s)


def avgpool(x, k, s):
    """Padding does not count."""
    ones = torch.ones_like(x[:1, :1])
    return F.avg_pool2d(same(x, (k, k), s), k, s) / F.avg_pool2d(same(ones, (k, k), s), k, s)


def mean(x):
    return x.mean((2, 3), keepdim=True)


def cat(*branches):
    return torch.cat(branches, 1)


# ---- tf-imagenet (TF-slim): all pads same, decay 0.9997 but for resnets ----

def mobilenet_v1(act, width, net, x):
    bn = partial(net.bn, decay=0.9997)

    def separable(x, c, s):
        x = act(bn(net.conv(x, 3, x.shape[1], s, groups=x.shape[1])))
        return act(bn(net.conv(x, 1, max(8, int(c * width)))))

    x = act(bn(net.conv(x, 3, max(8, int(32 * width)), 2)))
    for c, s in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]:
        x = separable(x, c, s)
    return net.linear(mean(x))


def mobilenet_v2(width, net, x):
    def unit(x, k, c, s=1, groups=1):
        return F.relu(net.bn(net.conv(x, k, c, s, groups=groups), decay=0.9997))

    def wide(c):
        return max(int(c * width), 8)

    x, depth = unit(x, 3, wide(32), 2), 32
    for factor, out, repeats, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                         (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(repeats):
            s = stride if i == 0 else 1
            y = unit(x, 1, wide(depth * factor))
            y = unit(y, 3, y.shape[1], s, groups=y.shape[1])
            y = net.bn(net.conv(y, 1, wide(out)), decay=0.9997)
            x, depth = x + y if s == 1 and depth == out else y, out
    return net.linear(mean(unit(x, 1, wide(1280))))


def explicit(net, x, k, c, s, **more):
    """TF-slim's convolution with a stride: pads both sides alike, whatever the size."""
    return net.conv(x, k, c, s, k // 2, **more)


def resnet_v1(units, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.997)
    x = maxpool(F.relu(bn(explicit(net, x, 7, 64, 2))), 3, 2)
    for block, n in enumerate(units):
        c = 64 << block
        for i in range(n):
            s = 2 if i == n - 1 and block < 3 else 1
            y = F.relu(bn(net.conv(x, 1, c)))
            y = F.relu(bn(explicit(net, y, 3, c, s)))
            y = bn(net.conv(y, 1, 4 * c))
            short = x[:, :, ::s, ::s] if x.shape[1] == 4 * c else bn(net.conv(x, 1, 4 * c, s))
            x = F.relu(short + y)
    return net.linear(mean(x))


def resnet_v2(units, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.997)
    x = maxpool(explicit(net, x, 7, 64, 2, bias=True), 3, 2)
    for block, n in enumerate(units):
        c = 64 << block
        for i in range(n):
            s = 2 if i == n - 1 and block < 3 else 1
            before = F.relu(bn(x))
            y = F.relu(bn(net.conv(before, 1, c)))
            y = F.relu(bn(explicit(net, y, 3, c, s)))
            y = net.conv(y, 1, 4 * c, bias=True)
            x = y + (x[:, :, ::s, ::s] if x.shape[1] == 4 * c else net.conv(before, 1, 4 * c, s, bias=True))
    return net.linear(mean(F.relu(bn(x))))


GOOGLENET = [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None, (192, 96, 208, 16, 48, 64),
             (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
             (256, 160, 320, 32, 128, 128), None, (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)]


def googlenet(unit, wide, pool, last, net, x):
    """wide: of the second window; pool: in modules; last: of the last pool between them."""
    x = maxpool(unit(net, x, 7, 64, 2), 3, 2)
    x = maxpool(unit(net, unit(net, x, 1, 64), 3, 192), 3, 2)
    for at, row in enumerate(GOOGLENET):
        if row is None:
            x = maxpool(x, 3 if at < 8 else last, 2)
            continue
        a, b1, b2, d1, d2, e = row
        x = cat(unit(net, x, 1, a), unit(net, unit(net, x, 1, b1), 3, b2),
                unit(net, unit(net, x, 1, d1), wide, d2), unit(net, pool(x, 3, 1), 1, e))
    return net.linear(mean(x))


def beta_only(net, x, k, c, s=1, pad='same', decay=0.9997):
    return F.relu(net.bn(net.conv(x, k, c, s, pad), decay=decay, gain=False))


def biased(net, x, k, c, s=1):
    return F.relu(net.conv(x, k, c, s, bias=True))


def plain_bn(net, x, k, c, s=1):
    return F.relu(net.bn(net.conv(x, k, c, s)))


def inception_v2_module(unit, net, x, a, b1, b2, d1, d2, e, pool=avgpool):
    return cat(unit(net, x, 1, a), unit(net, unit(net, x, 1, b1), 3, b2),
               unit(net, unit(net, unit(net, x, 1, d1), 3, d2), 3, d2), unit(net, pool(x, 3, 1), 1, e))


def inception_v2_down(unit, net, x, b1, b2, d1, d2):
    return cat(unit(net, unit(net, x, 1, b1), 3, b2, 2),
               unit(net, unit(net, unit(net, x, 1, d1), 3, d2), 3, d2, 2), maxpool(x, 3, 2))


INCEPTION_V2 = [(64, 64, 64, 64, 96, 32), (64, 64, 96, 64, 96, 64), (128, 160, 64, 96), (224, 64, 96, 96, 128, 128),
                (192, 96, 128, 96, 128, 128), (160, 128, 160, 128, 160, 96), (96, 128, 192, 160, 192, 96), 'head',
                (128, 192, 192, 256), (352, 192, 320, 160, 224, 128), (352, 192, 320, 192, 224, 128)]


def inception_v2_rows(unit, rows, net, x, last=avgpool):
    heads = []
    for at, row in enumerate(rows):
        if row == 'head':
            y = F.avg_pool2d(x, 5, 3)
            y = unit(net, unit(net, y, 1, 128), 4, 768, 1, 0)
            heads.append(net.linear(y))
        elif len(row) == 4:
            x = inception_v2_down(unit, net, x, *row)
        else:
            x = inception_v2_module(unit, net, x, *row, pool=last if at == len(rows) - 1 else avgpool)
    return x, heads


def slim_inception_v2(net, x):
    x = F.relu(net.conv(net.conv(x, 7, 24, 2, groups=3), 1, 64, bias=True))
    x = maxpool(x, 3, 2)
    x = maxpool(beta_only(net, beta_only(net, x, 1, 64), 3, 192), 3, 2)
    x, heads = inception_v2_rows(beta_only, INCEPTION_V2, net, x, maxpool)
    return [net.linear(mean(x)), *heads]


def auxiliary(net, x):
    """The head of Inception v3 and v4."""
    x = beta_only(net, beta_only(net, F.avg_pool2d(x, 5, 3), 1, 128), 5, 768, 1, 0)
    return net.linear(x)


def inception_v4(decay, head, net, x):
    unit, valid = partial(beta_only, net, decay=decay), partial(beta_only, net, pad=0, decay=decay)

    def pool(x):
        return F.max_pool2d(x, 3, 2)

    def a(x):
        return cat(unit(x, 1, 96), unit(unit(x, 1, 64), 3, 96), unit(unit(unit(x, 1, 64), 3, 96), 3, 96),
                   unit(avgpool(x, 3, 1), 1, 96))

    def b(x):
        return cat(unit(x, 1, 384), unit(unit(unit(x, 1, 192), (1, 7), 224), (7, 1), 256),
                   unit(unit(unit(unit(unit(x, 1, 192), (7, 1), 192), (1, 7), 224), (7, 1), 224), (1, 7), 256),
                   unit(avgpool(x, 3, 1), 1, 128))

    def c(x):
        one = unit(x, 1, 256)
        y = unit(x, 1, 384)
        two = cat(unit(y, (1, 3), 256), unit(y, (3, 1), 256))
        y = unit(unit(unit(x, 1, 384), (3, 1), 448), (1, 3), 512)
        three = cat(unit(y, (1, 3), 256), unit(y, (3, 1), 256))
        return cat(one, two, three, unit(avgpool(x, 3, 1), 1, 256))

    x = unit(valid(valid(x, 3, 32, 2), 3, 32), 3, 64)
    x = cat(pool(x), valid(x, 3, 96, 2))
    x = cat(valid(unit(x, 1, 64), 3, 96), valid(unit(unit(unit(x, 1, 64), (1, 7), 64), (7, 1), 64), 3, 96))
    x = cat(valid(x, 3, 192, 2), pool(x))
    for _ in range(4):
        x = a(x)
    x = cat(valid(x, 3, 384, 2), valid(unit(unit(x, 1, 192), 3, 224), 3, 256, 2), pool(x))
    for _ in range(7):
        x = b(x)
    heads = [auxiliary(net, x)] if head else []
    x = cat(valid(unit(x, 1, 192), 3, 192, 2),
            valid(unit(unit(unit(x, 1, 256), (1, 7), 256), (7, 1), 320), 3, 320, 2), pool(x))
    for _ in range(3):
        x = c(x)
    return [net.linear(mean(x)), *heads]


def inception_v3(decay, last, head, net, x):
    """last: the pool of the last module."""
    unit, valid = partial(beta_only, net, decay=decay), partial(beta_only, net, pad=0, decay=decay)

    def pool(x):
        return F.max_pool2d(x, 3, 2)

    def a(x, e):
        return cat(unit(x, 1, 64), unit(unit(x, 1, 48), 5, 64), unit(unit(unit(x, 1, 64), 3, 96), 3, 96),
                   unit(avgpool(x, 3, 1), 1, e))

    def b(x, c):
        return cat(unit(x, 1, 192), unit(unit(unit(x, 1, c), (1, 7), c), (7, 1), 192),
                   unit(unit(unit(unit(unit(x, 1, c), (7, 1), c), (1, 7), c), (7, 1), c), (1, 7), 192),
                   unit(avgpool(x, 3, 1), 1, 192))

    def c(x, pool):
        one = unit(x, 1, 320)
        y = unit(x, 1, 384)
        two = cat(unit(y, (1, 3), 384), unit(y, (3, 1), 384))
        y = unit(unit(x, 1, 448), 3, 384)
        three = cat(unit(y, (1, 3), 384), unit(y, (3, 1), 384))
        return cat(one, two, three, unit(pool(x, 3, 1), 1, 192))

    x = pool(unit(valid(valid(x, 3, 32, 2), 3, 32), 3, 64))
    x = pool(valid(valid(x, 1, 80), 3, 192))
    for e in (32, 64, 64):
        x = a(x, e)
    x = cat(valid(x, 3, 384, 2), valid(unit(unit(x, 1, 64), 3, 96), 3, 96, 2), pool(x))
    for width in (128, 160, 160, 192):
        x = b(x, width)
    heads = [auxiliary(net, x)] if head else []
    x = cat(valid(unit(x, 1, 192), 3, 320, 2),
            valid(unit(unit(unit(x, 1, 192), (1, 7), 192), (7, 1), 192), 3, 192, 2), pool(x))
    return [net.linear(mean(c(c(x, avgpool), last))), *heads]


# ---- keras_imagenet: bn with epsilon 1e-3 and momentum 0.99, pads same ----

def inception_v2(net, x):
    x = maxpool(plain_bn(net, x, 7, 64, 2), 3, 2)
    x = maxpool(plain_bn(net, plain_bn(net, x, 1, 64), 3, 192), 3, 2)
    x, _ = inception_v2_rows(plain_bn, [r for r in INCEPTION_V2 if r != 'head'], net, x)
    return net.linear(mean(x))


def inception_v2x(net, x):
    x = maxpool(plain_bn(net, x, 7, 64, 2), 3, 2)
    x = plain_bn(net, plain_bn(net, plain_bn(net, x, 1, 64), 3, 128), 3, 192, 2)
    rows = [(64, 64, 64, 64, 96, 32), (64, 64, 80, 64, 96, 48), (64, 64, 96, 64, 96, 64), (64, 64, 128, 64, 128, 64),
            INCEPTION_V2[2], (192, 96, 128, 96, 128, 128), (96, 128, 192, 160, 192, 96), *INCEPTION_V2[8:]]
    x, _ = inception_v2_rows(plain_bn, rows, net, x)
    return net.linear(mean(x))


def inception_mobilenet(net, x):
    def dw(x, k, c, s=1):
        x = F.relu(net.bn(net.conv(x, k, x.shape[1], s, groups=x.shape[1])))
        return plain_bn(net, x, 1, c)

    def mixed(x, a, b, c, d):
        return cat(plain_bn(net, x, 1, a), dw(x, 3, b), dw(x, 5, c), plain_bn(net, avgpool(x, 3, 1), 1, d))

    def down(x, b, c):
        return cat(dw(x, 3, b, 2), dw(x, 5, c, 2), maxpool(x, 3, 2))

    x = plain_bn(net, plain_bn(net, x, 7, 64, 2), 3, 128, 2)
    for row in [(32, 32, 48, 16)] * 2 + [(64, 64)] + [(64, 64, 96, 32)] * 2 + [(64, 96, 96, 32), (128, 128)] + \
            [(128, 128, 192, 64)] * 3 + [(256, 256)] + [(256, 256, 384, 128)] * 2:
        x = (down if len(row) == 2 else mixed)(x, *row)
    return net.linear(mean(x))


def resnet50_keras(net, x):
    """Keras 1: a bias on each convolution, the stride in the first 1x1 of a stage."""
    def unit(x, k, c, s=1):
        return net.bn(net.conv(x, k, c, s, k // 2, bias=True))

    x = F.max_pool2d(F.relu(unit(x, 7, 64, 2)), 3, 2, 1)        # of zeros around, which are no maxima
    for stage, n in enumerate((3, 4, 6, 3)):
        c = 64 << stage
        for i in range(n):
            s = 2 if stage and i == 0 else 1
            y = unit(F.relu(unit(F.relu(unit(x, 1, c, s)), 3, c)), 1, 4 * c)
            x = F.relu(y + (unit(x, 1, 4 * c, s) if i == 0 else x))
    return net.linear(mean(x))


def osnet(net, x):
    def light(x, c):
        x = net.conv(x, 1, c)
        return F.relu(net.bn(net.conv(x, 3, c, groups=c)))

    def gate(x, begin):
        """Its layers stand once, after those of the first stream; begin: where."""
        back, c = net.at, x.shape[1]
        net.at = begin
        y = F.relu(net.bn(net.linear(mean(x), c // 16, bias=False)[:, :, None, None]))
        y = torch.sigmoid(net.linear(y, c))[:, :, None, None]
        net.at = max(back, net.at)
        return x * y

    def bottleneck(x, c):
        m, total, begin = c // 4, 0, None
        y = plain_bn(net, x, 1, m)
        for n in range(1, 5):
            z = y
            for _ in range(n):
                z = light(z, m)
            begin = net.at if begin is None else begin
            total = total + gate(z, begin)
        y = net.bn(net.conv(total, 1, c))
        return F.relu(y + (x if x.shape[1] == c else net.bn(net.conv(x, 1, c))))

    x = maxpool(plain_bn(net, x, 7, 64, 2), 3, 2)
    for c in (256, 384, 512):
        x = plain_bn(net, bottleneck(bottleneck(x, c), c), 1, c)
        if c < 512:
            x = F.avg_pool2d(x, 2, 2)
    return net.linear(mean(x))


def mobilenet_v2_keras(decay, net, x):
    def unit(x, k, c, s=1, groups=1):
        return F.relu6(net.bn(net.conv(x, k, c, s, groups=groups), decay=decay))

    x = unit(x, 3, 32, 2)
    for t, c, n, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                            (6, 320, 1, 1)]:
        for i in range(n):
            s = stride if i == 0 else 1
            y = x if t == 1 else unit(x, 1, t * x.shape[1])
            y = unit(y, 3, y.shape[1], s, groups=y.shape[1])
            y = net.bn(net.conv(y, 1, c), decay=decay)
            x = x + y if s == 1 and x.shape[1] == c else y
    return net.linear(mean(unit(x, 1, 1280)))


def efficientnet_keras(width, depth, net, x):
    def swish(x):
        return x * torch.sigmoid(x)

    def wide(c):
        new = max(8, int(c * width + 4) // 8 * 8)
        return new + 8 if new < 0.9 * c * width else new

    x = swish(net.bn(net.conv(x, 3, wide(32), 2)))
    for k, stride, e, n, c in [(3, 1, 1, 1, 16), (3, 2, 6, 2, 24), (5, 2, 6, 2, 40), (3, 2, 6, 3, 80),
                               (5, 1, 6, 3, 112), (5, 2, 6, 4, 192), (3, 1, 6, 1, 320)]:
        for i in range(int(-(-n * depth // 1))):
            s, arrive = stride if i == 0 else 1, x.shape[1]
            y = x if e == 1 else swish(net.bn(net.conv(x, 1, e * arrive)))
            y = swish(net.bn(net.conv(y, k, y.shape[1], s, groups=y.shape[1])))
            z = swish(net.conv(mean(y), 1, max(1, int(0.25 * arrive)), bias=True))
            y = y * torch.sigmoid(net.conv(z, 1, y.shape[1], bias=True))
            y = net.bn(net.conv(y, 1, wide(c)))
            x = x + y if s == 1 and arrive == wide(c) else y
    return net.linear(mean(swish(net.bn(net.conv(x, 1, wide(1280))))))


# ---- small ones ----

def resnet_cifar(n, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.9)
    x = F.relu(bn(net.conv(x, 3, 16, 1, 1)))
    for c in (16, 32, 64):
        for i in range(n):
            s = 2 if c > 16 and i == 0 else 1
            y = bn(net.conv(F.relu(bn(net.conv(x, 3, c, s, 1))), 3, c, 1, 1))
            x = F.relu(y + (x if s == 1 else bn(net.conv(x, 1, c, s))))
    return net.linear(mean(x))


def of(function, *arguments, aux=()):
    return lambda classes=None: Stated(partial(function, *arguments), aux)


def relu(x):
    return F.relu(x)


def relu6(x):
    return F.relu6(x)


UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
PEERS = {
    'slim_mobilenet_v1_relu': of(mobilenet_v1, relu, 1),
    'slim_mobilenet_v1_orig': of(mobilenet_v1, relu6, 1),
    **{f'slim_mobilenet_v1_0{w}': of(mobilenet_v1, relu6, w / 100) for w in (75, 50, 25)},
    'slim_mobilenet_v2_d1': of(mobilenet_v2, 1.0),
    'slim_mobilenet_v2_d14': of(mobilenet_v2, 1.4),
    'slim_googlenet': of(googlenet, biased, 3, maxpool, 2),
    'slim_inception_v1': of(googlenet, beta_only, 3, maxpool, 2),
    'slim_inception_v2': of(slim_inception_v2, aux=(0.4,)),
    'slim_inception_v3': of(inception_v3, 0.9997, avgpool, True, aux=(0.4,)),
    'slim_inception_v4': of(inception_v4, 0.9997, True, aux=(0.4,)),
    **{f'slim_resnet_v1_{d}': of(resnet_v1, units) for d, units in UNITS.items()},
    **{f'slim_resnet_v2_{d}': of(resnet_v2, units) for d, units in UNITS.items()},
    **{f'slim_resnet_v2_{d}_299': of(resnet_v2, units) for d, units in UNITS.items() if d < 200},
    'keras_googlenet_bn': of(googlenet, plain_bn, 5, avgpool, 3),
    'keras_inception_v2': of(inception_v2),
    'keras_inception_v2x': of(inception_v2x),
    'keras_inception_mobilenet': of(inception_mobilenet),
    'keras_mobilenet_v2': of(mobilenet_v2_keras, 0.999),
    'keras_resnet50': of(resnet50_keras),
    'keras_efficientnet_b0': of(efficientnet_keras, 1.0, 1.0),
    'keras_efficientnet_b1': of(efficientnet_keras, 1.0, 1.1),
    'keras_efficientnet_b4': of(efficientnet_keras, 1.4, 1.8),
    'keras_osnet': of(osnet),
    **{f'resnet{d}': of(resnet_cifar, d // 6) for d in (20, 32, 44, 56, 110)},
}
