use alloc::string::String;
use core::fmt;

use yuragi_graph::{BuildError, CompileError, RunError};

use crate::settings;

/// Why pictures could not be drawn.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The settings contradict themselves.
    Settings(settings::Error),
    /// A network could not be built.
    Build(BuildError),
    /// The backend could not compile a network.
    Compile(CompileError),
    /// The backend could not run a network.
    Run(RunError),
    /// The sampler refused its settings.
    Sampler(yuragi_diffusion::Error),
    /// The tokenizer has more ids than the text encoder knows.
    Vocabulary {
        /// Ids of the tokenizer.
        have: usize,
        /// Ids that the text encoder knows.
        known: usize,
    },
    /// No pictures, too many, or not as many seeds.
    Count {
        /// Pictures asked for.
        have: usize,
        /// The most that the generator was made for.
        most: usize,
    },
    /// A size that the model does not draw.
    Size {
        /// Width and height asked for.
        have: [usize; 2],
        /// The legal ones.
        legal: String,
    },
    /// More blocks of the text encoders are left out than they have.
    Skip {
        /// Blocks to leave out.
        have: usize,
        /// The most that can be.
        most: usize,
    },
    /// Values to begin with that are too few or too many.
    Length {
        /// What they are.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many are needed.
        want: usize,
    },
    /// Some pictures of a batch begin at pictures and others do not.
    Mixed,
    /// A network that the model, or the generator, lacks.
    Lacks(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Settings(error) => error.fmt(f),
            Error::Build(error) => error.fmt(f),
            Error::Compile(error) => error.fmt(f),
            Error::Run(error) => error.fmt(f),
            Error::Sampler(error) => error.fmt(f),
            Error::Vocabulary { have, known } => {
                write!(f, "the tokenizer has {have} ids, but the text encoder knows {known}")
            }
            Error::Size { have: [width, height], legal } => {
                write!(f, "the model does not draw {width}x{height} pixels; legal is {legal}")
            }
            Error::Skip { have, most } => {
                write!(f, "{have} blocks of the text encoder cannot be left out; legal is 0 to {most}")
            }
            Error::Length { what, have, want } => write!(f, "{what} has {have} values, not {want}"),
            Error::Mixed => {
                f.write_str("the pictures of a batch begin in different ways: all at noise, at pictures, or at latents")
            }
            Error::Lacks(what) => write!(f, "the model has no {what}"),
            Error::Count { have, most } => write!(f, "{have} pictures were asked for; legal is 1 to {most}"),
        }
    }
}

impl core::error::Error for Error {}

macro_rules! causes {
    ($($variant:ident $cause:ty;)+) => {$(
        impl From<$cause> for Error {
            fn from(cause: $cause) -> Error {
                Error::$variant(cause)
            }
        }
    )+};
}

causes! {
    Settings settings::Error;
    Build BuildError;
    Compile CompileError;
    Run RunError;
    Sampler yuragi_diffusion::Error;
}
