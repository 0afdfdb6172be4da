//! Kernels as the API knows them: functions with attributes.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::machine::{SHARED_PER_BLOCK, device, machine};
use super::pointer::{Out, Text};
use crate::module::{Attributes, Kernel};

static FUNCTIONS: Table<Function> = Table::new(Code::INVALID_HANDLE);

/// A kernel of a module, and how its program wants it launched.
pub struct Function {
    pub module: Handle,
    pub context: Handle,
    name: CString,
    pub kernel: Kernel,
    target: u32,
    /// Bytes of dynamic shared memory that a launch may ask for.
    dynamic_shared: AtomicU32,
    carveout: AtomicI32,
    cluster: [AtomicI32; 3],
    non_portable_cluster: AtomicI32,
    cluster_policy: AtomicI32,
}

/// `CU_FUNC_ATTRIBUTE_...`
const MAX_DYNAMIC_SHARED_SIZE_BYTES: i32 = 8;
const PREFERRED_SHARED_MEMORY_CARVEOUT: i32 = 9;
const REQUIRED_CLUSTER_WIDTH: i32 = 11;
const REQUIRED_CLUSTER_DEPTH: i32 = 13;
const NON_PORTABLE_CLUSTER_SIZE_ALLOWED: i32 = 14;
const CLUSTER_SCHEDULING_POLICY_PREFERENCE: i32 = 15;

/// Registers of a multiprocessor, and the most of a thread.
const REGISTERS: u32 = 65_536;
const MOST_REGISTERS: u32 = 255;

impl Function {
    pub fn new(module: Handle, context: Handle, name: CString, kernel: Kernel, target: u32) -> Function {
        let left = SHARED_PER_BLOCK.saturating_sub(kernel.attributes().static_shared);
        let cluster = kernel.attributes().cluster.unwrap_or_default();
        Function {
            module,
            context,
            name,
            kernel,
            target,
            dynamic_shared: AtomicU32::new(left),
            carveout: AtomicI32::new(-1),
            cluster: cluster.map(|extent| AtomicI32::new(extent as i32)),
            non_portable_cluster: AtomicI32::new(0),
            cluster_policy: AtomicI32::new(0),
        }
    }

    pub fn attributes(&self) -> Attributes {
        self.kernel.attributes()
    }

    pub fn dynamic_shared(&self) -> u32 {
        self.dynamic_shared.load(Relaxed)
    }

    /// The blocks of a cluster that its program or `cuFuncSetAttribute` asked for, if one did.
    pub fn cluster(&self) -> Option<[u32; 3]> {
        let cluster: [u32; 3] = std::array::from_fn(|axis| self.cluster[axis].load(Relaxed) as u32);
        (cluster != [0; 3]).then(|| cluster.map(|extent| extent.max(1)))
    }

    /// The most blocks of a cluster: 8 are portable, 16 must be allowed.
    pub fn most_cluster_blocks(&self) -> u32 {
        if self.non_portable_cluster.load(Relaxed) == 0 { 8 } else { 16 }
    }

    /// Registers of a thread. PTX has any number of them; this is the most that a GPU's assembler could use.
    fn registers(&self) -> u32 {
        let attributes = self.attributes();
        attributes.registers.min(MOST_REGISTERS).min(REGISTERS / attributes.max_threads.max(1))
    }

    pub fn get(&self, attribute: i32) -> Outcome<i32> {
        let known = self.attributes();
        let (major, minor) = machine()?.properties().capability;
        Ok(match attribute {
            0 => known.max_threads as i32,
            1 => known.static_shared as i32,
            2 => known.constant as i32,
            3 => known.local as i32,
            4 => self.registers() as i32,
            5 => self.target as i32,
            6 => (10 * major + minor) as i32,
            7 => 0,
            MAX_DYNAMIC_SHARED_SIZE_BYTES => self.dynamic_shared() as i32,
            PREFERRED_SHARED_MEMORY_CARVEOUT => self.carveout.load(Relaxed),
            10 => i32::from(self.cluster().is_some()),
            REQUIRED_CLUSTER_WIDTH..=REQUIRED_CLUSTER_DEPTH => {
                self.cluster[(attribute - REQUIRED_CLUSTER_WIDTH) as usize].load(Relaxed)
            }
            NON_PORTABLE_CLUSTER_SIZE_ALLOWED => self.non_portable_cluster.load(Relaxed),
            CLUSTER_SCHEDULING_POLICY_PREFERENCE => self.cluster_policy.load(Relaxed),
            _ => return Err(Code::INVALID_VALUE.into()),
        })
    }

    pub fn set(&self, attribute: i32, value: i32) -> Outcome {
        let (place, legal) = match attribute {
            MAX_DYNAMIC_SHARED_SIZE_BYTES => return self.set_dynamic_shared(value),
            PREFERRED_SHARED_MEMORY_CARVEOUT => (&self.carveout, -1..=100),
            REQUIRED_CLUSTER_WIDTH..=REQUIRED_CLUSTER_DEPTH if self.attributes().cluster.is_some() => {
                return Err(Code::NOT_PERMITTED.because("the kernel's program says how many blocks its clusters have"));
            }
            REQUIRED_CLUSTER_WIDTH..=REQUIRED_CLUSTER_DEPTH => {
                (&self.cluster[(attribute - REQUIRED_CLUSTER_WIDTH) as usize], 0..=16)
            }
            NON_PORTABLE_CLUSTER_SIZE_ALLOWED => (&self.non_portable_cluster, 0..=1),
            CLUSTER_SCHEDULING_POLICY_PREFERENCE => (&self.cluster_policy, 0..=2),
            _ => return Err(Code::INVALID_VALUE.into()),
        };
        if !legal.contains(&value) {
            return Err(Code::INVALID_VALUE.into());
        }
        place.store(value, Relaxed);
        Ok(())
    }

