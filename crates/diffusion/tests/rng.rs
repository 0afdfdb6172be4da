//! Sources of noise.

use yuragi_diffusion::sampler::Batch;
use yuragi_diffusion::{Noise, Rng, Source};
use yuragi_numeric::{philox, torch};

const LEN: usize = 48;
const CHANNELS: usize = 4;

#[test]
fn torchs_streams_follow_one_another_channels_first() {
    let mut source = Source::new(Rng::TorchCpu, 5, LEN, CHANNELS).unwrap();
    let mut generator = torch::Cpu::new(5);
    for stream in [0, 1, 4, 9] {
        let (mut want, mut have) = ([0.0; LEN], [0.0; LEN]);
        generator.normal(&mut want);
        for (i, part) in have.chunks_mut(7).enumerate() {
            source.fill(stream, 7 * i, part);
        }
        for (place, value) in have.into_iter().enumerate() {
            assert_eq!(value, want[place % CHANNELS * (LEN / CHANNELS) + place / CHANNELS]);
        }
    }
    // A stream that was passed: the seed again.
    let (mut again, mut first) = ([0.0; LEN], [0.0; LEN]);
    source.fill(0, 0, &mut again);
    Source::new(Rng::TorchCpu, 5, LEN, CHANNELS).unwrap().fill(0, 0, &mut first);
    assert_eq!(again, first);
}

#[test]
fn the_own_source_is_the_key() {
    let (mut have, mut want) = ([0.0; LEN], [0.0; LEN]);
    Source::new(Rng::Yuragi, 1 << 40 | 3, LEN, CHANNELS).unwrap().fill(2, 5, &mut have);
    philox::key(1 << 40 | 3).fill(2, 5, &mut want);
    assert_eq!(have, want);
}

#[test]
fn a_picture_of_a_batch_has_the_noise_it_would_have_alone() {
    for rng in ["yuragi", "torch-cpu", "torch-cuda", "torch-cuda:1x256"] {
        let rng: Rng = rng.parse().unwrap();
        let source = |seed| Source::new(rng, seed, LEN, CHANNELS).unwrap();
        let mut sources = [source(1), source(2)];
        let mut all = [1.0; 2 * LEN + 3];
        Batch::new(&mut sources, LEN).unwrap().fill(0, 0, &mut all);
        for seed in [1, 2] {
            let mut alone = [0.0; LEN];
            source(seed).fill(0, 0, &mut alone);
            assert_eq!(all[(seed as usize - 1) * LEN..][..LEN], alone, "{rng}");
        }
        assert_eq!(all[2 * LEN..], [0.0; 3]);
    }
}

#[test]
fn names_are_read_and_written() {
    for name in ["yuragi", "torch-cpu", "torch-cuda", "torch-cuda:28x1536"] {
        assert_eq!(name.parse::<Rng>().unwrap().to_string(), name);
    }
    assert_eq!("torch-cuda:132".parse::<Rng>().unwrap().to_string(), "torch-cuda:132x2048");
    assert_eq!("CPU".parse::<Rng>().unwrap(), Rng::TorchCpu);
    assert_eq!("NV".parse(), "torch-cuda".parse::<Rng>());
    for wrong in ["", "torch", "torch-cuda:", "torch-cuda:0", "torch-cuda:4x255", "torch-cuda:ax2048", "torch-cuda:1x"]
    {
        let said = wrong.parse::<Rng>().unwrap_err().to_string();
        assert!(said.contains("unknown generator") && said.contains("torch-cuda:SMSxTHREADS"), "{said}");
    }
    assert!(Source::new(Rng::TorchCpu, 0, 10, 4).is_err() && Source::new(Rng::TorchCpu, 0, 10, 0).is_err());
}
