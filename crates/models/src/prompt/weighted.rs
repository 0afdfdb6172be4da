use alloc::string::String;
use alloc::vec::Vec;

/// What brackets multiply weights by.
const MORE: f64 = 1.1;

/// A part of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Words, and their weight; 1 where nothing is stressed.
    Text(String, f64),
    /// What follows begins a new row.
    Break,
}

/// What a prompt's marks of stress are.
enum Mark<'a> {
    /// `\(` and its like: what is meant.
    Escaped(&'a str),
    Open(char),
    Close(char),
    /// `:1.3)`.
    Weight(f64),
    Text(&'a str),
}

/// The pieces of a prompt with their weights; neighbours of one weight are one piece, and an empty prompt is one piece.
///
/// Brackets that never close count from where they open to the end; those that never opened are text. A weight that is
/// no number, as in `(a:1.2.3)`, is text; `BREAK` counts inside brackets, too. (The web interface fails at the one and
/// reads the other as a word.)
///
/// ```
/// use yuragi_models::prompt::{Piece, weighted};
/// let pieces = weighted("an (important) word");
/// assert_eq!(pieces[0], Piece::Text("an ".into(), 1.0));
/// assert_eq!(pieces[1], Piece::Text("important".into(), 1.1));
/// ```
#[must_use]
pub fn weighted(prompt: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    // Where the brackets that are open begin: round ones, square ones.
    let mut open: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    let mut rest = prompt;
    while let Some((mark, length)) = next(rest) {
        let text = &rest[..length];
        rest = &rest[length..];
        match mark {
            Mark::Escaped(text) => pieces.push(Piece::Text(text.into(), 1.0)),
            Mark::Open(kind) => open[usize::from(kind == '[')].push(pieces.len()),
            Mark::Weight(factor) if !open[0].is_empty() => close(&mut pieces, open[0].pop(), factor),
            Mark::Close(')') if !open[0].is_empty() => close(&mut pieces, open[0].pop(), MORE),
            Mark::Close(']') if !open[1].is_empty() => close(&mut pieces, open[1].pop(), 1.0 / MORE),
            Mark::Weight(_) | Mark::Close(_) => pieces.push(Piece::Text(text.into(), 1.0)),
            Mark::Text(text) => broken(text, &mut pieces),
        }
    }
    let [round, square] = open;
    round.into_iter().for_each(|start| close(&mut pieces, Some(start), MORE));
    square.into_iter().for_each(|start| close(&mut pieces, Some(start), 1.0 / MORE));
    joined(pieces)
}

/// The same where only `(a:1.3)` is a mark: all other brackets, and `BREAK`, are text. This is for models whose captions
/// have brackets of their own.
///
/// ```
/// use yuragi_models::prompt::{Piece, weighted_by_numbers};
/// let pieces = weighted_by_numbers("A button (blood type), (red:1.5)");
/// assert_eq!(pieces[0], Piece::Text("A button (blood type), ".into(), 1.0));
/// assert_eq!(pieces[1], Piece::Text("red".into(), 1.5));
/// ```
#[must_use]
pub fn weighted_by_numbers(prompt: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    // The pieces that are open brackets.
    let mut open = Vec::new();
    let mut rest = prompt;
    while let Some((mark, length)) = next(rest) {
        let mut text = &rest[..length];
        rest = &rest[length..];
        match mark {
            Mark::Escaped(meant) => text = meant,
            Mark::Open('(') => open.push(pieces.len()),
            Mark::Close(')') => drop(open.pop()),
            Mark::Weight(factor) => {
                if let Some(start) = open.pop() {
                    pieces[start] = Piece::Text(String::new(), 1.0);
                    close(&mut pieces, Some(start + 1), factor);
                    text = "";
                }
            }
            Mark::Open(_) | Mark::Close(_) | Mark::Text(_) => {}
        }
        pieces.push(Piece::Text(text.into(), 1.0));
    }
    pieces.retain(|piece| !matches!(piece, Piece::Text(text, _) if text.is_empty()));
    joined(pieces)
}

/// A prompt without the marks of [`weighted_by_numbers`].
///
/// ```
/// assert_eq!(yuragi_models::prompt::bare("a (red:1.5) cat"), "a red cat");
/// ```
#[must_use]
pub fn bare(prompt: &str) -> String {
    let text = |piece| match piece {
        Piece::Text(text, _) => text,
        Piece::Break => String::new(),
    };
    weighted_by_numbers(prompt).into_iter().map(text).collect()
}

/// Multiplies the weights from `start` on.
fn close(pieces: &mut [Piece], start: Option<usize>, factor: f64) {
    for piece in start.and_then(|start| pieces.get_mut(start..)).unwrap_or_default() {
        if let Piece::Text(_, weight) = piece {
            *weight *= factor;
        }
    }
}

/// The next mark and its bytes.
fn next(text: &str) -> Option<(Mark<'_>, usize)> {
    let first = text.chars().next()?;
    Some(match first {
        '\\' => match text.as_bytes().get(1) {
            Some(b'(' | b')' | b'[' | b']' | b'\\') => (Mark::Escaped(&text[1..2]), 2),
            // A stroke before anything else is dropped.
            _ => (Mark::Escaped(""), 1),
        },
        '(' | '[' => (Mark::Open(first), 1),
        ')' | ']' => (Mark::Close(first), 1),
        ':' => weight(text).map_or((Mark::Text(":"), 1), |(factor, length)| (Mark::Weight(factor), length)),
        _ => {
            let end = text.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(text.len());
            (Mark::Text(&text[..end]), end)
        }
    })
}

/// The number of `: 1.3 )` and the bytes of it all.
fn weight(text: &str) -> Option<(f64, usize)> {
    let (number, _) = text[1..].split_once(')')?;
    let digits = number.trim();
    let plain = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let legal = plain.chars().all(|c| c.is_ascii_digit() || c == '.');
    let factor = digits.parse::<f64>().ok().filter(|factor| legal && factor.is_finite())?;
    Some((factor, number.len() + 2))
}

/// Text, cut at `BREAK` where it is a word, with the space around it.
fn broken(text: &str, pieces: &mut Vec<Piece>) {
    const BREAK: &str = "BREAK";
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut start, mut from) = (0, 0);
    while let Some(place) = text[from..].find(BREAK).map(|place| from + place) {
        from = place + BREAK.len();
        let apart = !text[..place].ends_with(is_word) && !text[from..].starts_with(is_word);
        if apart {
            pieces.push(Piece::Text(text[start..place].trim_end().into(), 1.0));
            pieces.push(Piece::Break);
            from = text.len() - text[from..].trim_start().len();
            start = from;
        }
    }
    pieces.push(Piece::Text(text[start..].into(), 1.0));
}

/// Neighbours of one weight as one piece.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Text(text, weight)), Piece::Text(more, same)) if *weight == same => text.push_str(&more),
            (_, piece) => out.push(piece),
        }
    }
    if out.is_empty() {
        out.push(Piece::Text(String::new(), 1.0));
    }
    out
}
