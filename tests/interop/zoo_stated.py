"""The networks of the reference systems, stated again layer by layer for zoo_counts.py, and
the numbers of their parameters as those systems publish them."""
import math


class Net:
    """Counts what it is told of; images are (height, width, channels)."""

    def __init__(self, bn="both", bias=0):
        self.bn, self.bias, self.in_head = bn, bias, False
        self.trainable = self.statistics = self.head = self.madds = 0

    def add(self, trainable, statistics=0, madds=0):
        self.trainable += trainable
        self.statistics += statistics
        if self.in_head:
            self.head += trainable + statistics
        else:
            self.madds += madds

    def norm(self, x, bn="both"):
        if bn:
            self.add(x[2] * (2 if bn == "both" else 1), 2 * x[2])
        return x

    def conv(self, x, k, n, s=1, pad="same", groups=1, bias=None, bn=""):
        k = (k, k) if isinstance(k, int) else k
        if pad == "same":
            h, w = (-(-v // s) for v in x[:2])
        else:
            h, w = ((v + 2 * p - q) // s + 1
                    for v, q, p in zip(x[:2], k, (pad, pad) if isinstance(pad, int) else pad))
        size = k[0] * k[1] * (x[2] // groups) * n
        bias = self.bias if bias is None else bias
        self.add(size + (n if bias else 0), 0, h * w * size)
        return self.norm((h, w, n), self.bn if bn == "" else bn)

    def dw(self, x, k, s=1, times=1, **more):
        return self.conv(x, k, x[2] * times, s, groups=x[2], **more)

    def pool(self, x, k, s, pad="same"):
        if pad == "same":
            return -(-x[0] // s), -(-x[1] // s), x[2]
        return (x[0] + 2 * pad - k) // s + 1, (x[1] + 2 * pad - k) // s + 1, x[2]

    def dense(self, x, n, bias=1):
        size = x[0] * x[1] * x[2] * n
        self.add(size + bias * n, 0, size)
        return 1, 1, n

    def mean(self, x):
        return 1, 1, x[2]

    def chain(self, x, *convs):
        for c in convs:
            x = self.conv(x, *c)
        return x

    def counts(self):
        total = self.trainable + self.statistics
        return self.trainable, total, total - self.head, self.madds


def cat(*xs):
    assert len({x[:2] for x in xs}) == 1, xs
    return xs[0][0], xs[0][1], sum(x[2] for x in xs)


def mobilenet_v1(width=1.0):
    n, x = Net(), (224, 224, 3)
    w = lambda c: max(8, int(c * width))
    x = n.conv(x, 3, w(32), 2)
    for c, s in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + 5 * [(512, 1)] + [
            (1024, 2), (1024, 1)]:
        x = n.conv(n.dw(x, 3, s), 1, w(c))
    n.dense(n.mean(x), 1001)
    return n


BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1)]


def mobilenet_v2(width=1.0):
    n, x, depth = Net(), (224, 224, 3), 32
    w = lambda c: max(8, int(c * width))
    x = n.conv(x, 3, w(32), 2)
    for t, c, repeats, s in BLOCKS:
        for i in range(repeats):
            x = n.dw(n.conv(x, 1, w(t * depth)), 3, s if i == 0 else 1)
            x, depth = n.conv(x, 1, w(c)), c
    n.dense(n.mean(n.conv(x, 1, w(1280))), 1001)
    return n


GOOGLENET = [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), 3,
             (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
             (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), 2,
             (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)]


def googlenet(bn, bias, wide, classes):
    n, x = Net(bn, bias), (224, 224, 3)
    x = n.pool(n.conv(x, 7, 64, 2), 3, 2)
    x = n.pool(n.chain(x, (1, 64), (3, 192)), 3, 2)
    for m in GOOGLENET:
        if isinstance(m, int):
            x = n.pool(x, m, 2)
            continue
        a, b1, b2, d1, d2, e = m
        x = cat(n.conv(x, 1, a), n.chain(x, (1, b1), (3, b2)), n.chain(x, (1, d1), (wide, d2)),
                n.conv(x, 1, e))
    n.dense(n.mean(x), classes)
    return n


V2 = [(64, 64, 64, 64, 96, 32), (64, 64, 96, 64, 96, 64), (128, 160, 64, 96),
      (224, 64, 96, 96, 128, 128), (192, 96, 128, 96, 128, 128), (160, 128, 160, 128, 160, 96),
      (96, 128, 192, 160, 192, 96), "head", (128, 192, 192, 256),
      (352, 192, 320, 160, 224, 128), (352, 192, 320, 192, 224, 128)]
V2X = [(64, 64, 64, 64, 96, 32), (64, 64, 80, 64, 96, 48), (64, 64, 96, 64, 96, 64),
       (64, 64, 128, 64, 128, 64), (128, 160, 64, 96), (192, 96, 128, 96, 128, 128),
       (96, 128, 192, 160, 192, 96)] + V2[8:]


def inception_v2(system, modules=V2):
    slim = system == "slim"
    n, x = Net("beta" if slim else "both"), (224, 224, 3)
    if slim:
        x = n.conv(n.dw(x, 7, 2, 8, bn=None), 1, 64, bias=1, bn=None)
    else:
        x = n.conv(x, 7, 64, 2)
    x = n.conv(n.pool(x, 3, 2), 1, 64)
    x = n.chain(x, (3, 128), (3, 192, 2)) if modules is V2X else n.pool(n.conv(x, 3, 192), 3, 2)
    for m in modules:
        if m == "head" and slim:
            n.in_head = True
            y = n.chain(n.pool(x, 5, 3, 0), (1, 128), (4, 768, 1, 0))
            n.dense(y, 1001)
            n.in_head = False
        elif len(m) == 6:
            a, b1, b2, d1, d2, e = m
            x = cat(n.conv(x, 1, a), n.chain(x, (1, b1), (3, b2)),
                    n.chain(x, (1, d1), (3, d2), (3, d2)), n.conv(x, 1, e))
        elif m != "head":
            b1, b2, d1, d2 = m
            x = cat(n.chain(x, (1, b1), (3, b2, 2)), n.chain(x, (1, d1), (3, d2), (3, d2, 2)),
                    n.pool(x, 3, 2))
    n.dense(n.mean(x), 1001 if slim else 1000)
    return n


def head(n, x, on):
    if on:
        n.in_head = True
        n.dense(n.chain(n.pool(x, 5, 3, 0), (1, 128), (5, 768, 1, 0)), 1001)
        n.in_head = False


def inception_v3(aux):
    n, x = Net("beta"), (299, 299, 3)
    x = n.pool(n.chain(x, (3, 32, 2, 0), (3, 32, 1, 0), (3, 64)), 3, 2, 0)
    x = n.pool(n.chain(x, (1, 80), (3, 192, 1, 0)), 3, 2, 0)
    for p in (32, 64, 64):
        x = cat(n.conv(x, 1, 64), n.chain(x, (1, 48), (5, 64)),
                n.chain(x, (1, 64), (3, 96), (3, 96)), n.conv(x, 1, p))
    x = cat(n.conv(x, 3, 384, 2, 0), n.chain(x, (1, 64), (3, 96), (3, 96, 2, 0)),
            n.pool(x, 3, 2, 0))
    a, b = (1, 7), (7, 1)
    for c in (128, 160, 160, 192):
        x = cat(n.conv(x, 1, 192), n.chain(x, (1, c), (a, c), (b, 192)),
                n.chain(x, (1, c), (b, c), (a, c), (b, c), (a, 192)), n.conv(x, 1, 192))
    head(n, x, aux)
    x = cat(n.chain(x, (1, 192), (3, 320, 2, 0)),
            n.chain(x, (1, 192), (a, 192), (b, 192), (3, 192, 2, 0)), n.pool(x, 3, 2, 0))
    for _ in range(2):
        y, z = n.conv(x, 1, 384), n.chain(x, (1, 448), (3, 384))
        x = cat(n.conv(x, 1, 320), n.conv(y, (1, 3), 384), n.conv(y, (3, 1), 384),
                n.conv(z, (1, 3), 384), n.conv(z, (3, 1), 384), n.conv(x, 1, 192))
    n.dense(n.mean(x), 1001)
    return n


def inception_v4(aux):
    n, x = Net("beta"), (299, 299, 3)
    a, b, v = (1, 7), (7, 1), (1, 0)
    x = n.chain(x, (3, 32, 2, 0), (3, 32, *v), (3, 64))
    x = cat(n.pool(x, 3, 2, 0), n.conv(x, 3, 96, 2, 0))
    x = cat(n.chain(x, (1, 64), (3, 96, *v)), n.chain(x, (1, 64), (a, 64), (b, 64), (3, 96, *v)))
    x = cat(n.conv(x, 3, 192, 2, 0), n.pool(x, 3, 2, 0))
    for _ in range(4):
        x = cat(n.conv(x, 1, 96), n.chain(x, (1, 64), (3, 96)),
                n.chain(x, (1, 64), (3, 96), (3, 96)), n.conv(x, 1, 96))
    x = cat(n.conv(x, 3, 384, 2, 0), n.chain(x, (1, 192), (3, 224), (3, 256, 2, 0)),
            n.pool(x, 3, 2, 0))
    for _ in range(7):
        x = cat(n.conv(x, 1, 384), n.chain(x, (1, 192), (a, 224), (b, 256)),
                n.chain(x, (1, 192), (b, 192), (a, 224), (b, 224), (a, 256)), n.conv(x, 1, 128))
    head(n, x, aux)
    x = cat(n.chain(x, (1, 192), (3, 192, 2, 0)),
            n.chain(x, (1, 256), (a, 256), (b, 320), (3, 320, 2, 0)), n.pool(x, 3, 2, 0))
    for _ in range(3):
        y, z = n.conv(x, 1, 384), n.chain(x, (1, 384), ((3, 1), 448), ((1, 3), 512))
        x = cat(n.conv(x, 1, 256), n.conv(y, (1, 3), 256), n.conv(y, (3, 1), 256),
                n.conv(z, (1, 3), 256), n.conv(z, (3, 1), 256), n.conv(x, 1, 256))
    n.dense(n.mean(x), 1001)
    return n


UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3),
         152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}


