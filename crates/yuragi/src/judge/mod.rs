//! A judge of drawn pictures: a small classifier that names the things that a picture shows, and tells how many.
//!
//! It learned from true pictures that were shifted, scaled, blurred, recoloured, put on backgrounds, autoencoded, and put
//! beside each other ([`examples`]), so that it knows a thing in another colour, and two things in one picture. Kinds of
//! things are emoji; signs, and people of another skin tone, profession or gender than the plain ones, are none.

pub mod examples;
mod learn;
mod looking;

pub use learn::{Learned, Options, Sight, learn, work};
pub use looking::{Judge, Seen};
