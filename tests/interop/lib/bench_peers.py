"""The networks of tf_cnn_benchmarks and the small ones, stated again as those in stated.py."""
from functools import partial

from torch.nn import functional as F

import stated
from stated import avgpool, cat, explicit, maxpool, mean, of

EMPTY = 0       # no padding


def dense(net, x, *widths):
    """Products with relu, then the classifier."""
    for c in widths:
        x = F.relu(net.linear(x, c))
    return net.linear(x)


def unit(net, x, k, c, s=1, pad='same'):
    return F.relu(net.conv(x, k, c, s, pad, bias=True))


def trivial(net, x):
    return dense(net, x, 1, 4096)


def lenet(hidden, net, x):
    for c in (32, 64):
        x = F.max_pool2d(unit(net, x, 5, c), 2)
    return dense(net, x, hidden)


def vgg(counts, net, x):
    for c, n in zip((64, 128, 256, 512, 512), counts):
        for _ in range(n):
            x = unit(net, x, 3, c)
        x = F.max_pool2d(x, 2)
    return dense(net, x, 4096, 4096)


def alexnet(net, x):
    x = F.max_pool2d(unit(net, x, 11, 64, 4, EMPTY), 3, 2)
    x = F.max_pool2d(unit(net, x, 5, 192), 3, 2)
    x = unit(net, unit(net, unit(net, x, 3, 384), 3, 384), 3, 256)
    return dense(net, F.max_pool2d(x, 3, 2), 4096, 4096)


def overfeat(net, x):
    x = F.max_pool2d(unit(net, x, 11, 96, 4, EMPTY), 2)
    x = F.max_pool2d(unit(net, x, 5, 256, 1, EMPTY), 2)
    x = unit(net, unit(net, unit(net, x, 3, 512), 3, 1024), 3, 1024)
    return dense(net, F.max_pool2d(x, 2), 3072, 4096)


def cifar_alexnet(pool, net, x):
    """tf.nn.lrn(x, 4, 1, 0.001/9, 0.75): PyTorch divides alpha by the nine."""
    def lrn(x):
        return F.local_response_norm(x, 9, 0.001, 0.75, 1.0)

    x = lrn(maxpool(unit(net, x, 5, 64), pool, 2))
    x = maxpool(lrn(unit(net, x, 5, 64)), pool, 2)
    return dense(net, x, 384, 192)


def resnet(units, first, net, x):
    """The stride of a stage is that of the first unit, in its first or second convolution."""
    bn = partial(net.bn, eps=1e-5, decay=0.9)
    x = maxpool(F.relu(bn(explicit(net, x, 7, 64, 2))), 3, 2)
    for stage, n in enumerate(units):
        c = 64 << stage
        for i in range(n):
            s = 2 if stage and i == 0 else 1
            y = F.relu(bn(net.conv(x, 1, c, s if first else 1)))
            y = F.relu(bn(explicit(net, y, 3, c, 1 if first else s)))
            y = bn(net.conv(y, 1, 4 * c))
            x = F.relu(y + (x if i else bn(net.conv(x, 1, 4 * c, s))))
    return net.linear(mean(x))


def before(net, x):
    """Batch norm of version 2 ahead of a convolution."""
    return F.relu(net.bn(x, eps=1e-3, decay=0.999, gain=False))


def resnet_v2(units, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.9)
    x = maxpool(F.relu(bn(explicit(net, x, 7, 64, 2))), 3, 2)
    for stage, n in enumerate(units):
        c = 64 << stage
        for i in range(n):
            s = 2 if stage and i == 0 else 1
            arrives, x = x, before(net, x)
            y = F.relu(bn(net.conv(x, 1, c, s)))
            y = F.relu(bn(net.conv(y, 3, c)))
            y = net.conv(y, 1, 4 * c)
            x = y + (arrives if i else net.conv(x, 1, 4 * c, s))
    return net.linear(mean(before(net, x)))


def official_v1(units, wide, net, x):
    """tensorflow/models: each stage begins with a projection; wide: of the last convolution."""
    bn = partial(net.bn, eps=1e-5, decay=0.997)
    x = maxpool(F.relu(bn(explicit(net, x, 7, 64, 2))), 3, 2)
    for stage, n in enumerate(units):
        c = 64 << stage
        for i in range(n):
            s = 2 if stage and i == 0 else 1
            if wide:
                y = F.relu(bn(net.conv(x, 1, c)))
                y = bn(net.conv(F.relu(bn(explicit(net, y, 3, c, s))), 1, 4 * c))
            else:
                y = bn(net.conv(F.relu(bn(explicit(net, x, 3, c, s))), 3, c))
            x = F.relu(y + (x if i else bn(net.conv(x, 1, y.shape[1], s))))
    return net.linear(mean(x))


