use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use yuragi::{
    Failure,
    cpu::Cpu,
    decoder::Decoder,
    energy::rbm::Rbm,
    fit::{Fitted, Layer, Network, Stack},
    io::{checkpoint::Archive, export, stable_diffusion},
    machine,
    model::read_tokenizer,
    models::Settings,
    nn::optim,
    train::{Run, Stage, lora},
    variational,
};

use super::{
    adapters, checkpoint,
    common::{harmless, print},
    models::archive_of,
};

/// Tell about a model, a training or a picture.
#[derive(Args)]
pub struct Info {
    /// A model, a checkpoint, the folder of a training, a Stable Diffusion checkpoint, a LoRA or textual inversion for one, or
    /// a picture that was drawn [default: the built-in model and this machine]
    file: Option<PathBuf>,
}

impl Info {
    /// Prints what is known.
    pub fn run(self) -> Result<ExitCode, Failure> {
        print(match &self.file {
            Some(path) if is_picture(path)? => picture(path)?,
            Some(path) if stable_diffusion::is_there(path) => checkpoint::told(path)?,
            Some(path) if let Some(told) = adapters::told(path)? => told,
            Some(path) => {
                let training = Run::checkpoint(path);
                let (file, archive) = archive_of(if training.exists() { &training } else { path })?;
                let name = file.display().to_string();
                if Fitted::is_in(&archive) {
                    of_table(&name, &archive)?
                } else if variational::Model::is_in(&archive) {
                    of_bound(&name, &archive)?
                } else if lora::is_in(&archive) {
                    of_lora(&name, &archive)
                } else {
                    model(&name, &archive, None)?
                }
            }
            None => {
                let (version, devices) = (env!("CARGO_PKG_VERSION"), machine::devices().join("\n"));
                format!("yuragi {version}, {:?}\n{devices}\n{}", Cpu::new(), builtin()?)
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(feature = "builtin")]
fn builtin() -> Result<String, Failure> {
    let decoder = Archive::from_static(yuragi::builtin_decoder())?;
    model("the built-in model", &Archive::from_static(yuragi::builtin_file())?, Some(&decoder))
}

#[cfg(not(feature = "builtin"))]
fn builtin() -> Result<String, Failure> {
    Ok("no built-in model\n".into())
}

/// Whether a file begins as PNG, JPEG or WebP do.
fn is_picture(path: &Path) -> Result<bool, Failure> {
    let cannot = |error| Failure::new(format!("cannot read {}: {error}", path.display()));
    if path.is_dir() {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(12).read_to_end(&mut start)).map_err(cannot)?;
    let webp = start.starts_with(b"RIFF") && start.ends_with(b"WEBP");
    Ok(start.starts_with(b"\x89PNG\r\n\x1a\n") || start.starts_with(b"\xff\xd8\xff") || webp)
}

fn picture(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let failed = |error: &dyn Display| Failure::new(format!("{shown}: {error}"));
    let bytes = std::fs::read(path).map_err(|e| failed(&e))?;
    Ok(match export::parameters(&bytes).map_err(|e| failed(&e))? {
        Some(text) => harmless(&text) + "\n",
        None => format!("{shown} does not tell how it was made\n"),
    })
}

/// A model of a table.
fn of_table(name: &str, file: &Archive) -> Result<String, Failure> {
    let fitted = Fitted::read(file).map_err(|why| Failure::new(format!("{name}: {why}")))?;
    let shape = fitted.shape().iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let mut text = format!("{name}: a {}, rows of {shape}\n", fitted.kind());
    match &fitted {
        Fitted::Mixture(mixture) => {
            let names: Vec<String> = mixture.names.iter().map(|name| harmless(name)).collect();
            super::fit::components(&mut text, &mixture.mixture, &names)?;
        }
        Fitted::Machine(Layer { machine, .. }) => text += &layer("", &machine.rbm),
        Fitted::Network(Network { belief, .. }) => {
            for (down, l) in belief.dbn.generative.iter().zip(1..) {
                text += &layer(&format!("layer {l}: "), down);
            }
            text += &layer("top: ", &belief.dbn.top);
        }
        Fitted::Deep(Stack { deep, .. }) => {
            let (sizes, units) = (deep.dbm.sizes(), deep.dbm.bipartite().visible_units());
            let weights: usize = sizes.windows(2).map(|pair| pair[0] * pair[1]).sum();
            let parameters = weights + sizes.iter().sum::<usize>();
            let sizes = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
            text += &format!("layers of {sizes} units ({units:?}), {parameters} parameters\n");
        }
    }
    Ok(text)
}

fn layer(name: &str, rbm: &Rbm) -> String {
    let (visible, hidden) = (rbm.visible(), rbm.hidden());
    let parameters = visible * hidden + visible + hidden;
    let [below, above] = [rbm.visible_units(), rbm.hidden_units()];
    format!("{name}{visible} visible units ({below:?}), {hidden} hidden units ({above:?}), {parameters} parameters\n")
}

/// A model that learned through a bound, or its training.
fn of_bound(name: &str, file: &Archive) -> Result<String, Failure> {
    let model = variational::Model::read(file).map_err(|why| Failure::new(format!("{name}: {why}")))?;
    let mut lines = vec![format!("{name}: a {}, {} parameters", model.network.kind(), model.weights())];
    if let Some(step) = file.settings().get("step") {
        lines.push(format!("  {:20}{}", "steps done", harmless(step)));
    }
    let training = file.settings().iter().filter(|(key, _)| key.starts_with("train."));
    let own = model.network.to_pairs().into_iter().skip(1);
    lines.extend(own.map(|(key, value)| format!("  {key:20}{value}")));
    lines.extend(training.map(|(key, value)| format!("  {:20}{}", harmless(key), harmless(value))));
    Ok(lines.join("\n") + "\n")
}

/// The training of a LoRA.
fn of_lora(name: &str, file: &Archive) -> String {
    let mut lines = vec![format!("{name}: the training of a LoRA")];
    let told = file.settings().iter().filter(|(key, _)| *key != "kind" && !key.ends_with("fingerprint"));
    lines.extend(told.map(|(key, value)| {
        let key = if key == "step" { "steps done" } else { key };
        format!("  {:20}{}", harmless(key), harmless(value))
    }));
    lines.join("\n") + "\n"
}

/// What a file holds of one part of a model.
#[derive(Default)]
struct Part {
    parameters: usize,
    bytes: usize,
    types: BTreeSet<String>,
}

/// A model, or the decoder of one; or a model that a file gives another decoder.
fn model(name: &str, file: &Archive, decoder: Option<&Archive>) -> Result<String, Failure> {
    let failed = |error: &dyn Display| Failure::new(format!("{name} is no model of this program: {error}"));
    let pairs: Vec<(&String, &String)> = decoder.unwrap_or(file).settings().iter().collect();
    let settings = Settings::from_pairs(&pairs).map_err(|e| failed(&e))?;
    let mut parts = parts(file)?;
    if let Some(decoder) = decoder {
        parts.extend(self::parts(decoder)?);
    }
    let only_decoder = Decoder::is_alone(file);

    let mut lines = vec![name.to_owned()];
    lines.extend(training(file).map(|training| format!("  {:30}{training}", "training")));
    lines.extend(settings.to_pairs().iter().map(|(key, value)| {
        let value = if value.is_empty() { "not measured" } else { value };
        format!("  {key:30}{value}")
    }));
    if only_decoder {
        lines.push(String::new());
    } else {
        let tokenizer = read_tokenizer(file).map_err(|e| failed(&e))?;
        let (ids, words) = (tokenizer.vocab_size(), tokenizer.lexicon.len());
        let ids = format!("{ids} of {} ids, {words} words", settings.text.vocabulary);
        lines.push(format!("  {:30}{ids}\n", "tokenizer"));
    }
    lines.push(format!("  {:30}{:>12}{:>14}   types", "part", "parameters", "bytes"));
    lines.extend(parts.iter().map(|(name, part)| {
        let types: Vec<&str> = part.types.iter().map(String::as_str).collect();
        format!("  {name:30}{:>12}{:>14}   {}", part.parameters, part.bytes, types.join(" "))
    }));
    let sum = |of: fn(&Part) -> usize| parts.values().map(of).sum::<usize>();
    lines.push(format!("  {:30}{:>12}{:>14}\n", "all", sum(|p| p.parameters), sum(|p| p.bytes)));
    Ok(lines.join("\n"))
}

/// How far a training is, if the file is its checkpoint.
fn training(file: &Archive) -> Option<String> {
    let setting = |key: &str| file.setting::<String>(key).ok().map(|value| harmless(&value));
    let (stage, step) = (setting("stage")?, setting("step")?);
    let steps = if stage == Stage::Autoencoder.name() { "train.autoencoder_steps" } else { "train.steps" };
    let (steps, data) = (setting(steps)?, setting("train.data")?);
    let at = if stage == Stage::Done.name() { stage } else { format!("{stage}, step {step} of {steps}") };
    Some(format!("{at}, on {data}"))
}

/// The parts of a model by the first word of their tensors' names.
fn parts(file: &Archive) -> Result<BTreeMap<String, Part>, Failure> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for name in file.names() {
        let tensor = file.tensor(&name)?;
        let state = optim::is_state(&name);
        let first = if state { "(optimiser state)" } else { name.split('.').next().unwrap_or(&name) };
        let part = parts.entry(harmless(first)).or_default();
        part.bytes += tensor.bytes().len();
        // The scales of quantised weights are storage, not parameters.
        if name.strip_suffix(".scale").is_some_and(|weights| file.contains(weights)) {
            continue;
        }
        part.types.insert(match file.groups(&name)? {
            Some(groups) => format!("{}bitx{}", groups.bits(), groups.size()),
            None => tensor.dtype().to_string(),
        });
        part.parameters += file.shape(&name)?.iter().fold(1usize, |all, &side| all.saturating_mul(side));
    }
    Ok(parts)
}
