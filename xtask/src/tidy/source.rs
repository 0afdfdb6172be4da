//! A source file with its comments and literals blanked, so that words can be searched for what they mean.

pub struct Source {
    /// Relative to the root, with `/` between parts.
    pub path: String,
    text: String,
    /// The text with every comment, string and character blanked by spaces.
    code: String,
    /// `code` with every item marked as a test blanked too.
    production: String,
}

impl Source {
    pub fn new(path: String, text: String) -> Self {
        let code = blank_literals(&text);
        let production = blank_tests(&code);
        Self { path, text, code, production }
    }

    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// True when the name says that the whole file is a test, or what tests share.
    pub fn is_test(&self) -> bool {
        let mut parts = self.path.trim_end_matches(".rs").split('/');
        parts.any(|part| part == "tests" || part == "testing" || part.ends_with("_tests"))
    }

    pub fn has_line(&self, line: &str) -> bool {
        self.text.lines().any(|l| l.trim() == line)
    }

    /// The lines on which `word` stands by itself in code.
    pub fn word(&self, word: &str) -> Vec<usize> {
        lines_of(&self.code, word)
    }

    /// The code that is no test, with comments and literals blanked.
    pub fn production(&self) -> &str {
        &self.production
    }

    /// The lines on which `phrase` stands in code that is no test.
    pub fn outside_tests(&self, phrase: &str) -> Vec<usize> {
        lines_of(&self.production, phrase)
    }
}

/// The 1-based lines where `phrase` occurs, not as a part of a longer name.
fn lines_of(code: &str, phrase: &str) -> Vec<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: usize| {
        let (before, after) = (&code[..at], &code[at + phrase.len()..]);
        let joined = phrase.starts_with(is_name) && before.ends_with(is_name);
        let continued = phrase.ends_with(is_name) && after.starts_with(is_name);
        !joined && !continued
    };
    let places = code.match_indices(phrase).filter(|&(at, _)| whole(at));
    places.map(|(at, _)| code[..at].matches('\n').count() + 1).collect()
}

fn blank_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside_name = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = literal_length(rest, inside_name);
        let token = if length == 0 { first.len_utf8() } else { length };
        let (token, after) = rest.split_at(token);
        if length == 0 {
            code.push_str(token)
        } else {
            push_blank(&mut code, token)
        }
        rest = after;
    }
    code
}

/// The length in bytes of the comment, string or character that `text` starts with, or 0.
fn literal_length(text: &str, inside_name: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    if text.starts_with('"') {
        return closed_by(text, '"');
    }
    if let Some(body) = text.strip_prefix('\'') {
        // A character is an escape or is closed right after one; anything else is a lifetime.
        let mut chars = body.chars();
        let is_character = chars.next() == Some('\\') || chars.next() == Some('\'');
        return if is_character { closed_by(text, '\'') } else { 0 };
    }
    if !inside_name && let Some(raw) = ["r", "br", "cr"].iter().find_map(|prefix| text.strip_prefix(prefix)) {
        return raw_string_length(raw).map_or(0, |length| text.len() - raw.len() + length);
    }
    0
}

fn block_comment_length(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(mark) = text[at..].find(['/', '*']) {
        at += mark;
        let pair = text.get(at..at + 2);
        match pair {
            Some("/*") => depth += 1,
            Some("*/") => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a literal that starts and ends with `quote` and may hold escapes.
fn closed_by(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// The length of `#"…"#` with any number of `#`.
fn raw_string_length(text: &str) -> Option<usize> {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let body = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &text[..hashes]);
    Some(body.find(&end).map_or(text.len(), |at| hashes + 1 + at + end.len()))
}

fn blank_tests(code: &str) -> String {
    let mut production = String::with_capacity(code.len());
    let mut rest = code;
    let marks = ["#[cfg(test)]", "#[cfg(all(test", "#[test]"];
    while let Some(at) = marks.iter().filter_map(|mark| rest.find(mark)).min() {
        let (before, item) = rest.split_at(at);
        let (item, after) = item.split_at(item_length(item));
        production.push_str(before);
        push_blank(&mut production, item);
        rest = after;
    }
    production + rest
}

/// The length of an item with its attributes: up to a `;`, or the `}` of its body, outside any bracket.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(c, ';' | '}') {
            return at + 1;
        }
    }
    code.len()
}

/// Spaces in place of `text`, its line breaks kept.
fn push_blank(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        for text in [
            "// unsafe\n",
            "/* a /* b */ unsafe */",
            "/*/ unsafe */",
            r#""a \" unsafe""#,
            r##"r#"unsafe " unsafe"#"##,
            r#"br"unsafe""#,
            r"'\''",
        ] {
            let code = blank_literals(text);
            assert!(code.trim().is_empty(), "{text} left {code}");
            assert_eq!(code.matches('\n').count(), text.matches('\n').count());
        }
    }

    #[test]
    fn code_survives() {
        for code in ["fn f<'a>(x: &'a str) {}", "r#type + bar", "a / b * c", "unsafe {}", "for_r / x"] {
            assert_eq!(blank_literals(code), code);
        }
        assert_eq!(blank_literals("['\"', 'x', b'\\n'] unsafe").trim_start_matches(['[', ' ', ',', 'b']), "] unsafe");
    }

    #[test]
    fn words_are_found_whole_with_their_lines() {
        let source = Source::new("a.rs".into(), "unsafe_code\n\"unsafe\" unsafe {}\nnot_unsafe".into());
        assert_eq!(source.word("unsafe"), [2]);
    }

    #[test]
    fn only_tests_are_blanked() {
        let text = "a.unwrap();\n#[cfg(test)]\nmod t { fn f() -> [u8; 1] { x.unwrap() } }\n\
                    #[cfg(test)]\n#[path = \"t.rs\"]\nmod t;\nb.unwrap()";
        let source = Source::new("a.rs".into(), text.into());
        assert_eq!(source.outside_tests(".unwrap()"), [1, 7]);
    }
}
