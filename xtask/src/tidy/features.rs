//! What an engine that embeds the library must not carry: the program's packages are its feature `cli` alone.

use super::workspace::Member;

/// Packages that only a program at a terminal needs.
const OF_THE_PROGRAM: [&str; 4] = ["clap", "console", "ctrlc", "indicatif"];
/// The crate that is library and program, and the feature that is the program.
const PROGRAM: (&str, &str) = ("yuragi", "cli");

pub fn check(members: &[Member]) -> Vec<String> {
    let library = members.iter().filter(|member| member.folder.starts_with("crates/"));
    library.flat_map(|member| OF_THE_PROGRAM.iter().filter_map(|package| error(member, package))).collect()
}

fn error(member: &Member, package: &str) -> Option<String> {
    if !member.dependencies.iter().any(|dependency| dependency == package) {
        return None;
    }
    let (program, cli) = PROGRAM;
    let manifest = format!("{}/Cargo.toml", member.folder);
    if member.name != program {
        return Some(format!("{manifest}: `{package}` is for `{program}`'s feature `{cli}` alone"));
    }
    if turning_on(member, &format!("dep:{package}")) != [cli] {
        return Some(format!("{manifest}: `{package}` must be optional and turned on by feature `{cli}` alone"));
    }
    let through = turning_on(member, cli).into_iter().find(|&feature| feature != "default")?;
    Some(format!("{manifest}: feature `{through}` turns on `{cli}`, and with it `{package}`"))
}

/// The features that list this word.
fn turning_on<'m>(member: &'m Member, listed: &str) -> Vec<&'m str> {
    let lists = |(_, words): &&(String, Vec<String>)| words.iter().any(|word| word == listed);
    member.features.iter().filter(lists).map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &str, dependencies: &[&str], features: &[(&str, &[&str])]) -> Vec<String> {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        check(&[Member {
            folder: folder.into(),
            name: folder.rsplit('/').next().unwrap().into(),
            dependencies: words(dependencies),
            features: features.iter().map(|&(name, list)| (name.to_owned(), words(list))).collect(),
            ..Member::default()
        }])
    }

    #[test]
    fn the_program_is_a_feature_of_its_own() {
        let cli = ("cli", &["std", "dep:clap"][..]);
        assert_eq!(found("crates/yuragi", &["clap"], &[("default", &["cli"]), cli]), [""; 0]);
        assert_eq!(found("xtask", &["clap"], &[]), [""; 0]);
        for (folder, features) in [
            ("crates/io", &[cli][..]),
            ("crates/yuragi", &[]),
            ("crates/yuragi", &[("std", &["dep:clap"])]),
            ("crates/yuragi", &[cli, ("std", &["dep:clap"])]),
            ("crates/yuragi", &[cli, ("builtin", &["cli"])]),
        ] {
            let errors = found(folder, &["clap"], features);
            assert!(errors.len() == 1 && errors[0].contains("`clap`"), "{folder} {features:?}: {errors:?}");
        }
    }
}
