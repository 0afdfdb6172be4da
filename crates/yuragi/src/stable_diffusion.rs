//! Stable Diffusion's checkpoints, ready to draw.

use std::path::Path;

use yuragi_diffusion::config::PredictionType;
use yuragi_graph::Params;
use yuragi_io::{Vocabulary, stable_diffusion as files, textual_inversion::Embedding};
use yuragi_models::{
    stable_diffusion::{Activation, Drawing, ENCODERS},
    tokenizer::{Clip, Special},
};

use crate::Failure;

/// What a checkpoint can be told to predict, by its names in flags and files.
pub const PREDICTIONS: [(&str, PredictionType); 4] = [
    ("epsilon", PredictionType::Epsilon),
    ("v", PredictionType::Velocity),
    ("sample", PredictionType::Sample),
    ("flow", PredictionType::Flow),
];

/// What a name says that a checkpoint predicts.
///
/// # Errors
/// Another name.
pub fn prediction(text: &str) -> Result<PredictionType, String> {
    let found = PREDICTIONS.iter().find(|(name, _)| *name == text).map(|(_, prediction)| *prediction);
    found.ok_or_else(|| "it must be epsilon, v, sample or flow".to_owned())
}

/// The name of what a checkpoint predicts.
pub fn prediction_name(prediction: PredictionType) -> &'static str {
    PREDICTIONS.iter().find(|(_, known)| *known == prediction).map_or("", |(name, _)| name)
}

/// What of a checkpoint draws.
///
/// ```no_run
/// use yuragi::{cpu::Cpu, graph::Backend, stable_diffusion};
/// use yuragi::models::generator::{Batch, Generator, Pipeline, Request, Sampling};
///
/// let loaded = stable_diffusion::open("v1-5-pruned-emaonly.safetensors".as_ref())?;
/// let (drawing, cpu) = (loaded.drawing, Cpu::new());
/// let batch = Batch { pictures: 1, size: drawing.size(), chunks: 1, skip: 0 };
/// let how = Sampling { steps: 20, ..drawing.sampling() };
/// let generator = Generator::of(&cpu, cpu.upload(loaded.params)?, drawing, batch)?.frugal(true);
/// for (seed, prompt) in (0..).zip(["a red cat", "a blue cat"]) {
///     let mut job = generator.start(&[Request { prompt, seed, ..Request::default() }], &how)?;
///     while !job.advance(100)?.is_all() {} // another thread may look at an atomic here, and stop it
///     assert!(job.rgb8(0).is_some());
/// }
/// # Ok::<(), yuragi::Failure>(())
/// ```
pub struct Loaded {
    /// The networks and the readers of prompts.
    pub drawing: Drawing,
    /// The weights, borrowed from the mapped files.
    pub params: Params,
    /// Tensors of the files that the networks have no use for.
    pub unused: Vec<String>,
}

impl Loaded {
    /// Says what the denoiser predicts, where the files do not.
    pub fn predict(&mut self, prediction: PredictionType) {
        self.drawing.predict(prediction);
    }

    /// Takes the decoder of a tiny autoencoder (TAESD) for previews.
    ///
    /// # Errors
    /// A file that holds none, or one of other latents.
    pub fn preview_with(&mut self, path: &Path) -> Result<(), Failure> {
        let (tiny, params) = files::open_tiny(path)?;
        let named = |error| Failure::new(format!("{}: {error}", path.display()));
        self.drawing.preview_with(tiny, &params).map_err(named)?;
        params.iter().for_each(|(name, tensor)| self.params.insert(name, tensor.clone()));
        Ok(())
    }

    /// Has a word of prompts stand for learnt vectors.
    ///
    /// # Errors
    /// Vectors of other text encoders.
    pub fn embed(&mut self, embedding: &Embedding) -> Result<(), Failure> {
        let mut model = self.drawing.model().clone();
        let reader = self.drawing.reader().ok_or_else(|| Failure::new("the model reads no prompts"))?;
        let words = embedding.add(&mut model, &mut self.params, reader)?;
        self.drawing.insert(model, words);
        Ok(())
    }
}

/// Opens a folder of diffusers or a single file; prompts are read by the folder's tokenizers, or by the built-in one.
///
/// # Errors
/// One line that names the file and what is wrong in it.
pub fn open(path: &Path) -> Result<Loaded, Failure> {
    let files::Opened { model, params, unused } = files::open(path)?;
    let mut readers = [None, None];
    for (place, clip) in model.text.iter().enumerate() {
        let Some(clip) = clip else { continue };
        let folder = path.join(["tokenizer", "tokenizer_2"][place]);
        let reader = if folder.is_dir() {
            vocabulary(&folder)?
        } else if clip.activation == Activation::QuickGelu {
            Clip::builtin()
        } else {
            Clip::builtin().padded_with(0)
        };
        if reader.vocab_size() > clip.vocabulary {
            let (have, known, name) = (reader.vocab_size(), clip.vocabulary, ENCODERS[place]);
            return Err(Failure::new(format!("{}: prompts have {have} ids, but {name} knows {known}", path.display())));
        }
        readers[place] = Some(reader);
    }
    Ok(Loaded { drawing: Drawing::new(model, readers, &params)?, params, unused })
}

/// A folder's tokenizer.
fn vocabulary(folder: &Path) -> Result<Clip, Failure> {
    let read = Vocabulary::open(folder)?;
    let usual = Special::default();
    let end = read.end.as_deref().unwrap_or(usual.end);
    let special = Special {
        begin: read.begin.as_deref().unwrap_or(usual.begin),
        end,
        pad: read.pad.as_deref().unwrap_or(end),
        unknown: read.unknown.as_deref().unwrap_or(end),
    };
    let merges = read.merges.iter().map(|(left, right)| (left.as_str(), right.as_str()));
    Clip::new(&read.ids, merges, special).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
}
