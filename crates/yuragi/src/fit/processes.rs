use std::ops::Range;

use yuragi_distributions::{Error, Team};
use yuragi_graph::{Collective, all_reduce};
use yuragi_numeric::tree::Tree;

/// Ranks as what shares the sums of expectation–maximisation.
#[derive(Clone, Copy)]
pub struct Processes<'r>(pub &'r dyn Collective);

impl Team for Processes<'_> {
    fn share(&self, parts: usize) -> Range<usize> {
        self.0.share(parts, 1, self.0.rank())
    }

    fn sum(&self, own: Tree<f64>, length: usize) -> Result<Vec<f64>, Error> {
        all_reduce(self.0, own, length).map_err(|_| Error::Lost)
    }
}
