//! What the compiler does not check: layering, rings of files, the places of `unsafe`, unit tests that never run, file
//! sizes, leftovers and the code map.

mod features;
mod layers;
mod rings;
mod roots;
mod source;
mod untested;
mod workspace;

use std::fs;

use crate::shell::{self, Outcome};
use source::Source;
pub use workspace::Workspace;

/// Above this many lines a file is probably two.
const LONG: usize = 600;
/// Above this many lines a file is refused.
const TOO_LONG: usize = 900;

/// Runs every check, prints what it finds, and fails if any of it is an error.
pub fn check() -> Outcome {
    let workspace = Workspace::read()?;
    let sources = read_sources()?;
    let readme = fs::read_to_string(shell::root().join("README.md")).ok();

    for source in sources.iter().filter(|source| (LONG + 1..=TOO_LONG).contains(&source.lines())) {
        println!("warning: {}: {} lines, perhaps two files in one", source.path, source.lines());
    }
    let mut errors = layers::check(&workspace.members);
    errors.extend(features::check(&workspace.members));
    let rings = rings::check(workspace.members.iter().map(|member| member.folder.as_str()), &sources);
    rings.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    errors.extend(rings.errors);
    errors.extend(roots::check(&workspace, &sources));
    errors.extend(untested::check(&workspace.members, &sources));
    errors.extend(sources.iter().flat_map(source_errors));
    errors.extend(readme.iter().flat_map(|readme| code_map_errors(readme, &workspace)));

    errors.iter().for_each(|error| println!("error: {error}"));
    match errors.len() {
        0 => {
            println!("tidy: {} packages, {} files: in order", workspace.members.len(), sources.len());
            Ok(())
        }
        1 => Err("tidy found 1 error".into()),
        n => Err(format!("tidy found {n} errors")),
    }
}

fn read_sources() -> Outcome<Vec<Source>> {
    let root = shell::root();
    let mut sources = Vec::new();
    for folder in ["crates", "kernels", "tests", "benches", "xtask"] {
        for extension in ["rs", "cu", "cuh", "py"] {
            for file in shell::files(&root.join(folder), extension)? {
                let text = fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
                let path = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
                sources.push(Source::new(path, text));
            }
        }
    }
    Ok(sources)
}

fn source_errors(source: &Source) -> Vec<String> {
    let mut errors = Vec::new();
    if source.lines() > TOO_LONG {
        errors.push(format!("{}: {} lines; at most {TOO_LONG}", source.path, source.lines()));
    }
    if !source.path.ends_with(".rs") {
        return errors;
    }
    let mut forbid = |lines: Vec<usize>, what: &str| {
        errors.extend(lines.iter().map(|line| format!("{}:{line}: {what}", source.path)));
    };
    if !roots::may_be_unsafe(&source.path) {
        forbid(source.word("unsafe"), "`unsafe` outside its places (xtask/src/tidy/roots.rs lists them)");
    }
    if source.path.starts_with("crates/graph/src/") {
        for name in ["yuragi_reference", "yuragi_cpu"] {
            forbid(source.word(name), "a backend in graph's own code; its integration tests may name one");
        }
    }
    if source.path.starts_with("crates/") && !source.is_test() {
        for leftover in [".unwrap()", "todo!", "unimplemented!", "dbg!"] {
            forbid(source.outside_tests(leftover), &format!("`{leftover}` outside tests"));
        }
    }
    errors
}

/// The README's code map names every crate, and no crate that is gone.
fn code_map_errors(readme: &str, workspace: &Workspace) -> Vec<String> {
    let named = |folder: &str| {
        readme.match_indices(folder).any(|(at, _)| !readme[at + folder.len()..].starts_with(is_name_character))
    };
    let missing = workspace.crates().filter(|member| !named(&member.folder));
    let mut errors: Vec<_> =
        missing.map(|member| format!("README.md: the code map does not name `{}`", member.folder)).collect();
    for (at, prefix) in readme.match_indices("crates/") {
        let name: String = readme[at + prefix.len()..].chars().take_while(|&c| is_name_character(c)).collect();
        if !name.is_empty() && workspace.crates().all(|member| member.name != name) {
            errors.push(format!("README.md: `crates/{name}` does not exist"));
        }
    }
    errors
}

fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use workspace::Member;

    fn errors(path: &str, text: &str) -> Vec<String> {
        source_errors(&Source::new(path.into(), text.into()))
    }

    #[test]
    fn leftovers_are_errors_in_crates_and_fine_in_tests() {
        let text = "fn f() { Some(1).unwrap(); }\n#[cfg(test)]\nmod tests { fn g() { Some(1).unwrap(); todo!() } }";
        assert_eq!(errors("crates/nn/src/a.rs", text), ["crates/nn/src/a.rs:1: `.unwrap()` outside tests"]);
        assert_eq!(errors("crates/nn/src/a_tests.rs", text), [""; 0]);
        assert_eq!(errors("crates/nn/tests/a.rs", text), [""; 0]);
    }

    #[test]
    fn unsafe_is_an_error_outside_its_places() {
        let text = "// unsafe\n#![deny(unsafe_code)]\nfn f() { unsafe {} }";
        assert_eq!(errors("crates/cpu/src/simd/avx2.rs", text), [""; 0]);
        let found = errors("crates/nn/src/simd.rs", text);
        assert!(found.len() == 1 && found[0].starts_with("crates/nn/src/simd.rs:3:"), "{found:?}");
    }

    #[test]
    fn long_files_are_errors() {
        assert_eq!(errors("tests/src/a.rs", &"\n".repeat(TOO_LONG)), [""; 0]);
        assert_eq!(errors("tests/src/a.rs", &"\n".repeat(TOO_LONG + 1)).len(), 1);
    }

    #[test]
    fn the_code_map_is_complete_and_current() {
        let member = |name: &str| Member {
            package: format!("yuragi-{name}"),
            folder: format!("crates/{name}"),
            name: name.into(),
            ..Member::default()
        };
        let workspace = Workspace { members: vec![member("nn"), member("io")] };
        assert_eq!(code_map_errors("`crates/nn` and `crates/io/`", &workspace), [""; 0]);
        let found = code_map_errors("crates/nnn crates/io", &workspace);
        assert_eq!(
            found,
            ["README.md: the code map does not name `crates/nn`", "README.md: `crates/nnn` does not exist"]
        );
    }
}
