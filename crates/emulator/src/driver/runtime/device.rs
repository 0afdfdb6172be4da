//! The device, and errors in words.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Mutex, OnceLock};

use super::super::contexts::{
    cuCtxGetLimit, cuCtxGetStreamPriorityRange, cuCtxSetLimit, cuCtxSynchronize, cuDevicePrimaryCtxReset_v2,
};
use super::super::device::cuDeviceGetAttribute;
use super::super::error::{Code, Outcome, lookup};
use super::super::lock::lock;
use super::super::machine::{SHARED_PER_BLOCK, SHARED_RESERVED, VERSION, device, machine};
use super::super::pointer::{Out, Text};
use super::error::{OWN, name};
use super::{done, last};

/// `cudaDeviceProp` of CUDA 13: bytes, of which those that are known are put at their offsets.
type DeviceProperties = [u8; 1008];

fn properties() -> Outcome<DeviceProperties> {
    let p = machine()?.properties();
    let mut all = [0; 1008];
    let mut put = |at: usize, bytes: &[u8]| all[at..at + bytes.len()].copy_from_slice(bytes);
    let name = &p.name.as_bytes()[..p.name.len().min(255)];
    put(0, name);
    for (at, value) in [
        (288, p.memory),
        (296, SHARED_PER_BLOCK.into()),
        (312, i32::MAX as u64),
        (352, 65_536),
        (368, 512),
        (376, 32),
        (624, p.shared_per_multiprocessor.into()),
        (672, p.shared_per_block.into()),
        (696, SHARED_RESERVED.into()),
    ] {
        put(at, &value.to_le_bytes());
    }
    let (major, minor) = p.capability;
    for (at, value) in [
        // Registers, a warp, threads and blocks along x, y, z.
        (304, 65_536),
        (308, 32),
        (320, 1024),
        (324, 1024),
        (328, 1024),
        (332, 64),
        (336, i32::MAX as u32),
        (340, 65_535),
        (344, 65_535),
        (360, major),
        (364, minor),
        (384, p.multiprocessors),
        (392, 1),
        (560, 1),
        (584, 1),
        (588, 1),
        (592, p.memory_bus),
        (596, p.cache),
        (604, p.threads_per_multiprocessor),
        (608, 1),
        (612, 1),
        (616, 1),
        (632, 65_536),
        (636, 1),
        (656, 1),
        (668, 1),
        (688, p.blocks_per_multiprocessor),
        (720, 1),
        (748, u32::from(major >= 9)),
    ] {
        put(at, &value.to_le_bytes());
    }
    Ok(all)
}

/// A text that lasts.
fn lasting(text: String) -> Text {
    static TEXTS: OnceLock<Mutex<BTreeMap<String, &'static CStr>>> = OnceLock::new();
    let mut texts = lock(TEXTS.get_or_init(Mutex::default));
    let found = texts.get(&text).copied();
    Text::lasting(found.unwrap_or_else(|| {
        let made: &CStr = Box::leak(CString::new(text.as_str()).unwrap_or_default().into_boxed_c_str());
        texts.insert(text, made);
        made
    }))
}

// SAFETY: the name is the CUDA runtime's, which this library stands in for; nothing else has it.
#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorName(code: u32) -> Text {
    lasting(name(Code::of(code)))
}

// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorString(code: u32) -> Text {
    let own = OWN.iter().find(|(own, ..)| own.number() == code).map(|(.., text)| *text);
    let text = own.or_else(|| lookup(code).map(|(_, text)| text));
    Text::lasting(text.unwrap_or(c"unrecognized error code"))
}

// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn cudaGetLastError() -> Code {
    last(true)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn cudaPeekAtLastError() -> Code {
    last(false)
}

super::exported! {
    fn cudaGetDeviceCount(out: Out<i32>) {
        out.place()?.put(1);
        Ok(())
    }

    fn cudaGetDevice(out: Out<i32>) {
        out.place()?.put(0);
        Ok(())
    }

    fn cudaSetDevice(ordinal: i32) {
        device(ordinal).map(drop)
    }

    fn cudaInitDevice(ordinal: i32) {
        device(ordinal).map(drop)
    }

    fn cudaSetDeviceFlags(_flags: u32) {
        Ok(())
    }

    fn cudaGetDeviceProperties(out: Out<DeviceProperties>, ordinal: i32) {
        device(ordinal)?;
        out.place()?.put(properties()?);
        Ok(())
    }

    fn cudaDeviceGetAttribute(out: Out<i32>, attribute: i32, ordinal: i32) {
        done(cuDeviceGetAttribute(out, attribute, ordinal))
    }

    fn cudaDeviceSynchronize() {
        done(cuCtxSynchronize())
    }

    fn cudaDeviceReset() {
        done(cuDevicePrimaryCtxReset_v2(0))
    }

    fn cudaDeviceSetLimit(limit: i32, value: usize) {
        done(cuCtxSetLimit(limit, value))
    }

    fn cudaDeviceGetLimit(out: Out<usize>, limit: i32) {
        done(cuCtxGetLimit(out, limit))
    }

    fn cudaDeviceSetCacheConfig(_config: u32) {
        Ok(())
    }

    fn cudaDeviceGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) {
        done(cuCtxGetStreamPriorityRange(least, greatest))
    }

    fn cudaDeviceCanAccessPeer(out: Out<i32>, _device: i32, _peer: i32) {
        out.place()?.put(0);
        Ok(())
    }

    fn cudaDriverGetVersion(out: Out<i32>) {
        out.place()?.put(VERSION);
        Ok(())
    }

    fn cudaRuntimeGetVersion(out: Out<i32>) {
        out.place()?.put(VERSION);
        Ok(())
    }

    fn cudaProfilerStart() {
        Ok(())
    }

    fn cudaProfilerStop() {
        Ok(())
    }
}
