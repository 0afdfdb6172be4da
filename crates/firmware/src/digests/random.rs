//! Generators, fills, and draws from distributions.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_distributions::{
    Bernoulli, Categorical, Distribution, Exponential, Gaussian, Laplace, MultivariateGaussian, Poisson, Uniform,
    random::{index, standard_normal, uniform},
};
use yuragi_numeric::mt19937::Mt19937;
use yuragi_numeric::philox::{Philox, block};
use yuragi_numeric::rand_core::Rng;
use yuragi_numeric::torch::{Cpu, Cuda, Launch};
use yuragi_numeric::{double, elementary, fill};

use super::digest::{Digest, Draw, Failure};

pub const ALL: &[(&str, Draw)] = &[
    ("philox/blocks", |digest| {
        let blocks = (0..500u32).map(|i| block([i, i.wrapping_mul(0x9e37_79b9), 7, !i], [i ^ 5, 77]));
        digest.words(blocks.flatten());
        Ok(())
    }),
    ("philox/words", |digest| {
        let mut rng = Philox::new([3, 4], 5);
        for _ in 0..300 {
            digest.words([rng.next_u32()]);
            digest.bytes(&rng.next_u64().to_le_bytes());
            let mut bytes = [0; 7];
            rng.fill_bytes(&mut bytes);
            digest.bytes(&bytes);
        }
        rng.seek(u64::from(u32::MAX) * 5 + 3);
        digest.words((0..20).map(|_| rng.next_u32()));
        Ok(())
    }),
    ("mersenne-twister", |digest| {
        let mut rng = Mt19937::new(5489);
        digest.words((0..1500).map(|_| rng.next_u32()));
        Ok(())
    }),
    ("fill/uniform", |digest| fills(digest, fill::uniform)),
    ("fill/normal", |digest| fills(digest, fill::normal)),
    ("torch/cpu", |digest| {
        let mut generator = Cpu::new(0x1234_5678_9abc);
        for count in [1, 7, 15, 16, 17, 100, 1003] {
            let mut out = vec![0.0; count];
            generator.normal(&mut out);
            digest.singles(&out);
        }
        Ok(())
    }),
    ("torch/cuda", |digest| {
        for launch in [Some(Launch::UNLIMITED), Launch::new(2, 512)].into_iter().flatten() {
            let mut generator = Cuda::new(42, launch);
            for count in [1, 7, 1000, 3000] {
                let mut out = vec![0.0; count];
                generator.normal(&mut out);
                digest.singles(&out);
            }
        }
        Ok(())
    }),
    ("elementary", |digest| {
        // Every exponent, NaN and infinities among them.
        let inputs = || (0..1500u32).map(|i| f32::from_bits(i.wrapping_mul(2_863_311)));
        let functions: [fn(f32) -> f32; 7] = [
            elementary::exp,
            elementary::ln,
            elementary::sin,
            elementary::cos,
            elementary::tanh,
            elementary::sigmoid,
            elementary::erf,
        ];
        for function in functions {
            // The sign and the payload of a NaN are the processor's.
            digest.words(inputs().map(function).map(|y| if y.is_nan() { u32::MAX } else { y.to_bits() }));
        }
        Ok(())
    }),
    ("double", |digest| {
        let inputs = || (1..1000u32).map(|i| f64::from(i) * 0.731 - 300.0);
        digest.doubles(&inputs().map(double::exp).collect::<Vec<_>>());
        digest.doubles(&inputs().map(|x| double::ln(x.abs())).collect::<Vec<_>>());
        Ok(())
    }),
    ("random/uniform", |digest| sequence(digest, uniform)),
    ("random/normal", |digest| sequence(digest, standard_normal)),
    ("random/index", |digest| {
        let mut rng = Philox::new([9, 9], 1);
        digest.counts((1..500).map(|n| index(&mut rng, n)));
        Ok(())
    }),
    ("random/shuffle", |digest| {
        let mut rng = Philox::new([10, 9], 1);
        for len in [1, 2, 13, 256] {
            let mut places: Vec<usize> = (0..len).collect();
            (1..len).rev().for_each(|i| places.swap(i, index(&mut rng, i + 1)));
            digest.counts(places);
        }
        Ok(())
    }),
    ("random/order", |digest| {
        let mut keys = [0.0; 400];
        fill::normal([1, 2], 3, 0, &mut keys);
        let mut places: Vec<usize> = (0..keys.len()).collect();
        places.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        digest.counts(places);
        Ok(())
    }),
    ("distribution/bernoulli", |digest| sample(digest, &Bernoulli::new(0.3)?)),
    ("distribution/categorical", |digest| sample(digest, &Categorical::new(&[0.5, 1.0, 0.0, 3.0, 0.1])?)),
    ("distribution/exponential", |digest| sample(digest, &Exponential::new(0.7)?)),
    ("distribution/gaussian", |digest| sample(digest, &Gaussian::new(-1.0, 2.5)?)),
    ("distribution/laplace", |digest| sample(digest, &Laplace::new(0.5, 0.25)?)),
    ("distribution/multivariate", |digest| {
        sample(digest, &MultivariateGaussian::new(&[1.0, -2.0], &[2.0, 0.6, 0.6, 1.0])?)
    }),
    ("distribution/poisson", |digest| {
        [0.2, 4.0, 60.0].into_iter().try_for_each(|rate| sample(digest, &Poisson::new(rate)?))
    }),
    ("distribution/uniform", |digest| sample(digest, &Uniform::new(-2.0, 3.0)?)),
];

/// Parts of streams: short, long, and far away.
fn fills(digest: &mut Digest, fill: fn([u32; 2], u32, u64, &mut [f32])) -> Result<(), Failure> {
    for (first, count) in [(0, 1001), (3, 130), ((1 << 34) + 6, 17), (u64::MAX - 5, 20)] {
        let mut out = vec![0.0; count];
        fill([11, 12], 13, first, &mut out);
        digest.singles(&out);
    }
    Ok(())
}

fn sequence(digest: &mut Digest, draw: fn(&mut Philox) -> f64) -> Result<(), Failure> {
    let mut rng = Philox::new([8, 7], 6);
    digest.doubles(&(0..500).map(|_| draw(&mut rng)).collect::<Vec<_>>());
    Ok(())
}

fn sample(digest: &mut Digest, law: &impl Distribution) -> Result<(), Failure> {
    digest.doubles(&law.sample(&mut Philox::new([21, 22], 23), 200));
    Ok(())
}
