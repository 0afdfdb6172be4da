//! Files of TAESD, the tiny autoencoder: a folder as diffusers writes it, or the decoder alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use yuragi_graph::Params;
use yuragi_models::stable_diffusion::{TinyAutoencoder, preview};

use super::source::{Part, Tensors};
use super::{ModelError, archive, files};
use crate::checkpoint::Archive;

/// Opens the decoder of a tiny autoencoder. Its extents follow from the tensors.
///
/// # Errors
/// One line that names the file and what is wrong in it.
pub fn open_tiny(path: &Path) -> Result<(TinyAutoencoder, Params), ModelError> {
    let file = match path.is_dir() {
        true => match &files(path)?[..] {
            [file] => file.clone(),
            several => {
                let reason = format!("a tiny autoencoder is one file, not {} files", several.len());
                return Err(ModelError::Absent { path: path.to_owned(), reason });
            }
        },
        false => path.to_owned(),
    };
    read_tiny(archive(&file)?)
}

/// The same of a file that is open already.
///
/// # Errors
/// As for [`open_tiny`].
pub fn read_tiny(opened: Archive) -> Result<(TinyAutoencoder, Params), ModelError> {
    let origin = opened.origin().to_owned();
    let absent = |reason: &str| ModelError::Absent { path: origin.clone().into(), reason: reason.to_owned() };
    let layers: Vec<(usize, String)> = opened.names().iter().filter_map(|name| layer(name)).collect();
    let plain: BTreeSet<usize> =
        layers.iter().filter(|(_, rest)| rest == "weight").map(|(number, _)| *number).collect();
    let blocks: BTreeSet<usize> =
        layers.iter().filter(|(_, rest)| rest == "conv.0.weight").map(|(number, _)| *number).collect();
    let ends: Vec<usize> = plain.into_iter().collect();
    let levels: Vec<usize> = ends.windows(2).map(|pair| blocks.range(pair[0]..pair[1]).count()).collect();
    let (Some(first), false) = (ends.first().copied(), blocks.is_empty()) else {
        return Err(absent("it has no decoder of TAESD (`decoder.layers.3.conv.0.weight`, or `3.conv.0.weight`)"));
    };
    // The published file counts the clamp before the first layer, too.
    let numbers: BTreeMap<usize, usize> =
        layers.iter().filter_map(|(number, _)| Some((*number, number.checked_sub(first)?))).collect();
    let mut tensors = Tensors::default();
    tensors.add(opened, |stored| {
        let name = layer(stored).and_then(|(number, rest)| Some(format!("{}.{rest}", numbers.get(&number)?)));
        name.map_or(Vec::new(), |name| vec![(format!("taesd.decoder.layers.{name}"), Part::Whole)])
    })?;
    let shape = tensors.shape("taesd.decoder.layers.0.weight").unwrap_or_default();
    let [channels @ 1..=4096, latent @ 1..=64, 3, 3] = shape[..] else {
        return Err(absent(&format!("its first layer has shape {shape:?}")));
    };
    let tiny = TinyAutoencoder { latent, channels, decoder: levels };
    let graph = preview(&tiny, 1, [2, 2]).map_err(|reason| ModelError::Network { origin: origin.clone(), reason })?;
    let (params, _) = tensors.params(&origin, graph.params())?;
    Ok((tiny, params))
}

/// The number of a decoder's layer, and what follows it.
fn layer(name: &str) -> Option<(usize, String)> {
    let rest = name.strip_prefix("taesd.").unwrap_or(name);
    let rest = rest.strip_prefix("decoder.").unwrap_or(rest);
    let rest = rest.strip_prefix("layers.").unwrap_or(rest);
    let (number, rest) = rest.split_once('.')?;
    Some((number.parse().ok().filter(|number| *number < 1 << 16)?, rest.to_owned()))
}
