"""Times scikit-learn's EM on the data of `benches/src/bin/gmm.rs`, from the same start, on one thread.

    cargo run --release --package yuragi-benches --bin gmm -- /tmp/gmm.f64
    python benches/peers/gmm_sklearn.py /tmp/gmm.f64

Both print the least seconds of one iteration on the clock, the least of a round of ten on the processor,
and the mean log-likelihood after ten, which must agree. Needs scikit-learn and threadpoolctl.
"""

import sys
import time

import numpy as np
import sklearn
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

D = K = 16
ITERATIONS = 10
ROUNDS = 3


def main():
    x = np.fromfile(sys.argv[1], "<f8").reshape(-1, D)
    wall = processor = np.inf
    with threadpool_limits(1):
        for _ in range(ROUNDS):
            mixture = GaussianMixture(
                K,
                reg_covar=0.0,
                weights_init=np.full(K, 1 / K),
                means_init=x[:K],
                precisions_init=np.stack([np.eye(D)] * K),
                init_params="random_from_data",
            )
            mixture._initialize_parameters(x, np.random.RandomState(0), np)
            before = time.process_time()
            for _ in range(ITERATIONS):
                clock = time.perf_counter()
                _, log_gamma = mixture._e_step(x)
                mixture._m_step(x, log_gamma)
                wall = min(wall, time.perf_counter() - clock)
            processor = min(processor, (time.process_time() - before) / ITERATIONS)
        print(f"scikit-learn {sklearn.__version__}, n = {len(x)}, d = {D}, k = {K}, 1 thread")
        print(f"seconds an iteration (least): {wall:.4f} on the clock, {processor:.4f} on the processor")
        print(f"mean log-likelihood after {ITERATIONS}: {mixture.score(x):.12f}")


main()
