"""Writes gaussian_mixture.rs: scikit-learn's EM for every kind of covariance, from a given start.

    python crates/distributions/tests/golden/gaussian_mixture_sklearn.py > crates/distributions/tests/golden/gaussian_mixture.rs

Made with scikit-learn 1.9.1.
"""

import numpy as np
from sklearn.mixture import GaussianMixture

N, D, K, STEPS = 90, 2, 3, 12


def rust(values):
    return "&[" + ", ".join(repr(float(x)) for x in np.ravel(values)) + "]"


def main():
    rng = np.random.default_rng(8)
    centres = np.array([[0.0, 0.0], [3.0, 1.0], [0.5, 4.0]])
    x = (centres[rng.integers(K, size=N)] + rng.normal(size=(N, D)) * [1.0, 0.7]).round(3)
    means = x[:K]
    precisions = {
        "full": np.stack([np.eye(D)] * K),
        "tied": np.eye(D),
        "diag": np.ones((K, D)),
        "spherical": np.ones(K),
    }
    names = {"full": "Full", "tied": "Tied", "diag": "Diagonal", "spherical": "Spherical"}
    print("//! Written by gaussian_mixture_sklearn.py.\n")
    print("use yuragi_distributions::Covariance;\n")
    print("/// What scikit-learn arrives at.\npub struct Case {")
    for name, kind in [
        ("kind", "Covariance"),
        ("weights", "&'static [f64]"),
        ("means", "&'static [f64]"),
        ("covariances", "&'static [f64]"),
        ("log_likelihood", "f64"),
        ("bic", "f64"),
        ("aic", "f64"),
        ("responsibilities", "&'static [f64]"),
    ]:
        note = "    /// Of the first five points.\n" if name == "responsibilities" else ""
        print(f"{note}    pub {name}: {kind},")
    print("}\n")
    print(f"/// EM steps from equal weights, the first {K} points as means and unit covariances.")
    print(f"pub const STEPS: usize = {STEPS};\n")
    print(f"#[rustfmt::skip]\npub const POINTS: &[f64] = {rust(x)};\n")
    print("#[rustfmt::skip]\npub const CASES: &[Case] = &[")
    for kind in precisions:
        mixture = GaussianMixture(
            K,
            covariance_type=kind,
            reg_covar=0.0,
            weights_init=np.full(K, 1 / K),
            means_init=means,
            precisions_init=precisions[kind],
            init_params="random_from_data",
        )
        mixture._initialize_parameters(x, np.random.RandomState(0), np)
        for _ in range(STEPS):
            _, log_gamma = mixture._e_step(x)
            mixture._m_step(x, log_gamma)
        print("    Case {")
        print(f"        kind: Covariance::{names[kind]},")
        print(f"        weights: {rust(mixture.weights_)},")
        print(f"        means: {rust(mixture.means_)},")
        print(f"        covariances: {rust(mixture.covariances_)},")
        print(f"        log_likelihood: {float(mixture.score(x))!r},")
        print(f"        bic: {float(mixture.bic(x))!r},")
        print(f"        aic: {float(mixture.aic(x))!r},")
        print(f"        responsibilities: {rust(mixture.predict_proba(x[:5]))},")
        print("    },")
    print("];")


main()
