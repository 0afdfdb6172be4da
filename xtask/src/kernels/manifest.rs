//! The list of the files that were made, each with its own hash and that of all that it was made from.

use std::collections::BTreeMap;
use std::fmt;

use super::files::{Hash, Texts};
use crate::shell::Outcome;

/// By path, relative to `kernels`.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, Entry>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    file: Hash,
    inputs: Hash,
}

const HEAD: &str = "\
# Written by `cargo xtask kernels`. A line: SHA-256 of the file, SHA-256 of what it was made from (NVRTC, its options,
# the source and its headers), the file.
";

impl Manifest {
    pub fn new(inputs: &[(String, Hash)], files: &Texts) -> Self {
        let entry = |(path, inputs): &(String, Hash)| {
            Some((path.clone(), Entry { file: Hash::of_text(files.get(path)?), inputs: inputs.clone() }))
        };
        Self(inputs.iter().filter_map(entry).collect())
    }

    pub fn parse(text: &str) -> Outcome<Self> {
        let mut entries = BTreeMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let mut words = line.split("  ");
            let mut hash = || words.next().and_then(Hash::parse);
            let (Some(file), Some(inputs), Some(path)) = (hash(), hash(), words.next()) else {
                return Err(format!("line {} is not two hashes and a path; run `cargo xtask kernels`", index + 1));
            };
            entries.insert(path.into(), Entry { file, inputs });
        }
        Ok(Self(entries))
    }

    /// One line for each file that is not what these inputs make: `inputs` are the files that there must be.
    pub fn stale(&self, inputs: &[(String, Hash)], on_disk: &Texts) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, hash) in inputs {
            let fault = match (self.0.get(path), on_disk.get(path)) {
                (_, None) => "missing",
                (None, _) => "not in the manifest",
                (Some(entry), _) if entry.inputs != *hash => "older than its source, a header or an option",
                (Some(entry), Some(text)) if entry.file != Hash::of_text(text) => "changed after it was made",
                _ => continue,
            };
            lines.push(format!("kernels/{path}: {fault}; run `cargo xtask kernels`"));
        }
        let known = |path: &&String| inputs.iter().any(|(other, _)| other == *path);
        let left = on_disk.keys().filter(|path| path.ends_with(".ptx") && !known(path));
        lines.extend(left.map(|path| format!("kernels/{path}: no source makes it; run `cargo xtask kernels`")));
        lines
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        self.0.iter().try_for_each(|(path, entry)| writeln!(f, "{}  {}  {path}", entry.file, entry.inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(source: &str) -> Vec<(String, Hash)> {
        ["ptx/sm_80/a.ptx", "ptx/sm_80/b.ptx"].map(|path| (path.to_owned(), Hash::of([(path, source)]))).into()
    }

    fn files() -> Texts {
        [("ptx/sm_80/a.ptx", "A"), ("ptx/sm_80/b.ptx", "B")].map(|(path, text)| (path.into(), text.into())).into()
    }

    #[test]
    fn a_manifest_survives_being_written() {
        let manifest = Manifest::new(&inputs("1"), &files());
        let text = manifest.to_string();
        assert_eq!(text.lines().count(), HEAD.lines().count() + 2);
        assert_eq!(Manifest::parse(&text).unwrap(), manifest);
        let broken = Manifest::parse(&text.replace("  ptx", "  00  ptx")).unwrap();
        assert_ne!(broken, manifest);
        let error = Manifest::parse(&text.replacen("  ptx", " ptx", 1)).unwrap_err();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn current_files_are_not_stale() {
        assert_eq!(Manifest::new(&inputs("1"), &files()).stale(&inputs("1"), &files()), [""; 0]);
    }

    #[test]
    fn each_stale_file_has_a_line() {
        let manifest = Manifest::new(&inputs("1"), &files());
        let older = manifest.stale(&inputs("2"), &files());
        assert!(older.len() == 2 && older[1].starts_with("kernels/ptx/sm_80/b.ptx: older than"), "{older:?}");

        let mut edited = files();
        edited.insert("ptx/sm_80/a.ptx".into(), "A'".into());
        edited.insert("ptx/sm_80/c.ptx".into(), "C".into());
        edited.remove("ptx/sm_80/b.ptx");
        let lines = manifest.stale(&inputs("1"), &edited);
        let expected = ["a.ptx: changed after", "b.ptx: missing", "c.ptx: no source"];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{line}");
        }

        let unlisted = Manifest(BTreeMap::new()).stale(&inputs("1")[..1], &edited);
        assert!(unlisted[0].contains("a.ptx: not in the manifest"), "{unlisted:?}");
    }
}
