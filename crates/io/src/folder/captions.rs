//! Where a folder's captions stand: text files beside the pictures, and lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use crate::dataset::Skipped;

/// Lists of captions, as Hugging Face's `imagefolder` has them.
pub(super) const LISTS: [&str; 2] = ["metadata.jsonl", "metadata.csv"];
/// Text files of captions; an earlier one comes before a later one.
pub(super) const TEXTS: [&str; 2] = ["txt", "caption"];
/// What a list calls the picture.
const FILE: &str = "file_name";
/// What a list may call the caption.
const COLUMNS: [&str; 3] = ["text", "caption", "prompt"];
/// Lines of a list that a complaint names.
const NAMED: usize = 3;

/// A caption in a list.
struct Listed {
    /// The list and the line.
    list: PathBuf,
    line: usize,
    text: String,
}

/// The captions of all pictures of a folder.
pub(super) struct Captions<'a> {
    column: Option<&'a str>,
    /// Every picture by its path without links and by its composed (NFC) path.
    pictures: BTreeMap<PathBuf, PathBuf>,
    listed: BTreeMap<PathBuf, Listed>,
    /// Text files by their [`text_key`].
    texts: BTreeMap<PathBuf, PathBuf>,
    used: BTreeSet<PathBuf>,
    /// What could not be used, and why.
    pub skipped: Vec<Skipped>,
}

/// The path as it is written with composed letters, as only few file systems do themselves.
fn composed(path: &Path) -> PathBuf {
    path.to_str().map_or_else(|| path.to_owned(), |path| path.nfc().collect::<String>().into())
}

