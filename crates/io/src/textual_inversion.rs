//! Words that stand for learnt vectors (textual inversion, Gal et al. 2022), as files beside a Stable Diffusion model.
//!
//! | a file with | written by | the word |
//! |---|---|---|
//! | `emb_params` `[n, D]` | web interfaces | the file's name |
//! | `clip_l` `[n, 768]` and `clip_g` `[n, 1280]` | trainers for SDXL | the file's name |
//! | one tensor `[n, D]` or `[D]` | diffusers | the tensor's name |

use std::path::Path;

use yuragi_graph::{HostTensor, Params, Shape};
use yuragi_models::prompt::{Insert, ROOM};
use yuragi_models::stable_diffusion::{Checkpoint, ENCODERS};
use yuragi_models::tokenizer::Clip;

use crate::checkpoint::{Archive, CheckpointError};

/// Learnt vectors that cannot be read or do not fit.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    /// The file is damaged or no safetensors file.
    #[error(transparent)]
    Archive(#[from] CheckpointError),
    /// The file holds no vectors.
    #[error("{origin} holds no textual inversion: {reason}")]
    Absent {
        /// The file.
        origin: String,
        /// What was looked for.
        reason: String,
    },
    /// The model's text encoders are not those of the vectors.
    #[error("{origin} has vectors of {have:?} numbers, but the model's text encoders have {want:?}")]
    Foreign {
        /// The file.
        origin: String,
        /// The file's widths.
        have: Vec<usize>,
        /// The model's.
        want: Vec<usize>,
    },
}

/// Learnt vectors and their word.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    origin: String,
    /// The word that stands for them.
    pub word: String,
    /// For each text encoder: the numbers of a vector, and the vectors.
    parts: Vec<(usize, Vec<f32>)>,
}

