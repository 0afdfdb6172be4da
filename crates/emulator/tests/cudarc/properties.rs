//! `cudaDeviceProp` as NVIDIA's own header lays it out, where that header and a compiler of C are at hand.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::harness::on_gpu;

unsafe extern "C" {
    fn cudaGetDeviceProperties(out: *mut u8, ordinal: c_int) -> u32;
    fn cudaDeviceGetAttribute(out: *mut c_int, attribute: c_int, ordinal: c_int) -> u32;
    fn cudaMemGetInfo(free: *mut usize, total: *mut usize) -> u32;
    fn cuDeviceGetName(name: *mut c_char, len: c_int, ordinal: c_int) -> u32;
    fn cuDeviceGetUuid(uuid: *mut u8, ordinal: c_int) -> u32;
}

/// Numbers of the structure, and the attributes that they are, without `cudaDevAttr`.
const NUMBERS: &[(&str, &[&str])] = &[
    ("sharedMemPerBlock", &["MaxSharedMemoryPerBlock"]),
    ("regsPerBlock", &["MaxRegistersPerBlock"]),
    ("warpSize", &["WarpSize"]),
    ("memPitch", &["MaxPitch"]),
    ("maxThreadsPerBlock", &["MaxThreadsPerBlock"]),
    ("maxThreadsDim", &["MaxBlockDimX", "MaxBlockDimY", "MaxBlockDimZ"]),
    ("maxGridSize", &["MaxGridDimX", "MaxGridDimY", "MaxGridDimZ"]),
    ("totalConstMem", &["TotalConstantMemory"]),
    ("major", &["ComputeCapabilityMajor"]),
    ("minor", &["ComputeCapabilityMinor"]),
    ("textureAlignment", &["TextureAlignment"]),
    ("texturePitchAlignment", &["TexturePitchAlignment"]),
    ("multiProcessorCount", &["MultiProcessorCount"]),
    ("integrated", &["Integrated"]),
    ("canMapHostMemory", &["CanMapHostMemory"]),
    ("maxTexture1D", &["MaxTexture1DWidth"]),
    ("maxTexture1DMipmap", &["MaxTexture1DMipmappedWidth"]),
    ("maxTexture2D", &["MaxTexture2DWidth", "MaxTexture2DHeight"]),
    ("maxTexture2DMipmap", &["MaxTexture2DMipmappedWidth", "MaxTexture2DMipmappedHeight"]),
    ("maxTexture2DLinear", &["MaxTexture2DLinearWidth", "MaxTexture2DLinearHeight", "MaxTexture2DLinearPitch"]),
    ("maxTexture2DGather", &["MaxTexture2DGatherWidth", "MaxTexture2DGatherHeight"]),
    ("maxTexture3D", &["MaxTexture3DWidth", "MaxTexture3DHeight", "MaxTexture3DDepth"]),
    ("maxTexture3DAlt", &["MaxTexture3DWidthAlt", "MaxTexture3DHeightAlt", "MaxTexture3DDepthAlt"]),
    ("maxTextureCubemap", &["MaxTextureCubemapWidth"]),
    ("maxSurface1D", &["MaxSurface1DWidth"]),
    ("maxSurface2D", &["MaxSurface2DWidth", "MaxSurface2DHeight"]),
    ("maxSurface3D", &["MaxSurface3DWidth", "MaxSurface3DHeight", "MaxSurface3DDepth"]),
    ("surfaceAlignment", &["SurfaceAlignment"]),
    ("concurrentKernels", &["ConcurrentKernels"]),
    ("ECCEnabled", &["EccEnabled"]),
    ("pciBusID", &["PciBusId"]),
    ("pciDeviceID", &["PciDeviceId"]),
    ("asyncEngineCount", &["AsyncEngineCount"]),
    ("unifiedAddressing", &["UnifiedAddressing"]),
    ("memoryBusWidth", &["GlobalMemoryBusWidth"]),
    ("l2CacheSize", &["L2CacheSize"]),
    ("persistingL2CacheMaxSize", &["MaxPersistingL2CacheSize"]),
    ("maxThreadsPerMultiProcessor", &["MaxThreadsPerMultiProcessor"]),
    ("streamPrioritiesSupported", &["StreamPrioritiesSupported"]),
    ("globalL1CacheSupported", &["GlobalL1CacheSupported"]),
    ("localL1CacheSupported", &["LocalL1CacheSupported"]),
    ("sharedMemPerMultiprocessor", &["MaxSharedMemoryPerMultiprocessor"]),
    ("regsPerMultiprocessor", &["MaxRegistersPerMultiprocessor"]),
    ("managedMemory", &["ManagedMemory"]),
    ("hostNativeAtomicSupported", &["HostNativeAtomicSupported"]),
    ("pageableMemoryAccess", &["PageableMemoryAccess"]),
    ("concurrentManagedAccess", &["ConcurrentManagedAccess"]),
    ("computePreemptionSupported", &["ComputePreemptionSupported"]),
    ("canUseHostPointerForRegisteredMem", &["CanUseHostPointerForRegisteredMem"]),
    ("cooperativeLaunch", &["CooperativeLaunch"]),
    ("sharedMemPerBlockOptin", &["MaxSharedMemoryPerBlockOptin"]),
    ("maxBlocksPerMultiProcessor", &["MaxBlocksPerMultiprocessor"]),
    ("accessPolicyMaxWindowSize", &["MaxAccessPolicyWindowSize"]),
    ("reservedSharedMemPerBlock", &["ReservedSharedMemoryPerBlock"]),
    ("hostRegisterSupported", &["HostRegisterSupported"]),
    ("sparseCudaArraySupported", &["SparseCudaArraySupported"]),
    ("memoryPoolsSupported", &["MemoryPoolsSupported"]),
    ("gpuDirectRDMASupported", &["GPUDirectRDMASupported"]),
    ("memoryPoolSupportedHandleTypes", &["MemoryPoolSupportedHandleTypes"]),
    ("ipcEventSupported", &["IpcEventSupport"]),
    ("clusterLaunch", &["ClusterLaunch"]),
    ("deviceNumaConfig", &["NumaConfig"]),
    ("deviceNumaId", &["NumaId"]),
    ("mpsEnabled", &["MpsEnabled"]),
    ("hostNumaId", &["HostNumaId"]),
];

