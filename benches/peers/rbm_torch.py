"""Times an epoch of CD-1 in PyTorch on the data of `benches/src/bin/rbm.rs`, on one thread.

    python benches/peers/rbm_torch.py TRAIN_IMAGES_IDX [binary|spin] [ROUNDS]

10 000 binarised digits in batches of 100, 784 x 256 units, beside

    cargo run --release --package yuragi-benches --bin rbm -- train-images-idx3-ubyte binary

Both print the processor seconds of the fastest epoch and the reconstruction error of the last. Needs torch and numpy.
"""

import sys
import time

import numpy as np
import torch

ROWS, PIXELS, HIDDEN, BATCH = 10_000, 784, 256, 100
RATE, MOMENTUM = 0.05, 0.5


def main():
    spin = len(sys.argv) > 2 and sys.argv[2] == "spin"
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    torch.set_num_threads(1)
    torch.manual_seed(1)
    pixels = np.fromfile(sys.argv[1], np.uint8, ROWS * PIXELS, offset=16).reshape(ROWS, PIXELS)
    data = torch.from_numpy((pixels >= 128).astype(np.float32))
    if spin:
        data = 2 * data - 1
    mean = torch.tanh if spin else torch.sigmoid
    w = 0.01 * torch.randn(PIXELS, HIDDEN)
    b, c = torch.zeros(PIXELS), torch.zeros(HIDDEN)
    velocities = [torch.zeros_like(x) for x in (w, b, c)]

    def draw(means):
        if spin:
            return 2 * torch.bernoulli(0.5 * (1 + means)) - 1
        return torch.bernoulli(means)

    best = float("inf")
    with torch.no_grad():
        for _ in range(rounds):
            start, error = time.process_time(), 0.0
            for v in data.split(BATCH):
                h = mean(torch.addmm(c, v, w))
                means = mean(torch.addmm(b, draw(h), w.T))
                model = draw(means)
                h2 = mean(torch.addmm(c, model, w))
                slopes = v.T @ h - model.T @ h2, v.sum(0) - model.sum(0), h.sum(0) - h2.sum(0)
                for x, velocity, slope in zip((w, b, c), velocities, slopes):
                    velocity.mul_(MOMENTUM).add_(slope, alpha=RATE / BATCH)
                    x.add_(velocity)
                error += ((means - v) ** 2).mean().item() * BATCH / ROWS
            best = min(best, time.process_time() - start)
    print(f"torch {torch.__version__}, {'spin' if spin else 'binary'}: {best:.4f} s an epoch (least of {rounds})")
    print(f"mean squared error of the reconstruction in the last epoch: {error:.5f}")


main()
