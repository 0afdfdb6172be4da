//! The places of `unsafe`, and what the first lines of a crate must say.

use super::source::Source;
use super::workspace::Workspace;

/// The only files (`place.rs`) and folders (`place/`) that may hold `unsafe`.
const UNSAFE_PLACES: [&str; 17] = [
    "crates/numeric/src/simd",
    "crates/cpu/src/simd",
    "crates/cpu/src/threads",
    "crates/cpu/src/kernels",
    "crates/cpu/src/plan",
    "crates/cuda/src/device",
    "crates/capi/src/boundary",
    "crates/firmware/src/board",
    "crates/io/src/checkpoint/archive",
    "crates/yuragi/examples/frame_loop",
    "crates/yuragi/src/ranks/mpi",
    "crates/emulator/src/driver",
    "crates/emulator/tests/common/gpu",
    "crates/emulator/tests/cudarc",
    "crates/web/src/exports",
    "tests/src/allocator",
    "xtask/src/kernels/nvrtc",
];

pub fn may_be_unsafe(path: &str) -> bool {
    UNSAFE_PLACES
        .iter()
        .any(|place| path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
}

/// Crates without `std` say so, and forbid `unsafe` unless one of its places is theirs.
pub fn check(workspace: &Workspace, sources: &[Source]) -> Vec<String> {
    let mut errors = Vec::new();
    for member in workspace.no_std() {
        let path = format!("{}/src/lib.rs", member.folder);
        let Some(root) = sources.iter().find(|source| source.path == path) else {
            errors.push(format!("{path}: missing"));
            continue;
        };
        let inside = format!("{}/src/", member.folder);
        let has_place = sources.iter().any(|s| s.path.starts_with(&inside) && may_be_unsafe(&s.path));
        let level = if has_place { "deny" } else { "forbid" };
        let optional = "#![cfg_attr(not(feature = \"file\"), no_std)]";
        for attribute in ["#![no_std]", &format!("#![{level}(unsafe_code)]")] {
            let is_optional = attribute == "#![no_std]" && member.name == "yuragi" && root.has_line(optional);
            if !root.has_line(attribute) && !is_optional {
                errors.push(format!("{path}: lacks `{attribute}`"));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::Member;

    #[test]
    fn places_are_files_or_folders_of_that_name() {
        assert!(may_be_unsafe("crates/cpu/src/threads.rs"));
        assert!(may_be_unsafe("crates/cpu/src/kernels/conv.rs"));
        assert!(!may_be_unsafe("crates/cpu/src/threads_extra.rs"));
        assert!(!may_be_unsafe("crates/nn/src/threads.rs"));
    }

    #[test]
    fn roots_say_no_std_and_forbid_unsafe() {
        let member = |name: &str| Member {
            package: format!("yuragi-{name}"),
            folder: format!("crates/{name}"),
            name: name.into(),
            ..Member::default()
        };
        let workspace = Workspace { members: vec![member("nn"), member("cpu"), member("io")] };
        let source = |path: &str, text: &str| Source::new(path.into(), text.into());
        let cpu = source("crates/cpu/src/lib.rs", "#![no_std]\n#![deny(unsafe_code)]");
        let simd = source("crates/cpu/src/simd.rs", "");
        let good = source("crates/nn/src/lib.rs", "#![no_std]\n#![forbid(unsafe_code)]");
        assert_eq!(check(&workspace, &[cpu, simd, good]), [""; 0]);
        let cpu = source("crates/cpu/src/lib.rs", "#![no_std]\n#![deny(unsafe_code)]");
        let bad = source("crates/nn/src/lib.rs", "// #![no_std]\n#![forbid(unsafe_code)]");
        let errors = check(&workspace, &[cpu, bad]);
        assert_eq!(
            errors,
            ["crates/nn/src/lib.rs: lacks `#![no_std]`", "crates/cpu/src/lib.rs: lacks `#![forbid(unsafe_code)]`",]
        );
    }
}
