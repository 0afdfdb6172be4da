use alloc::vec::Vec;

use super::Piece;
use crate::tokenizer::{CLIP_LENGTH, Clip};

/// Tokens of a chunk between its begin and its end.
pub const ROOM: usize = CLIP_LENGTH - 2;

/// How far back a chunk is cut at a comma rather than inside a phrase.
const BACK: usize = 20;

/// A row of a text encoder, with the weight of each token.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// [`CLIP_LENGTH`] ids: begin, tokens, end, padding.
    pub ids: Vec<i32>,
    /// The weight of each.
    pub weights: Vec<f32>,
}

/// Words that stand for learnt vectors (textual inversion).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    /// The tokens of the words.
    pub tokens: Vec<u32>,
    /// The ids that take their place, 1 to [`ROOM`]: those under which the vectors were added to the vocabulary.
    pub ids: Vec<u32>,
}

/// Lays pieces into rows of [`ROOM`] tokens, as the common web interface does: a chunk that is full is cut at the last
/// comma if that is at most 20 tokens back, [`Piece::Break`] ends a chunk, and there is at least one. Of inserts that begin
/// with the same words the longest counts; those of no tokens, of no ids or of more than [`ROOM`] never do.
///
/// ```
/// use yuragi_models::{prompt::{chunks, weighted}, tokenizer::Clip};
/// let rows = chunks(&Clip::builtin(), &weighted("a (cat:1.5)"), &[]);
/// assert_eq!(rows[0].ids[..4], [49406, 320, 2368, 49407]);
/// assert_eq!(rows[0].weights[..4], [1.0, 1.0, 1.5, 1.0]);
/// ```
#[must_use]
pub fn chunks(clip: &Clip, pieces: &[Piece], inserts: &[Insert]) -> Vec<Chunk> {
    let comma = clip.tokens(",").first().copied();
    let (mut rows, mut row) = (Vec::new(), Row::default());
    for piece in pieces {
        let Piece::Text(text, weight) = piece else {
            rows.push(core::mem::take(&mut row));
            continue;
        };
        let tokens = clip.tokens(text);
        let mut place = 0;
        while let Some(&token) = tokens.get(place) {
            if Some(token) == comma {
                row.comma = Some(row.tokens.len());
            } else if row.tokens.len() == ROOM
                && let Some(comma) = row.comma.filter(|comma| ROOM - comma <= BACK)
            {
                let rest = row.cut(comma + 1);
                rows.push(core::mem::replace(&mut row, rest));
            }
            if row.tokens.len() == ROOM {
                rows.push(core::mem::take(&mut row));
            }
            match insert_at(&tokens[place..], inserts) {
                None => {
                    row.tokens.push((token, *weight as f32));
                    place += 1;
                }
                Some(Insert { tokens, ids }) => {
                    if row.tokens.len() + ids.len() > ROOM {
                        rows.push(core::mem::take(&mut row));
                    }
                    row.tokens.extend(ids.iter().map(|id| (*id, *weight as f32)));
                    place += tokens.len();
                }
            }
        }
    }
    if !row.tokens.is_empty() || rows.is_empty() {
        rows.push(row);
    }
    rows.into_iter().map(|row| row.finished(clip)).collect()
}

/// The longest insert that the tokens begin with.
fn insert_at<'a>(tokens: &[u32], inserts: &'a [Insert]) -> Option<&'a Insert> {
    let legal = |insert: &Insert| !insert.tokens.is_empty() && (1..=ROOM).contains(&insert.ids.len());
    let here = inserts.iter().filter(|insert| legal(insert) && tokens.starts_with(&insert.tokens));
    here.max_by_key(|insert| insert.tokens.len())
}

/// A chunk under way.
#[derive(Default)]
struct Row {
    tokens: Vec<(u32, f32)>,
    /// The last comma.
    comma: Option<usize>,
}

impl Row {
    /// Takes away what stands from `place` on.
    fn cut(&mut self, place: usize) -> Row {
        Row { tokens: self.tokens.split_off(place), comma: None }
    }

    fn finished(self, clip: &Clip) -> Chunk {
        let mut ids = Vec::with_capacity(CLIP_LENGTH);
        ids.push(clip.begin());
        ids.extend(self.tokens.iter().map(|(token, _)| *token));
        ids.push(clip.end());
        ids.resize(CLIP_LENGTH, clip.pad());
        let mut weights = alloc::vec![1.0; CLIP_LENGTH];
        for (to, (_, from)) in weights[1..].iter_mut().zip(self.tokens) {
            *to = from;
        }
        Chunk { ids: ids.into_iter().map(u32::cast_signed).collect(), weights }
    }
}

impl Chunk {
    /// The chunk of no words, by which two prompts are made equally long.
    #[must_use]
    pub fn empty(clip: &Clip) -> Chunk {
        Row::default().finished(clip)
    }
}

/// Multiplies a chunk's features by its weights, then all of them so that their mean is what it was, as the common web
/// interface does: `features` is `[weights.len(), D]`, row by row. Weights that are all 1 change nothing, and a mean of 0
/// is left where it comes to be.
///
/// ```
/// use yuragi_models::prompt::scale;
/// let mut features = [1.0, 3.0, 2.0, 2.0];
/// scale(&mut features, &[1.0, 3.0]);
/// assert_eq!(features, [0.5, 1.5, 3.0, 3.0]);
/// ```
pub fn scale(features: &mut [f32], weights: &[f32]) {
    if weights.iter().all(|weight| *weight == 1.0) || features.is_empty() {
        return;
    }
    let sum = |features: &[f32]| features.iter().map(|x| f64::from(*x)).sum::<f64>();
    let before = sum(features);
    for (row, weight) in features.chunks_exact_mut(features.len() / weights.len()).zip(weights) {
        row.iter_mut().for_each(|x| *x *= weight);
    }
    let after = sum(features);
    let back = (before / after) as f32;
    if back.is_finite() {
        features.iter_mut().for_each(|x| *x *= back);
    }
}
