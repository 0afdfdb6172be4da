//! Adapters that change a checkpoint's weights as it is opened, as flags name them.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::Args;
use yuragi::{Failure, io::lora::Lora};

use super::common::Loaded;

/// Keys that a note names.
const MOST_NAMED: usize = 3;

/// Which adapters.
#[derive(Args)]
pub struct AdapterFlags {
    /// A LoRA for a Stable Diffusion checkpoint: kohya's or PEFT's .safetensors, or a folder of PEFT's; how much of it is
    /// added [default: 1]. May be given several times
    #[arg(long = "lora", value_name = "FILE[:WEIGHT]")]
    adapters: Vec<Adapter>,
}

/// One of them.
#[derive(Clone)]
struct Adapter {
    path: PathBuf,
    weight: f32,
}

impl FromStr for Adapter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let weighted = text.rsplit_once(':').and_then(|(path, weight)| Some((path, weight.parse::<f32>().ok()?)));
        let (path, weight) = weighted.unwrap_or((text, 1.0));
        if path.is_empty() || !weight.is_finite() {
            return Err("it must be a file, or a file, a colon and a number".into());
        }
        Ok(Adapter { path: path.into(), weight })
    }
}

impl AdapterFlags {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.adapters.is_empty()
    }

    /// Adds them to a model's weights. What of them has no place in the model is named.
    pub fn merge(&self, loaded: &mut Loaded) -> Result<(), Failure> {
        for Adapter { path, weight } in &self.adapters {
            let Loaded::StableDiffusion(model) = loaded else {
                return Err(Failure::new("`--lora` changes Stable Diffusion checkpoints: name one with `--model`"));
            };
            let lora = Lora::open(path)?;
            let unused = lora.merge(&mut model.params, *weight)?.unused;
            if let Some(first) = unused.get(..MOST_NAMED.min(unused.len())).filter(|first| !first.is_empty()) {
                let more = if unused.len() > first.len() { ", .." } else { "" };
                let (count, names) = (unused.len(), first.join(", "));
                eprintln!("note: {}: the model has no place for {count} tensors: {names}{more}", lora.origin());
            }
        }
        Ok(())
    }
}

/// As a picture tells them: `name:weight`, the names without folders and ends.
impl fmt::Display for AdapterFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Adapter { path, weight }) in self.adapters.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{}:{weight}", path.file_stem().unwrap_or_default().to_string_lossy())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_after_the_last_colon_is_the_weight() {
        let read = |text: &str| text.parse::<Adapter>().map(|adapter| (adapter.path, adapter.weight));
        assert_eq!(read("hat.safetensors"), Ok(("hat.safetensors".into(), 1.0)));
        assert_eq!(read("hat.safetensors:0.8"), Ok(("hat.safetensors".into(), 0.8)));
        assert_eq!(read(r"C:\hat.safetensors:-2"), Ok((r"C:\hat.safetensors".into(), -2.0)));
        assert_eq!(read(r"C:\hat"), Ok((r"C:\hat".into(), 1.0)));
        assert!(read(":1").is_err() && read("hat:inf").is_err() && read("").is_err());
    }
}
