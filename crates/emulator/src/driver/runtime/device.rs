//! The device, and errors in words.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Mutex, OnceLock};

use super::super::contexts::{
    cuCtxGetLimit, cuCtxGetStreamPriorityRange, cuCtxSetLimit, cuCtxSynchronize, cuDevicePrimaryCtxReset_v2,
};
use super::super::device::{UUID, attribute, cuDeviceGetAttribute};
use super::super::error::{Code, Outcome, lookup};
use super::super::lock::lock;
use super::super::machine::{VERSION, device, machine};
use super::super::pointer::{Out, Text};
use super::error::{OWN, name};
use super::{done, last};

/// `cudaDeviceProp` of CUDA 13.
type DeviceProperties = [u8; 1008];

/// Its numbers that are attributes of the device and not 0: where they begin, the bytes of each, and the attributes.
const NUMBERS: &[(usize, usize, &[i32])] = &[
    // Shared memory and registers of a block, a warp, a pitch; threads and blocks along x, y, z; constant memory.
    (296, 8, &[8]),
    (304, 4, &[12, 10]),
    (312, 8, &[11]),
    (320, 4, &[1, 2, 3, 4, 5, 6, 7]),
    (352, 8, &[9]),
    // The compute capability, alignments of textures, multiprocessors, mapped memory.
    (360, 4, &[75, 76]),
    (368, 8, &[14, 51]),
    (384, 4, &[16, 18, 19]),
    // Textures and surfaces.
    (396, 4, &[21]),
    (404, 4, &[22, 23]),
    (420, 4, &[70, 71, 72]),
    (440, 4, &[24, 25, 26]),
    (496, 4, &[55, 56, 57, 58, 59, 60]),
    (552, 8, &[30]),
    // Kernels and copies at the same time, one address space; the memory's bus, the cache, threads, caches.
    (560, 4, &[31]),
    (584, 4, &[40, 41, 37, 38]),
    (604, 4, &[39, 78, 79, 80]),
    // Of a multiprocessor; managed memory; preemption; cooperative launches.
    (624, 8, &[81]),
    (632, 4, &[82, 83]),
    (656, 4, &[89, 90, 91, 95]),
    (672, 8, &[97]),
    (688, 4, &[106]),
    (696, 8, &[111]),
    // Registration, pools, clusters, nodes of memory.
    (704, 4, &[99]),
    (720, 4, &[115]),
    (748, 4, &[120]),
    (760, 4, &[131]),
    (768, 4, &[134]),
];

fn properties() -> Outcome<DeviceProperties> {
    let p = machine()?.properties();
    let mut all = [0; 1008];
    let mut put = |at: usize, bytes: &[u8]| all[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &p.name.as_bytes()[..p.name.len().min(255)]);
    put(256, &UUID);
    put(288, &p.memory.to_le_bytes());
    for &(begin, bytes, attributes) in NUMBERS {
        for (i, &number) in attributes.iter().enumerate() {
            let value = i64::from(attribute(p, number).unwrap_or(0));
            put(begin + i * bytes, &value.to_le_bytes()[..bytes]);
        }
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