impl Embedding {
    /// Opens a file.
    ///
    /// # Errors
    /// Damaged files, and those without vectors: 1 to 75 of them, all finite.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EmbeddingError> {
        let path = path.as_ref();
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Self::new(&Archive::open(path)?, &stem)
    }

    /// The vectors of an archive; `stem` is the word where the file does not say it.
    ///
    /// # Errors
    /// As for [`open`](Embedding::open).
    pub fn new(archive: &Archive, stem: &str) -> Result<Self, EmbeddingError> {
        let absent = |reason: String| EmbeddingError::Absent { origin: archive.origin().to_owned(), reason };
        let names = archive.names();
        let has = |name: &str| archive.contains(name);
        let (word, tensors) = if has("clip_l") && has("clip_g") {
            (stem, vec!["clip_l", "clip_g"])
        } else if has("emb_params") {
            (stem, vec!["emb_params"])
        } else if let [name] = names.as_slice() {
            (name.as_str(), vec![name.as_str()])
        } else {
            let (count, wanted) = (names.len(), "`emb_params`, or `clip_l` and `clip_g`, or one tensor");
            return Err(absent(format!("it has {count} tensors; legal are {wanted}")));
        };
        let mut parts = Vec::new();
        let mut counts = Vec::new();
        for name in tensors {
            let tensor = archive.tensor(name)?;
            let (count, width) = match *tensor.shape() {
                [width] => (1, width),
                [count, width] => (count, width),
                _ => (0, 0),
            };
            if !(1..=ROOM).contains(&count) || width == 0 || !tensor.dtype().is_float() {
                let (kind, shape) = (tensor.dtype(), tensor.shape());
                return Err(absent(format!("`{name}` is {kind} {shape:?}; legal are 1 to {ROOM} vectors of floats")));
            }
            let values = tensor.to_f32();
            if values.iter().any(|x| !x.is_finite()) {
                return Err(absent(format!("`{name}` has numbers that are not finite")));
            }
            counts.push(count);
            parts.push((width, values));
        }
        if counts.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(absent(format!("its two parts have {counts:?} vectors")));
        }
        Ok(Self { origin: archive.origin().to_owned(), word: word.to_owned(), parts })
    }

    /// How many vectors the word stands for.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.first().map_or(0, |(width, values)| values.len() / width)
    }

    /// Adds the vectors to a model's vocabulary, and gives the words to [lay out](yuragi_models::prompt::chunks) prompts
    /// with. The model grows by [`count`](Embedding::count) tokens.
    ///
    /// # Errors
    /// [`EmbeddingError::Foreign`]; nothing is changed then.
    pub fn add(&self, model: &mut Checkpoint, params: &mut Params, clip: &Clip) -> Result<Insert, EmbeddingError> {
        let encoders: Vec<usize> = (0..ENCODERS.len()).filter(|place| model.text[*place].is_some()).collect();
        let table = |place: usize| format!("{}.embeddings.token_embedding.weight", ENCODERS[place]);
        let mut tables = Vec::new();
        for &place in &encoders {
            let name = table(place);
            let tensor = params.get(&name);
            tables
                .extend(tensor.filter(|tensor| tensor.shape().len() == 2).map(|tensor| (place, name, tensor.clone())));
        }
        let want: Vec<usize> = tables.iter().map(|(_, _, tensor)| tensor.shape()[1]).collect();
        let have: Vec<usize> = self.parts.iter().map(|(width, _)| *width).collect();
        let rows: Vec<usize> = tables.iter().map(|(_, _, tensor)| tensor.shape()[0]).collect();
        let same = rows.windows(2).all(|pair| pair[0] == pair[1]);
        let Some(&first) = rows.first().filter(|_| want == have && same) else {
            return Err(EmbeddingError::Foreign { origin: self.origin.clone(), have, want });
        };
        for ((place, name, tensor), (width, vectors)) in tables.into_iter().zip(&self.parts) {
            let mut values = tensor.to_f32();
            values.extend(vectors);
            let shape = Shape::new(&[first + self.count(), *width]);
            let grown = shape.and_then(|shape| HostTensor::rounded(shape, tensor.dtype(), values));
            let too_large =
                || EmbeddingError::Foreign { origin: self.origin.clone(), have: have.clone(), want: want.clone() };
            params.insert(&name, grown.ok_or_else(too_large)?);
            if let Some(encoder) = &mut model.text[place] {
                encoder.vocabulary = first + self.count();
            }
        }
        let ids = (first as u32..).take(self.count()).collect();
        Ok(Insert { tokens: clip.tokens(&self.word), ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint as File, Tensor};

    fn read(tensors: &[(&str, &[usize], &[f32])]) -> Result<Embedding, EmbeddingError> {
        let mut file = File::default();
        for (name, shape, values) in tensors {
            file.insert(*name, Tensor::from_values(shape, values).unwrap());
        }
        Embedding::new(&Archive::from_bytes(file.to_bytes().unwrap()).unwrap(), "my-cat")
    }

    #[test]
    fn t33_every_form_is_read() {
        for (tensors, word, count) in [
            (&[("emb_params", &[2, 3][..], &[1.0; 6][..])][..], "my-cat", 2),
            (&[("<toy>", &[3], &[1.0; 3])], "<toy>", 1),
            (&[("clip_l", &[2, 3], &[1.0; 6]), ("clip_g", &[2, 4], &[1.0; 8])], "my-cat", 2),
        ] {
            let embedding = read(tensors).unwrap();
            assert_eq!(
                (embedding.word.as_str(), embedding.count(), embedding.parts.len()),
                (word, count, tensors.len())
            );
        }
    }

    #[test]
    fn t33_what_is_no_embedding_is_refused() {
        for (tensors, words) in [
            (&[("a", &[1][..], &[1.0][..]), ("b", &[1], &[1.0])][..], "it has 2 tensors; legal are `emb_params`"),
            (&[("emb_params", &[76, 1], &[1.0; 76])], "`emb_params` is F32 [76, 1]; legal are 1 to 75 vectors"),
            (&[("emb_params", &[1, 1, 1], &[1.0])], "[1, 1, 1]"),
            (&[("emb_params", &[1, 1], &[f32::NAN])], "not finite"),
            (&[("clip_l", &[2, 1], &[1.0; 2]), ("clip_g", &[1, 1], &[1.0])], "its two parts have [2, 1] vectors"),
        ] {
            let said = read(tensors).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("holds no textual inversion"), "{said}");
        }
    }
}
