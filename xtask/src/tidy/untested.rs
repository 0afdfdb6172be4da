//! A library or program that says `test = false` has no unit tests, which would never run.

use super::source::Source;
use super::workspace::Member;

pub fn check(members: &[Member], sources: &[Source]) -> Vec<String> {
    let roots = members.iter().flat_map(|member| &member.untested);
    let inside = |root: &str, path: &str| match root.strip_suffix("lib.rs") {
        Some(folder) => path.strip_prefix(folder).is_some_and(|rest| !rest.starts_with("bin/")),
        None => path == root || path.starts_with(&format!("{}/", root.trim_end_matches(".rs"))),
    };
    let tests = |root: &String| {
        let files = sources.iter().filter(|source| inside(root, &source.path));
        let files = files.filter(|source| !source.word("cfg(test)").is_empty());
        files.map(|source| format!("{}: unit tests that never run: `test = false`", source.path)).collect::<Vec<_>>()
    };
    roots.flat_map(tests).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_tests_that_never_run_are_errors() {
        let untested = ["crates/nn/src/lib.rs", "benches/src/bin/gpu.rs"].map(str::to_owned).to_vec();
        let members = [Member { untested, ..Member::default() }];
        let source = |path: &str| Source::new(path.into(), "#[cfg(test)]\nmod tests {}".into());
        let found = ["crates/nn/src/a/b.rs", "benches/src/bin/gpu.rs", "benches/src/bin/gpu/part.rs"];
        let other = ["benches/src/lib.rs", "crates/nn/src/bin/c.rs", "benches/src/bin/gpus.rs"];
        let errors = check(&members, &found.into_iter().chain(other).map(source).collect::<Vec<_>>());
        let mut places: Vec<&str> = errors.iter().filter_map(|error| error.split(':').next()).collect();
        places.sort_unstable();
        assert_eq!(places, ["benches/src/bin/gpu.rs", "benches/src/bin/gpu/part.rs", "crates/nn/src/a/b.rs"]);
    }
}
