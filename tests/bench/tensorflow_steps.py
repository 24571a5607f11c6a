"""Images per second of whole training steps of Keras' networks in TensorFlow on the CPU.

tensorflow_steps.py NETWORK BATCH MODE [SECONDS]; MODE: function or xla, each also with
+bf16 (Keras' mixed_bfloat16). Synthetic images that are in memory already, SGD with
momentum. Prints the median and the peak memory of the process in MB.
"""
import os
import resource
import statistics
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras
import tensorflow as tf

networks = {"resnet50": "ResNet50", "mobilenet_v2": "MobileNetV2",
            "efficientnet_b0": "EfficientNetB0", "densenet121": "DenseNet121", "vgg16": "VGG16"}
network, batch, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 15
if network not in networks:
    sys.exit("tensorflow_steps.py: Keras has no " + network)
keras.utils.set_random_seed(1)
if "bf16" in mode:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
model = getattr(keras.applications, networks[network])(weights=None, classifier_activation=None)
images = tf.random.uniform((batch, 224, 224, 3), -1, 1)
labels = tf.random.uniform((batch,), 0, 1000, tf.int32)
weights = model.trainable_variables
momenta = [tf.Variable(tf.zeros_like(w)) for w in weights]


@tf.function(jit_compile="xla" in mode)
def step():
    with tf.GradientTape() as tape:
        logits = tf.cast(model(images, training=True), tf.float32)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    for w, v, g in zip(weights, momenta, tape.gradient(loss, weights)):
        v.assign(0.9 * v + tf.cast(g, v.dtype) + 1e-4 * tf.convert_to_tensor(w))
        w.assign_sub(0.01 * v)
    return loss


times = []
begin = None
while begin is None or len(times) < 5 or time.perf_counter() - begin < seconds:
    started = time.perf_counter()
    step().numpy()
    times.append(time.perf_counter() - started)
    if len(times) == 2 and begin is None:           # the first two warm up and compile
        times, begin = [], time.perf_counter()
print("%.3f %.0f" % (batch / statistics.median(times),
                     resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
