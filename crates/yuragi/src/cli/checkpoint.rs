//! What `info` tells about a checkpoint of Stable Diffusion.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use yuragi::{
    Failure,
    cpu::Residency,
    diffusion::config::PredictionType,
    graph::{Backend, Memory, Plan},
    io::stable_diffusion as files,
    models::stable_diffusion::{
        BAND, Batch, Checkpoint, adapter_training, decode, decode_in_bands, denoise, encode_text,
    },
    nn::optim::Optimizer,
    train::lora,
};

#[cfg(feature = "cuda")]
use yuragi::{
    graph::{Graph, Precision},
    machine::gpu_arena,
};

use super::common::{harmless_name, processor};

/// Unused tensors that are named.
const MOST_NAMED: usize = 8;

/// What a file or folder is, what it needs, and what of it is not used.
pub fn told(path: &Path) -> Result<String, Failure> {
    let loaded = files::open(path)?;
    let model = &loaded.model;
    let side = model.size;
    let mut lines =
        vec![format!("{}: {}, {side}x{side} pixels, predicts {}", path.display(), family(model), predicts(model))];
    lines.push(format!("  {:16}{:>14}{:>14}   types", "part", "parameters", "bytes"));
    let mut parts: BTreeMap<&str, (usize, usize, BTreeSet<String>)> = BTreeMap::new();
    for (name, tensor) in loaded.params.iter() {
        let part = parts.entry(name.split('.').next().unwrap_or(name)).or_default();
        let count = tensor.shape().count();
        part.0 += count;
        part.1 += count * tensor.dtype().size();
        part.2.insert(tensor.dtype().to_string().to_uppercase());
    }
    let row =
        |name: &str, count: usize, bytes: usize, types: String| format!("  {name:16}{count:>14}{bytes:>14}   {types}");
    let all = parts.values().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    for (name, (count, bytes, types)) in &parts {
        lines.push(row(name, *count, *bytes, types.iter().cloned().collect::<Vec<_>>().join(" ")));
    }
    lines.push(row("all", all.0, all.1, String::new()).trim_end().to_owned());
    lines.push(match loaded.unused.len() {
        0 => "  all tensors are used".to_owned(),
        count => {
            let more = if count > MOST_NAMED { ", .." } else { "" };
            let named: Vec<String> = loaded.unused.iter().take(MOST_NAMED).map(|name| harmless_name(name)).collect();
            format!("  not used are {count} tensors: {}{more}", named.join(", "))
        }
    });
    let [low, balanced, arena] = memory(&loaded)?;
    let [low, balanced, fast] = [low, balanced, arena + all.1].map(|bytes| bytes.div_ceil(1 << 20));
    lines.push(format!(
        "  a guided picture takes {low} MiB (--memory low), {balanced} (balanced) or {fast} (fast), with what is read of the file"
    ));
    #[cfg(feature = "cuda")]
    lines.push(on_a_gpu(&loaded, all.1)?);
    if let Some(bytes) = learning(&loaded) {
        let mebibytes = bytes.div_ceil(1 << 20);
        let what = "learning a LoRA of rank 4 on the processor, from one picture of that size a step,";
        lines.push(format!("  {what} takes {mebibytes} MiB beside the weights"));
    }
    Ok(lines.join("\n") + "\n")
}

/// What a guided picture takes on a GPU in half precision: all weights, and the network that needs the most beside them.
#[cfg(feature = "cuda")]
fn on_a_gpu(loaded: &files::Opened, weights: usize) -> Result<String, Failure> {
    let graphs = graphs(loaded)?;
    let most = |frugal| -> Result<usize, Failure> {
        let arenas = graphs.iter().map(|graph| gpu_arena(graph, Precision::F16, frugal));
        Ok(weights + arenas.collect::<Result<Vec<usize>, _>>()?.into_iter().max().unwrap_or(0))
    };
    let [low, kept] = [most(true)?, most(false)?].map(|bytes| bytes.div_ceil(1 << 20));
    Ok(format!("  on a GPU, with --precision f16, it takes {kept} MiB, or {low} with --memory low"))
}

/// The bytes that a step of learning a LoRA needs, if one can be learnt.
fn learning(loaded: &files::Opened) -> Option<usize> {
    let model = &loaded.model;
    lora::check_model(model).ok()?;
    let one = Batch { pictures: 1, size: [model.size; 2], chunks: 1, skip: 0 };
    let graph = adapter_training(model, one, &lora::ADAPTER, &Optimizer::default()).ok()?;
    let graph = graph.with_stored(|spec| Some(loaded.params.get(&spec.name)?.dtype()));
    Some(processor(None).compile(&graph).ok()?.memory().arena)
}

/// The bytes of the network that needs the most, for one guided picture: with the weights of a launch, with all of its
/// weights, and without any.
fn memory(loaded: &files::Opened) -> Result<[usize; 3], Failure> {
    let (model, cpu) = (&loaded.model, processor(None).residency(Residency::Launch));
    let one = Batch { pictures: 1, size: [model.size; 2], chunks: 1, skip: 0 };
    let both = Batch { pictures: 2, ..one };
    let mut most = [0; 3];
    let all = [true; 3];
    let [frugal, fast] = [[true, true, false], [false, false, true]];
    for (graph, of) in [
        (encode_text(model, both)?, all),
        (denoise(model, both)?, all),
        (decode_in_bands(model, one, BAND)?, frugal),
        (decode(model, one)?, fast),
    ] {
        let graph = graph.with_stored(|spec| Some(loaded.params.get(&spec.name)?.dtype()));
        let Memory { arena, literals, params, resident } = cpu.compile(&graph)?.memory();
        let own = arena + literals;
        let bytes = [own + resident, own + params, own];
        let told = most.iter_mut().zip(bytes).zip(of).filter(|(_, of)| *of);
        told.for_each(|((most, bytes), _)| *most = bytes.max(*most));
    }
    Ok(most)
}

/// The networks of one guided picture on a GPU, with weights as they are stored.
#[cfg(feature = "cuda")]
fn graphs(loaded: &files::Opened) -> Result<[Graph; 3], Failure> {
    let model = &loaded.model;
    let one = Batch { pictures: 1, size: [model.size; 2], chunks: 1, skip: 0 };
    let both = Batch { pictures: 2, ..one };
    let graphs = [encode_text(model, both)?, denoise(model, both)?, decode(model, one)?];
    Ok(graphs.map(|graph| graph.with_stored(|spec| Some(loaded.params.get(&spec.name)?.dtype()))))
}

fn family(model: &Checkpoint) -> String {
    let family = match (&model.unet.addition, model.unet.linear) {
        (Some(addition), _) if addition.numbers == 5 => "Stable Diffusion XL's refiner",
        (Some(_), _) => "Stable Diffusion XL",
        (None, true) => "Stable Diffusion 2",
        (None, false) => "Stable Diffusion 1",
    };
    let inpaints = if model.unet.inputs > model.vae.latent { ", for inpainting" } else { "" };
    let guides = if model.unet.guidance.is_some() { ", which guides itself" } else { "" };
    format!("{family}{inpaints}{guides}")
}

fn predicts(model: &Checkpoint) -> &'static str {
    match model.scheduler.prediction_type {
        None | Some(PredictionType::Epsilon) => "the noise",
        Some(PredictionType::Velocity) => "v",
        Some(PredictionType::Sample) => "the latent",
        Some(PredictionType::Flow) => "the flow",
    }
}
