use super::planes::{Keys, Word};
use crate::draw::Draws;
use crate::dynamics::Rule;

/// What a sweep of one chunk is told.
#[derive(Clone, Copy)]
pub(super) struct Sweep<'a> {
    pub draws: Draws,
    pub keys: &'a Keys,
    pub sweep: u32,
    pub chunk: u32,
    pub active: Word,
    pub rule: Rule,
    pub visits: &'a [u32],
}
