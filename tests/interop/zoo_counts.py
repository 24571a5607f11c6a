"""Counts the networks of the zoo without our reader: tests/golden/net/zoo is what it finds.

Parameters and multiply-adds of what torchvision, timm and Keras also have are taken from
their models, run on no data. The networks of the reference systems are stated again in
zoo_stated.py, and must have the number of parameters that those systems publish. A line:
name, trainable parameters, those and statistics of batch norm, the latter without auxiliary
heads, multiply-adds without heads, and where they are from. Prints TAP; with --write
the table.
"""
import os
import sys

import torch
import torchvision

import streams
from zoo_stated import PUBLISHED, restated


def without_data(make):
    try:
        with torch.device("meta"):
            return make()
    except NotImplementedError:         # it looks at numbers while it is made
        return make().to("meta")


def torch_counts(model, size):
    madds = 0

    def conv(m, _, out):
        nonlocal madds
        madds += out.numel() * m.weight[0].numel()

    def linear(m, _, out):              # of every place, as ConvNeXt has it
        nonlocal madds
        madds += out.numel() * m.in_features

    for m in model.modules():
        if isinstance(m, torch.nn.Conv2d):
            m.register_forward_hook(conv)
        elif isinstance(m, torch.nn.Linear):
            m.register_forward_hook(linear)
    with torch.no_grad():
        model.eval()(torch.empty(1, 3, size, size, device="meta"))

    def count(aux):
        keep = lambda name: aux or not name.lower().startswith("aux")
        params = sum(p.numel() for n, p in model.named_parameters() if keep(n))
        return params, sum(b.numel() for n, b in model.named_buffers()
                           if keep(n) and "running" in n)

    params, statistics = count(True)
    return params, params + statistics, sum(count(False)), madds


def from_torchvision():
    families = ("resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d "
                "resnext101_64x4d wide_resnet50_2 wide_resnet101_2 mobilenet_v2 mobilenet_v3_small "
                "mobilenet_v3_large mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 convnext_tiny "
                "convnext_small convnext_base convnext_large shufflenet_v2_x0_5 shufflenet_v2_x1_0 "
                "shufflenet_v2_x1_5 shufflenet_v2_x2_0 densenet121 densenet161 densenet169 "
                "densenet201 squeezenet1_0 squeezenet1_1 googlenet inception_v3 vgg11 vgg11_bn "
                "vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn alexnet").split()
    families += ["regnet_y_" + s for s in "400mf 800mf 1_6gf 3_2gf 8gf 16gf 32gf".split()]
    sizes = dict(zip(("efficientnet_b%d" % i for i in range(8)),
                     (224, 240, 288, 300, 380, 456, 528, 600)), inception_v3=299)
    for name in families + [n for n in sizes if n not in families]:
        more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        model = without_data(lambda: torchvision.models.get_model(name, **more))
        yield name, torch_counts(model, sizes.get(name, 224)), "torchvision"


def from_timm():
    import timm
    model = without_data(lambda: timm.create_model("nasnetalarge", num_classes=1000))
    yield "nasnetalarge", torch_counts(model, 331), "timm"


def keras_counts(model):
    import numpy
    size = lambda v: int(numpy.prod(v.shape))
    madds = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("Conv2D", "DepthwiseConv2D"):
            h, w = layer.output.shape[1:3]
            madds += h * w * size(layer.kernel)
        elif kind == "SeparableConv2D":
            h, w = layer.output.shape[1:3]
            madds += h * w * (size(layer.depthwise_kernel) + size(layer.pointwise_kernel))
        elif kind == "Dense":
            madds += size(layer.kernel)
    trainable = sum(map(size, model.trainable_weights))
    total = sum(map(size, model.weights))
    return trainable, total, total, madds


def from_keras():
    from keras import applications as a
    none = {"weights": None}
    for name, make, more in (
            ("keras_mobilenet_v2", a.MobileNetV2, {}), ("keras_resnet50", a.ResNet50, {}),
            ("bench_mobilenet", a.MobileNetV2, {"classes": 1001})):
        yield name, keras_counts(make(**none, **more)), "Keras"
    heads = {"small": ((5291035, 7703044), (5327773, 7741574)),
             "large": ((88757183, 93325736), (88953851, 93524196))}
    for size, make in (("small", a.NASNetMobile), ("large", a.NASNetLarge)):
        trainable, total, _, madds = keras_counts(make(**none, classes=1001))
        assert (trainable, total) == (heads[size][0][0], heads[size][1][0])
        counts = heads[size][0][1], heads[size][1][1], total, madds
        yield "slim_nasnet_v1_" + size, counts, "Keras, published"
        yield "bench_nasnet" + ("large" if size == "large" else ""), counts, "Keras, published"


def check(name, counts):
    want = PUBLISHED.get(name, ())
    if len(want) == 2:
        want += want[1:]
    for got, should in zip(counts, want):
        if should is not None and got != should:
            sys.exit("%s: %s, published %s" % (name, counts, want))


def table():
    rows = {}
    for make in (from_torchvision, from_timm, from_keras):
        for name, counts, source in make():
            rows[name] = counts, source
    for name, net in restated():
        assert name not in rows, name
        rows[name] = net.counts(), "restated" + (", published" if name in PUBLISHED else "")
    yield ("# By tests/interop/zoo_counts.py: name | trainable, with statistics, that without "
           "heads | multiply-adds | from")
    for name in sorted(rows):
        counts, source = rows[name]
        check(name, counts)
        yield "%s | %d %d %d | %d | %s" % (name, *counts, source)


def main():
    lines = list(table())
    if sys.argv[1:] == ["--write"]:
        print("\n".join(lines))
        return
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "../golden/net/zoo"), encoding="ascii") as f:
        golden = f.read().splitlines()
    for line in lines[1:]:
        streams.check("counts of " + line.split()[0], line in golden, line)
    streams.check("there are no others", len(golden) == len(lines))
    streams.done()


if __name__ == "__main__":
    main()
