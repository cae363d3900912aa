#!/usr/bin/python3
"""Writes tests/parity/dataset/{resize,prepare,pictures}.bin: what Pillow and torchvision make of
small seeded pictures.  Debian 12: python3-pil 9.4, python3-torchvision 0.14, python3-numpy.

Records, little-endian u32 fields first:
  resize    filter, in h, w, c, out h, w; in bytes; out bytes
  prepare   filter, in h, w, c, out c, resize, keep_aspect, size; in bytes; out bytes
  pictures  file bytes n, h, w, c; the file; the pixels
"""
import io
import os
import struct

import numpy as np
from PIL import Image
from torchvision import transforms

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dataset")
FILTERS = [Image.NEAREST, Image.LANCZOS, Image.BILINEAR, Image.BICUBIC, Image.BOX, Image.HAMMING]


def picture(rng, h, w, c):
    """Edges, a gradient and noise: overshoot and clipping happen."""
    y, x = np.mgrid[0:h, 0:w]
    base = (x * 255 // max(w - 1, 1) + 128 * ((x // 3 + y // 2) % 2)) % 256
    noise = rng.randint(-60, 61, size=(h, w, c))
    return np.clip(base[:, :, None] + noise, 0, 255).astype(np.uint8)


def pil(a):
    return Image.fromarray(a[:, :, 0] if a.shape[2] == 1 else a)


def array(image):
    a = np.asarray(image, dtype=np.uint8)
    return a if a.ndim == 3 else a[:, :, None]


def write(name, records):
    with open(os.path.join(HERE, name), "wb") as f:
        for fields, *blobs in records:
            f.write(struct.pack("<%dI" % len(fields), *fields))
            for b in blobs:
                f.write(b.tobytes() if isinstance(b, np.ndarray) else b)


def resize_records(rng):
    shapes = [(9, 7, 1, 4, 3), (9, 7, 3, 20, 31), (28, 28, 1, 32, 32), (32, 32, 1, 28, 28),
              (17, 40, 3, 17, 11), (40, 13, 1, 7, 13), (5, 5, 1, 1, 1), (1, 1, 3, 6, 4),
              (37, 53, 3, 16, 16), (12, 12, 3, 12, 12), (3, 50, 1, 9, 5)]
    for f in FILTERS:
        for h, w, c, oh, ow in shapes:
            a = picture(rng, h, w, c)
            out = array(pil(a).resize((ow, oh), f))
            yield (f, h, w, c, oh, ow), a, out


def prepare_records(rng):
    cases = [(Image.BICUBIC, 30, 41, 3, 3, 18, 1, 16), (Image.BILINEAR, 33, 20, 3, 1, 16, 0, 16),
             (Image.BICUBIC, 41, 30, 1, 3, 17, 1, 16), (Image.BILINEAR, 25, 19, 1, 1, 19, 1, 16),
             (Image.LANCZOS, 10, 60, 3, 1, 10, 1, 15), (Image.BOX, 22, 22, 3, 3, 22, 0, 22),
             (Image.BILINEAR, 9, 31, 1, 1, 8, 1, 12)]
    for f, h, w, c, oc, resize, aspect, size in cases:
        a = picture(rng, h, w, c)
        image = pil(a).convert("L" if oc == 1 else "RGB")
        side = resize if aspect else (resize, resize)
        mode = {Image.BICUBIC: "bicubic", Image.BILINEAR: "bilinear", Image.LANCZOS: "lanczos",
                Image.BOX: "box"}[f]
        image = transforms.Resize(side, transforms.InterpolationMode(mode))(image)
        out = array(transforms.CenterCrop(size)(image))
        yield (f, h, w, c, oc, resize, aspect, size), a, out


def encoded(image, fmt, **options):
    b = io.BytesIO()
    image.save(b, fmt, **options)
    return b.getvalue()


def picture_records(rng):
    grey, rgb = pil(picture(rng, 13, 11, 1)), pil(picture(rng, 10, 14, 3))
    alpha = rgb.copy()
    alpha.putalpha(pil(picture(rng, 10, 14, 1)))
    files = [encoded(grey, "PNG"), encoded(rgb, "PNG"), encoded(alpha, "PNG"),
             encoded(alpha.convert("LA"), "PNG"), encoded(rgb.quantize(20), "PNG"),
             encoded(grey.convert("1"), "PNG"), encoded(grey, "JPEG", quality=80),
             encoded(rgb, "JPEG", quality=90), encoded(rgb, "JPEG", progressive=True),
             encoded(rgb, "JPEG", subsampling=0)]
    for data in files:
        image = Image.open(io.BytesIO(data))
        out = array(image.convert("L" if image.mode in ("L", "LA", "1") else "RGB"))
        yield (len(data), *out.shape), data, out
    deep = rng.randint(0, 65536, size=(6, 5)).astype(np.uint16)
    data = encoded(Image.fromarray(deep), "PNG")
    out = ((deep.astype(np.uint64) * 255 + 32895) >> 16).astype(np.uint8)
    yield (len(data), 6, 5, 1), data, out


def main():
    rng = np.random.RandomState(20240607)
    write("resize.bin", resize_records(rng))
    write("prepare.bin", prepare_records(rng))
    write("pictures.bin", picture_records(rng))


if __name__ == "__main__":
    main()
