//! A decoder to larger pictures, for the latents of a model whose other parts stay as they are.

use std::ops::ControlFlow;

use yuragi_graph::Slice;
use yuragi_io::{Item, Picture};
use yuragi_models::{
    Settings,
    autoencoder::Fine,
    latent_diffusion::{self, OPTIMIZER},
};
use yuragi_nn::{optim, rate};

use super::{
    autoencoder::{AVERAGE, TAIL, WARM},
    codec::Codec,
    data::{Batches, Data, stack},
    device::{For, Sharing, Trainer},
    run::prepare,
};
use crate::{Failure, machine::Machine, model::Model};

/// Pictures by which a decoder is measured, of those learned from; all of those that were not.
const MEASURED: usize = 200;

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The finer level, of a model that has none.
    pub fine: Fine,
    /// Steps.
    pub steps: u64,
    /// Pictures of a step.
    pub batch: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Decides weights, order and noise.
    pub seed: u64,
}

/// Epochs, and the fewest steps.
const EPOCHS: u64 = 23;
const LEAST_STEPS: u64 = 1_000;

impl Options {
    /// Steps that suit so many pictures in an epoch: as often as the built-in decoder met each of its own, but no fewer than any
    /// needs and no more than the defaults.
    pub fn fitted_steps(epoch: usize, batch: usize) -> u64 {
        (EPOCHS * epoch as u64 / batch.max(1) as u64).clamp(LEAST_STEPS, Options::default().steps)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options { fine: Fine { channels: 32, blocks: 1 }, steps: 9_000, batch: 16, rate: 2e-3, seed: 0 }
    }
}

/// How near decoded pictures are to true ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearness {
    /// Whether the pictures were learned from.
    pub seen: bool,
    /// How many they are.
    pub pictures: usize,
    /// The mean of their peak signal-to-noise ratios, in dB.
    pub decoded: f64,
    /// The same of what the decoder before gave, enlarged by linear interpolation where it was smaller.
    pub before: f64,
}

/// A model with its new decoder, and how well that does.
pub struct Learned {
    /// The model.
    pub model: Model,
    /// Of pictures learned from and of others, where there are some.
    pub nearness: Vec<Nearness>,
}

/// The extents that a model has with a finer level: its own if it has one, else pictures are twice as large.
pub fn enlarged(settings: &Settings, fine: Fine) -> Settings {
    let mut settings = settings.clone();
    if settings.autoencoder.fine.channels == 0 {
        settings.autoencoder.fine = fine;
        settings.size *= 2;
    }
    settings
}

/// Learns to decode pictures of the [enlarged] size from latents of `model`; `data` was loaded at that size. `tell` hears the steps done
/// and the mean loss, and may end it: what was learned so far is kept.
///
/// # Errors
/// Extents that no network can have, a loss that is no number, or what the machine reports.
pub fn learn(
    model: &Model,
    data: &Data,
    options: Options,
    machine: &Machine,
    tell: &mut dyn FnMut(u64, f64) -> ControlFlow<()>,
) -> Result<Learned, Failure> {
    let settings = enlarged(&model.settings, options.fine);
    let graph = latent_diffusion::decoder_training_by(&machine.optimizer(OPTIMIZER), &settings, options.batch)?;
    let mut params = model.params.clone();
    prepare(&mut params, graph.params(), options.seed);
    let mut trainer = Trainer::new(machine, &graph, params, Sharing::NONE)?;
    let mut batches = Batches::new(data, options.seed ^ 2, options.batch);
    let (mut pictures, mut mean) = (Vec::new(), 0.0);
    for step in 0..options.steps {
        if tell(step, mean).is_break() {
            break;
        }
        let picks: Vec<usize> = (0..options.batch).map(|place| batches.pick(step, place).item).collect();
        stack(picks.iter().map(|&item| &data.items[item].picture), &mut pictures);
        let rate = options.rate as f32 * rate::warmup(step, WARM) * rate::cosine_tail(step, options.steps, TAIL);
        let key = [step as u32, (options.seed as u32) ^ 0x6465_636f];
        let hyper = OPTIMIZER.hyper(step, rate, AVERAGE);
        let inputs = [Slice::F32(&pictures), Slice::U32(&key), Slice::F32(&hyper)];
        let [loss, _l1, _mse, _edges, _norm] = trainer.step(&inputs)?;
        if !loss.is_finite() {
            return Err(Failure::new(format!("the decoder diverged at step {}: learn at a lower rate", step + 1)));
        }
        mean = if step == 0 { loss.into() } else { 0.98 * mean + 0.02 * f64::from(loss) };
    }
    let mut params = optim::averaged(&trainer.params(For::All)?);
    // The last layers of a decoder to smaller pictures are no part of this one.
    let decode = latent_diffusion::decode(&settings, 1)?;
    let is_of_decoder = |name: &str| decode.params().iter().any(|spec| spec.name == name);
    params.retain(|name| !name.starts_with(latent_diffusion::DECODER) || is_of_decoder(name));
    let learned = Model { settings, tokenizer: model.tokenizer.clone(), params };
    let nearness = nearness(model, &learned, data, machine)?;
    Ok(Learned { model: learned, nearness })
}