/// What NVIDIA's headers take from a part of the compiler's that is not in the same package.
const DEFINES: &str = "\
#define __device_builtin__
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
";

/// A folder with NVIDIA's headers of CUDA 13: that of the variable `CUDA_INCLUDE`, or where the compiler of the kernels
/// was brought to.
fn headers() -> Option<PathBuf> {
    let brought = || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cuda");
        let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
        entries.map(|entry| entry.path().join("nvidia/cu13/include")).find(|path| path.join("driver_types.h").is_file())
    };
    env::var_os("CUDA_INCLUDE").map(PathBuf::from).or_else(brought)
}

/// Of each number its offset and bytes, of each attribute its number, and of the whole its bytes: what a program says.
fn layout(headers: &Path) -> Option<BTreeMap<String, (usize, usize)>> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("properties");
    fs::create_dir_all(folder.join("crt")).expect("cargo's temporary folder can be written");
    fs::write(folder.join("crt/host_defines.h"), DEFINES).expect("a file in it");
    let field = |name: &&str| {
        format!(
            "say(\"{name}\", offsetof(struct cudaDeviceProp, {name}), sizeof ((struct cudaDeviceProp *)0)->{name});\n"
        )
    };
    let attribute = |name: &&str| format!("say(\"{name}\", cudaDevAttr{name}, 0);\n");
    let fields: String =
        ["name", "uuid", "totalGlobalMem"].iter().chain(NUMBERS.iter().map(|(name, _)| name)).map(field).collect();
    let attributes: String = NUMBERS.iter().flat_map(|(_, names)| *names).map(attribute).collect();
    let text = format!(
        "#include <stddef.h>\n#include <stdio.h>\n#include <driver_types.h>\n\
         static void say(const char *name, size_t a, size_t b) {{ printf(\"%s %zu %zu\\n\", name, a, b); }}\n\
         int main(void) {{ {fields}{attributes} say(\"all\", sizeof(struct cudaDeviceProp), 0); return 0; }}\n"
    );
    let (source, program) = (folder.join("layout.c"), folder.join("layout"));
    fs::write(&source, text).expect("a file in it");
    let built =
        Command::new("cc").arg("-I").arg(&folder).arg("-I").arg(headers).arg("-o").arg(&program).arg(&source).output();
    let built = built.ok()?;
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = Command::new(&program).output().expect("a program that was just built").stdout;
    let line = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), (words.next()?.parse().ok()?, words.next()?.parse().ok()?)))
    };
    Some(String::from_utf8_lossy(&said).lines().filter_map(line).collect())
}

#[test]
fn properties_lie_where_the_header_has_them() {
    if on_gpu() {
        return;
    }
    let Some(layout) = headers().and_then(|headers| layout(&headers)) else {
        println!(
            "skipped: no headers of CUDA (`cargo xtask kernels` brings them, or CUDA_INCLUDE names them), or no `cc`"
        );
        return;
    };
    let mut all = vec![0xa5_u8; 2048];
    let whole = layout["all"].0;
    // SAFETY: there is more room than the structure takes.
    assert_eq!(unsafe { cudaGetDeviceProperties(all.as_mut_ptr(), 0) }, 0);
    assert!(all[whole..].iter().all(|&byte| byte == 0xa5), "nothing behind the structure is written");
    all.truncate(whole);
    let mut take = |name: &str| {
        let (offset, bytes) = layout[name];
        let part = all[offset..offset + bytes].to_vec();
        all[offset..offset + bytes].fill(0);
        part
    };
    let (mut name, mut uuid, mut free, mut total) = ([0_u8; 256], [0; 16], 0, 0);
    // SAFETY: the places are as large as they are said to be.
    let codes = unsafe {
        [
            cuDeviceGetName(name.as_mut_ptr().cast(), 256, 0),
            cuDeviceGetUuid(uuid.as_mut_ptr(), 0),
            cudaMemGetInfo(&mut free, &mut total),
        ]
    };
    assert_eq!(codes, [0; 3]);
    assert_eq!(
        (take("name"), take("uuid"), take("totalGlobalMem")),
        (name.to_vec(), uuid.to_vec(), total.to_le_bytes().to_vec())
    );
    let mut some = 0;
    for (field, attributes) in NUMBERS {
        let held = take(field);
        let width = held.len() / attributes.len();
        for (held, attribute) in held.chunks(width).zip(*attributes) {
            let mut value = 0;
            // SAFETY: a place for a number.
            let code = unsafe { cudaDeviceGetAttribute(&mut value, layout[*attribute].0 as c_int, 0) };
            assert_eq!((code, held), (0, &i64::from(value).to_le_bytes()[..width]), "{field}: {attribute}");
            some += u32::from(value != 0);
        }
    }
    assert!(some > 50, "{some}");
    let rest: Vec<usize> = (0..whole).filter(|&at| all[at] != 0).collect();
    assert!(rest.is_empty(), "bytes of no known number: {rest:?}");
}
