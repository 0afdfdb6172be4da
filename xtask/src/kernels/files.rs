//! The texts that the task reads and writes, and their hashes.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs};

use sha2::{Digest, Sha256};

use crate::shell::{self, Outcome};

/// Texts by their paths, with `/` between folders.
pub type Texts = BTreeMap<String, String>;

/// A SHA-256 hash, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash(String);

impl Hash {
    /// Of named texts in this order; where one ends and the next begins counts too.
    pub fn of<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hasher = Sha256::new();
        for part in texts.into_iter().flat_map(|(name, text)| [name, text]) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self::finish(hasher)
    }

    /// Of a text as it stands: what `sha256sum` prints.
    pub fn of_text(text: &str) -> Self {
        Self::finish(Sha256::new_with_prefix(text))
    }

    /// A hash as it is displayed; `None` if it is not one.
    pub fn parse(digits: &str) -> Option<Self> {
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        (digits.len() == 64 && digits.chars().all(is_digit)).then(|| Self(digits.into()))
    }

    fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file's text, its lines ended by `\n` whatever git made of them.
pub fn read(path: &Path) -> Outcome<String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.replace("\r\n", "\n"))
}

/// The files below `folder` with this extension; paths are relative to it.
pub fn read_all(folder: &Path, extension: &str) -> Outcome<Texts> {
    let paths = shell::files(folder, extension)?;
    let relative = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_string_lossy().replace('\\', "/");
    paths.iter().map(|path| Ok((relative(path), read(path)?))).collect()
}

/// Writes beside the file, then renames, so that no half of one is ever seen.
pub fn write(path: &Path, text: &str) -> Outcome {
    let beside = path.with_extension("partial");
    let result = (|| {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(&beside, text)?;
        fs::rename(&beside, path)
    })();
    result.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Removes a file.
pub fn remove(path: &Path) -> Outcome {
    fs::remove_file(path).map_err(|error| format!("cannot remove {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        // FIPS 180-4, the example of one block.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::of_text("abc").to_string(), abc);
        assert_eq!(Hash::parse(abc), Some(Hash::of_text("abc")));
        assert_eq!(Hash::parse(&abc[1..]), None);
        assert_eq!(Hash::parse(&abc.to_uppercase()), None);
    }

    #[test]
    fn a_hash_of_texts_depends_on_names_order_and_ends() {
        let hash = |texts: &[(&'static str, &'static str)]| Hash::of(texts.iter().copied());
        let one = hash(&[("a", "bc"), ("d", "e")]);
        assert_eq!(one, hash(&[("a", "bc"), ("d", "e")]));
        for other in [&[("d", "e"), ("a", "bc")][..], &[("ab", "c"), ("d", "e")], &[("a", "bcde")], &[("a", "bc")]] {
            assert_ne!(one, hash(other));
        }
    }
}
