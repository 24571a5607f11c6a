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


def begin():
    """As many threads as processors, the same first weights each time."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(1)


def layout(mode):
    return torch.channels_last if "channels_last" in mode else torch.contiguous_format


def measure(model, mode, sgd, batches, smoothing=0.0, seconds=15.0, after=None):
    """Trains on what batches yields, (images, labels) of the mode's layout, without end;
    after() ends each step. Prints the line."""
    model = model.train().to(memory_format=layout(mode))
    run = torch.compile(model) if "compile" in mode else model
    times, start = [], None
    while start is None or len(times) < 5 or time.perf_counter() - start < seconds:
        started = time.perf_counter()
        images, labels = next(batches)
        sgd.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled="bf16" in mode):
            loss = torch.nn.functional.cross_entropy(run(images), labels,
                                                     label_smoothing=smoothing)
        loss.backward()
        sgd.step()
        if after:
            after()
        times.append(time.perf_counter() - started)
        if len(times) == 2 and start is None:       # the first two warm up and compile
            times, start = [], time.perf_counter()
    print("%.3f %.0f" % (len(labels) / statistics.median(times),
                         resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main(network, batch, mode, seconds="15"):
    import torchvision

    begin()
    model = torchvision.models.get_model(network)
    images = torch.rand(int(batch), 3, 224, 224) * 2 - 1
    labels = torch.randint(1000, (int(batch),))
    batch = images.contiguous(memory_format=layout(mode)), labels
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    measure(model, mode, sgd, iter(lambda: batch, None), seconds=float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
