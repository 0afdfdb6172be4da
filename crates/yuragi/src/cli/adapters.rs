//! What changes a checkpoint as it is opened, as flags and prompts name it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use yuragi::{
    Failure,
    diffusion::config::PredictionType,
    io::{
        checkpoint::Archive,
        lora::{self, Lora},
        parameters::Parameters,
        textual_inversion::Embedding,
    },
    models::prompt::Network,
    stable_diffusion::{Loaded as Checkpoint, prediction, prediction_name},
    train::lora as training,
};

use super::{common::harmless_name, models::Loaded};

/// Keys that a note names.
const MOST_NAMED: usize = 3;
/// Where adapters lie, beside a model or beside its folder.
const FOLDERS: [&str; 7] = ["", "lora", "loras", "Lora", "../lora", "../loras", "../Lora"];
/// The longest setting of a file that is told: some hold whole lists of captions.
const LONGEST: usize = 100;
/// What a picture calls what it was drawn with.
const ADAPTERS: &str = "Lora";
const EMBEDDINGS: &str = "Embeddings";
const PREDICTION: &str = "Prediction";

/// Adapters, words that were learnt, and what else is said of a checkpoint.
#[derive(Args)]
pub struct AdapterFlags {
    /// A LoRA for a Stable Diffusion checkpoint: kohya's or PEFT's .safetensors, or a folder of PEFT's; how much of it is
    /// added [default: 1]. May be given several times, as may `<lora:NAME:WEIGHT>` in the prompt
    #[arg(long = "lora", value_name = "FILE[:WEIGHT]")]
    adapters: Vec<Adapter>,
    /// A folder with the LoRAs that prompts name; may be given several times [default: that of the checkpoint, and `lora`,
    /// `loras` or `Lora` in it or beside it]
    #[arg(long = "lora-dir", value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// A textual inversion for a Stable Diffusion checkpoint, .safetensors; prompts say the file's name, or the word of its
    /// one tensor. May be given several times
    #[arg(long = "embedding", value_name = "FILE")]
    embeddings: Vec<PathBuf>,
    /// What a Stable Diffusion checkpoint predicts, if its files do not say it: epsilon, v, sample or flow
    ///
    /// [default: as the files say; single files of version 2 that say nothing predict v, those for inpainting epsilon]
    #[arg(long, value_parser = prediction)]
    prediction: Option<PredictionType>,
}

/// An adapter, and how much of it.
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

/// As a picture tells it: without folders and ends.
impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", stem(&self.path), self.weight)
    }
}

fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".safetensors").unwrap_or(&name).to_owned()
}

impl AdapterFlags {
    /// Changes a model as the flags and the networks of its prompt say.
    pub fn apply(&self, loaded: &mut Loaded, networks: &[Network], model: Option<&Path>) -> Result<(), Failure> {
        let Loaded::StableDiffusion(checkpoint) = loaded else {
            let given = [
                ("--lora", !self.adapters.is_empty()),
                ("--lora-dir", !self.folders.is_empty()),
                ("--embedding", !self.embeddings.is_empty()),
                ("--prediction", self.prediction.is_some()),
                ("<lora:…>", networks.iter().any(is_adapter)),
            ];
            let flag = given.into_iter().find(|(_, given)| *given);
            return flag.map_or(Ok(()), |(flag, _)| {
                Err(Failure::new(format!("`{flag}` is for Stable Diffusion checkpoints: name one with `--model`")))
            });
        };
        if let Some(prediction) = self.prediction {
            checkpoint.predict(prediction);
        }
        let asked = networks.iter().filter(|network| is_adapter(network)).map(|network| self.asked(network, model));
        for adapter in self.adapters.iter().cloned().map(Ok).chain(asked) {
            merge(checkpoint, &adapter?)?;
        }
        for other in networks.iter().filter(|network| !is_adapter(network)) {
            say!("note: `<{}:{}>` is not known here, and left out", other.kind, other.name());
        }
        for path in &self.embeddings {
            checkpoint.embed(&Embedding::open(path)?)?;
        }
        Ok(())
    }

    /// The adapter that a prompt names.
    fn asked(&self, network: &Network, model: Option<&Path>) -> Result<Adapter, Failure> {
        let name = network.name();
        let weight = network.weight().filter(|_| network.arguments.len() <= 2).ok_or_else(|| {
            let written = network.arguments.join(":");
            Failure::new(format!("`<lora:{written}>` is not `<lora:NAME>` or `<lora:NAME:WEIGHT>`, with a number"))
        })?;
        self.find(name, model).map(|path| Adapter { path, weight: weight as f32 })
    }

    /// The file of a name: a path, or in one of the folders.
    fn find(&self, name: &str, model: Option<&Path>) -> Result<PathBuf, Failure> {
        let home = model.map(|model| if model.is_dir() { model } else { model.parent().unwrap_or(model) });
        let beside = home.into_iter().flat_map(|home| FOLDERS.map(|folder| home.join(folder)));
        let mut folders: Vec<PathBuf> = self.folders.iter().cloned().chain(beside).collect();
        folders.insert(0, PathBuf::new());
        let files =
            folders.iter().flat_map(|folder| [name.to_owned(), format!("{name}.safetensors")].map(|n| folder.join(n)));
        // A folder of that name is an adapter only if it holds one.
        files.into_iter().find(|path| lora::is_there(path)).ok_or_else(|| {
            Failure::new(format!("there is no LoRA {name:?} beside the model: say where it is with `--lora-dir`"))
        })
    }

