"""Times `yuragi fit gmm` beside scikit-learn where covariances are singular: more columns than rows, constant columns.

    cargo build --release --package yuragi
    python benches/peers/gmm_wide_sklearn.py target/release/yuragi [train-images-idx3-ubyte.gz]

Full covariances, two components, one start, the same tolerance; tables of 20 rows, and 28×28 digits if they are named.
By turns: seconds on the clock and on the processors, reading and writing files included for `yuragi`. Needs scikit-learn.
"""

import gzip
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import sklearn
from sklearn.mixture import GaussianMixture

DIGITS = 5000


def digits(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rb") as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)[:DIGITS].astype(float)


def processor(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def ours(program, path, folder):
    before, clock = processor(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [program, "fit", "gmm", path, "-k", "2", "--restarts", "1", "--tolerance", "1e-3", "--iterations", "100"]
    text = subprocess.run([*command, "-o", folder / "g.safetensors"], check=True, capture_output=True, text=True).stdout
    iterations = int(text.split("after ")[1].split()[0])
    return time.perf_counter() - clock, processor(resource.RUSAGE_CHILDREN) - before, iterations


def theirs(x):
    before, clock = processor(resource.RUSAGE_SELF), time.perf_counter()
    mixture = GaussianMixture(2, random_state=0, tol=1e-3, max_iter=100).fit(x)
    return time.perf_counter() - clock, processor(resource.RUSAGE_SELF) - before, mixture.n_iter_


def main():
    program = str(Path(sys.argv[1]).resolve())
    tables = {f"20 × {columns}": np.random.default_rng(0).normal(size=(20, columns)) for columns in (200, 800, 5000)}
    if len(sys.argv) > 2:
        tables[f"{DIGITS} digits of 28×28"] = digits(sys.argv[2])
    print(f"scikit-learn {sklearn.__version__}")
    print(f"{'table':<22} {'yuragi: clock':>14} {'processors':>11} {'iterations':>11}", end="")
    print(f" {'sklearn: clock':>15} {'processors':>11} {'iterations':>11}")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, x in tables.items():
            np.save(folder / "x.npy", x)
            print(f"{name:<22}", end="")
            for clock, used, iterations in (ours(program, folder / "x.npy", folder), theirs(x)):
                print(f" {clock:>14.2f} {used:>11.2f} {iterations:>11}", end="")
            print(flush=True)


main()
