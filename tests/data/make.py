"""How the files of this folder were made: once, with Pillow 11 (its resize() is what the
goldens hold: across first, then down) and libjpeg-turbo's cjpeg. The photographs are
those of scikit-image's data folder: chelsea (S. van der Walt, CC0), coffee (R. Michetti,
CC0), astronaut (NASA, public domain), rocket (SpaceX, CC0). Usage: make.py FOLDER
"""
import glob
import io
import subprocess
import sys
import zlib

import numpy
from PIL import Image

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")
KINDS = {
    "444": "-sample 1x1", "422": "-sample 2x1", "420": "-sample 2x2", "440": "-sample 1x2",
    "411": "-sample 4x1", "grey": "-grayscale", "progressive": "-progressive -sample 2x2",
    "progressive-444": "-progressive -sample 1x1", "restart": "-restart 2 -sample 2x2",
    "restart-storm": "-restart 1B -sample 1x1", "arithmetic": "-arithmetic -sample 2x1",
    "rgb": "-rgb", "odd": "-sample 2x2,2x1,1x1",
}


def photographs(folder, count):
    """So many different pieces of the four photographs."""
    whole = [Image.open(f"{folder}/{name}").convert("RGB") for name in PHOTOGRAPHS]
    for i in range(count):
        image, step = whole[i % len(whole)], i // len(whole)
        width, height = image.size
        left, top = width * step // 10, height * step // 12
        yield image.crop((left, top, left + width // 2, top + height // 2))


def cjpeg(image, options):
    ppm = io.BytesIO()
    image.save(ppm, "ppm")
    return subprocess.run(["cjpeg", "-quality", "85", *options.split()], input=ppm.getvalue(),
                          stdout=subprocess.PIPE, check=True).stdout


def save(name, data):
    with open(name, "wb") as file:
        file.write(data)


def exif(orientation):
    body = (b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" +
            bytes([0, orientation, 0, 0]) + bytes(4))
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def pattern(height, width, channels):
    """What tests/unit/resize.c makes too."""
    x, out = 12345, bytearray()
    for _ in range(height * width * channels):
        x = (x * 1103515245 + 12345) % 2**32
        out.append(x >> 24 if x >> 23 & 7 else 255 * (x >> 31))
    return numpy.frombuffer(bytes(out), numpy.uint8).reshape(height, width, channels)


def decoded(name):
    """Red, green, blue as djpeg has them; of ink as Pillow."""
    if name == "cmyk.jpg":
        return numpy.asarray(Image.open(name).convert("RGB"))
    ppm = subprocess.run(["djpeg", "-dct", "int", name], stdout=subprocess.PIPE, check=True)
    return numpy.asarray(Image.open(io.BytesIO(ppm.stdout)).convert("RGB"))


def main():
    images = list(photographs(sys.argv[1], len(KINDS) + 4))
    for image, (kind, options) in zip(images, KINDS.items()):
        save(f"{kind}.jpg", cjpeg(image.resize((107, 83)), options))
    image = images[-1].resize((90, 61))
    image.convert("CMYK").save("cmyk.jpg", quality=85)
    small = images[-2].resize((64, 40))
    for name, size in (("1x1", (1, 1)), ("tall", (1, 1000)), ("wide", (1000, 1))):
        save(f"{name}.jpg", cjpeg(images[-3].resize(size), "-sample 2x2"))
    for orientation in range(1, 9):
        if orientation in (1, 3, 6, 8):
            data = cjpeg(small, "-sample 2x2")
            save(f"exif{orientation}.jpg", data[:2] + exif(orientation) + data[2:])
    small.save("small.png")
    small.convert("L").save("grey.png")
    small.save("small.ppm")
    small.save("small.bmp")
    small.resize((20, 16)).save("small.gif")

    golden = b""
    for height, width, channels, to_height, to_width in (
            (30, 40, 3, 17, 24), (23, 17, 3, 50, 31), (64, 48, 3, 20, 20), (9, 300, 3, 8, 40),
            (40, 31, 1, 13, 47), (5, 5, 3, 5, 9), (33, 20, 3, 11, 20), (1, 1, 3, 4, 3)):
        array = pattern(height, width, channels)
        array = array if channels == 3 else array[:, :, 0]
        golden += Image.fromarray(array).resize((to_width, to_height), Image.BILINEAR).tobytes()
    save("resize.raw", golden)

    lines = ""
    for name in sorted(glob.glob("*.jpg")):
        pixels = decoded(name)
        lines += "%s %d %d %d\n" % (name, *pixels.shape[:2], zlib.crc32(pixels.tobytes()))
    save("pixels", lines.encode())


main()
