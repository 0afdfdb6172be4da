//! Storage of weights in 4, 5, 6 or 8 bits, with one scale for each group of them: how a file holds [`Groups`].
//!
//! # Layout
//! Row-major weights `NAME` in groups of `G` codes of `b` bits, laid out as [`yuragi_numeric::groups`] says, are in a file
//!
//! | entry | type | shape or value |
//! |---|---|---|
//! | tensor `NAME` | `U8` | `[groups, G/8, b]`, `b` 4, 5, 6 or 8, `G` a multiple of 8 up to 1024 |
//! | tensor `NAME.scale` | `F16` | `[groups]`, finite, of either sign |
//! | setting `NAME.shape` | text | the extents of the weights, such as `3,3,64,64` |
//!
//! with `groups` = ⌈weights / G⌉.

pub use yuragi_numeric::groups::{BITS, Groups, LARGEST};

/// The name under which the scales of the quantised tensor `name` are stored.
#[must_use]
pub fn scale_name(name: &str) -> String {
    format!("{name}.scale")
}

/// The setting that tells the shape of the quantised tensor `name`.
#[must_use]
pub fn shape_key(name: &str) -> String {
    format!("{name}.shape")
}

/// The weights `q·s` of 8-bit row-major `[.., scales.len()]` weights with a scale for each entry of the last axis: how
/// models were stored before groups.
#[must_use]
pub fn by_channel(quantized: &[i8], scales: &[f32]) -> Vec<f32> {
    quantized.iter().zip(scales.iter().cycle()).map(|(&q, scale)| f32::from(q) * scale).collect()
}
