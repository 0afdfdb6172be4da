//! What separates the columns of a text, what its decimal point is, and what of it are comments.

use std::borrow::Cow;

use csv::ReaderBuilder;

use super::Reading;

/// Words for a number that is missing.
const MISSING: [&str; 14] = [
    "na", "n/a", "nan", "-nan", "null", "none", "<na>", "?", "#n/a", "#na", "#n/a n/a", "1.#qnan", "-1.#ind", "1.#ind",
];
/// Separators, the likelier ones first; the blank stands for any run of blanks and tabs.
const DELIMITERS: [char; 5] = [',', ';', '\t', '|', ' '];
/// Rows that are looked at before the whole is read, and their bytes.
const SAMPLE: (usize, usize) = (200, 1 << 20);

/// The number in a cell; NaN for a missing one, 1 and 0 for true and false.
pub(super) fn number(cell: &str, decimal: char) -> Option<f64> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Some(f64::NAN);
    }
    if cell.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        let value = if decimal == ',' { continental(cell) } else { cell.parse().ok() };
        if value.is_some() {
            return value;
        }
    }
    let is = |word: &str| cell.eq_ignore_ascii_case(word);
    if is("true") || is("false") {
        Some(f64::from(u8::from(is("true"))))
    } else if MISSING.iter().any(|word| is(word)) {
        Some(f64::NAN)
    } else {
        cell.parse().ok().filter(|value: &f64| value.is_infinite())
    }
}

/// A number with a decimal comma.
fn continental(cell: &str) -> Option<f64> {
    match cell.split_once(',') {
        _ if cell.contains('.') => None,
        Some((whole, part)) if part.starts_with(|c: char| c.is_ascii_digit()) => format!("{whole}.{part}").parse().ok(),
        Some(_) => None,
        None => cell.parse().ok(),
    }
}

/// True for digits alone, as a name that counts is written.
pub(super) fn is_whole(cell: &str) -> bool {
    let digits = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    digits && (cell.len() == 1 || !cell.starts_with('0')) && cell.len() < 16
}

/// True for `1,234` and `12,345,678`, where the comma may part thousands.
fn is_thousands(cell: &str) -> bool {
    let mut parts = cell.trim_start_matches(['+', '-']).split(',');
    let first = parts.next().unwrap_or_default();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let leads = digits(first) && (1..=3).contains(&first.len()) && !first.starts_with('0');
    leads && parts.all(|part| part.len() == 3 && digits(part))
}

/// A text whose comments and blank lines are left empty, so that every line keeps its number.
pub(super) struct Clean<'a> {
    pub text: Cow<'a, str>,
    /// The last comment before the first row, without its mark, and its line.
    pub comment: Option<(usize, String)>,
}

/// Lines that begin with `#` are comments, but for the words of a spreadsheet for a missing number.
fn is_comment(line: &str) -> bool {
    line.starts_with('#') && !line.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("#n/") || start == "#NA")
}

pub(super) fn clean(text: &str) -> Clean<'_> {
    let empty = |line: &str| is_comment(line) || (!line.is_empty() && line.trim().is_empty());
    if !text.lines().any(empty) {
        return Clean { text: Cow::Borrowed(text), comment: None };
    }
    let (mut out, mut comment, mut rows, mut quoted) = (String::with_capacity(text.len()), None, false, false);
    for (number, line) in text.lines().enumerate() {
        if !quoted && is_comment(line) {
            if !rows {
                comment = Some((number + 1, line.trim_start_matches('#').trim().to_owned()));
            }
        } else if quoted || !line.trim().is_empty() {
            out.push_str(line);
            quoted ^= line.matches('"').count() % 2 == 1;
            rows = true;
        }
        out.push('\n');
    }
    Clean { text: Cow::Owned(out), comment }
}

/// The text as [`rows`] take it for this delimiter.
pub(super) fn separated(text: &str, delimiter: char) -> Cow<'_, str> {
    if delimiter == ' ' { Cow::Owned(single_blanks(text)) } else { quotes_first(text, delimiter) }
}

/// The text with each run of blanks outside quotes as one blank, and without what follows ` #`.
fn single_blanks(text: &str) -> String {
    let (mut out, mut quoted) = (String::with_capacity(text.len()), false);
    for line in text.lines() {
        let start = out.len();
        let mut blank = false;
        for (at, c) in line.char_indices() {
            let space = !quoted && c.is_whitespace();
            if !quoted && (blank || out.len() == start) && is_comment(&line[at..]) {
                break;
            }
            if blank && !space && out.len() > start {
                out.push(' ');
            }
            blank = space;
            if !space {
                out.push(c);
            }
            quoted ^= c == '"';
        }
        out.push('\n');
    }
    out
}

/// The text without blanks between a separator and a quote, which would make the quote a part of the cell.
fn quotes_first(text: &str, delimiter: char) -> Cow<'_, str> {
    let apart = format!("{delimiter} ");
    if delimiter == ' ' || !text.contains('"') || !text.contains(&apart) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut quoted, mut rest) = (String::with_capacity(text.len()), false, text);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        out.push(c);
        quoted ^= c == '"';
        if c == delimiter && !quoted {
            let after = rest.trim_start_matches(' ');
            rest = if after.starts_with('"') { after } else { rest };
        }
    }
    Cow::Owned(out)
}

