//! The words of a PTX text, one at a time.

use std::fmt;

use super::ParseError;

/// A word, a literal or a punctuation mark; it borrows the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// `ld`, `%r1`, `$L__BB0_2`, `_`
    Word(&'a str),
    /// `.b32` or `.shared::cluster`, without its first dot.
    Dot(&'a str),
    /// An integer; `unsigned` if it has the suffix `U` or exceeds a signed one.
    Integer { bits: u64, unsigned: bool },
    /// The bits of `0f3F800000`.
    F32(u32),
    /// The bits of `0d3FF0000000000000`.
    F64(u64),
    /// `1.5`, `.5e-3`, `1.`
    Decimal(&'a str),
    /// `"..."` without its quotes.
    Text(&'a str),
    /// Punctuation.
    Mark(&'static str),
    /// The end of the text.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Token::Word(word) | Token::Decimal(word) => write!(f, "`{}`", Clipped(word)),
            Token::Dot(word) => write!(f, "`.{}`", Clipped(word)),
            Token::Integer { bits, .. } => write!(f, "`{bits}`"),
            Token::F32(bits) => write!(f, "`0f{bits:08X}`"),
            Token::F64(bits) => write!(f, "`0d{bits:016X}`"),
            Token::Text(_) => write!(f, "a string"),
            Token::Mark(mark) => write!(f, "`{mark}`"),
            Token::End => write!(f, "the end of the text"),
        }
    }
}

/// The beginning of a text, so that a message stays short whatever the input.
pub(super) struct Clipped<'a>(pub &'a str);

impl fmt::Display for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{}...", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{}", self.0),
        }
    }
}

const LONG_MARKS: [&str; 8] = ["<<", ">>", "<=", ">=", "==", "!=", "&&", "||"];
const SHORT_MARKS: &str = "{}[]()<>,;:@!|+-*/%&^~?=";

