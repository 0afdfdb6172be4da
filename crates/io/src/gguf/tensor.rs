use std::ops::Range;

use super::blocks::Kind;

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its sizes, the slowest axis first as PyTorch has them.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub kind: Kind,
    /// Its bytes in the file.
    pub(super) range: Range<usize>,
}

impl Tensor {
    /// The number of its values.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}
