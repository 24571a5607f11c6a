"""Images per second of whole training steps in PyTorch on the CPU: the peer of net-train.

torch_steps.py NETWORK BATCH MODE [SECONDS]; MODE: eager, channels_last, compile or
compile+channels_last, each also with +bf16 (autocast). Synthetic images that are in
memory already, SGD with momentum, as many threads as there are processors. Prints the
median and the peak memory of the process in MB (compilers are processes of their own).
"""
import os
import resource
import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore")
import torch
import torchvision

network, batch, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 15
torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(1)
model = torchvision.models.get_model(network).train()
images = torch.rand(batch, 3, 224, 224) * 2 - 1
labels = torch.randint(1000, (batch,))
if "channels_last" in mode:
    model = model.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
run = torch.compile(model) if "compile" in mode else model
sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
times = []
begin = None
while begin is None or len(times) < 5 or time.perf_counter() - begin < seconds:
    started = time.perf_counter()
    sgd.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled="bf16" in mode):
        loss = torch.nn.functional.cross_entropy(run(images), labels)
    loss.backward()
    sgd.step()
    times.append(time.perf_counter() - started)
    if len(times) == 2 and begin is None:           # the first two warm up and compile
        times, begin = [], time.perf_counter()
print("%.3f %.0f" % (batch / statistics.median(times),
                     resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
