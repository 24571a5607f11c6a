"""The peer of decode.sh: OpenCV, JPEG in memory -> random resized crop 224x224.

    decode.py ROUNDS FILE ...

Draws boxes as torchvision's RandomResizedCrop does and resizes with INTER_LINEAR, which
is not antialiased: less work than ours does. Prints images per second of CPU time, the
reading of the files not counted, and the version.
"""
import math
import random
import sys
import time

import cv2
import numpy

SIDE = 224


def draw_box(height, width):
    for _ in range(10):
        area = height * width * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, height - h), random.randint(0, width - w), h, w
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def main():
    cv2.setNumThreads(0)
    rounds = int(sys.argv[1])
    files = []
    for path in sys.argv[2:]:
        with open(path, "rb") as file:
            files.append(numpy.frombuffer(file.read(), numpy.uint8))
    random.seed(1)
    out = numpy.empty((SIDE, SIDE, 3), numpy.uint8)
    start = time.process_time()
    for _ in range(rounds):
        for data in files:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            top, left, height, width = draw_box(*image.shape[:2])
            cv2.resize(image[top:top + height, left:left + width], (SIDE, SIDE), out,
                       interpolation=cv2.INTER_LINEAR)
    print(rounds * len(files) / (time.process_time() - start), cv2.__version__)


main()