fn nearness(before: &Model, after: &Model, data: &Data, machine: &Machine) -> Result<Vec<Nearness>, Failure> {
    let own = &data.items[..data.own];
    let seen: Vec<&Item> = own.iter().step_by(own.len().div_ceil(MEASURED).max(1)).collect();
    let others: Vec<&Item> = data.dataset.items.iter().filter(|item| item.held_out).collect();
    let mut all = Vec::new();
    for (seen, items) in [(true, seen), (false, others)] {
        if items.is_empty() {
            continue;
        }
        let pictures: Vec<&Picture> = items.iter().map(|item| &item.picture).collect();
        all.push(Nearness {
            seen,
            pictures: pictures.len(),
            decoded: given_back(after, &pictures, machine)?,
            before: given_back(before, &pictures, machine)?,
        });
    }
    Ok(all)
}

/// The mean peak signal-to-noise ratio of what a model's autoencoder gives back of pictures, scaled to its size and back.
fn given_back(model: &Model, pictures: &[&Picture], machine: &Machine) -> Result<f64, Failure> {
    let size = model.settings.size;
    let own: Vec<Picture> = pictures.iter().map(|picture| picture.resize(size, size)).collect::<Result<_, _>>()?;
    let codec = Codec::new(&model.settings, machine)?;
    let latents = codec.encode(&model.params, &own.iter().collect::<Vec<_>>(), |_| {})?;
    let mut sum = 0.0;
    for (picture, decoded) in pictures.iter().zip(codec.decode(&model.params, &latents)?) {
        sum += ratio(picture, &decoded.resize(picture.width(), picture.height())?);
    }
    Ok(sum / pictures.len() as f64)
}

/// The peak signal-to-noise ratio of pictures of one size, in dB.
fn ratio(picture: &Picture, other: &Picture) -> f64 {
    let squares = picture.rgb().iter().zip(other.rgb()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / picture.rgb().len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-6)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fit_the_data() {
        assert_eq!([8, 2_000, 6_400].map(|epoch| Options::fitted_steps(epoch, 16)), [1_000, 2_875, 9_000]);
        assert_eq!(Options::fitted_steps(0, 0), 1_000);
    }

    #[test]
    fn a_finer_level_is_kept_and_doubles_pictures_once() {
        let fine = Fine { channels: 16, blocks: 2 };
        let once = enlarged(&Settings::default(), fine);
        assert_eq!((once.size, once.autoencoder.fine), (128, fine));
        assert_eq!(enlarged(&once, Fine { channels: 8, blocks: 1 }), once);
    }

    #[test]
    fn a_ratio_of_pictures_is_that_of_their_mean_square() {
        let [a, b] = [[255; 3], [0; 3]].map(|colour| Picture::filled(2, 2, colour).unwrap());
        assert_eq!(ratio(&a, &b), 0.0);
        assert!((ratio(&a, &Picture::filled(2, 2, [245, 255, 255]).unwrap()) - 32.902).abs() < 1e-3);
        assert_eq!(ratio(&a, &a), ratio(&b, &b));
    }
}
