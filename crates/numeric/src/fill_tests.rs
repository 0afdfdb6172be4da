use super::*;
use crate::{fnv::Fnv1a, philox::block};
use std::vec;
use std::vec::Vec;

type Fill = fn([u32; 2], u32, u64, &mut [f32]);

fn draw_vec(fill: Fill, key: [u32; 2], stream: u32, first: u64, n: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; n];
    fill(key, stream, first, &mut out);
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn any_part_equals_the_whole() {
    for fill in [uniform as Fill, normal] {
        let whole = bits(&draw_vec(fill, [5, 6], 7, 0, 700));
        for first in (0..11).chain([127, 128, 129, 511]) {
            for n in [0, 1, 2, 3, 4, 5, 7, 8, 127, 128, 129, 180] {
                let part = bits(&draw_vec(fill, [5, 6], 7, first as u64, n));
                assert_eq!(part, whole[first..first + n], "first {first}, n {n}");
            }
        }
    }
}

#[test]
fn indices_past_32_bits_and_round_the_end() {
    for fill in [uniform as Fill, normal] {
        let far = (1 << 34) - 3;
        let across = draw_vec(fill, [1, 2], 3, far, 200);
        assert_eq!(across[3..7], draw_vec(fill, [1, 2], 3, 1 << 34, 4));
        let end = draw_vec(fill, [1, 2], 3, u64::MAX - 1, 6);
        assert_eq!(end[2..], draw_vec(fill, [1, 2], 3, 0, 4));
    }
    let word = block([0, 1, 3, 0], [1, 2])[1];
    assert_eq!(draw_vec(uniform, [1, 2], 3, (1 << 34) + 1, 1), [(word >> 8) as f32 / 16_777_216.0]);
}

#[test]
fn normal_is_the_formula_of_box_and_muller() {
    let values = draw_vec(normal, [11, 12], 13, 0, 40_000);
    for (i, z) in values.chunks_exact(2).enumerate() {
        let words = block([i as u32 / 2, 0, 13, 0], [11, 12]);
        let [a, b] = [words[i % 2 * 2], words[i % 2 * 2 + 1]];
        let u = (f64::from(a >> 1) + 0.5) / 2_147_483_648.0;
        let turn = f64::from(b) / 4_294_967_296.0 - 0.125;
        let radius = libm::sqrt(-2.0 * libm::log(u));
        let angle = core::f64::consts::TAU * turn;
        for (z, exact) in [(z[0], radius * libm::cos(angle)), (z[1], radius * libm::sin(angle))] {
            let bound = 4e-7 * radius + 6e-8 / radius.max(1e-4);
            assert!((f64::from(z) - exact).abs() <= bound, "{z} for {exact}");
        }
    }
}

#[test]
fn the_extreme_words_give_finite_normals() {
    for radius in [0, 1, u32::MAX - 1, u32::MAX] {
        let r = Single::sqrt(-2.0 * ln_normal(open_unit(radius), 0.0));
        assert!((0.0..=6.67).contains(&r), "{r}");
    }
    for word in [0, 0x3fff_ffff, 0x4000_0000, 0x8000_0000, u32::MAX] {
        let (_, angle) = direction(word);
        assert!(angle.abs() <= core::f32::consts::FRAC_PI_4);
    }
}

