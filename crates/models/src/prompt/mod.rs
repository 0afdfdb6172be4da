//! Prompts as web interfaces for Stable Diffusion write them: what is stressed, what changes on the way, and how all of
//! it is laid into the rows that a text encoder reads.
//!
//! | written | meaning | read by |
//! |---|---|---|
//! | `(a)`, `((a))` | more weight: × 1.1, × 1.21 | [`weighted`] |
//! | `[a]` | less: ÷ 1.1 | [`weighted`] |
//! | `(a:1.3)` | × 1.3 | [`weighted`] |
//! | `\(`, `\)`, `\[`, `\]`, `\\` | the character itself | [`weighted`] |
//! | `a BREAK b` | b begins a new row | [`weighted`], [`chunks`] |
//! | `[a:b:8]`, `[a:b:0.5]` | a for 8 steps, or for half of them, then b | [`schedule`] |
//! | `[b:8]`, `[a::8]` | nothing, then b; a, then nothing | [`schedule`] |
//! | `[a\|b\|c]` | a, b, c, a, .. from step to step | [`schedule`] |
//! | `<lora:NAME:0.8>` | a network to be added, and how much of it | [`networks`] |
//!
//! A prompt is first made a [`schedule`]; each of its texts is then [`weighted`] and laid into [`chunks`]; and what the
//! text encoder makes of them is [`scaled`](scale) by the weights. Nothing that can be written is an error: brackets that
//! do not close are taken as the web interface takes them.
//!
//! ```
//! use yuragi_models::prompt::{self, Piece};
//! let steps = prompt::schedule("a [red:(blue):2] cat", 4);
//! assert_eq!(steps, [(2, "a red cat".into()), (4, "a (blue) cat".into())]);
//! let pieces = prompt::weighted(&steps[1].1);
//! assert_eq!(pieces[1], Piece::Text("blue".into(), 1.1));
//! ```

mod chunks;
mod networks;
mod notes;
mod schedule;
mod weighted;

pub use chunks::{Chunk, Insert, ROOM, chunks, scale};
pub use networks::{Network, networks};
pub use notes::{UNGUIDED, notes};
pub use schedule::{Schedule, at, schedule, schedule_of, texts};
pub use weighted::{Piece, bare, weighted, weighted_by_numbers};