/// Cuts a text into tokens.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// A byte offset, always between two characters.
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0, line: 1 }
    }

    /// The next token and the line on which it begins.
    pub fn next(&mut self) -> Result<(Token<'a>, u32), ParseError> {
        self.skip_blanks()?;
        let line = self.line;
        let token = match self.byte(0) {
            None => Token::End,
            Some(b'.') => self.dot()?,
            Some(b'0'..=b'9') => self.number()?,
            Some(b'"') => self.string()?,
            Some(b'%' | b'$') if !self.byte(1).is_some_and(is_inner) => self.mark()?,
            Some(first) if is_inner(first) || first == b'%' => Token::Word(self.run(1)),
            Some(_) => self.mark()?,
        };
        Ok((token, line))
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn from(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The next `skip` bytes and the letters, digits, `_` and `$` that follow them.
    fn run(&mut self, skip: usize) -> &'a str {
        let start = self.at;
        self.at += skip;
        while self.byte(0).is_some_and(is_inner) {
            self.at += 1;
        }
        self.from(start)
    }

    fn digits(&mut self) {
        while self.byte(0).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn error(&self, line: u32, message: String) -> ParseError {
        ParseError { line, message }
    }

    fn skip_blanks(&mut self) -> Result<(), ParseError> {
        while let Some(byte) = self.byte(0) {
            match (byte, self.byte(1)) {
                (b'\n', _) => {
                    self.line = self.line.saturating_add(1);
                    self.at += 1;
                }
                (b' ' | b'\t' | b'\r' | 0x0b | 0x0c, _) => self.at += 1,
                (b'/', Some(b'/')) => {
                    while self.byte(0).is_some_and(|b| b != b'\n') {
                        self.at += 1;
                    }
                }
                (b'/', Some(b'*')) => self.skip_comment()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), ParseError> {
        let line = self.line;
        self.at += 2;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b'*'), Some(b'/')) => break,
                (Some(b'\n'), _) => self.line = self.line.saturating_add(1),
                (Some(_), _) => {}
                (None, _) => return Err(self.error(line, "a comment `/*` without its end".into())),
            }
            self.at += 1;
        }
        self.at += 2;
        Ok(())
    }

    fn string(&mut self) -> Result<Token<'a>, ParseError> {
        self.at += 1;
        let start = self.at;
        while self.byte(0).is_some_and(|b| b != b'"' && b != b'\n') {
            self.at += 1;
        }
        if self.byte(0) != Some(b'"') {
            return Err(self.error(self.line, "a string without its closing quote".into()));
        }
        let text = self.from(start);
        self.at += 1;
        Ok(Token::Text(text))
    }

    fn mark(&mut self) -> Result<Token<'a>, ParseError> {
        let two = self.text.get(self.at..self.at + 2);
        let long = LONG_MARKS.into_iter().find(|&mark| two == Some(mark));
        let c = self.text.get(self.at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
        let short = || SHORT_MARKS.find(c).and_then(|i| SHORT_MARKS.get(i..i + 1));
        match (long.or_else(short), c) {
            (Some(mark), _) => {
                self.at += mark.len();
                Ok(Token::Mark(mark))
            }
            (None, '#') => Err(self.error(self.line, "preprocessor lines (`#`) are not supported".into())),
            (None, c) => Err(self.error(self.line, format!("unexpected character {c:?}"))),
        }
    }

    /// `.word`, `.word::word`, or a number such as `.5`.
    fn dot(&mut self) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        self.at += 1;
        if self.byte(0).is_some_and(|b| b.is_ascii_digit()) {
            self.digits();
            self.exponent();
            if !self.byte(0).is_some_and(is_inner) {
                return Ok(Token::Decimal(self.from(start)));
            }
            self.at = start + 1;
        }
        let word = self.at;
        self.run(0);
        while self.at > word
            && self.byte(0) == Some(b':')
            && self.byte(1) == Some(b':')
            && self.byte(2).is_some_and(is_inner)
        {
            self.run(2);
        }
        match self.from(word) {
            "" => Err(self.error(self.line, "a dot without a word".into())),
            word => Ok(Token::Dot(word)),
        }
    }

    fn number(&mut self) -> Result<Token<'a>, ParseError> {
        match (self.byte(0), self.byte(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => self.integer(2, 16),
            (Some(b'0'), Some(b'b' | b'B')) => self.integer(2, 2),
            (Some(b'0'), Some(b'f' | b'F')) => Ok(Token::F32(self.float_bits(8)? as u32)),
            (Some(b'0'), Some(b'd' | b'D')) => Ok(Token::F64(self.float_bits(16)?)),
            _ => self.decimal(),
        }
    }

    fn decimal(&mut self) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        self.digits();
        let whole = self.at;
        let is_letter = |b: u8| is_inner(b) && !b.is_ascii_digit();
        if self.byte(0) == Some(b'.') && !self.byte(1).is_some_and(is_letter) {
            self.at += 1;
            self.digits();
        }
        self.exponent();
        if self.at == whole {
            self.at = start;
            return if self.byte(0) == Some(b'0') { self.integer(0, 8) } else { self.integer(0, 10) };
        }
        if self.byte(0).is_some_and(is_inner) {
            self.run(0);
            return Err(self.malformed(start));
        }
        Ok(Token::Decimal(self.from(start)))
    }

    /// Steps over `e-3`, if it stands here.
    fn exponent(&mut self) {
        let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
        if matches!(self.byte(0), Some(b'e' | b'E')) && self.byte(1 + sign).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1 + sign;
            self.digits();
        }
    }

    fn integer(&mut self, prefix: usize, radix: u32) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        let word = self.run(prefix);
        let digits = word.get(prefix..).unwrap_or_default();
        let (digits, suffixed) = digits.strip_suffix('U').map_or((digits, false), |digits| (digits, true));
        match u64::from_str_radix(digits, radix) {
            Ok(bits) => Ok(Token::Integer { bits, unsigned: suffixed || bits > i64::MAX as u64 }),
            Err(_) => Err(self.malformed(start)),
        }
    }

    fn float_bits(&mut self, digits: usize) -> Result<u64, ParseError> {
        let start = self.at;
        let word = self.run(2);
        let hex = word.get(2..).unwrap_or_default();
        match u64::from_str_radix(hex, 16) {
            Ok(bits) if hex.len() == digits => Ok(bits),
            _ => {
                let prefix = word.get(..2).unwrap_or_default();
                let word = Clipped(self.from(start));
                Err(self.error(self.line, format!("`{word}`: `{prefix}` takes {digits} hexadecimal digits")))
            }
        }
    }

    fn malformed(&self, start: usize) -> ParseError {
        let word = Clipped(self.from(start));
        self.error(self.line, format!("`{word}` is no number, or an integer of more than 64 bits"))
    }
}

/// True for what may follow the first character of a name.
fn is_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}
