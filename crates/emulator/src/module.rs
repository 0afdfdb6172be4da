//! Modules and their kernels.

use std::{fmt, sync::Arc};

use crate::{
    decode::{self, DecodeError, Linked},
    memory::global::Global,
    program::{ParamLayout, Program},
    ptx::{self, ParseError},
};

/// Why a text cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is no PTX.
    Parse(ParseError),
    /// It holds what is not known here.
    Decode(DecodeError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Parse(error) => error.fmt(f),
            LoadError::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// Facts about a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The most threads of a block.
    pub max_threads: u32,
    /// Bytes of static shared memory.
    pub static_shared: u32,
    /// Bytes of local memory of a thread.
    pub local: u32,
    /// Bytes of constant memory of its module.
    pub constant: u32,
    /// Registers that the kernel declares; a GPU's assembler needs fewer.
    pub registers: u32,
}

/// A loaded module. Its variables live as long as it, or one of its kernels, does.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    kernels: Vec<Arc<Program>>,
    linked: Linked,
    global: Arc<Global>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // They were allocated with the module, and nobody else can free them.
        self.linked.addresses().for_each(|address| drop(self.global.free(address)));
    }
}

/// A kernel of a module.
#[derive(Clone)]
pub struct Kernel {
    pub(crate) program: Arc<Program>,
    _module: Arc<Inner>,
}

impl Module {
    /// Loads PTX text into a memory.
    pub(crate) fn load(text: &str, global: &Arc<Global>) -> Result<Module, LoadError> {
        let module: ptx::Module = text.parse().map_err(LoadError::Parse)?;
        let linked = decode::link(&module, global).map_err(LoadError::Decode)?;
        let mut inner = Inner { kernels: Vec::new(), linked, global: global.clone() };
        let index = decode::Index::new(&module);
        for kernel in module.functions.iter().filter(|f| f.entry && !f.declared_only) {
            let program = decode::decode(&index, &inner.linked, kernel).map_err(LoadError::Decode)?;
            inner.kernels.push(Arc::new(program));
        }
        Ok(Module { inner: Arc::new(inner) })
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<Kernel> {
        let program = self.inner.kernels.iter().find(|program| program.name == name)?;
        Some(Kernel { program: program.clone(), _module: self.inner.clone() })
    }

    /// The names of all kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.inner.kernels.iter().map(|program| program.name.as_str())
    }

    /// Address and bytes of a global or constant variable.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        self.inner.linked.global(name)
    }
}

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// Where its parameters lie in the parameter block.
    pub fn params(&self) -> &[ParamLayout] {
        &self.program.params
    }

    /// Facts about it.
    pub fn attributes(&self) -> Attributes {
        let p = &self.program;
        Attributes {
            max_threads: p.max_threads.unwrap_or(MOST_THREADS).min(MOST_THREADS),
            static_shared: p.shared,
            local: p.local,
            constant: p.constant_bytes,
            registers: p.registers,
        }
    }

    pub(crate) fn param_bytes(&self) -> usize {
        self.program.params.last().map_or(0, |p| p.offset + p.bytes)
    }
}

/// The most threads of a block.
const MOST_THREADS: u32 = 1024;
