//! Modules and their kernels.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    decode::{self, Linked},
    memory::global::Global,
    program::{DecodeError, ParamLayout, Program},
    ptx::{self, ParseError},
};

/// Why a text cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is no PTX.
    Parse(ParseError),
    /// Its variables hold what is not known here.
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
    /// Blocks of a cluster along x, y, z, if the kernel requires them.
    pub cluster: Option<[u32; 3]>,
}

/// A loaded module. Its variables live as long as it, or one of its kernels, does.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    programs: Programs,
    linked: Linked,
    global: Arc<Global>,
}

/// What the kernels of a text became.
type Programs = Arc<[Arc<Program>]>;

/// The latest texts whose programs hold no address of a variable, so that they serve whoever loads the text again.
static LOADED: Mutex<VecDeque<Loaded>> = Mutex::new(VecDeque::new());
type Loaded = (Box<str>, Linked, Programs);
/// So many texts are remembered.
const MOST_LOADED: usize = 32;

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
        let loaded = || LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, linked, programs)) = loaded().iter().find(|(known, ..)| **known == *text) {
            let (linked, programs, global) = (linked.clone(), programs.clone(), global.clone());
            return Ok(Module { inner: Arc::new(Inner { programs, linked, global }) });
        }
        let module = ptx::Module::read(text).map_err(LoadError::Parse)?;
        // From here on an error gives back what the variables take.
        let linked = decode::link(&module, global).map_err(LoadError::Decode)?;
        let mut inner = Inner { programs: Arc::default(), linked, global: global.clone() };
        let index = decode::Index::new(&module);
        let kernels = module.functions.iter().filter(|f| f.entry && !f.declared_only);
        inner.programs = kernels.map(|kernel| Arc::new(decode::decode(&index, &inner.linked, kernel))).collect();
        if inner.linked.addresses().next().is_none() {
            let mut loaded = loaded();
            loaded.truncate(MOST_LOADED - 1);
            loaded.push_front((text.into(), inner.linked.clone(), inner.programs.clone()));
        }
        Ok(Module { inner: Arc::new(inner) })
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<Kernel> {
        let program = self.inner.programs.iter().find(|program| program.name == name)?;
        Some(Kernel { program: program.clone(), _module: self.inner.clone() })
    }

    /// The names of all kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.inner.programs.iter().map(|program| program.name.as_str())
    }

    /// The kernels that cannot be launched since something of them is not known here, each with what and where.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &DecodeError)> {
        self.inner.programs.iter().filter_map(|program| Some((program.name.as_str(), program.refusal.as_ref()?)))
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

    /// Why it cannot be launched, if something of it is not known here.
    pub fn refusal(&self) -> Option<&DecodeError> {
        self.program.refusal.as_ref()
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
            cluster: p.cluster,
        }
    }

    pub(crate) fn param_bytes(&self) -> usize {
        self.program.params.last().map_or(0, |p| p.offset + p.bytes)
    }
}

/// The most threads of a block.
const MOST_THREADS: u32 = 1024;
