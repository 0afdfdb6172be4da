//! The emoji of an installed colour font, captioned in English and Japanese by Unicode's CLDR.
//!
//! Both are read from where the system's packages put them (`fonts-noto-color-emoji`, `unicode-cldr-core`); nothing is
//! downloaded or kept. A sequence is taken when CLDR names it and the font shapes it to one glyph with a picture.
//!
//! An emoji is a *combination* when a person or a hand is varied: by skin tone, gender, profession, partner or family.
//! A few combinations are held out to measure composition: each has a skin tone and a role, and the same pose in
//! another tone stays in training.
//!
//! Debian 12 (CLDR 41, font 2.042) gives all of Emoji 14.0: 3355 pictures, 1373 base and 1982 combinations, 56 of the
//! 1110 with a skin tone and a role held out; with flags and components 3633. The font draws the five tones of one
//! emoji alike (🏂), and the family of two men and a boy like the family.

mod cldr;
mod font;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use yuragi_numeric::philox;

use crate::dataset::{Caption, CaptionKind, Dataset, DatasetError, Item, Skipped};
pub use crate::sequence::{Emoji, Tone};
use cldr::Annotation;
use font::ColourFont;

/// The largest side of a picture that can be asked for; the pictures of fonts are about 130 pixels wide.
pub const MAX_SIZE: usize = 1024;

/// Where emoji come from and which are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A font file, or a folder with `NotoColorEmoji.ttf` somewhere in it; `None` searches `/usr/share/fonts`.
    pub font: Option<PathBuf>,
    /// CLDR's `common` folder.
    pub cldr: PathBuf,
    /// The side of the pictures, 1 to [`MAX_SIZE`] pixels.
    pub size: usize,
    /// Whether flags are taken.
    pub flags: bool,
    /// Whether skin tone swatches and hair styles are taken.
    pub components: bool,
    /// Chooses what is held out.
    pub seed: u64,
}

impl Default for Options {
    /// 64×64 pixels from the installed packages, without flags and components.
    fn default() -> Self {
        Self {
            font: None,
            cldr: "/usr/share/unicode/cldr/common".into(),
            size: 64,
            flags: false,
            components: false,
            seed: 0,
        }
    }
}

/// Reads every emoji that the font draws and CLDR names, in the order of their sequences.
///
/// # Errors
/// [`DatasetError`]: the font or CLDR is missing (the error names the package), the font has no colour pictures, a
/// file is broken, or nothing is left.
///
/// ```no_run
/// use yuragi_io::emoji;
/// let dataset = emoji::load(&emoji::Options::default())?;
/// println!("{}", emoji::Counts::of(&dataset));
/// # Ok::<(), yuragi_io::DatasetError>(())
/// ```
pub fn load(options: &Options) -> Result<Dataset, DatasetError> {
    let size = options.size;
    if size == 0 || size > MAX_SIZE {
        return Err(DatasetError::Size(size));
    }
    // What was asked for by name is complained of first.
    let named = options.font.as_deref().map(|font| ColourFont::open(Some(font))).transpose()?;
    let english = cldr::read(&options.cldr, "en")?;
    let japanese = cldr::read(&options.cldr, "ja")?;
    let font = named.map_or_else(|| ColourFont::open(None), Ok)?;
    let painter = font.painter().ok_or_else(|| DatasetError::NoColour { path: font.path().to_owned() })?;

    let mut items = Vec::new();
    let mut skipped = Vec::new();
    for (sequence, annotation) in &english {
        let emoji = Emoji::new(sequence);
        let wanted = (options.flags || !emoji.is_flag()) && (options.components || !emoji.is_component());
        // CLDR also names punctuation, and the font draws `#` and `*` for the sake of the keycaps.
        if !wanted || annotation.name.is_none() || sequence.is_ascii() {
            continue;
        }
        match painter.picture(sequence, size) {
            None => {}
            Some(Err(error)) => {
                let reason = format!("{sequence}: {error}");
                skipped.push(Skipped { path: font.path().to_owned(), reason });
            }
            Some(Ok(picture)) => items.push(Item {
                id: emoji.sequence.clone(),
                picture,
                captions: captions(annotation, japanese.get(sequence)),
                held_out: false,
                emoji: Some(emoji),
            }),
        }
    }
    if items.is_empty() {
        let (path, first) = (font.path().to_owned(), skipped.first().cloned());
        return Err(DatasetError::Empty { path, skipped: skipped.len(), first });
    }
    hold_out(&mut items, options.seed);
    Ok(Dataset { size, items, skipped, notes: Vec::new() })
}

