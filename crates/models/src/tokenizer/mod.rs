//! Captions to ids: one [normal form](normal), the [spelling that the model knows](Lexicon), then
//! [byte pairs](Bpe).
//!
//! Training, evaluation and generation all read through a [`Tokenizer`], so that `A cat.` and `🐱` mean to a model what they
//! meant when it learned. Stable Diffusion reads by another vocabulary, [`Clip`]'s.

mod bpe;
mod clip;
mod emoji;
mod lexicon;
mod merges;
mod nearest;
mod normal;
mod split;
mod variants;

use alloc::{string::String, vec::Vec};

pub use bpe::{BEGIN, Bpe, END, Error, PAD};
pub use clip::{BEGIN as CLIP_BEGIN, Clip, ClipError, END as CLIP_END, LENGTH as CLIP_LENGTH, Special};
pub use lexicon::{Lexicon, Unknown};
pub use normal::normal;

/// Reads captions.
///
/// ```
/// use yuragi_models::tokenizer::Tokenizer;
/// let tokenizer = Tokenizer::train(["a red cat", "red fox", "赤いネコ"], 300)?;
/// assert_eq!(tokenizer.reading("The RED foxes!"), "red fox");
/// assert_eq!(tokenizer.encode("赤いねこ", 16), tokenizer.encode("赤いﾈｺ。", 16));
/// # Ok::<(), yuragi_models::tokenizer::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    /// Text in the model's spelling to ids.
    pub bpe: Bpe,
    /// The words of the captions that the model learned from; an empty one leaves prompts in normal form.
    pub lexicon: Lexicon,
}

impl Tokenizer {
    /// Learns a vocabulary of at most `vocab_size` ids, and words, from captions, which are read in normal form.
    ///
    /// # Errors
    /// [`Error::VocabSize`].
    pub fn train<'a>(captions: impl IntoIterator<Item = &'a str>, vocab_size: usize) -> Result<Tokenizer, Error> {
        let captions: Vec<String> = captions.into_iter().map(normal).collect();
        let captions = || captions.iter().map(String::as_str);
        Ok(Tokenizer { bpe: Bpe::train(captions(), vocab_size)?, lexicon: Lexicon::of(captions()) })
    }

    /// A text as the model reads it: in normal form and in the spelling that it knows.
    #[must_use]
    pub fn reading(&self, text: &str) -> String {
        self.lexicon.resolve(&normal(text))
    }

    /// The `max_len` ids of a text, padded, and how many of them are not padding: [`BEGIN`], its words as far as they
    /// fit, [`END`].
    #[must_use]
    pub fn encode(&self, text: &str, max_len: usize) -> (Vec<u32>, usize) {
        self.bpe.encode(&self.reading(text), max_len)
    }

    /// A caption as a text encoder reads it: the ids of [`encode`](Self::encode), signed.
    #[must_use]
    pub fn ids(&self, caption: &str, length: usize) -> Vec<i32> {
        self.encode(caption, length).0.into_iter().map(u32::cast_signed).collect()
    }

    /// The tokens of a text between [`BEGIN`] and [`END`], however many they are.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        let text = self.reading(text);
        // A byte is at most one token, and each word has at most one space of its own.
        self.bpe.encode(&text, 2 * text.len() + 2).1.saturating_sub(2)
    }

    /// The words of a text that the model never met.
    #[must_use]
    pub fn unknown(&self, text: &str) -> Vec<Unknown<'_>> {
        self.lexicon.unknown(&normal(text))
    }

    /// The number of ids: every id is below it.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.bpe.vocab_size()
    }
}
