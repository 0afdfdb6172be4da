//! The workspace as `cargo metadata` sees it.

use std::path::Path;

use serde_json::Value;

use crate::shell::{self, Outcome};

/// What needs an operating system.
const STD: [&str; 6] = ["io", "cuda", "emulator", "packed", "capi", "web"];

pub struct Workspace {
    pub members: Vec<Member>,
}

#[derive(Default)]
pub struct Member {
    /// Cargo's name, such as `yuragi-nn`.
    pub package: String,
    /// Relative to the root, such as `crates/nn`.
    pub folder: String,
    /// The last part of the folder, such as `nn`.
    pub name: String,
    /// The packages of normal and build dependencies.
    pub dependencies: Vec<String>,
    /// The roots of what cargo compiles no unit tests of, such as `crates/nn/src/lib.rs`.
    pub untested: Vec<String>,
    /// Each feature with what it turns on, as the manifest writes it.
    pub features: Vec<(String, Vec<String>)>,
}

impl Workspace {
    /// Asks cargo.
    pub fn read() -> Outcome<Self> {
        let json = shell::cargo_metadata()?;
        members(&json).map(|members| Self { members }).ok_or("cargo metadata has an unknown form".into())
    }

    /// The members below `crates`.
    pub fn crates(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.folder.starts_with("crates/"))
    }

    /// The crates that build without the standard library.
    pub fn no_std(&self) -> impl Iterator<Item = &Member> {
        self.crates().filter(|member| !STD.contains(&member.name.as_str()))
    }
}

fn members(metadata: &Value) -> Option<Vec<Member>> {
    let root = Path::new(metadata["workspace_root"].as_str()?);
    let packages = metadata["packages"].as_array()?;
    packages.iter().map(|package| member(package, root)).collect()
}

fn member(package: &Value, root: &Path) -> Option<Member> {
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?.strip_prefix(root).ok()?;
    let dependencies = package["dependencies"].as_array()?.iter();
    let built_in = dependencies.filter(|dependency| dependency["kind"] != "dev");
    let words = |list: &Value| -> Option<Vec<String>> {
        list.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let features = package["features"].as_object()?.iter();
    let relative = |path: &Value| Some(Path::new(path.as_str()?).strip_prefix(root).ok()?.to_str()?.replace('\\', "/"));
    let untested = package["targets"].as_array()?.iter().filter(|target| target["test"] == false);
    Some(Member {
        package: package["name"].as_str()?.into(),
        folder: folder.to_str()?.replace('\\', "/"),
        name: folder.file_name()?.to_str()?.into(),
        dependencies: built_in.filter_map(|dependency| dependency["name"].as_str().map(str::to_owned)).collect(),
        untested: untested.filter_map(|target| relative(&target["src_path"])).collect(),
        features: features.map(|(name, list)| Some((name.clone(), words(list)?))).collect::<Option<_>>()?,
    })
}
