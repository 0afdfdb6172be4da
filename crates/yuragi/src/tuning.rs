//! Which kernels are the fastest on this machine's GPUs, as `yuragi tune` measures it: a table for each kind of GPU, in the
//! user's folder for caches.

use std::{
    collections::BTreeMap,
    env, fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use yuragi_cuda::{
    Cuda, CudaError,
    kernels::{
        picks::{Origin, Picks},
        product::Pick,
    },
};
use yuragi_graph::{Graph, Precision};
use yuragi_io::atomic;

use crate::Failure;

/// Where the table of a GPU of this name is kept: in the user's folder for caches, if there is one.
pub fn path(name: &str) -> Option<PathBuf> {
    let folder = |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let caches = if cfg!(windows) {
        folder("LOCALAPPDATA")?
    } else if cfg!(target_os = "macos") {
        folder("HOME")?.join("Library/Caches")
    } else {
        folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?
    };
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Some(caches.join("yuragi").join(format!("tune-{name}.tsv")))
}

fn origin(cuda: &Cuda) -> Result<Origin, CudaError> {
    let (major, minor) = cuda.device().description()?.driver;
    Ok(Origin { device: cuda.kind(), driver: format!("a driver of CUDA {major}.{minor}") })
}

/// The table of a GPU and where it lies, if there is one; or a line that says why one that is there is not used.
fn table(cuda: &Cuda) -> Result<Option<(PathBuf, Picks)>, String> {
    let (Some(path), Ok(origin)) = (path(cuda.device().name()), origin(cuda)) else { return Ok(None) };
    match read(&path, &origin) {
        Ok(picks) => Ok(picks.map(|picks| (path, picks))),
        Err(why) => Err(format!("{} is not used: {why}; `yuragi tune` makes a new one", path.display())),
    }
}

/// A GPU with the kernels of its table, and why one that is there is not used.
pub(crate) fn tuned(cuda: Cuda) -> (Cuda, Option<String>) {
    match table(&cuda) {
        Ok(Some((_, picks))) => (cuda.picks(picks), None),
        Ok(None) => (cuda, None),
        Err(why) => (cuda, Some(why)),
    }
}

/// How kernels of a GPU are picked, in one line.
pub(crate) fn state(cuda: &Cuda) -> String {
    match table(cuda) {
        Ok(Some((path, picks))) => format!("kernels: {} as measured, of {}", picks.len(), path.display()),
        Ok(None) => "kernels: by rule; `yuragi tune` measures which are the fastest".into(),
        Err(why) => format!("kernels: by rule; {why}"),
    }
}

fn read(path: &Path, origin: &Origin) -> Result<Option<Picks>, String> {
    match fs::read(path) {
        Ok(bytes) => Picks::read(&String::from_utf8_lossy(&bytes), origin).map(Some).map_err(|why| why.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// What several kernels compute.
    pub key: String,
    /// The fastest of them, and its seconds.
    pub best: (Pick, f64),
    /// The one that a rule takes, and its seconds.
    pub rule: (Pick, f64),
    /// How many were measured.
    pub ways: usize,
}

/// Measures all kernels among which plans of these graphs pick, and keeps the fastest in the table, beside what it had of
/// others: after each, so that whatever ends this, what was measured is there. `told` hears of each, and how many there are;
/// it may stop.
///
/// # Errors
/// No place for the table; what the GPU reports.
pub fn tune(
    (cuda, precision): (&Cuda, Precision),
    graphs: &[Graph],
    told: &mut dyn FnMut(&Tuned, usize) -> ControlFlow<()>,
) -> Result<PathBuf, Failure> {
    let origin = origin(cuda)?;
    let path = path(cuda.device().name());
    let path = path.ok_or_else(|| Failure::new("there is no folder for caches: name one in XDG_CACHE_HOME"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
    }
    atomic::check(&path)?;
    let mut all = BTreeMap::new();
    for graph in graphs {
        all.extend(cuda.picked(&graph.in_precision(precision))?);
    }
    let mut picks = read(&path, &origin).ok().flatten().unwrap_or_default();
    for (key, picked) in &all {
        let measured = cuda.measure(picked)?;
        let rule = picked.rule(cuda.machine());
        let rule = measured.iter().find(|(pick, _)| Some(pick) == rule.as_ref());
        let (Some(best), Some(rule)) = (measured.first(), rule) else { continue };
        picks.insert(key.clone(), best.0.clone(), best.1);
        atomic::write(&path, picks.text(&origin).as_bytes())?;
        let tuned = Tuned { key: key.clone(), best: best.clone(), rule: rule.clone(), ways: measured.len() };
        if told(&tuned, all.len()).is_break() {
            break;
        }
    }
    Ok(path)
}