def resnet(kind, depth, size=224):
    """kind: slim1, slim2, bench1, bench15, bench2, official1, official2."""
    n, x = Net(), (size, size, 3)
    v2 = kind.endswith("2")
    small = depth < 50
    pre = {"slim2": "both", "bench2": "beta", "official2": "both"}.get(kind)
    bias = int(kind == "slim2")
    stem = kind in ("slim2", "official2")
    x = n.conv(x, 7, 64, 2, bias=bias if stem else 0, bn=None if stem else "both")
    x = n.pool(x, 3, 2)
    for stage, units in enumerate(UNITS[depth]):
        c = 64 << stage
        for i in range(units):
            if kind.startswith("slim"):
                s = 2 if i == units - 1 and stage < 3 else 1
            else:
                s = 2 if i == 0 and stage > 0 else 1
            wide = c if small else 4 * c
            n.norm(x, pre)
            if i == 0 and kind.startswith("official") or x[2] != wide:
                n.conv(x, 1, wide, s, bias=bias, bn=None if v2 else "both")
            first = kind in ("bench1", "bench2")
            if small:
                x = n.conv(x, 3, c, s)
                x = n.conv(x, 3, c, bn=None if v2 else "both")
                continue
            x = n.conv(x, 1, c, s if first else 1)
            x = n.conv(x, 3, c, 1 if first else s)
            x = n.conv(x, 1, wide, bias=bias, bn=None if v2 else "both")
    n.norm(x, pre)
    n.dense(n.mean(x), 1001)
    return n


