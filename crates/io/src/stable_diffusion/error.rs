use std::io;
use std::path::PathBuf;

use yuragi_graph::BuildError;
use yuragi_models::settings;

use crate::CheckpointError;
use crate::gguf::GgufError;

/// A Stable Diffusion model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of weights is damaged or no safetensors file.
    #[error(transparent)]
    Archive(#[from] CheckpointError),
    /// A GGUF file is damaged.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A pickle, which would run what its author wrote.
    #[error(
        "{} is a pickle of Python, which runs code when it is read; convert it where you trust it: python3 -c \"import \
         torch,sys;from safetensors.torch import save_file;d=torch.load(sys.argv[1],map_location='cpu',weights_only=True);\
         d=d.get('state_dict',d);save_file({{k:v.contiguous().clone() for k,v in d.items() if hasattr(v,'shape')}},\
         sys.argv[2])\" {} model.safetensors",
        path.display(), path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// The path holds no model of this kind.
    #[error("{} holds no Stable Diffusion model: {reason}", path.display())]
    Absent {
        /// The file or folder.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// A configuration or an index is not what it should be.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Extents that no network can have, or that do not fit each other.
    #[error("{origin}: {reason}")]
    Extents {
        /// The file or folder.
        origin: String,
        /// What is wrong.
        reason: settings::Error,
    },
    /// The networks of these extents cannot be built.
    #[error("{origin}: {reason}")]
    Network {
        /// The file or folder.
        origin: String,
        /// What is wrong.
        reason: BuildError,
    },
    /// Weights are missing.
    #[error("{origin} lacks {count} of {of} tensors, the first is `{first}`")]
    Missing {
        /// The file or folder.
        origin: String,
        /// The first of them, by diffusers' names.
        first: String,
        /// How many.
        count: usize,
        /// How many the model needs.
        of: usize,
    },
    /// A tensor has another shape than its network needs.
    #[error("{origin}: tensor `{name}` has shape {have:?}, but its network needs {want:?}")]
    Shape {
        /// The file.
        origin: String,
        /// Its name in the file.
        name: String,
        /// Its shape.
        have: Vec<usize>,
        /// The shape needed.
        want: Vec<usize>,
    },
    /// A tensor's elements are no weights.
    #[error("{origin}: tensor `{name}` has elements of type {have}; weights are F32, F16, BF16, F8_E4M3 or F64")]
    Type {
        /// The file.
        origin: String,
        /// Its name in the file.
        name: String,
        /// Its element type.
        have: String,
    },
    /// Two tensors of the files have one name.
    #[error("{origin} has `{name}` twice")]
    Twice {
        /// The second file.
        origin: String,
        /// The name.
        name: String,
    },
}
