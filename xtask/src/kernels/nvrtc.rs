//! NVIDIA's run-time compiler.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};

use cudarc::nvrtc::{result, sys};
use libloading::Library;

use super::toolchain::{HEADERS, LIBRARIES};
use crate::shell::Outcome;

/// What [`Nvrtc::load`] finds.
const VERSION: (i32, i32) = (13, 0);

/// The loaded compiler.
pub struct Nvrtc {
    /// Kept so that `cudarc`, and the compiler itself, find them by their names.
    _libraries: [Library; 2],
    headers: PathBuf,
}

/// What became of a source.
pub struct Compiled {
    pub ptx: String,
    /// Warnings, and what the assembler was told to say.
    pub log: String,
}

impl Compiled {
    /// The first lines of the warnings, and of what the assembler says of products of warp groups that must wait for each
    /// other.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let is_told = |line: &&str| line.contains("warning") || line.contains("Potential Performance Loss");
        self.log.lines().filter(is_told).filter(|line| !line.starts_with("Remark"))
    }
}

impl Nvrtc {
    /// Loads the compiler of an installation. Its built-in headers come first: it would look for them by name alone.
    pub fn load(toolchain: &Path) -> Outcome<Self> {
        let load = |name: &str| {
            let path = toolchain.join(LIBRARIES).join(name);
            // SAFETY: libraries of NVIDIA, whose hashes pip compared; loading them runs nothing but their set-up.
            unsafe { Library::new(&path) }.map_err(|error| format!("cannot load {}: {error}", path.display()))
        };
        let (mut major, mut minor) = VERSION;
        let libraries =
            [load(&format!("libnvrtc-builtins.so.{major}.{minor}"))?, load(&format!("libnvrtc.so.{major}"))?];
        // SAFETY: two places for two numbers; the library is loaded, so `cudarc` finds it.
        unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(|error| error.to_string())?;
        if (major, minor) != VERSION {
            return Err(format!("this system's libnvrtc.so, of CUDA {major}.{minor}, is in the way of CUDA 13.0"));
        }
        Ok(Self { _libraries: libraries, headers: toolchain.join(HEADERS) })
    }

    /// Compiles and assembles a source, which may include what is in `folder` and `cuda_fp16.h` and the like.
    pub fn compile(&self, name: &str, text: &str, options: &[String], folder: &Path) -> Outcome<Compiled> {
        let includes = [folder, &self.headers].map(|folder| format!("--include-path={}", folder.display()));
        let options = [options, &includes, &["--ptxas-options=-v".into()]].concat();
        let program = Program::new(name, text)?;
        // SAFETY: the program is alive.
        let compiled = unsafe { result::compile_program(program.handle, &options) };
        // SAFETY: the program is alive.
        let log = unsafe { result::get_program_log(program.handle) }.map_err(|error| error.to_string())?;
        let log = text_of(&log);
        if compiled.is_err() {
            return Err(format!("kernels/{name} does not compile:\n{}", log.trim_end()));
        }
        // SAFETY: the program is alive and compiled.
        let ptx = unsafe { result::get_ptx(program.handle) }.map_err(|error| error.to_string())?;
        Ok(Compiled { ptx: text_of(&ptx), log })
    }
}

struct Program {
    handle: sys::nvrtcProgram,
    /// The program refers to these.
    _texts: [CString; 2],
}

impl Program {
    fn new(name: &str, text: &str) -> Outcome<Self> {
        let texts = [text, name].map(CString::new);
        let [Ok(text), Ok(name)] = texts else { return Err(format!("kernels/{name} holds a zero byte")) };
        let handle = result::create_program(&text, Some(&name)).map_err(|error| error.to_string())?;
        Ok(Self { handle, _texts: [text, name] })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `create_program`, destroyed once.
        let destroyed = unsafe { result::destroy_program(self.handle) };
        debug_assert!(destroyed.is_ok());
    }
}

/// The text up to its closing zero.
fn text_of(characters: &[c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().flat_map(|c| c.to_ne_bytes()).collect();
    CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}