/// The composed path with its extension in lower case.
fn text_key(path: &Path) -> PathBuf {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    composed(path).with_extension(extension)
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The text of a file: UTF-8, or UTF-16 with its mark.
fn read(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let wide = |of: fn([u8; 2]) -> u16| {
        let units = bytes[2..].as_chunks::<2>().0.iter().map(|&pair| of(pair));
        char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| "it is no UTF-16")
    };
    let text = match bytes[..] {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8(bytes).map_err(|_| "it is no UTF-8"),
    };
    let text = text.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

impl<'a> Captions<'a> {
    /// Reads the lists; `texts` are the text files that may be captions. A `column` replaces the usual names of one.
    pub fn new(pictures: &BTreeSet<PathBuf>, lists: &[PathBuf], texts: Vec<PathBuf>, column: Option<&'a str>) -> Self {
        let mut captions = Captions {
            column,
            pictures: pictures.iter().map(|path| (real(path), path.clone())).collect(),
            listed: BTreeMap::new(),
            texts: texts.into_iter().map(|path| (text_key(&path), path)).collect(),
            used: BTreeSet::new(),
            skipped: Vec::new(),
        };
        let by_name: Vec<_> = captions.pictures.iter().map(|(real, path)| (composed(real), path.clone())).collect();
        captions.pictures.extend(by_name);
        lists.iter().for_each(|list| captions.read_list(list));
        captions
    }

    fn skip(&mut self, path: &Path, reason: String) {
        self.skipped.push(Skipped { path: path.to_owned(), reason });
    }

    fn read_list(&mut self, list: &Path) {
        let text = match read(list) {
            Ok(text) => text,
            Err(error) => return self.skip(list, format!("cannot be read: {error}")),
        };
        let entries =
            if list.extension().is_some_and(|extension| extension == "csv") { csv(&text) } else { json(&text) };
        let entries = match entries {
            Ok(entries) => entries,
            Err(reason) => return self.skip(list, reason),
        };
        let (mut bare, mut count) = (Vec::new(), 0);
        for (line, entry) in entries {
            count += 1;
            let result = entry.and_then(|entry| self.take(list, line, &entry));
            match result {
                Ok(true) => {}
                Ok(false) => bare.push(line),
                Err(reason) => self.skip(list, format!("line {line}: {reason}")),
            }
        }
        if !bare.is_empty() {
            let lines: Vec<String> = bare.iter().take(NAMED).map(usize::to_string).collect();
            let more = if bare.len() > NAMED { ", .." } else { "" };
            let names = self.column.map_or_else(|| COLUMNS.join("`, `"), str::to_owned);
            let lines = format!("{} of {count} lines ({}{more})", bare.len(), lines.join(", "));
            self.skip(list, format!("{lines} have no `{names}`, the column of captions"));
        }
    }

    /// Takes an entry in; says whether it has a caption.
    fn take(&mut self, list: &Path, line: usize, entry: &Map<String, Value>) -> Result<bool, String> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let file = text(FILE).ok_or_else(|| format!("missing field `{FILE}`"))?;
        let columns = self.column.map_or(COLUMNS.to_vec(), |column| vec![column]);
        let caption = columns.iter().find_map(|column| text(column)).map(str::trim);
        let folder = list.parent().unwrap_or(Path::new(""));
        let places = [folder.join(file), folder.join(file.replace('\\', "/"))];
        let known = |path: &PathBuf| {
            let name = path.file_name()?;
            let real = real(path.parent()?).join(name);
            self.pictures.get(&fs::canonicalize(path).unwrap_or(real.clone())).or(self.pictures.get(&composed(&real)))
        };
        let Some(picture) = places.iter().find_map(known).cloned() else {
            let there = places.iter().any(|path| path.exists());
            return Err(if there { format!("{file} is none of the pictures") } else { format!("there is no {file}") });
        };
        let Some(text) = caption else { return Ok(false) };
        let new = Listed { list: list.to_owned(), line, text: text.to_owned() };
        if let Some(old) = self.listed.insert(picture, new).filter(|old| old.text != text) {
            let place = if old.list == list { String::new() } else { format!("{} ", old.list.display()) };
            return Err(format!("{file} had another caption in {place}line {}, which is not used", old.line));
        }
        Ok(true)
    }

    /// The caption of a picture, empty where there is none.
    pub fn of(&mut self, picture: &Path) -> Result<String, String> {
        let listed = self.listed.get(picture).map(|listed| listed.text.clone());
        let whole = |extension| {
            let mut name = picture.file_name().unwrap_or_default().to_owned();
            name.push(".");
            name.push(extension);
            picture.with_file_name(name)
        };
        let places = TEXTS.iter().flat_map(|extension| [picture.with_extension(extension), whole(extension)]);
        let beside: Vec<PathBuf> = places.filter_map(|path| self.texts.get(&text_key(&path)).cloned()).collect();
        self.used.extend(beside.iter().cloned());
        let mut chosen = listed.map(|text| (text, "a list".to_owned()));
        for path in beside {
            let text = read(&path).map_err(|error| format!("its caption {} cannot be read: {error}", name(&path)))?;
            let text = text.trim().to_owned();
            match &chosen {
                None => chosen = Some((text, name(&path))),
                Some((first, place)) if *first != text => {
                    let reason = format!("not used: the caption of {} is in {place}", name(picture));
                    self.skip(&path, reason);
                }
                Some(_) => {}
            }
        }
        Ok(chosen.unwrap_or_default().0)
    }

    /// Text files that are of no picture.
    pub fn left(&self) -> Vec<&PathBuf> {
        self.texts.values().filter(|path| !self.used.contains(*path)).collect()
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The lines of a list, from 1, as what they hold or why they cannot be used.
type Entries = Vec<(usize, Result<Map<String, Value>, String>)>;

fn json(text: &str) -> Result<Entries, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    Ok(lines.map(|(number, line)| (number, serde_json::from_str(line).map_err(|error| error.to_string()))).collect())
}

fn csv(text: &str) -> Result<Entries, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    if !names.iter().any(|name| name == FILE) {
        return Err(format!("its first line names no column `{FILE}`"));
    }
    let entry = |record: &csv::StringRecord| {
        names.iter().zip(record).map(|(name, cell)| (name.to_owned(), Value::from(cell))).collect::<Map<_, _>>()
    };
    let rows = reader.records().map(|row| match row {
        Ok(record) => (record.position().map_or(0, |at| at.line() as usize), Ok(entry(&record))),
        Err(error) => (error.position().map_or(0, |at| at.line() as usize), Err(error.to_string())),
    });
    Ok(rows.collect())
}
