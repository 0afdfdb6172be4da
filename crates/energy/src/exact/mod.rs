//! Exact answers: enumeration of small problems, and the square lattice by Onsager, Kaufman and Yang.

mod enumerate;
mod square;

pub use enumerate::{Enumeration, enumerate};
pub(crate) use enumerate::{digits, number};
pub use square::{
    CRITICAL_BETA, finite_square_energy, finite_square_log_z, infinite_square_energy, infinite_square_magnetization,
};
