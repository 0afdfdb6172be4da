//! Which crate may depend on which: an import only ever goes down.

use super::workspace::Member;

/// The layers from the bottom up; crates of one layer do not see each other.
const LAYERS: [&[&str]; 6] =
    [&["numeric"], &["distributions", "graph"], &["nn"], &["energy", "diffusion"], &["models"], &["io"]];

/// What runs a graph, and all that it sees.
const BACKENDS: [(&str, &[&str]); 4] = [
    ("reference", &["numeric", "graph"]),
    ("cpu", &["numeric", "graph"]),
    ("cuda", &["numeric", "graph", "energy"]),
    ("emulator", &["numeric"]),
];

/// What knows nothing of the others, and may be seen by what may see everything and by the workspace's own tasks.
const APART: &str = "packed";

/// What may see everything.
const TOP: [&str; 6] = ["yuragi", "capi", "firmware", "web", "tests", "benches"];

pub fn check(members: &[Member]) -> Vec<String> {
    let mut errors = Vec::new();
    for member in members {
        if !is_known(&member.name) {
            errors.push(format!("{}: in no layer (xtask/src/tidy/layers.rs lists them)", member.folder));
        }
        let seen = members.iter().filter(|other| member.dependencies.contains(&other.package));
        for other in seen.filter(|other| !may_see(&member.name, &other.name)) {
            errors.push(format!("{}/Cargo.toml: `{}` must not depend on `{}`", member.folder, member.name, other.name));
        }
    }
    errors
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

fn backend(name: &str) -> Option<&'static [&'static str]> {
    BACKENDS.iter().find(|(backend, _)| *backend == name).map(|(_, seen)| *seen)
}

fn is_known(name: &str) -> bool {
    layer(name).is_some() || backend(name).is_some() || TOP.contains(&name) || name == APART || name == "xtask"
}

fn may_see(from: &str, to: &str) -> bool {
    if TOP.contains(&from) || (from, to) == ("xtask", APART) {
        return true;
    }
    if let Some(seen) = backend(from) {
        return seen.contains(&to);
    }
    layer(from).zip(layer(to)).is_some_and(|(from, to)| from > to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_go_down() {
        for (from, to) in
            [("models", "diffusion"), ("io", "models"), ("cuda", "energy"), ("tests", "cuda"), ("xtask", "packed")]
        {
            assert!(may_see(from, to), "{from} -> {to}");
        }
        for (from, to) in [
            ("graph", "nn"),
            ("graph", "distributions"),
            ("models", "cpu"),
            ("io", "reference"),
            ("cpu", "nn"),
            ("cpu", "energy"),
            ("nn", "yuragi"),
            ("xtask", "numeric"),
            ("io", "packed"),
            ("packed", "numeric"),
        ] {
            assert!(!may_see(from, to), "{from} -> {to}");
        }
    }

    #[test]
    fn a_forbidden_dependency_and_an_unplaced_crate_are_reported() {
        let member = |name: &str, dependencies: &[&str]| Member {
            package: format!("yuragi-{name}"),
            folder: format!("crates/{name}"),
            name: name.into(),
            dependencies: dependencies.iter().map(|&d| d.into()).collect(),
            ..Member::default()
        };
        let members = [member("nn", &["yuragi-cpu", "libm"]), member("cpu", &[]), member("attic", &[])];
        let errors = check(&members);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert_eq!(errors[0], "crates/nn/Cargo.toml: `nn` must not depend on `cpu`");
        assert!(errors[1].starts_with("crates/attic: in no layer"), "{errors:?}");
    }
}
