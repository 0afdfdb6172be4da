//! What every platform must draw to the bit: one number for each generator, fill and sampler.
//!
//! `digests.txt` beside this crate's manifest holds them; the program `digests` prints those of the processor that it runs
//! on in the same form.

mod chains;
mod digest;
mod graphs;
mod random;
mod samplers;

pub use digest::{Digest, Draw, Failure};

/// Every name with what it draws, in the order of `digests.txt`.
pub fn all() -> impl Iterator<Item = (&'static str, Draw)> {
    [random::ALL, graphs::ALL, chains::ALL, samplers::ALL].into_iter().flatten().copied()
}

/// The digest of one draw.
///
/// # Errors
/// An argument that the library refused.
pub fn digest(draw: Draw) -> Result<u64, Failure> {
    let mut digest = Digest::default();
    draw(&mut digest)?;
    Ok(digest.value())
}
