"""Networks of keras.applications, with the interface of peers.Torch. Layers are matched in
the order in which they are made. Running variances are left out: Keras 3 keeps those of
the batch as they are, where TensorFlow 1 and PyTorch estimate the population's.
"""
from functools import partial

import numpy as np


class Keras:
    def __init__(self, make, same_start, order, **change):
        """make(side): the model. same_start: first values are of our distributions. order:
        of the names of our layers that of its layers. change: attributes of its batch norms,
        as epsilon."""
        self.make, self.same_start, self.order, self.change = make, same_start, order, change
        self.side = None

    def build(self, dtype):
        import keras
        self.keras, made, begin = keras, [], keras.layers.Layer.__init__
        keras.config.set_floatx(dtype)

        def noted(layer, *arguments, **named):
            made.append(layer)
            begin(layer, *arguments, **named)

        keras.layers.Layer.__init__ = noted
        try:
            self.model = self.make(self.side)
        finally:
            keras.layers.Layer.__init__ = begin
        alive = {id(layer) for layer in self.model.layers}
        self.layers = [m for m in dict.fromkeys(made) if id(m) in alive and m.weights and
                       not isinstance(m, keras.layers.Normalization)]
        self.norms = [m for m in self.layers if isinstance(m, keras.layers.BatchNormalization)]
        for m in self.norms:
            for name, value in self.change.items():
                setattr(m, name, value)
        for m in self.model.layers:
            if isinstance(m, keras.layers.Dropout):
                m.rate = 0.0

    def initial(self, names):
        """But for the classifier: there the reference system has a rule of its own."""
        return {name: self.first[name] for name in names[:-1]} if self.same_start else {}

    def load(self, weights, dtype='float64'):
        """The variable of each of our names: (variable, how its dimensions stand in ours)."""
        self.weights = weights
        self.build(dtype)
        ours = self.order(list(dict.fromkeys(k.rpartition('.')[0] for k in weights)))
        self.variable = {}
        for layer in self.layers:
            kind = type(layer).__name__
            if kind == 'SeparableConv2D':
                self.pair(ours.pop(0), weight=(layer.depthwise_kernel, (2, 3, 0, 1)))
                self.pair(ours.pop(0), weight=(layer.pointwise_kernel, (3, 2, 0, 1)))
            elif kind == 'BatchNormalization':
                self.pair(ours.pop(0), weight=(layer.gamma, (0,)), bias=(layer.beta, (0,)),
                          running_mean=(layer.moving_mean, (0,)), running_var=(layer.moving_variance, (0,)))
            else:
                order = {'Conv2D': (3, 2, 0, 1), 'DepthwiseConv2D': (2, 3, 0, 1), 'Dense': (1, 0)}[kind]
                bias = {'bias': (layer.bias, (0,))} if layer.bias is not None else {}
                self.pair(ours.pop(0), weight=(layer.kernel, order), **bias)
        assert not ours, f'of no use to the peer: {ours[:5]}'
        assert set(self.variable) == set(weights)
        self.first = {k: np.sqrt(np.mean(np.square(np.array(v)))) for k, (v, _) in self.variable.items()}
        for name, (variable, order) in self.variable.items():
            value = weights[name].reshape([variable.shape[i] for i in order])
            variable.assign(np.transpose(value, np.argsort(order)))

    def pair(self, layer, **variables):
        self.variable.update({f'{layer}.{k}': v for k, v in variables.items()})

    def single(self):
        self.load(self.weights, 'float32')
        return self

    def settle(self, images):
        momentum = [m.momentum for m in self.norms]
        for m in self.norms:
            m.momentum = 0.0
        self.model(images, training=True)
        for m, old in zip(self.norms, momentum):
            m.momentum = old
        out = self.read('running_mean', 'running_var')
        return out

    def read(self, *suffixes):
        return {k: np.array(v).transpose(order) for k, (v, order) in self.variable.items() if k.endswith(suffixes)}

    def logits(self, images):
        return np.array(self.model(images, training=False))

    def step(self, images, labels):
        import tensorflow as tf
        with tf.GradientTape() as tape:
            out = self.model(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, out))
        trained = {k: v for k, v in self.variable.items() if 'running_' not in k}
        raw = tape.gradient(loss, [v.value for v, _ in trained.values()])
        gradients = {k: np.array(g).transpose(order) for g, (k, (_, order)) in zip(raw, trained.items())}
        return float(loss), gradients, self.read('running_mean')


def of(name, classes=1000, same_start=True, order=list, **change):
    def make(side):
        import keras
        return getattr(keras.applications, name)(weights=None, classes=classes, classifier_activation=None,
                                                 input_shape=(side, side, 3))
    return lambda: Keras(make, same_start, order, **change)


def shortcut_first(layers):
    """Blocks "res2.0", whose layers "1.conv" and "1.bn" come before "2a.conv" and the rest."""
    blocks = {}
    for name in layers:
        blocks.setdefault('.'.join(name.split('.')[:2]) if name.startswith('res') else name, []).append(name)
    return [name for block in blocks.values() for name in sorted(block, key=lambda n: n.split('.')[2:3] != ['1'])]


def efficientnet(name):
    """Keras' takes pixels of 0 to 255; without weights of its own it divides by 255 only."""
    peer = of(name)

    def make():
        k = peer()
        for method in ('settle', 'logits', 'step'):
            setattr(k, method, partial(lambda call, images, *rest: call(255 * images, *rest), getattr(k, method)))
        return k
    return make


PEERS = {
    'slim_mobilenet_v1_orig': of('MobileNet', 1001, same_start=False, momentum=0.9997),
    'keras_mobilenet_v2': of('MobileNetV2'),
    'keras_efficientnet_b0': efficientnet('EfficientNetB0'),
    'keras_efficientnet_b1': efficientnet('EfficientNetB1'),
    'keras_efficientnet_b4': efficientnet('EfficientNetB4'),
    'keras_resnet50': of('ResNet50', same_start=False, order=shortcut_first, epsilon=1e-3),
    'bench_mobilenet': of('MobileNetV2', 1001, same_start=False, momentum=0.997),
    'nasnet size=small system=slim head=no': of('NASNetMobile', same_start=False, momentum=0.9997),
    'nasnet size=large system=slim head=no': of('NASNetLarge', same_start=False, momentum=0.9997),
}
