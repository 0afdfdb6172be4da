//! What an emoji is made of: people, skin tones and roles, joined to one sequence of characters.

pub(crate) const JOINER: char = '\u{200d}';
/// Variation selector 16, which asks for the emoji form of a character.
pub(crate) const VS16: char = '\u{fe0f}';

/// A skin tone of the Fitzpatrick scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tone {
    /// Types 1 and 2.
    Light = 1,
    /// Type 3.
    MediumLight,
    /// Type 4.
    Medium,
    /// Type 5.
    MediumDark,
    /// Type 6.
    Dark,
}

impl Tone {
    /// All five, from light to dark.
    pub const ALL: [Self; 5] = [Self::Light, Self::MediumLight, Self::Medium, Self::MediumDark, Self::Dark];
}

/// What an emoji is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emoji {
    /// Its characters, without variation selectors, as CLDR writes it.
    pub sequence: String,
    /// The sequence without skin tones; gender and role stay. Siblings share it.
    pub base: String,
    /// The skin tones of its people, from the first to the last; empty where none is chosen.
    pub tones: Vec<Tone>,
}

impl Emoji {
    /// Takes a sequence apart.
    ///
    /// ```
    /// use yuragi_io::emoji::{Emoji, Tone};
    /// let emoji = Emoji::new("👩🏽\u{200d}🚒");
    /// assert_eq!(emoji.base, "👩\u{200d}🚒");
    /// assert_eq!(emoji.tone(), Some(Tone::Medium));
    /// assert!(emoji.is_combination());
    /// ```
    #[must_use]
    pub fn new(sequence: &str) -> Self {
        let sequence = sequence.replace(VS16, "");
        Self {
            base: sequence.chars().filter(|&c| tone_of(c).is_none()).collect(),
            tones: sequence.chars().filter_map(tone_of).collect(),
            sequence,
        }
    }

    /// Its skin tone, if it has exactly one.
    #[must_use]
    pub fn tone(&self) -> Option<Tone> {
        if let [tone] = self.tones[..] { Some(tone) } else { None }
    }

    /// Whether it joins a person with a gender sign, an object or other people.
    #[must_use]
    pub fn has_role(&self) -> bool {
        self.sequence.contains(JOINER) && self.sequence.contains(['👨', '👩', '🧑', '♀', '♂'])
    }

    /// Whether it has a skin tone or a role.
    #[must_use]
    pub fn is_combination(&self) -> bool {
        (!self.tones.is_empty() || self.has_role()) && !self.is_component()
    }

    /// Whether it has a skin tone and a role, as those that may be held out.
    #[must_use]
    pub fn is_toned_role(&self) -> bool {
        !self.tones.is_empty() && self.has_role()
    }

    /// Whether it begins as flags do.
    pub(crate) fn is_flag(&self) -> bool {
        let flags = ['\u{1f3c1}', '\u{1f38c}', '\u{1f3f3}', '\u{1f3f4}', '\u{1f6a9}'];
        self.sequence.starts_with(|c| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c) || flags.contains(&c))
    }

    /// Whether it is one of the five skin tone swatches and the four hair styles.
    pub(crate) fn is_component(&self) -> bool {
        let mut chars = self.sequence.chars();
        let part = |c| tone_of(c).is_some() || ('\u{1f9b0}'..='\u{1f9b3}').contains(&c);
        chars.next().is_some_and(part) && chars.next().is_none()
    }
}

pub(crate) fn tone_of(c: char) -> Option<Tone> {
    let index = u32::from(c).checked_sub(0x1f3fb)?;
    Tone::ALL.get(index as usize).copied()
}
