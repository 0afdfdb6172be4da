//! What `nvcc` embeds in a program: fat binaries with kernels and variables, known by addresses of the host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::context::Context;
use super::super::error::{Code, Outcome};
use super::super::fatbin;
use super::super::function;
use super::super::handle::Handle;
use super::super::lock::lock;
use super::super::machine::machine;
use super::super::module::{self, Module};
use super::super::pointer::{Buffer, Text};
use super::error::{INVALID_FUNCTION, INVALID_SYMBOL, rather};

/// A fat binary of the program, and the module that it became in each context that needed it.
struct Binary {
    bytes: Vec<u8>,
    modules: HashMap<Handle, Handle>,
}

/// All of them, and in which one a kernel or variable lies, by the address of what stands for it on the host.
#[derive(Default)]
struct Known {
    binaries: Vec<Binary>,
    kernels: HashMap<usize, (usize, String)>,
    variables: HashMap<usize, (usize, String)>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

fn with<T>(f: impl FnOnce(&mut Known) -> T) -> T {
    f(lock(&KNOWN).get_or_insert_default())
}

/// Where a handle's binary stands; handles begin at 1.
fn place(handle: Handle) -> usize {
    handle.0.wrapping_sub(1)
}

impl Known {
    /// The module of a binary in the current context, which is made when it is first needed there, and again where it
    /// ended with its context.
    fn module(&mut self, place: usize) -> Outcome<Arc<Module>> {
        let binary = self.binaries.get_mut(place).ok_or(Code::INVALID_VALUE)?;
        let context = Context::usable()?.handle;
        if let Some(module) = binary.modules.get(&context).and_then(|&module| module::find(module).ok()) {
            return Ok(module);
        }
        let text = fatbin::text(&binary.bytes, machine()?.properties().capability)?;
        let module = module::load(&text)?;
        binary.modules.insert(context, module);
        module::find(module)
    }
}

/// The function of a kernel that the host knows by an address; a kernel's handle stands for itself.
pub fn function(host: Buffer) -> Outcome<Handle> {
    with(|known| {
        let found = match known.kernels.get(&host.address()).cloned() {
            Some((place, name)) => known.module(place)?.function(&name),
            None => function::find(Handle(host.address())).map(|_| Handle(host.address())),
        };
        let other = |error| rather(error, Code::INVALID_HANDLE, INVALID_FUNCTION);
        found.map_err(|error| rather(other(error), Code::NOT_FOUND, INVALID_FUNCTION))
    })
}

/// Address and bytes of a variable that the host knows by an address.
pub fn variable(host: Buffer) -> Outcome<(u64, usize)> {
    with(|known| {
        let (place, name) = known.variables.get(&host.address()).cloned().ok_or(INVALID_SYMBOL)?;
        known.module(place)?.variable(&name).map_err(|error| rather(error, Code::NOT_FOUND, INVALID_SYMBOL))
    })
}

fn name_known(
    table: impl FnOnce(&mut Known) -> &mut HashMap<usize, (usize, String)>,
    binary: Handle,
    host: Buffer,
    name: Text,
) {
    if let Ok(name) = name.read() {
        with(|known| table(known).insert(host.address(), (place(binary), name)));
    }
}

/// Notes a fat binary, which lasts as long as the program.
// SAFETY: the name is the CUDA runtime's, which this library stands in for; nothing else has it.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaRegisterFatBinary(image: Buffer) -> Handle {
    let bytes = fatbin::read(image).unwrap_or_default();
    with(|known| {
        known.binaries.push(Binary { bytes, modules: HashMap::new() });
        Handle(known.binaries.len())
    })
}

// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaRegisterFatBinaryEnd(_binary: Handle) {}

// SAFETY: as above. What is left ends with the process.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaUnregisterFatBinary(_binary: Handle) {}

/// Whether the binary is there; modules are made when they are needed.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaInitModule(binary: Handle) -> i8 {
    with(|known| known.binaries.get(place(binary)).is_some().into())
}

// SAFETY: as above.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub extern "C" fn __cudaRegisterFunction(
    binary: Handle,
    host: Buffer,
    _device: Buffer,
    name: Text,
    _limit: i32,
    _tid: Buffer,
    _bid: Buffer,
    _block: Buffer,
    _grid: Buffer,
    _warp: Buffer,
) {
    name_known(|known| &mut known.kernels, binary, host, name);
}

// SAFETY: as above.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub extern "C" fn __cudaRegisterVar(
    binary: Handle,
    host: Buffer,
    _address: Buffer,
    name: Text,
    _external: i32,
    _bytes: usize,
    _constant: i32,
    _global: i32,
) {
    name_known(|known| &mut known.variables, binary, host, name);
}
