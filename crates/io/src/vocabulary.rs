//! The vocabulary of a byte-pair tokenizer, as a folder of Hugging Face's keeps it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::read::{ReadError, limited};

/// Ids are below it.
const MOST_IDS: u64 = 1 << 20;

/// A vocabulary: its tokens, the pairs that merge, and the names of its special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// The id of each token, added ones too.
    pub ids: BTreeMap<String, u32>,
    /// The pairs that merge, the first first.
    pub merges: Vec<(String, String)>,
    /// The name of the token that begins a text, if the folder says it.
    pub begin: Option<String>,
    /// The same of its end.
    pub end: Option<String>,
    /// The same of padding.
    pub pad: Option<String>,
    /// The same of what stands for anything unknown.
    pub unknown: Option<String>,
    /// The tokens that its model reads, if the folder says it and it is below 2²⁰.
    pub length: Option<usize>,
}

impl Vocabulary {
    /// Reads `vocab.json` with `merges.txt`, or `tokenizer.json`, and what `tokenizer_config.json` and
    /// `special_tokens_map.json` say.
    ///
    /// # Errors
    /// The file that is missing or wrong, and how.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, ReadError> {
        let folder = folder.as_ref();
        let mut vocabulary = Self::default();
        let whole = folder.join("tokenizer.json");
        if folder.join("vocab.json").is_file() || !whole.is_file() {
            let path = folder.join("vocab.json");
            vocabulary.ids = ids(&object(&path)?).map_err(format(&path))?;
            let path = folder.join("merges.txt");
            vocabulary.merges = merges(&text(&path)?).map_err(format(&path))?;
        } else {
            vocabulary.read_whole(&object(&whole)?).map_err(format(&whole))?;
        }
        for name in ["special_tokens_map.json", "tokenizer_config.json"] {
            let path = folder.join(name);
            if path.is_file() {
                vocabulary.read_special(&object(&path)?);
            }
        }
        Ok(vocabulary)
    }

    fn read_whole(&mut self, tokenizer: &Map<String, Value>) -> Result<(), String> {
        let model = tokenizer.get("model").and_then(Value::as_object).ok_or("it has no `model`")?;
        let kind = model.get("type").and_then(Value::as_str).unwrap_or("BPE");
        if kind != "BPE" {
            return Err(format!("its model is a {}, not BPE", crate::read::shown(kind)));
        }
        self.ids = ids(model.get("vocab").and_then(Value::as_object).ok_or("its model has no `vocab`")?)?;
        let pairs = model.get("merges").and_then(Value::as_array).ok_or("its model has no `merges`")?;
        for (number, pair) in (1..).zip(pairs) {
            let parts = match pair {
                Value::String(line) => line.split_once(' '),
                Value::Array(parts) => match parts.as_slice() {
                    [Value::String(left), Value::String(right)] => Some((left.as_str(), right.as_str())),
                    _ => None,
                },
                _ => None,
            };
            let (left, right) = parts.ok_or_else(|| format!("merge {number} is no pair of tokens"))?;
            self.merges.push((left.to_owned(), right.to_owned()));
        }
        for token in tokenizer.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
            if let (Some(name), Some(number)) = (token["content"].as_str(), token.get("id")) {
                self.ids.insert(name.to_owned(), id(name, number)?);
            }
        }
        Ok(())
    }

    fn read_special(&mut self, config: &Map<String, Value>) {
        let name = |key: &str| {
            let value = config.get(key)?;
            value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
        };
        for (place, key) in [
            (&mut self.begin, "bos_token"),
            (&mut self.end, "eos_token"),
            (&mut self.pad, "pad_token"),
            (&mut self.unknown, "unk_token"),
        ] {
            *place = name(key).or_else(|| place.take());
        }
        let length = config.get("model_max_length").and_then(Value::as_u64).filter(|length| *length < MOST_IDS);
        self.length = length.map(|length| length as usize).or(self.length);
    }
}