/// First four moments, and the Kolmogorov–Smirnov distance to `cdf`.
fn check_distribution(fill: Fill, moments: [f64; 4], cdf: fn(f64) -> f64) {
    const N: usize = 1 << 18;
    let n = N as f64;
    for stream in 0..3 {
        let mut sample: Vec<f64> = draw_vec(fill, [2024, 0], stream, 0, N).into_iter().map(f64::from).collect();
        for (k, expected) in (1..).zip(moments) {
            let power = |x: f64| libm::pow(x, f64::from(k));
            let mean = sample.iter().map(|x| power(*x)).sum::<f64>() / n;
            let square = sample.iter().map(|x| power(*x) * power(*x)).sum::<f64>() / n;
            let error = libm::sqrt((square - mean * mean) / n);
            assert!((mean - expected).abs() < 4.0 * error, "moment {k}: {mean}");
        }
        sample.sort_by(f64::total_cmp);
        let distance = sample.iter().enumerate().fold(0.0f64, |d, (i, x)| {
            let p = cdf(*x);
            d.max(p - i as f64 / n).max((i + 1) as f64 / n - p)
        });
        // √n·D exceeds 1.95 with probability 0.001.
        assert!(distance * libm::sqrt(n) < 1.95, "KS {distance}");
    }
}

#[test]
fn uniform_is_uniform() {
    check_distribution(uniform, [0.5, 1.0 / 3.0, 0.25, 0.2], |x| x);
    assert!(draw_vec(uniform, [3, 4], 0, 0, 1 << 18).iter().all(|x| (0.0..1.0).contains(x)));
}

#[test]
fn normal_is_normal() {
    let cdf = |x: f64| 0.5 * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2);
    check_distribution(normal, [0.0, 1.0, 0.0, 3.0], cdf);
}

#[test]
fn lanes_streams_and_keys_are_uncorrelated() {
    const N: usize = 1 << 16;
    let correlation =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>() / libm::sqrt(N as f64);
    let base = draw_vec(normal, [1, 0], 0, 0, N + 4);
    for lag in 1..=4 {
        assert!(correlation(&base[..N], &base[lag..lag + N]).abs() < 4.0, "lag {lag}");
    }
    for (key, stream) in [([1, 0], 1), ([2, 0], 0), ([1, 1], 0)] {
        let other = draw_vec(normal, key, stream, 0, N);
        assert!(correlation(&base[..N], &other).abs() < 4.0, "{key:?} {stream}");
    }
}

/// The same bits on every platform and in every later version.
#[test]
fn bits_are_stable() {
    type Case = (Fill, [u32; 2], u32, u64, [u32; 6]);
    let cases: [Case; 6] = [
        (uniform, [0, 0], 0, 0, [0x3ecc4fd0, 0x3f6169c5, 0x3f3c57ac, 0x3f1b00db, 0x3f78e4cc, 0x3eb96400]),
        (uniform, [1, 2], 3, 5, [0x3dd83778, 0x3ef2ac64, 0x3efca17e, 0x3e8fce56, 0x3e8e6ac8, 0x3e6eb738]),
        (uniform, [!0, !0], !0, u64::MAX - 2, [0x3eaf2d84, 0x3f58bb18, 0x3f29402a, 0x3e152808, 0x3f1bd9d7, 0x3eefa1da]),
        (normal, [0, 0], 0, 0, [0x3d40884c, 0xbfad6600, 0xbf47101b, 0x3dc4488f, 0x3c9d7cdc, 0x3e722d84]),
        (normal, [1, 2], 3, 5, [0xbdc008c7, 0xbf53de52, 0x3f662799, 0x3f693455, 0x3fa76037, 0x3f06a799]),
        (normal, [!0, !0], !0, u64::MAX - 2, [0x3fb71857, 0xbf0ff214, 0xbe0505a9, 0xbff9f2e6, 0x3e4c54bf, 0x3f260f60]),
    ];
    for (fill, key, stream, first, expected) in cases {
        let got = bits(&draw_vec(fill, key, stream, first, 6));
        assert_eq!(got, expected, "{got:08x?}");
    }
    let hash = |fill: Fill, n| {
        let mut hash = Fnv1a::default();
        draw_vec(fill, [42, 0], 1, 0, n).iter().for_each(|y| hash.word(y.to_bits().into()));
        hash.value()
    };
    assert_eq!(hash(uniform, 100_003), 0x4e38_800a_24f4_516b);
    assert_eq!(hash(normal, 100_003), 0x824c_4faa_093c_dadf);
}
