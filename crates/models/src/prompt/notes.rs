//! What a model makes of words otherwise than one may think.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{bare, texts};
use crate::tokenizer::{Tokenizer, Unknown};

/// Letters that a note has of a word.
const MOST_LETTERS: usize = 40;
/// Words that a note names.
const MOST_NAMED: usize = 5;

/// What to say where there are negative words, but the guidance is 1.
pub const UNGUIDED: &str = "guidance 1 leads away from nothing: the negative prompt is not used";

/// What a model that reads so many tokens, their begin and end included, makes of a prompt and a negative prompt otherwise
/// than one may think: a line each, without a full stop.
///
/// ```
/// use yuragi_models::{prompt::notes, tokenizer::Tokenizer};
/// let tokenizer = Tokenizer::train(["a red robot", "red fox"], 300)?;
/// assert_eq!(notes(&tokenizer, 24, "a red fox", ""), [""; 0]);
/// assert_eq!(
///     notes(&tokenizer, 24, "", "a robbot"),
///     [
///         "without words, the model draws anything",
///         r#"the model never met "robbot" (the nearest it knows: "robot")"#,
///     ]
/// );
/// # Ok::<(), yuragi_models::tokenizer::Error>(())
/// ```
#[must_use]
pub fn notes(tokenizer: &Tokenizer, length: usize, prompt: &str, negative: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if prompt.trim().is_empty() {
        notes.push("without words, the model draws anything".to_string());
    }
    let read = length.saturating_sub(2);
    for (what, prompt) in [("prompt", prompt), ("negative prompt", negative)] {
        for text in texts(prompt) {
            let text = bare(&text);
            let have = tokenizer.count(&text);
            if have > read {
                notes.push(format!("the model reads only the first {read} of the {what}'s {have} tokens"));
            }
            let unknown = tokenizer.unknown(&text);
            if !unknown.is_empty() {
                notes.push(format!("the model never met {}", named(&unknown)));
            }
        }
    }
    // Texts that a prompt changes between may share what is to be said.
    notes.dedup();
    notes
}

/// The first few words, with the nearest that the model knows.
fn named(unknown: &[Unknown<'_>]) -> String {
    let one = |Unknown { word, nearest }: &Unknown<'_>| {
        let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let word: String = word.chars().map(visible).take(MOST_LETTERS).collect();
        nearest.map_or(format!("\"{word}\""), |near| format!("\"{word}\" (the nearest it knows: \"{near}\")"))
    };
    let mut parts: Vec<String> = unknown.iter().take(MOST_NAMED).map(one).collect();
    if let Some(more) = unknown.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        parts.push(format!("{more} more words"));
    }
    parts.join(", ")
}