/// The rows of a text, each with its line; empty lines are passed over.
pub(super) fn rows(text: &str, delimiter: char) -> impl Iterator<Item = Result<(usize, csv::StringRecord), String>> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter as u8).trim(csv::Trim::All);
    builder.from_reader(text.as_bytes()).into_records().map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        Ok((record.position().map_or(0, csv::Position::line) as usize, record))
    })
}

/// How a text is written.
pub(super) struct Dialect {
    pub delimiter: char,
    pub decimal: char,
    /// Its first rows.
    pub sample: Vec<Vec<String>>,
}

impl Dialect {
    pub fn of(text: &str, reading: &Reading, notes: &mut Vec<String>) -> Result<Self, String> {
        let (start, whole) = beginning(text);
        let first = text.lines().find(|line| !line.is_empty()).ok_or("it is empty")?;
        let fits = |&delimiter: &char| reading.decimal != Some(delimiter);
        let (delimiter, sample) = match reading.delimiter {
            Some(delimiter) => (delimiter, sampled(start, whole, delimiter)),
            None => {
                let mut best = (0.0, ',', Vec::new());
                for delimiter in DELIMITERS.into_iter().filter(fits) {
                    let sample = sampled(start, whole, delimiter);
                    let share = share_of_numbers(&sample, delimiter, reading.decimal);
                    if share > best.0 {
                        best = (share, delimiter, sample);
                    }
                }
                if best.0 == 0.0 {
                    // No two columns of numbers: what parts the first line, or a single column.
                    let found = DELIMITERS.into_iter().filter(fits).find(|&delimiter| first.contains(delimiter));
                    let single = if fits(&',') { ',' } else { ';' };
                    let split =
                        found.filter(|&found| sampled(start, whole, found).iter().skip(1).any(|row| row.len() > 1));
                    let delimiter = split.or(found.filter(|&found| found != ' ')).unwrap_or(single);
                    best = (0.0, delimiter, sampled(start, whole, delimiter));
                }
                if reading.decimal.is_none() && best.1 == ',' && is_one_column(&best.2) {
                    best = (best.0, ';', sampled(start, whole, ';'));
                }
                (best.1, best.2)
            }
        };
        let decimal = match reading.decimal {
            Some(decimal) => decimal,
            None if has_commas(&sample) => {
                notes.push("its numbers have a decimal comma; `--decimal .` reads them otherwise".to_owned());
                ','
            }
            None => '.',
        };
        Ok(Self { delimiter, decimal, sample })
    }
}

/// True if a comma stands only in the numbers below a single word: it is their decimal point.
fn is_one_column(sample: &[Vec<String>]) -> bool {
    let halves = |row: &Vec<String>| match row.as_slice() {
        [whole] => number(whole, '.').is_some(),
        [whole, part] => {
            is_whole(whole.trim_start_matches(['+', '-'])) && part.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    };
    let Some((name, rest)) = sample.split_first() else { return false };
    name.len() == 1
        && number(&name[0], '.').is_none()
        && rest.iter().any(|row| row.len() == 2)
        && rest.iter().all(halves)
}

/// The first lines, and whether these are all.
fn beginning(text: &str) -> (&str, bool) {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    let mut lines = 0;
    let mut start = 0;
    for end in ends {
        lines += usize::from(end > start + 1);
        start = end;
        if lines >= SAMPLE.0 || end >= SAMPLE.1 {
            return (&text[..end], end == text.len());
        }
    }
    (text, true)
}

fn sampled(start: &str, whole: bool, delimiter: char) -> Vec<Vec<String>> {
    let start = separated(start, delimiter);
    let start = start.as_ref();
    let cells = |(_, record): (usize, csv::StringRecord)| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let mut sample: Vec<Vec<String>> = rows(start, delimiter).map_while(Result::ok).map(cells).collect();
    // The last row may have been cut within quotes.
    if !whole && sample.len() > 2 {
        sample.pop();
    }
    sample
}

/// The share of cells that are numbers if there are two columns or more; rows of another length have none.
fn share_of_numbers(sample: &[Vec<String>], delimiter: char, decimal: Option<char>) -> f64 {
    let width = sample.get(1).or(sample.first()).map_or(0, Vec::len);
    if width < 2 {
        return 0.0;
    }
    let is_number = |cell: &String| match decimal {
        Some(decimal) => number(cell, decimal).is_some(),
        None => number(cell, '.').is_some() || (delimiter != ',' && number(cell, ',').is_some()),
    };
    let regular = sample.iter().filter(|row| row.len().abs_diff(width) <= 1);
    let numbers = regular.flatten().filter(|cell| is_number(cell)).count();
    numbers as f64 / sample.iter().map(Vec::len).sum::<usize>() as f64
}

/// True if the decimal point is a comma: some numbers have one, none has a point, and not all may be thousands.
fn has_commas(sample: &[Vec<String>]) -> bool {
    let cells = || sample.iter().flatten();
    let commas = || cells().filter(|cell| cell.contains(',') && number(cell, ',').is_some());
    let points = cells().any(|cell| cell.contains('.') && cell.parse::<f64>().is_ok());
    !points && commas().next().is_some() && !commas().all(|cell| is_thousands(cell))
}
