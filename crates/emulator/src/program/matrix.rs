//! Matrix products.

use super::place::{Address, Slot};

/// The elements of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    BF16,
    TF32,
    F64,
    S8,
    U8,
    E4M3,
    E5M2,
}

/// A matrix product of a warp: D = A·B + C.
pub(crate) struct MatrixProduct {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a_of: Element,
    pub b_of: Element,
    /// C and D are f16 rather than f32, s32 or f64.
    pub half_sum: bool,
    pub d: Vec<Slot>,
    pub a: Vec<Slot>,
    pub b: Vec<Slot>,
    pub c: Vec<Slot>,
    pub saturate: bool,
}

/// A matrix that a warp loads into registers, or stores.
pub(crate) struct Fragment {
    pub address: Address,
    /// Elements from a row, or column, to the next; those of one if it is not given.
    pub stride: Option<Slot>,
    pub registers: Vec<Slot>,
    pub rows: usize,
    pub columns: usize,
    /// Of an element.
    pub bytes: usize,
    pub by_columns: bool,
    pub store: bool,
}

/// A product of such matrices: D = A·B + C.
pub(crate) struct FragmentProduct {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub of: Element,
    /// D, or C, is f16 rather than f32, s32 or f64.
    pub half_into: bool,
    pub half_from: bool,
    pub d: Vec<Slot>,
    pub a: Vec<Slot>,
    pub b: Vec<Slot>,
    pub c: Vec<Slot>,
    pub saturate: bool,
}

/// D = ±A·B + D of 64 × n.
pub(crate) struct GroupProduct {
    pub n: usize,
    pub k: usize,
    /// Of an element.
    pub bytes: usize,
    pub a_of: Element,
    pub b_of: Element,
    pub half_sum: bool,
    pub sums: Vec<Slot>,
    /// A in registers instead of shared memory.
    pub a_registers: Option<Vec<Slot>>,
    pub a: Slot,
    pub b: Slot,
    /// Whether D is added: a predicate and its negation, or always or never.
    pub keep: Result<(Slot, bool), bool>,
    pub negative: bool,
    /// Whether A and B lie contiguous along rows and columns rather than along k.
    pub across: [bool; 2],
}