def plain(x, layers, classes, pad):
    """Convolutions (k, c, s, pad), pools (k, s), fully connected c."""
    n = Net(None, 1)
    for l in layers:
        if isinstance(l, int):
            x = n.dense(x, l)
        elif len(l) == 2:
            x = n.pool(x, *l, pad)
        else:
            x = n.conv(x, *l)
    n.dense(x, classes)
    return n


def vgg(depth):
    counts = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[depth]
    layers = []
    for c, k in zip((64, 128, 256, 512, 512), counts):
        layers += k * [(3, c, 1)] + [(2, 2)]
    return plain((224, 224, 3), layers + [4096, 4096], 1001, 0)


def alexnet(size):
    return plain((size, size, 3), [(11, 64, 4, 0), (3, 2), (5, 192, 1), (3, 2), (3, 384, 1),
                                   (3, 384, 1), (3, 256, 1), (3, 2), 4096, 4096], 1001, 0)


def cifar_alexnet(k, classes, pad):
    return plain((32, 32, 3), [(5, 64, 1), (k, 2), (5, 64, 1), (k, 2), 384, 192], classes, pad)


def lenet(c, hidden, classes):
    return plain((28, 28, c), [(5, 32, 1), (2, 2), (5, 64, 1), (2, 2), hidden], classes, 0)


