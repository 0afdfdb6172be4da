//! Imports inside a crate go one way, too: no two files need each other.
//!
//! A file needs another when one of its paths names an item that the other defines, in a `use` or where the item is
//! used. A re-export is only an address: the path leads on to the file that defines the item, and a `mod.rs` that
//! does nothing but declare and re-export takes no part at all. Tests do not count.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::source::Source;

/// Folders and files whose rings are still to be broken.
const UNBROKEN: [&str; 13] = [
    "crates/cpu/src/kernels/conv",
    "crates/cpu/src/simd",
    "crates/energy/src/dynamics",
    "crates/energy/src/problem",
    "crates/energy/src/rbm",
    "crates/graph/src",
    "crates/io/src/checkpoint",
    "crates/io/src/problem",
    "crates/io/src/table",
    "crates/models/src/generator",
    "crates/yuragi/src/cli",
    "crates/yuragi/src/train",
    "tests/src/cases",
];

/// What is wrong, and what else there is to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

/// One error for each ring of files in the crates of these folders.
pub fn check<'a>(folders: impl Iterator<Item = &'a str>, sources: &[Source]) -> Report {
    check_but(&UNBROKEN, folders, sources)
}

fn check_but<'a>(unbroken: &[&str], folders: impl Iterator<Item = &'a str>, sources: &[Source]) -> Report {
    let by_path: HashMap<&str, &Source> = sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let mut errors = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for folder in folders {
        for root in ["lib.rs", "main.rs"] {
            for ring in rings(&format!("{folder}/src/{root}"), &by_path) {
                let places = unbroken.iter().filter(|place| ring.iter().all(|file| lies_in(file, place)));
                let place = places.max_by_key(|place| place.len());
                match place {
                    Some(place) => drop(seen.insert(place)),
                    None => {
                        errors.push(format!("{} files import each other in a ring: {}", ring.len(), ring.join(" → ")))
                    }
                }
            }
        }
    }
    let gone = unbroken.iter().filter(|place| !seen.contains(*place));
    let gone = gone.map(|place| format!("{place}: no ring is left here; take it out of xtask/src/tidy/rings.rs"));
    Report { errors, warnings: gone.collect() }
}

fn lies_in(file: &str, place: &str) -> bool {
    file.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

/// A module that is a file.
struct Module<'a> {
    path: Vec<&'a str>,
    file: &'a str,
    parent: Option<usize>,
    children: HashMap<&'a str, usize>,
    /// Its code without `use` and attributes.
    tokens: Vec<&'a str>,
    /// What it makes reachable under a name of its own.
    exports: Vec<Import<'a>>,
    imports: Vec<Import<'a>>,
    /// Names of items that it defines.
    defined: HashSet<&'a str>,
    /// Whether it only declares and re-exports.
    facade: bool,
}

/// One leaf of a `use`.
struct Import<'a> {
    name: &'a str,
    path: Vec<&'a str>,
}

/// The rings below a crate's root: of each a shortest way round, then the other files that hang on it.
fn rings(root: &str, sources: &HashMap<&str, &Source>) -> Vec<Vec<String>> {
    let modules = modules(root, sources);
    let needs: Vec<BTreeSet<usize>> = (0..modules.len()).map(|of| needs(&modules, of)).collect();
    let reached: Vec<HashSet<usize>> = (0..modules.len()).map(|from| reached(&needs, from)).collect();
    let mut rings = Vec::new();
    let mut done = HashSet::new();
    for from in 0..modules.len() {
        if !reached[from].contains(&from) || !done.insert(from) {
            continue;
        }
        let members: BTreeSet<usize> =
            reached[from].iter().copied().filter(|&to| reached[to].contains(&from)).collect();
        done.extend(&members);
        let mut ring = way_back(&needs, from);
        ring.extend(members.iter().filter(|member| !ring.contains(member)).copied().collect::<Vec<_>>());
        rings.push(ring.iter().map(|&member| modules[member].file.to_owned()).collect());
    }
    rings
}

fn reached(needs: &[BTreeSet<usize>], from: usize) -> HashSet<usize> {
    let mut found = HashSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        open.extend(needs[next].iter().filter(|&&to| found.insert(to)));
    }
    found
}

/// The files on a shortest way from one back to itself.
fn way_back(needs: &[BTreeSet<usize>], from: usize) -> Vec<usize> {
    let mut ways = vec![vec![from]];
    let mut seen = HashSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for &to in way.last().into_iter().flat_map(|&last| &needs[last]) {
                if to == from {
                    return way;
                }
                if seen.insert(to) {
                    longer.push([way.as_slice(), &[to]].concat());
                }
            }
        }
        ways = longer;
    }
    Vec::new()
}