fn captions(english: &Annotation, japanese: Option<&Annotation>) -> Vec<Caption> {
    let name = |of: &Annotation| of.name.clone().unwrap_or_default();
    let texts = [
        (CaptionKind::NameEn, name(english)),
        (CaptionKind::NameJa, japanese.map(name).unwrap_or_default()),
        (CaptionKind::KeywordsEn, english.keywords.join(", ")),
        (CaptionKind::KeywordsJa, japanese.map(|of| of.keywords.join("、")).unwrap_or_default()),
    ];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(kind, text)| Caption { kind, text }).collect()
}

/// Holds out 5% (rounded up) of the combinations with a skin tone and a role, at most all but one of a base.
///
/// The order in which they are chosen depends only on the seed and each sequence, so that a newer font or CLDR changes
/// little.
fn hold_out(items: &mut [Item], seed: u64) {
    let mut candidates = Vec::new();
    let mut siblings: BTreeMap<String, usize> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(emoji) = item.emoji.as_ref().filter(|emoji| emoji.is_toned_role()) {
            *siblings.entry(emoji.base.clone()).or_default() += 1;
            candidates.push((rank(seed, &emoji.sequence), index, emoji.base.clone()));
        }
    }
    candidates.sort();
    let count = candidates.len().div_ceil(20);
    let mut chosen = 0;
    for (_, index, base) in candidates {
        let trained = siblings.entry(base).or_default();
        if chosen < count && *trained > 1 {
            *trained -= 1;
            chosen += 1;
            items[index].held_out = true;
        }
    }
}

/// A pseudorandom number of the seed and the sequence: Philox blocks chained over the characters.
fn rank(seed: u64, sequence: &str) -> u64 {
    let mut state = [0; 4];
    for c in sequence.chars() {
        state[0] ^= u32::from(c);
        state = philox::block(state, philox::key(seed));
    }
    u64::from(state[0]) << 32 | u64::from(state[1])
}

/// How many emoji of each sort a data set has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All pictures.
    pub pictures: usize,
    /// Those that are no combination.
    pub base: usize,
    /// Combinations.
    pub combinations: usize,
    /// Combinations with a skin tone and a role, from which those held out are chosen.
    pub toned_roles: usize,
    /// Those held out.
    pub held_out: usize,
    /// Those with a Japanese name.
    pub japanese: usize,
}

impl Counts {
    /// Counts the items of a data set.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Self {
        let mut counts = Self::default();
        for item in &dataset.items {
            let combination = item.emoji.as_ref().is_some_and(|emoji| emoji.is_combination());
            counts.pictures += 1;
            counts.base += usize::from(!combination);
            counts.combinations += usize::from(combination);
            counts.toned_roles += usize::from(item.emoji.as_ref().is_some_and(Emoji::is_toned_role));
            counts.held_out += usize::from(item.held_out);
            counts.japanese += usize::from(item.caption(CaptionKind::NameJa).is_some());
        }
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pictures, base, combinations, toned_roles, held_out, japanese } = self;
        write!(
            f,
            "{pictures} pictures: {base} base, {combinations} combinations ({toned_roles} with a skin tone and a role, \
             {held_out} of them held out); {japanese} with a Japanese name"
        )
    }
}

#[cfg(test)]
mod tests;