def densenet(depth, growth):
    n, x = Net(None, 1), (32, 32, 3)
    x = n.conv(x, 3, 16)
    for block in range(3):
        for _ in range((depth - 4) // 3):
            x = cat(x, n.conv(n.norm(x), 3, growth))
        if block < 2:
            x = n.pool(n.conv(n.norm(x), 1, 2 * growth), 2, 2)
    n.dense(n.mean(n.norm(x)), 11)
    return n


def cifar_resnet(depth, version, classes=11, project=False):
    n, x = Net(), (32, 32, 3)
    x = n.conv(x, 3, 16)
    for stage in range(3):
        for i in range((depth - 2) // 6):
            s = 2 if stage and not i else 1
            if version == 2:
                n.norm(x, "beta")
            if project and s == 2:
                n.conv(x, 1, 16 << stage, s)
            x = n.conv(x, 3, 16 << stage, s)
            x = n.conv(x, 3, 16 << stage, bn="both" if version == 1 else None)
    if version == 2:
        n.norm(x, "beta")
    n.dense(n.mean(x), classes)
    return n


def nasnet_cifar(classes):
    """Section 4.1 of the paper, 18 normal cells; first cell: what came before is not brought
    to its width but by its own operations."""
    n, x = Net(), (32, 32, 3)

    def sep(x, k, c, s=1):
        x = n.conv(n.dw(x, k, s, bn=None), 1, c)
        return n.conv(n.dw(x, k, bn=None), 1, c)

    def fit(p, x, c):
        if p[0] != x[0]:
            for half in range(2):
                n.conv((p[0] // 2, p[1] // 2, p[2]), 1, c // 2, bn=None)
            return n.norm((x[0], x[1], c))
        return n.conv(p, 1, c)

    def thin(x, c):
        return n.conv(x, 1, c) if x[2] != c else x

    def normal(l, r, c):
        for k, y in ((5, r), (3, l), (5, l), (3, l), (3, r)):
            sep(y, k, c)
        for _ in range(4):              # a pool of each, l itself, and l in what leaves
            thin(l, c)
        return r[0], r[1], 6 * c

    def reduce(l, r, c):
        for k, y in ((5, r), (7, l), (7, l), (5, l)):
            a = sep(y, k, c, 2)
        sep(a, 3, c)
        return a[0], a[1], 4 * c

    x = n.conv(x, 3, 96)
    p, c = x, 32
    for stage in range(3):
        if stage:
            c *= 2
            p, x = x, reduce(fit(p, x, c), n.conv(x, 1, c), c)
        for i in range(6):
            l = p if not stage and not i else fit(p, x, c)
            p, x = x, normal(l, n.conv(x, 1, c), c)
        if stage == 1:
            n.in_head = True
            y = n.conv(n.pool(x, 5, 3, 0), 1, 128)
            n.dense(n.norm(n.dense(y, 768, 0)), classes)
            n.in_head = False
    n.dense(n.mean(x), classes)
    return n


def efficientnet(width, depth):
    n, x = Net(), (224, 224, 3)

    def w(c):
        new = max(8, int(c * width + 4) // 8 * 8)
        return new + 8 if new < 0.9 * c * width else new

    x = n.conv(x, 3, w(32), 2)
    for e, k, s, c, repeats in ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2),
                                (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
                                (6, 3, 1, 320, 1)):
        for i in range(math.ceil(repeats * depth)):
            inner = max(1, int(x[2] * 0.25))
            if e != 1:
                x = n.conv(x, 1, e * x[2])
            x = n.dw(x, k, 1 if i else s)
            gate = n.conv(n.mean(x), 1, inner, bias=1, bn=None)
            n.conv(gate, 1, x[2], bias=1, bn=None)
            x = n.conv(x, 1, w(c))
    n.dense(n.mean(n.conv(x, 1, w(1280))), 1000)
    return n


def osnet():
    n, x = Net(), (224, 224, 3)
    x = n.pool(n.conv(x, 7, 64, 2), 3, 2)
    for stage, out in enumerate((256, 384, 512)):
        for _ in range(2):
            mid = n.conv(x, 1, out // 4)
            for length in range(1, 5):
                y = mid
                for _ in range(length):
                    y = n.dw(n.conv(y, 1, y[2], bn=None), 3)
            before = n.madds
            n.dense(n.norm(n.dense(n.mean(y), y[2] // 16, 0)), y[2])
            n.madds += 3 * (n.madds - before)   # the gate is shared, but works four times
            if x[2] != out:
                n.conv(x, 1, out)
            x = n.conv(mid, 1, out)
        x = n.conv(x, 1, out)
        x = n.pool(x, 2, 2, 0) if stage < 2 else x
    n.dense(n.mean(x), 1000)
    return n


def inception_mobilenet():
    n, x = Net(), (224, 224, 3)
    dw = lambda x, k, c, s=1: n.conv(n.dw(x, k, s), 1, c)
    x = n.chain(x, (7, 64, 2), (3, 128, 2))
    for m in 2 * [(32, 32, 48, 16)] + [(64, 64)] + 2 * [(64, 64, 96, 32)] + [
            (64, 96, 96, 32), (128, 128)] + 3 * [(128, 128, 192, 64)] + [(256, 256)] + 2 * [
            (256, 256, 384, 128)]:
        if len(m) == 2:
            x = cat(dw(x, 3, m[0], 2), dw(x, 5, m[1], 2), n.pool(x, 3, 2))
        else:
            x = cat(n.conv(x, 1, m[0]), dw(x, 3, m[1]), dw(x, 5, m[2]), n.conv(x, 1, m[3]))
    n.dense(n.mean(x), 1000)
    return n


# Small ones of our own: digits and cifar_fast.
def digits():
    n, x = Net(), (28, 28, 1)
    x = n.pool(n.conv(x, 3, 16), 2, 2)
    n.dense(n.conv(n.pool(n.conv(x, 3, 32), 2, 2), 3, 64), 10)
    return n


def cifar_fast(w=64):
    n, x = Net(), (32, 32, 3)
    x = n.conv(x, 3, 24)
    for c, convs in ((w, 1), (3 * w, 1), (3 * w, 2)):
        x = n.pool(n.conv(x, 3, c), 2, 2)
        for _ in range(convs):
            x = n.conv(x, 3, c)
        n.dense(n.dense(n.mean(x), c // 8), c)
    n.dense(n.mean(x), 10)
    return n


def restated():
    yield "slim_mobilenet_v1_relu", mobilenet_v1()
    yield "slim_mobilenet_v1_orig", mobilenet_v1()
    for w in (75, 50, 25):
        yield "slim_mobilenet_v1_0%d" % w, mobilenet_v1(w / 100)
    yield "slim_mobilenet_v2_d1", mobilenet_v2()
    yield "slim_mobilenet_v2_d14", mobilenet_v2(1.4)
    yield "slim_googlenet", googlenet(None, 1, 3, 1001)
    yield "slim_inception_v1", googlenet("beta", 0, 3, 1001)
    yield "bench_googlenet", googlenet(None, 1, 5, 1001)
    yield "keras_googlenet_bn", googlenet("both", 0, 5, 1000)
    yield "slim_inception_v2", inception_v2("slim")
    yield "keras_inception_v2", inception_v2("keras")
    yield "keras_inception_v2x", inception_v2("keras", V2X)
    yield "slim_inception_v3", inception_v3(True)
    yield "bench_inception3", inception_v3(False)
    yield "slim_inception_v4", inception_v4(True)
    yield "bench_inception4", inception_v4(False)
    for d in (50, 101, 152, 200):
        yield "slim_resnet_v1_%d" % d, resnet("slim1", d)
        yield "slim_resnet_v2_%d" % d, resnet("slim2", d)
    for d in (50, 101, 152):
        yield "slim_resnet_v2_%d_299" % d, resnet("slim2", d, 299)
        yield "bench_resnet%d" % d, resnet("bench1", d)
        yield "bench_resnet%d_v2" % d, resnet("bench2", d)
    yield "bench_resnet50_v1.5", resnet("bench15", 50)
    for d in UNITS:
        yield "bench_official_resnet%d" % d, resnet("official1", d)
        yield "bench_official_resnet%d_v2" % d, resnet("official2", d)
    for d, name in ((11, "a"), (16, "16"), (19, "19")):
        yield "slim_vgg_" + name, vgg(d)
        yield "bench_vgg%d" % d, vgg(d)
    yield "slim_alexnet_v2", alexnet(224)
    yield "bench_alexnet", alexnet(227)
    yield "slim_lenet", lenet(1, 1024, 10)
    yield "bench_lenet", lenet(3, 512, 1001)
    yield "slim_cifarnet", cifar_alexnet(2, 10, 0)
    yield "bench_cifar_alexnet", cifar_alexnet(3, 11, "same")
    yield "bench_trivial", plain((227, 227, 3), [1, 4096], 1001, 0)
    yield "bench_overfeat", plain(
        (231, 231, 3), [(11, 96, 4, 0), (2, 2), (5, 256, 1, 0), (2, 2), (3, 512, 1),
                        (3, 1024, 1), (3, 1024, 1), (2, 2), 3072, 4096], 1001, 0)
    for d, k in ((40, 12), (100, 12), (100, 24)):
        yield "bench_cifar_densenet%d_k%d" % (d, k), densenet(d, k)
    for d in (20, 32, 44, 56, 110):
        yield "bench_cifar_resnet%d" % d, cifar_resnet(d, 1)
        yield "bench_cifar_resnet%d_v2" % d, cifar_resnet(d, 2)
        yield "resnet%d" % d, cifar_resnet(d, 1, 10, True)
    yield "slim_nasnet_cifar", nasnet_cifar(10)
    yield "bench_cifar_nasnet", nasnet_cifar(11)
    for name, w, d in (("b0", 1.0, 1.0), ("b1", 1.0, 1.1), ("b4", 1.4, 1.8)):
        yield "keras_efficientnet_" + name, efficientnet(w, d)
    yield "keras_osnet", osnet()
    yield "keras_inception_mobilenet", inception_mobilenet()
    yield "digits", digits()
    yield "cifar_fast", cifar_fast()


# Trainable, with statistics, and the latter without heads where it differs.
PUBLISHED = {
    "slim_mobilenet_v1_relu": (4233001, 4254889), "slim_mobilenet_v1_orig": (4233001, 4254889),
    "slim_mobilenet_v2_d1": (3507241, 3541417), "slim_mobilenet_v2_d14": (6092725, 6140521),
    "slim_googlenet": (6618649, 6618649), "slim_inception_v1": (6618649, 6633209),
    "slim_inception_v2": (13596618, 13618186, 11199137),
    "slim_inception_v3": (27145970, 27182194, 23853833),
    "slim_inception_v4": (46009106, 46074066, 42712937),
    "slim_resnet_v1_50": (25559081, 25612201), "slim_resnet_v1_101": (44551209, 44656553),
    "slim_resnet_v1_152": (60194857, 60346281),
    "slim_resnet_v2_50": (25570409, 25615849), "slim_resnet_v2_101": (44579945, 44677609),
    "slim_resnet_v2_152": (60238953, 60382697),
    "slim_resnet_v2_50_299": (25570409, 25615849), "slim_resnet_v2_101_299": (44579945, 44677609),
    "slim_resnet_v2_152_299": (60238953, 60382697),
    "slim_nasnet_v1_small": (7703044, 7741574, 5327773),
    "slim_nasnet_v1_large": (93325736, 93524196, 88953851),
    "bench_trivial": (4263877, 4263877), "bench_lenet": (2173353, 2173353),
    "bench_alexnet": (61842345, 61842345), "bench_overfeat": (145924969, 145924969),
    "bench_vgg11": (132867433, 132867433), "bench_vgg16": (138361641, 138361641),
    "bench_vgg19": (143671337, 143671337), "bench_googlenet": (6999577, 6999577),
    "bench_inception3": (23819401, 23853833), "bench_inception4": (42649769, 42712937),
    "bench_resnet50": (25559081, 25612201), "bench_resnet50_v1.5": (25559081, 25612201),
    "bench_resnet50_v2": (25536361, 25581929), "bench_resnet101": (44551209, 44656553),
    "bench_resnet101_v2": (44511081, 44608873), "bench_resnet152": (60194857, 60346281),
    "bench_resnet152_v2": (60139369, 60283241), "bench_cifar_alexnet": (1756619, 1756619),
    "bench_cifar_densenet40_k12": (357491, None), "bench_cifar_densenet100_k12": (2217411, None),
    "bench_cifar_densenet100_k24": (8659995, None), "bench_cifar_resnet20": (269787, None),
    "bench_cifar_resnet32": (464219, None), "bench_cifar_resnet44": (658651, None),
    "bench_cifar_resnet56": (853083, None), "bench_cifar_resnet110": (1728027, None),
    "bench_cifar_resnet20_v2": (269467, None), "bench_cifar_resnet32_v2": (463675, None),
    "bench_cifar_resnet44_v2": (657883, None), "bench_cifar_resnet56_v2": (852091, None),
    "bench_cifar_resnet110_v2": (1726027, None),
    "keras_googlenet_bn": (7005832, 7020392), "keras_inception_v2": (11194984, 11214888),
    "keras_mobilenet_v2": (3504872, 3538984), "keras_resnet50": (25583592, 25636712),
    "keras_efficientnet_b0": (5288548, 5330564), "keras_efficientnet_b1": (7794184, 7856232),
    "keras_efficientnet_b4": (19341616, 19466816), "keras_osnet": (2418864, 2440952),
    "keras_inception_v2x": (10551784, 10570536),
    "keras_inception_mobilenet": (4820968, 4854696),
}