    /// Takes what a picture tells of its making, where nothing was asked for. Adapters are looked for by their names.
    pub fn complete(&mut self, made: &Parameters, model: Option<&Path>) -> Result<(), Failure> {
        if let Some(told) = made.get(PREDICTION).filter(|_| self.prediction.is_none()) {
            self.prediction =
                Some(prediction(told).map_err(|legal| Failure::new(format!("its {PREDICTION}: {legal}")))?);
        }
        if let Some(told) = made.get(ADAPTERS).filter(|_| self.adapters.is_empty()) {
            let adapter = |text: &str| {
                let Adapter { path, weight } = text.parse().map_err(Failure::new)?;
                self.find(&path.to_string_lossy(), model).map(|path| Adapter { path, weight })
            };
            match told.split(", ").map(adapter).collect::<Result<_, Failure>>() {
                Ok(adapters) => self.adapters = adapters,
                Err(_) => say!("note: the picture was drawn with the LoRA {told:?}: give it with `--lora`"),
            }
        }
        if let Some(told) = made.get(EMBEDDINGS).filter(|_| self.embeddings.is_empty()) {
            say!("note: the picture was drawn with the embeddings {told:?}: give them with `--embedding`");
        }
        Ok(())
    }

    /// Notes what was given.
    pub fn tell(&self, made: &mut Parameters) {
        let mut list = |name, values: Vec<String>| {
            if !values.is_empty() {
                made.set(name, values.join(", "));
            }
        };
        list(ADAPTERS, self.adapters.iter().map(Adapter::to_string).collect());
        list(EMBEDDINGS, self.embeddings.iter().map(|path| stem(path)).collect());
        list(PREDICTION, self.prediction.iter().map(|told| prediction_name(*told).to_owned()).collect());
    }
}

/// Whether a prompt's network is a LoRA; some call those of convolutions otherwise.
fn is_adapter(network: &Network) -> bool {
    matches!(network.kind.as_str(), "lora" | "lyco")
}

/// Adds an adapter to a model's weights. What of it has no place there is named.
fn merge(model: &mut Checkpoint, Adapter { path, weight }: &Adapter) -> Result<(), Failure> {
    let lora = Lora::open(path)?;
    let unused = lora.merge(&mut model.params, *weight)?.unused;
    if let Some(first) = unused.get(..MOST_NAMED.min(unused.len())).filter(|first| !first.is_empty()) {
        let more = if unused.len() > first.len() { ", .." } else { "" };
        let (count, names) = (unused.len(), first.join(", "));
        say!("note: {}: the model has no place for {count} tensors: {names}{more}", lora.origin());
    }
    Ok(())
}

/// What `info` tells about a file that changes a checkpoint: an adapter, or a word that was learnt. `None` for others.
pub fn told(path: &Path) -> Result<Option<String>, Failure> {
    // The checkpoint of a training has such tensors, too.
    if !lora::is_there(path) || path.is_file() && Archive::open(path).is_ok_and(|file| training::is_in(&file)) {
        return Ok(None);
    }
    let shown = path.display();
    let lora = match Lora::open(path) {
        Ok(lora) => Some(lora),
        Err(error) if path.is_dir() => return Err(error.into()),
        Err(_) => None,
    };
    if let Some(lora) = lora {
        let mut lines = vec![format!("{shown}: a LoRA for Stable Diffusion checkpoints")];
        lines.extend(lora.parts().iter().map(|share| {
            let ranks = share.ranks.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let rank = if ranks.is_empty() { String::new() } else { format!(", rank {ranks}") };
            let kinds = share.kinds.iter().copied().filter(|kind| *kind != "LoRA").collect::<Vec<_>>().join(", ");
            let kinds = if kinds.is_empty() { kinds } else { format!(" ({kinds})") };
            format!("  {:16}{} weights{rank}{kinds}", share.part, share.modules)
        }));
        if let [first, ..] = lora.unknown() {
            lines.push(format!(
                "  no part of it are {} tensors, the first is {}",
                lora.unknown().len(),
                harmless_name(first)
            ));
        }
        let settings = lora.settings().iter().filter(|(_, value)| value.len() <= LONGEST);
        lines.extend(settings.map(|(key, value)| format!("  {:16}{}", harmless_name(key), harmless_name(value))));
        return Ok(Some(lines.join("\n") + "\n"));
    }
    let Ok(embedding) = Embedding::open(path) else { return Ok(None) };
    let (word, count) = (harmless_name(&embedding.word), embedding.count());
    Ok(Some(format!("{shown}: a textual inversion: the word {word:?} stands for {count} vectors\n")))
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

    #[test]
    fn names_keep_their_dots() {
        let told = |path: &str| Adapter { path: path.into(), weight: 1.0 }.to_string();
        assert_eq!(told("loras/hat.v2.safetensors"), "hat.v2:1");
        assert_eq!(told("loras/hat.v2/"), "hat.v2:1");
    }
}
