use std::{collections::BTreeMap, str::FromStr};

use yuragi_graph::{BuildError, Graph};
use yuragi_models::{
    gamma::Gamma,
    likelihood::Likelihood,
    vae::{self, Estimator, Layer, Vae},
    vdm::{self, Vdm},
};
use yuragi_nn::optim::Optimizer;

use crate::Failure;

/// What is learned through a bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// A variational autoencoder of one or several layers.
    Vae(Vae),
    /// A variational diffusion model.
    Vdm(Vdm),
}

/// Where a file says what it is.
pub(super) const KIND: &str = "model";
const VAE: &str = "variational autoencoder";
const HIERARCHICAL: &str = "hierarchical variational autoencoder";
const DIFFUSION: &str = "variational diffusion model";
const KINDS: [&str; 3] = [VAE, HIERARCHICAL, DIFFUSION];

impl Network {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Network::Vae(vae) if vae.layers.len() > 1 => HIERARCHICAL,
            Network::Vae(_) => VAE,
            Network::Vdm(_) => DIFFUSION,
        }
    }

    /// True if these words name one.
    pub(super) fn is_kind(text: &str) -> bool {
        KINDS.contains(&text)
    }

    /// The shape of an example.
    pub fn shape(&self) -> &[usize] {
        match self {
            Network::Vae(vae) => &vae.shape,
            Network::Vdm(vdm) => &vdm.shape,
        }
    }

    /// Numbers of an example.
    pub fn columns(&self) -> usize {
        self.shape().iter().product()
    }

    /// The law of an example's numbers.
    pub fn likelihood(&self) -> Likelihood {
        match self {
            Network::Vae(vae) => vae.likelihood,
            Network::Vdm(vdm) => vdm.likelihood,
        }
    }

    /// Whether networks of these extents can be built.
    ///
    /// # Errors
    /// What is out of range, with the legal one.
    pub fn check(&self) -> Result<(), Failure> {
        let checked = match self {
            Network::Vae(vae) => vae.check(),
            Network::Vdm(vdm) => vdm.check(),
        };
        checked.map_err(Failure::new)
    }

    /// One training step on a bound of so many draws, along gradients that are estimated so (a diffusion model's are
    /// single): inputs x, key, hyper; outputs loss, two parts of it, and the gradient's norm.
    ///
    /// # Errors
    /// Extents or samples that are out of range.
    pub fn training(
        &self,
        optimizer: &Optimizer,
        batch: usize,
        (samples, estimator): (usize, Estimator),
    ) -> Result<Graph, BuildError> {
        match self {
            Network::Vae(vae) => vae.training_by(optimizer, batch, samples, estimator),
            Network::Vdm(vdm) => vdm.training_by(optimizer, batch, samples),
        }
    }

    /// The bounds of each example: inputs x and key; outputs elbo, and importance or the terms of a diffusion model's
    /// bound, each `[batch]`.
    ///
    /// # Errors
    /// As [`training`](Network::training).
    pub fn bound(&self, batch: usize, samples: usize) -> Result<Graph, BuildError> {
        match self {
            Network::Vae(vae) => vae.bound(batch, samples),
            Network::Vdm(vdm) => vdm.bound(batch, samples),
        }
    }

    /// How a training steps.
    pub fn optimizer(&self) -> Optimizer {
        match self {
            Network::Vae(_) => vae::OPTIMIZER,
            Network::Vdm(_) => vdm::OPTIMIZER,
        }
    }

    /// Keys and values for a file's header.
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let common = [
            (KIND, self.kind().to_owned()),
            ("shape", joined(self.shape(), ",")),
            ("likelihood", self.likelihood().to_string()),
        ];
        let own = match self {
            Network::Vae(vae) => {
                let layer = |layer: &Layer| joined(&[&layer.hidden[..], &[layer.latent]].concat(), "-");
                let layers: Vec<String> = vae.layers.iter().map(layer).collect();
                vec![("vae.layers", layers.join(",")), ("vae.convolutional", vae.convolutional.to_string())]
            }
            Network::Vdm(Vdm { channels, blocks, steps, gamma, .. }) => vec![
                ("vdm.channels", channels.to_string()),
                ("vdm.blocks", blocks.to_string()),
                ("vdm.steps", steps.to_string()),
                ("vdm.gamma", format!("{},{}", gamma.ends[0], gamma.ends[1])),
                ("vdm.gamma.learned", gamma.learned_ends.to_string()),
                ("vdm.gamma.hidden", gamma.hidden.to_string()),
            ],
        };
        common.into_iter().chain(own).collect()
    }

    /// A network from a file's header.
    ///
    /// # Errors
    /// A missing key, or a value that is not understood; extents are [`check`](Network::check)ed apart.
    pub fn from_pairs(pairs: &BTreeMap<String, String>) -> Result<Network, Failure> {
        let get = |key: &str| {
            pairs.get(key).map(String::as_str).ok_or_else(|| Failure::new(format!("its header lacks `{key}`")))
        };
        let unread = |key: &str, value: &str| Failure::new(format!("its `{key}` is {value:?}"));
        let sizes = |key: &str, text: &str, between: char| {
            let parts = text.split(between).map(str::parse).collect::<Result<Vec<usize>, _>>();
            parts.map_err(|_| unread(key, text))
        };
        let shape = sizes("shape", get("shape")?, ',')?;
        let likelihood = get("likelihood")?;
        let likelihood: Likelihood = likelihood.parse().map_err(|_| unread("likelihood", likelihood))?;
        match get(KIND)? {
            VAE | HIERARCHICAL => {
                let mut layers = Vec::new();
                for text in get("vae.layers")?.split(',') {
                    let mut hidden = sizes("vae.layers", text, '-')?;
                    let latent = hidden.pop().ok_or_else(|| unread("vae.layers", text))?;
                    layers.push(Layer { hidden, latent });
                }
                let convolutional = get("vae.convolutional")?;
                let convolutional = convolutional.parse().map_err(|_| unread("vae.convolutional", convolutional))?;
                let vae = Vae { shape, likelihood, layers, convolutional };
                Ok(Network::Vae(vae))
            }
            DIFFUSION => {
                fn of<T: FromStr>(key: &str, text: &str) -> Result<T, Failure> {
                    text.parse().map_err(|_| Failure::new(format!("its `{key}` is {text:?}")))
                }
                let number = |key: &str| of::<usize>(key, get(key)?);
                let ends = get("vdm.gamma")?;
                let (low, high) = ends.split_once(',').ok_or_else(|| unread("vdm.gamma", ends))?;
                let gamma = Gamma {
                    ends: [of("vdm.gamma", low)?, of("vdm.gamma", high)?],
                    learned_ends: of("vdm.gamma.learned", get("vdm.gamma.learned")?)?,
                    hidden: number("vdm.gamma.hidden")?,
                };
                let [channels, blocks, steps] = ["vdm.channels", "vdm.blocks", "vdm.steps"].map(number);
                let vdm = Vdm { shape, likelihood, channels: channels?, blocks: blocks?, steps: steps?, gamma };
                Ok(Network::Vdm(vdm))
            }
            kind => Err(Failure::new(format!("it is a {kind:?}"))),
        }
    }
}

fn joined(sizes: &[usize], between: &str) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(between)
}
