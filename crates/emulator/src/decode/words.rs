//! The words of an opcode, taken one by one: what is left in the end is not understood.

use crate::{
    arithmetic::Rounding,
    counters::Class,
    program::Op,
    ptx::{Operand, Type},
};

/// The operands of an instruction.
pub(super) type Operands<'a> = &'a [Operand];
/// What a family of instructions makes of one: nothing where it is none of its own.
pub(super) type Found = Result<Option<(Op, Class)>, String>;

/// The words after an opcode's name.
pub(super) struct Words<'a> {
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    pub fn new(words: &'a [String]) -> Words<'a> {
        Words { words: words.iter().map(String::as_str).collect() }
    }

    /// Takes a word if it is there.
    pub fn take(&mut self, word: &str) -> bool {
        match self.words.iter().position(|w| *w == word) {
            Some(at) => {
                self.words.remove(at);
                true
            }
            None => false,
        }
    }

    /// Whether a word is there.
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// Takes the first of these words that is there, and gives what stands beside it.
    pub fn choose<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        choices.iter().find(|(word, _)| self.take(word)).map(|(_, value)| *value)
    }

    /// Takes a word with this beginning.
    pub fn take_prefixed(&mut self, prefix: &str) -> Option<&'a str> {
        let at = self.words.iter().position(|w| w.starts_with(prefix))?;
        Some(self.words.remove(at))
    }

    /// The last word, taken, as a type.
    pub fn last_type(&mut self) -> Result<Type, String> {
        let word = self.words.last().copied().ok_or("a type is missing")?;
        let of = Type::parse(word).ok_or_else(|| format!("`.{word}` is no type"))?;
        self.words.pop();
        Ok(of)
    }

    /// The last word as a type, if it is one.
    pub fn peek_type(&self) -> Option<Type> {
        self.words.last().and_then(|word| Type::parse(word))
    }

    /// Takes a rounding of floating-point numbers.
    pub fn rounding(&mut self) -> Option<Rounding> {
        use Rounding::{Away, Down, Nearest, Up, Zero};
        self.choose(&[("rn", Nearest), ("rna", Away), ("rz", Zero), ("rm", Down), ("rp", Up)])
    }

    /// Drops words that change nothing here: scopes, cache hints, convergence promises.
    pub fn ignore(&mut self, words: &[&str]) {
        self.words.retain(|word| !words.contains(word));
    }

    /// Drops words with one of these beginnings.
    pub fn ignore_prefixed(&mut self, prefixes: &[&str]) {
        self.words.retain(|word| !prefixes.iter().any(|prefix| word.starts_with(prefix)));
    }

    /// An error that names a word that nobody took.
    pub fn done(&self) -> Result<(), String> {
        match self.words.first() {
            Some(word) => Err(format!("`.{word}` is not supported here")),
            None => Ok(()),
        }
    }
}