/// The files of a crate, found from its root by their `mod` lines.
fn modules<'a>(root: &str, sources: &HashMap<&str, &'a Source>) -> Vec<Module<'a>> {
    let mut modules: Vec<Module> = Vec::new();
    let mut open: Vec<(Vec<&'a str>, &'a Source, Option<usize>)> =
        sources.get(root).map(|&source| (Vec::new(), source, None)).into_iter().collect();
    while let Some((path, source, parent)) = open.pop() {
        let number = modules.len();
        if let (Some(parent), Some(&name)) = (parent, path.last()) {
            modules[parent].children.insert(name, number);
        }
        let module = Module::read(path, parent, source);
        let stem = source.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main" | "mod")) => folder,
            _ => stem,
        };
        for pair in module.tokens.windows(3).filter(|pair| pair[0] == "mod" && pair[2] == ";") {
            let files = [format!("{folder}/{}.rs", pair[1]), format!("{folder}/{}/mod.rs", pair[1])];
            if let Some(&child) = files.iter().find_map(|file| sources.get(file.as_str())) {
                open.push(([module.path.as_slice(), &[pair[1]]].concat(), child, Some(number)));
            }
        }
        modules.push(module);
    }
    modules
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words and marks of code, `::` as one.
fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("::") => 2,
            _ if is_name(first) => rest.find(|c: char| !is_name(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

impl<'a> Module<'a> {
    fn read(path: Vec<&'a str>, parent: Option<usize>, source: &'a Source) -> Self {
        let tokens = tokens(source.production());
        let mut module = Self {
            path,
            file: &source.path,
            parent,
            children: HashMap::new(),
            tokens: Vec::new(),
            exports: Vec::new(),
            imports: Vec::new(),
            defined: HashSet::new(),
            facade: false,
        };
        let mut left = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let end = |close: &str| tokens[at..].iter().position(|t| *t == close).map_or(tokens.len(), |n| at + n + 1);
            match tokens[at] {
                "#" => at = end("]"),
                "use" => {
                    let is_export = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                    let after = end(";");
                    let list = if is_export { &mut module.exports } else { &mut module.imports };
                    list.extend(leaves(&tokens[at + 1..after]));
                    at = after;
                }
                token => {
                    if matches!(token, "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union") {
                        module.defined.extend(tokens.get(at + 1));
                    }
                    left.push(token);
                    at += 1;
                }
            }
        }
        let mut words =
            left.iter().filter(|t| !matches!(**t, "pub" | "(" | ")" | "crate" | "super" | "in" | "mod" | ";"));
        let declared: HashSet<&str> = left.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1]).collect();
        module.facade = words.all(|word| declared.contains(word));
        module.tokens = left;
        module
    }

    /// Whether a name leads somewhere from here.
    fn names(&self, name: &str) -> bool {
        let imports = self.exports.iter().chain(&self.imports);
        self.children.contains_key(name) || self.defined.contains(name) || imports.clone().any(|i| i.name == name)
    }
}

/// The leaves of a `use` tree, which ends with a `;`.
fn leaves<'a>(tree: &[&'a str]) -> Vec<Import<'a>> {
    let (mut found, mut path, mut groups, mut renamed) = (Vec::new(), Vec::new(), vec![0], None);
    for (&token, next) in tree.iter().zip(tree.iter().skip(1).chain([&";"])) {
        let begin = groups.last().copied().unwrap_or(0);
        match token {
            "::" => {}
            "{" => groups.push(path.len()),
            "as" => renamed = Some(*next),
            "," | "}" | ";" => {
                if path.len() > begin {
                    if path.last() == Some(&"self") && path.len() > 1 {
                        path.pop();
                    }
                    let name = renamed.take().or(path.last().copied()).unwrap_or("");
                    found.push(Import { name, path: path.clone() });
                }
                if token == "}" {
                    groups.pop();
                }
                path.truncate(groups.last().copied().unwrap_or(0));
            }
            _ if renamed == Some(token) => {}
            name => path.push(name),
        }
    }
    found
}

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// An item that this module defines.
    Item(usize),
    Module(usize),
    /// Another crate, or a local name.
    Nothing,
}

/// The modules whose items one names.
fn needs(modules: &[Module], of: usize) -> BTreeSet<usize> {
    let module = &modules[of];
    let mut found = BTreeSet::new();
    let mut add = |path: &[&str]| match resolve(modules, of, path, 0) {
        Found::Item(to) => drop(found.insert(to)),
        Found::Module(to) if path.last() == Some(&"*") => match modules[to].facade {
            true => found.extend(modules[to].exports.iter().filter_map(|e| match resolve(modules, to, &e.path, 0) {
                Found::Item(to) => Some(to),
                _ => None,
            })),
            false => drop(found.insert(to)),
        },
        _ => {}
    };
    let own = module.exports.iter().filter(|export| module.tokens.contains(&export.name));
    module.imports.iter().chain(own).for_each(|import| add(&import.path));
    let mut at = 0;
    while at < module.tokens.len() {
        let (mut path, tokens) = (vec![module.tokens[at]], &module.tokens);
        at += 1;
        while tokens.get(at) == Some(&"::") && tokens.get(at + 1).is_some_and(|t| t.starts_with(is_name)) {
            path.push(tokens[at + 1]);
            at += 2;
        }
        if path.len() > 1 {
            add(&path);
        }
    }
    found.remove(&of);
    found
}

