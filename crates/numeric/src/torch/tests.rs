use super::*;
use crate::{fnv::Fnv1a, philox};
use rand_core::Rng;

mod goldens {
    include!("goldens.rs");
}

fn hash(values: &[f32]) -> u64 {
    let mut hash = Fnv1a::default();
    values.iter().for_each(|x| hash.bytes(&x.to_le_bytes()));
    hash.value()
}

#[test]
fn the_processors_numbers_are_torchs_to_the_bit() {
    for (seed, count, calls) in goldens::CALLS {
        let mut generator = Cpu::new(seed);
        for (call, (bits, first, last)) in calls.into_iter().enumerate() {
            let mut drawn = std::vec![0.0; count];
            generator.normal(&mut drawn);
            let ends = (drawn[0].to_bits(), drawn[count - 1].to_bits());
            assert_eq!((hash(&drawn), ends), (bits, (first, last)), "seed {seed}, {count} values, call {call}");
        }
    }
}

#[test]
fn whole_groups_continue_one_another() {
    let (mut whole, mut parts) = ([0.0; 64], [0.0; 64]);
    Cpu::new(3).normal(&mut whole);
    let mut generator = Cpu::new(3);
    parts.chunks_mut(32).for_each(|part| generator.normal(part));
    assert_eq!(whole, parts);
}

/// The twelve numbers that `rng_philox.py` of the most common web interface promises for seed 0.
#[test]
fn the_gpus_numbers_are_the_published_ones() {
    let published = [
        -0.924_662_6,
        -0.425_344_15,
        -2.643_845_8,
        0.145_183_88,
        -0.120_866_47,
        -0.579_725_6,
        -0.622_851_2,
        -0.328_387_1,
        -1.074_542_3,
        -0.363_144_07,
        -1.671_050_7,
        2.265_505_f32,
    ];
    for launch in [Launch::UNLIMITED, Launch::new(28, 1536).unwrap()] {
        let mut drawn = [0.0; 12];
        Cuda::new(0, launch).normal(&mut drawn);
        for (have, want) in drawn.iter().zip(published) {
            assert!((have - want).abs() < 1e-6, "{have} is not {want}");
        }
    }
}

#[test]
fn a_card_of_few_threads_takes_every_lane_and_counts_its_rounds() {
    let launch = Launch::new(1, 256).unwrap();
    let (mut generator, mut drawn) = (Cuda::new(9, launch), std::vec![0.0; 2500]);
    generator.normal(&mut drawn);
    // 256 threads, so element i is lane i/256 % 4 of thread i % 256 in round i/1024.
    let radius_of = |i: usize| {
        let words = philox::block([(i / 1024) as u32, 0, (i % 256) as u32, 0], [9, 0]);
        let word = words[if i / 256 % 4 < 2 { 0 } else { 2 }];
        (-2.0 * ((f64::from(word) + 0.5) / 4_294_967_296.0).ln()).sqrt()
    };
    for i in 0..drawn.len() {
        if i / 256 % 2 == 0 && i + 256 < drawn.len() {
            let radius = f64::from(drawn[i]).hypot(f64::from(drawn[i + 256]));
            assert!((radius - radius_of(i)).abs() < 1e-5, "{i}: {radius}");
        }
    }
    // Three rounds of four words were used up.
    assert_eq!(generator.next_u32(), philox::block([3, 0, 0, 0], [9, 0])[0]);
}

#[test]
fn small_calls_are_the_same_on_every_card() {
    let draw = |launch, count| {
        let mut drawn = std::vec![0.0; count];
        Cuda::new(7, launch).normal(&mut drawn);
        drawn
    };
    let small = Launch::new(28, 1536).unwrap();
    assert_eq!(draw(small, 43_008), draw(Launch::UNLIMITED, 43_008));
    assert_ne!(draw(small, 43_009), draw(Launch::UNLIMITED, 43_009));
}