fn format(path: &Path) -> impl Fn(String) -> ReadError {
    move |reason| ReadError::Format { path: path.to_owned(), reason }
}

fn text(path: &Path) -> Result<String, ReadError> {
    let failed = |source| ReadError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    String::from_utf8(limited(file).map_err(failed)?).map_err(|_| format(path)("it is no UTF-8 text".into()))
}

fn object(path: &Path) -> Result<Map<String, Value>, ReadError> {
    serde_json::from_str(&text(path)?).map_err(|error| format(path)(error.to_string()))
}

fn ids(vocabulary: &Map<String, Value>) -> Result<BTreeMap<String, u32>, String> {
    vocabulary.iter().map(|(name, number)| Ok((name.clone(), id(name, number)?))).collect()
}

fn id(name: &str, number: &Value) -> Result<u32, String> {
    let legal = number.as_u64().filter(|id| *id < MOST_IDS);
    let wrong = || format!("token {:?} has the id {number}; legal is 0 to {}", crate::read::shown(name), MOST_IDS - 1);
    legal.map(|id| id as u32).ok_or_else(wrong)
}

fn merges(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = (1..).zip(text.lines()).filter(|(number, line)| !(*number == 1 && line.starts_with("#version")));
    let lines = lines.filter(|(_, line)| !line.is_empty());
    let pair = |(number, line): (usize, &str)| match line.split_once(' ') {
        Some((left, right)) if !right.contains(' ') => Ok((left.to_owned(), right.to_owned())),
        _ => Err(format!("line {number} is no pair of tokens")),
    };
    lines.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::fs;

    #[test]
    fn both_forms_of_a_folder_say_the_same() {
        let (old, new) = (Scratch::new(), Scratch::new());
        fs::write(old.join("vocab.json"), r#"{"a": 0, "b</w>": 1, "ab</w>": 2, "<|endoftext|>": 3}"#).unwrap();
        fs::write(old.join("merges.txt"), "#version: 0.2\na b</w>\n\n").unwrap();
        fs::write(
            new.join("tokenizer.json"),
            r#"{
            "added_tokens": [{"id": 3, "content": "<|endoftext|>"}],
            "model": {"type": "BPE", "vocab": {"a": 0, "b</w>": 1, "ab</w>": 2}, "merges": [["a", "b</w>"]]}}"#,
        )
        .unwrap();
        let config = r#"{"pad_token": "!", "eos_token": {"content": "<|endoftext|>"}, "model_max_length": 77}"#;
        for folder in [&old, &new] {
            fs::write(folder.join("tokenizer_config.json"), config).unwrap();
            let read = Vocabulary::open(folder.join("")).unwrap();
            assert_eq!(read.ids.len(), 4);
            assert_eq!(read.merges, [("a".to_owned(), "b</w>".to_owned())]);
            assert_eq!((read.pad.as_deref(), read.end.as_deref()), (Some("!"), Some("<|endoftext|>")));
            assert_eq!((read.begin, read.length), (None, Some(77)));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_file() {
        let folder = Scratch::new();
        let said = || Vocabulary::open(folder.join("")).unwrap_err().to_string();
        assert!(said().contains("vocab.json"));
        fs::write(folder.join("vocab.json"), r#"{"a": 1e9}"#).unwrap();
        assert!(said().contains("token \"a\" has the id 1000000000.0; legal is 0 to 1048575"), "{}", said());
        fs::write(folder.join("vocab.json"), r#"{"a": 0}"#).unwrap();
        assert!(said().contains("merges.txt"));
        fs::write(folder.join("merges.txt"), "a a\naa\n").unwrap();
        assert!(said().ends_with("merges.txt: line 2 is no pair of tokens"), "{}", said());
        fs::remove_file(folder.join("vocab.json")).unwrap();
        fs::write(folder.join("tokenizer.json"), r#"{"model": {"type": "WordPiece"}}"#).unwrap();
        assert!(said().contains("its model is a WordPiece, not BPE"));
    }
}