/// Where a path leads from a module.
fn resolve(modules: &[Module], from: usize, path: &[&str], depth: usize) -> Found {
    let module = &modules[from];
    let Some((&first, rest)) = path.split_first() else { return Found::Module(from) };
    if depth > 32 {
        return Found::Nothing;
    }
    let on = |to: usize, rest: &[&str]| resolve_in(modules, to, rest, depth + 1);
    match (first, module.parent) {
        ("crate", _) => on(0, rest),
        ("self", _) => on(from, rest),
        ("super", Some(parent)) => on(parent, rest),
        _ if module.names(first) => on(from, path),
        _ => Found::Nothing,
    }
}

/// Where a path inside a module leads.
fn resolve_in(modules: &[Module], at: usize, path: &[&str], depth: usize) -> Found {
    let module = &modules[at];
    let (first, rest) = match path.split_first() {
        None | Some((&"*", _)) => return Found::Module(at),
        Some((&first, rest)) => (first, rest),
    };
    match (first, module.parent) {
        ("super", Some(parent)) => return resolve_in(modules, parent, rest, depth),
        ("self", _) => return resolve_in(modules, at, rest, depth),
        _ => {}
    }
    if let Some(&child) = module.children.get(first) {
        return resolve_in(modules, child, rest, depth);
    }
    let mut all = module.exports.iter().chain(&module.imports);
    if let Some(import) = all.clone().find(|import| import.name == first) {
        return resolve(modules, at, &[import.path.as_slice(), rest].concat(), depth + 1);
    }
    if module.defined.contains(first) {
        return Found::Item(at);
    }
    let through = all.find_map(|import| match import.name == "*" {
        true => match resolve(modules, at, &import.path, depth + 1) {
            Found::Module(to) if to != at && modules[to].names(first) => Some(resolve_in(modules, to, path, depth + 1)),
            _ => None,
        },
        false => None,
    });
    match through {
        Some(found) => found,
        None if module.facade => Found::Nothing,
        None => Found::Item(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(unbroken: &[&str], files: &[(&str, &str)]) -> Report {
        let source = |(path, text): &(&str, &str)| Source::new(format!("a/src/{path}"), (*text).into());
        check_but(unbroken, ["a"].into_iter(), &files.iter().map(source).collect::<Vec<_>>())
    }

    #[test]
    fn imports_that_go_one_way_are_in_order() {
        let files = [
            ("lib.rs", "mod ground; mod high; pub use high::High; pub fn f() { high::g() }"),
            ("ground.rs", "pub struct Ground; pub fn make() {}"),
            ("high/mod.rs", "//! `low`\n#[cfg(x)]\nmod low; mod top;\npub use top::{High as High, g};"),
            ("high/low.rs", "use crate::ground::{self, Ground}; pub fn low(_: Ground) { ground::make() }"),
            ("high/top.rs", "use super::low::low; pub struct High; pub fn g() { low(todo) }"),
        ];
        assert_eq!(report(&[], &files), Report::default());
    }

    #[test]
    fn rings_are_found_through_facades_paths_and_parents() {
        let found = |files: &[(&str, &str)]| report(&[], files).errors;
        let by_facade = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod one; mod two; pub use one::One; pub(crate) use two::*;"),
            ("a/one.rs", "pub struct One(crate::b::B);"),
            ("a/two.rs", "pub struct Two;"),
            ("b.rs", "use crate::a; pub struct B; fn f(_: a::Two) {} fn g() -> Option<a::One> { None }"),
        ];
        assert_eq!(found(&by_facade), ["2 files import each other in a ring: a/src/b.rs → a/src/a/one.rs"]);
        let by_parent = [
            ("main.rs", "mod a;"),
            ("a.rs", "mod child; use child::Child; pub struct Parent(Child);"),
            ("a/child.rs", "use super::Parent; pub struct Child; fn f(_: &Parent) {}"),
        ];
        assert_eq!(found(&by_parent), ["2 files import each other in a ring: a/src/a.rs → a/src/a/child.rs"]);
        let by_test = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A;\n#[cfg(test)]\nmod tests { use crate::b::B; }"),
            ("b.rs", "use crate::a::A; pub struct B(A);"),
        ];
        assert_eq!(found(&by_test), [""; 0]);
    }

    #[test]
    fn a_ring_may_wait_in_the_list_only_while_it_is_there() {
        let ring = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::a::A; pub struct B;"),
        ];
        assert_eq!(report(&["a/src"], &ring), Report::default());
        assert_eq!(report(&["a/src/a"], &ring).errors.len(), 1, "the ring goes beyond the place");
        let mended = report(&["a/src"], &ring[..1]);
        assert_eq!(mended.errors, [""; 0]);
        assert_eq!(mended.warnings, ["a/src: no ring is left here; take it out of xtask/src/tidy/rings.rs"]);
    }
}
