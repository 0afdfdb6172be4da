//! What a GPU is asked for in one visit: [`parts`], each within its [`Effort`](effort::Effort) and in processes of its
//! own, and a [`record`] of what they found.

pub mod effort;
pub mod parts;
pub mod process;
pub mod record;
pub mod shapes;
pub mod visit;
