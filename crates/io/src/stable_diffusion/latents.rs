//! Latents in a file: one safetensors tensor `latents`, `[N, Z, h, w]`, as diffusers passes them.

use std::path::Path;

use super::ModelError;
use crate::checkpoint::{Archive, Checkpoint, Tensor};

/// The tensor's name.
const NAME: &str = "latents";

/// Reads latents of this height, width and number of channels; each comes as `[h, w, Z]`.
///
/// # Errors
/// A file that is none or holds no such tensor, [`ModelError::Shape`] for one of another shape.
pub fn read_latents(path: &Path, [height, width, channels]: [usize; 3]) -> Result<Vec<Vec<f32>>, ModelError> {
    let archive = Archive::open(path)?;
    let tensor = archive.tensor(NAME)?;
    let shape = |have: &[usize]| ModelError::Shape {
        origin: path.display().to_string(),
        name: NAME.to_owned(),
        have: have.to_vec(),
        want: vec![1, channels, height, width],
    };
    match *tensor.shape() {
        [1..=usize::MAX, c, h, w] if [h, w, c] == [height, width, channels] => {}
        _ => return Err(shape(tensor.shape())),
    }
    if !tensor.dtype().is_float() {
        let have = tensor.dtype().to_string();
        return Err(ModelError::Type { origin: path.display().to_string(), name: NAME.to_owned(), have });
    }
    let values = tensor.to_f32();
    let pixels = height * width;
    let last = |latent: &[f32]| (0..latent.len()).map(|i| latent[i % channels * pixels + i / channels]).collect();
    Ok(values.chunks_exact(channels * pixels).map(last).collect())
}

/// Writes latents that come as `[h, w, Z]` each.
///
/// # Errors
/// [`ModelError::Archive`] where the file cannot be written.
pub fn save_latents(
    path: &Path,
    latents: &[Vec<f32>],
    [height, width, channels]: [usize; 3],
) -> Result<(), ModelError> {
    let pixels = height * width;
    let first = |latent: &Vec<f32>| {
        (0..channels * pixels).map(|i| latent.get(i % pixels * channels + i / pixels).copied().unwrap_or(0.0)).collect()
    };
    let values: Vec<f32> = latents.iter().flat_map(|latent| -> Vec<f32> { first(latent) }).collect();
    let mut file = Checkpoint::default();
    file.insert(NAME, Tensor::from_values(&[latents.len(), channels, height, width], &values)?);
    Ok(file.save(path)?)
}
