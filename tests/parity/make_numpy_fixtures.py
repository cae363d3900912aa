#!/usr/bin/python3
"""Writes tests/parity/dataset/numpy/: .npy and .npz files as NumPy itself writes them (Debian 12:
python3-numpy 1.24).  The values follow from their index, so the test needs no second file."""
import os

import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dataset", "numpy")


def main():
    os.makedirs(HERE, exist_ok=True)

    def path(name):
        return os.path.join(HERE, name)

    grey = (np.arange(4 * 3 * 5) % 251).astype(np.uint8).reshape(4, 3, 5)
    rgb = (np.arange(2 * 3 * 2 * 3) * 7 % 256).astype(np.uint8).reshape(2, 3, 2, 3)
    labels = np.array([2, 0, 1, 2], dtype=np.int64)
    hot = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=np.uint8)
    tensor = np.arange(3 * 4 * 4, dtype=np.float32).reshape(3, 4, 4) / 8 - 1
    np.save(path("grey.npy"), grey)
    np.save(path("rgb.npy"), rgb)
    np.save(path("labels.npy"), labels)
    np.save(path("labels32.npy"), labels.astype(np.int32))
    np.save(path("hot.npy"), hot)
    np.save(path("tensor.npy"), tensor)
    np.save(path("fortran.npy"), np.asfortranarray(grey))
    np.save(path("big.npy"), labels.astype(">i8"))
    np.savez(path("stored.npz"), images=grey, labels=labels)
    np.savez_compressed(path("deflated.npz"), images=grey, labels=hot)
    np.savez_compressed(path("split.npz"), x_train=grey, y_train=labels.astype(np.uint8),
                        x_test=grey[:2], y_test=labels[:2].astype(np.uint8))


if __name__ == "__main__":
    main()