def official_v2(units, wide, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.997)
    x = maxpool(explicit(net, x, 7, 64, 2), 3, 2)
    for stage, n in enumerate(units):
        c = 64 << stage
        for i in range(n):
            s = 2 if stage and i == 0 else 1
            arrives, x = x, F.relu(bn(x))
            if wide:
                y = F.relu(bn(net.conv(x, 1, c)))
                y = net.conv(F.relu(bn(explicit(net, y, 3, c, s))), 1, 4 * c)
            else:
                y = net.conv(F.relu(bn(explicit(net, x, 3, c, s))), 3, c)
            x = y + (arrives if i else net.conv(x, 1, y.shape[1], s))
    return net.linear(mean(F.relu(bn(x))))


def skip(x, c, s):
    """Every second pixel, and channels of zeros on both sides."""
    more = (c - x.shape[1]) // 2
    return F.pad(x[:, :, ::s, ::s], [0, 0, 0, 0, more, more])


def cifar_resnet(n, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.9)
    x = F.relu(bn(net.conv(x, 3, 16)))
    for c in (16, 32, 64):
        for i in range(n):
            s = 2 if c > 16 and i == 0 else 1
            y = bn(net.conv(F.relu(bn(explicit(net, x, 3, c, s))), 3, c))
            x = F.relu(y + skip(x, c, s))
    return net.linear(mean(x))


def cifar_resnet_v2(n, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.9)
    x = F.relu(bn(net.conv(x, 3, 16)))
    for c in (16, 32, 64):
        for i in range(n):
            s = 2 if c > 16 and i == 0 else 1
            y = F.relu(bn(explicit(net, before(net, x), 3, c, s)))
            x = net.conv(y, 3, c) + skip(x, c, s)
    return net.linear(mean(before(net, x)))


def densenet(layers, growth, net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.9)
    x = net.conv(x, 3, 16, bias=True)
    for block in range(3):
        for _ in range(layers):
            x = cat(x, net.conv(F.relu(bn(x)), 3, growth, bias=True))
        if block < 2:
            x = F.avg_pool2d(F.relu(net.conv(F.relu(bn(x)), 1, 2 * growth, bias=True)), 2)
    return net.linear(mean(F.relu(bn(x))))


def digits(net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.9)
    for c in (16, 32, 64):
        x = F.relu(bn(net.conv(x, 3, c)))
        x = F.max_pool2d(x, 2) if c < 64 else x
    return net.linear(x)


def cifar_fast(net, x):
    bn = partial(net.bn, eps=1e-5, decay=0.9)

    def swish(x):
        return x * x.sigmoid()

    def gated(x):
        y = net.linear(swish(net.linear(mean(x), x.shape[1] // 8)))
        return x * y.sigmoid()[:, :, None, None]

    def conv(x, c):
        return swish(bn(net.conv(x, 3, c)))

    x = conv(x, 24)
    for c, last in ((64, 0), (192, 0), (192, 1)):
        x = swish(bn(F.max_pool2d(net.conv(x, 3, c), 2)))
        x = x + conv(conv(x, c), c) if last else conv(x, c)
        x = gated(x)
    return net.linear(F.max_pool2d(x, x.shape[2]))


UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3),
         200: (3, 24, 36, 3)}
VGG = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
PEERS = {
    'bench_trivial': of(trivial),
    'bench_lenet': of(lenet, 512),
    'slim_lenet': of(lenet, 1024),
    'bench_alexnet': of(alexnet),
    'slim_alexnet_v2': of(alexnet),
    'bench_cifar_alexnet': of(cifar_alexnet, 3),
    'slim_cifarnet': of(cifar_alexnet, 2),
    'bench_overfeat': of(overfeat),
    **{f'slim_vgg_{name}': of(vgg, VGG[depth]) for name, depth in (('a', 11), ('16', 16), ('19', 19))},
    **{f'bench_vgg{depth}': of(vgg, counts) for depth, counts in VGG.items()},
    'bench_googlenet': of(stated.googlenet, stated.biased, 5, maxpool, 3),
    'bench_inception3': of(stated.inception_v3, 0.999, maxpool, False),
    'bench_inception4': of(stated.inception_v4, 0.999, False),
    'bench_mobilenet': of(stated.mobilenet_v2_keras, 0.997),
    **{f'bench_resnet{d}': of(resnet, UNITS[d], True) for d in (50, 101, 152)},
    'bench_resnet50_v1.5': of(resnet, UNITS[50], False),
    **{f'bench_resnet{d}_v2': of(resnet_v2, UNITS[d]) for d in (50, 101, 152)},
    **{f'bench_official_resnet{d}': of(official_v1, units, d >= 50) for d, units in UNITS.items()},
    **{f'bench_official_resnet{d}_v2': of(official_v2, units, d >= 50) for d, units in UNITS.items()},
    **{f'bench_cifar_resnet{d}': of(cifar_resnet, d // 6) for d in (20, 32, 44, 56, 110)},
    **{f'bench_cifar_resnet{d}_v2': of(cifar_resnet_v2, d // 6) for d in (20, 32, 44, 56, 110)},
    **{f'bench_cifar_densenet{d}_k{k}': of(densenet, (d - 4) // 3, k) for d, k in ((40, 12), (100, 12), (100, 24))},
    'digits': of(digits),
    'cifar_fast': of(cifar_fast),
}
