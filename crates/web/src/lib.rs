//! What the page in the browser computes: pictures from words, a ±J glass that anneals, digits that a machine dreams.
//!
//! Each of the three is a safe type that advances by small steps and hands out bytes to show: [`Studio`], [`Glass`],
//! [`Digits`]. A worker of the page holds one of them behind the module's exported functions ([`mod@exports`]); nothing
//! here knows a browser, so the glass and the digits are the same bits on any machine, and pictures within a grey level.
#![deny(unsafe_code)]

mod digits;
pub mod exports;
mod glass;
mod studio;

pub use digits::Digits;
pub use glass::{Glass, Temperatures, cooled};
pub use studio::{Asked, Studio};