    fn set_dynamic_shared(&self, value: i32) -> Outcome {
        let most = machine()?.properties().shared_per_block.saturating_sub(self.attributes().static_shared);
        match u32::try_from(value) {
            Ok(bytes) if bytes <= most => {
                self.dynamic_shared.store(bytes, Relaxed);
                Ok(())
            }
            _ => {
                let name = self.kernel.name();
                let message = format!("{value} bytes of dynamic shared memory for {name}; it can have 0 to {most}");
                Err(Code::INVALID_VALUE.because(message))
            }
        }
    }
}

pub fn add(function: Function) -> Handle {
    FUNCTIONS.add(Arc::new(function))
}

pub fn find(handle: Handle) -> Outcome<Arc<Function>> {
    Context::usable()?;
    FUNCTIONS.get(handle)
}

/// A module takes its functions with it.
pub fn remove(handle: Handle) {
    drop(FUNCTIONS.remove(handle));
}

pub fn remove_of(context: Handle) {
    FUNCTIONS.remove_all(|function| function.context == context);
}

fn get(value: Out<i32>, attribute: i32, function: Handle) -> Outcome {
    let place = value.place()?;
    place.put(find(function)?.get(attribute)?);
    Ok(())
}

fn put_param(function: Handle, index: usize, offset: Out<usize>, bytes: Out<usize>) -> Outcome {
    let function = find(function)?;
    let param = function.kernel.params().get(index).ok_or(Code::INVALID_VALUE)?;
    offset.place()?.put(param.offset);
    bytes.put_if_wanted(param.bytes);
    Ok(())
}

/// The name, which lives as long as the function's module.
fn put_name(name: Out<Text>, function: Handle) -> Outcome {
    let place = name.place()?;
    place.put(Text::borrowed(&find(function)?.name));
    Ok(())
}

fn put_module(module: Out<Handle>, function: Handle) -> Outcome {
    let place = module.place()?;
    place.put(find(function)?.module);
    Ok(())
}

fn put_param_count(count: Out<usize>, function: Handle) -> Outcome {
    let place = count.place()?;
    place.put(find(function)?.kernel.params().len());
    Ok(())
}

/// A preference between the L1 cache and shared memory, of which the emulator has no use.
fn prefer(function: Handle, config: u32) -> Outcome {
    find(function)?;
    if config > 3 { Err(Code::INVALID_VALUE.into()) } else { Ok(()) }
}

super::boundary::exported! {
    fn cuFuncGetAttribute(value: Out<i32>, attribute: i32, function: Handle) {
        get(value, attribute, function)
    }

    fn cuFuncSetAttribute(function: Handle, attribute: i32, value: i32) {
        find(function)?.set(attribute, value)
    }

    fn cuFuncSetCacheConfig(function: Handle, config: u32) {
        prefer(function, config)
    }

    fn cuFuncSetSharedMemConfig(function: Handle, config: u32) {
        prefer(function, config)
    }

    fn cuFuncGetModule(module: Out<Handle>, function: Handle) {
        put_module(module, function)
    }

    fn cuFuncGetName(name: Out<Text>, function: Handle) {
        put_name(name, function)
    }

    fn cuFuncGetParamCount(function: Handle, count: Out<usize>) {
        put_param_count(count, function)
    }

    fn cuFuncGetParamInfo(function: Handle, index: usize, offset: Out<usize>, bytes: Out<usize>) {
        put_param(function, index, offset, bytes)
    }

    /// `CU_FUNCTION_LOADING_STATE_LOADED`
    fn cuFuncIsLoaded(state: Out<i32>, function: Handle) {
        let place = state.place()?;
        find(function)?;
        place.put(1);
        Ok(())
    }

    fn cuFuncLoad(function: Handle) {
        find(function).map(|_| ())
    }

    /// A kernel of a library is also the function that can be launched.
    fn cuKernelGetFunction(out: Out<Handle>, kernel: Handle) {
        let place = out.place()?;
        find(kernel)?;
        place.put(kernel);
        Ok(())
    }

    fn cuKernelGetLibrary(library: Out<Handle>, kernel: Handle) {
        put_module(library, kernel)
    }

    fn cuKernelGetName(name: Out<Text>, kernel: Handle) {
        put_name(name, kernel)
    }

    fn cuKernelGetParamCount(kernel: Handle, count: Out<usize>) {
        put_param_count(count, kernel)
    }

    fn cuKernelGetParamInfo(kernel: Handle, index: usize, offset: Out<usize>, bytes: Out<usize>) {
        put_param(kernel, index, offset, bytes)
    }

    fn cuKernelGetAttribute(value: Out<i32>, attribute: i32, kernel: Handle, ordinal: i32) {
        device(ordinal)?;
        get(value, attribute, kernel)
    }

    fn cuKernelSetAttribute(attribute: i32, value: i32, kernel: Handle, ordinal: i32) {
        device(ordinal)?;
        find(kernel)?.set(attribute, value)
    }

    fn cuKernelSetCacheConfig(kernel: Handle, config: u32, ordinal: i32) {
        device(ordinal)?;
        prefer(kernel, config)
    }
}
