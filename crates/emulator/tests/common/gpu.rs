//! The machine's own driver in the emulator's place.
#![allow(unsafe_code)]

use std::{
    env,
    ffi::{CString, c_void},
    mem, ptr,
    sync::OnceLock,
};

use cudarc::driver::{result, sys};
use yuragi_emulator::{Launch, Swizzle, TENSOR_MAP_BYTES, TensorMap};

/// Whether tests run on the machine's own driver.
pub fn is_wanted() -> bool {
    env::var_os("YURAGI_TEST_ON_GPU").is_some()
}

fn said<T>(outcome: Result<T, result::DriverError>, what: &str) -> T {
    outcome.unwrap_or_else(|error| panic!("{what}: {:?}", error.0))
}

/// Makes the device's primary context current on this thread.
fn bind() {
    static CONTEXT: OnceLock<usize> = OnceLock::new();
    let context = CONTEXT.get_or_init(|| {
        assert!(unsafe { sys::is_culib_present() }, "YURAGI_TEST_ON_GPU is set, and there is no CUDA driver");
        said(result::init(), "cuInit");
        let device = said(result::device::get(0), "cuDeviceGet");
        said(unsafe { result::primary_ctx::retain(device) }, "cuDevicePrimaryCtxRetain").expose_provenance()
    });
    said(unsafe { result::ctx::set_current(ptr::with_exposed_provenance_mut(*context)) }, "cuCtxSetCurrent");
}

/// A GPU, and what a test allocated on it.
pub struct Gpu {
    allocated: std::cell::RefCell<Vec<u64>>,
}

impl Gpu {
    pub fn new() -> Gpu {
        bind();
        Gpu { allocated: Default::default() }
    }

    pub fn allocate(&self, bytes: usize) -> u64 {
        let address = said(unsafe { result::malloc_sync(bytes.max(1)) }, "cuMemAlloc");
        self.allocated.borrow_mut().push(address);
        address
    }

    pub fn write(&self, address: u64, bytes: &[u8]) {
        said(unsafe { result::memcpy_htod_sync(address, bytes) }, "cuMemcpyHtoD");
    }

    pub fn read(&self, address: u64, bytes: &mut [u8]) {
        said(unsafe { result::memcpy_dtoh_sync(bytes, address) }, "cuMemcpyDtoH");
    }

    /// Loads a text; the error is what the driver's assembler says.
    pub fn load(&self, text: &str) -> Result<Module, String> {
        let text = CString::new(text).map_err(|error| error.to_string())?;
        let mut log = vec![0_u8; 8192];
        let mut options =
            [sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER, sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
        let mut values = [log.as_mut_ptr().cast::<c_void>(), ptr::without_provenance_mut(log.len())];
        let mut module = ptr::null_mut();
        let (options, values) = (options.as_mut_ptr(), values.as_mut_ptr());
        let outcome = unsafe { sys::cuModuleLoadDataEx(&mut module, text.as_ptr().cast(), 2, options, values) };
        match outcome.result() {
            Ok(()) => Ok(Module(module)),
            Err(error) => {
                let end = log.iter().position(|&byte| byte == 0).unwrap_or(0);
                Err(format!("{:?}: {}", error.0, String::from_utf8_lossy(&log[..end])))
            }
        }
    }

    /// The description of a tensor of elements that have no sign or fraction.
    pub fn tensor(&self, map: &TensorMap) -> [u8; TENSOR_MAP_BYTES] {
        use sys::CUtensorMapDataType as Of;
        let of = match map.element_bytes {
            1 => Of::CU_TENSOR_MAP_DATA_TYPE_UINT8,
            2 => Of::CU_TENSOR_MAP_DATA_TYPE_UINT16,
            4 => Of::CU_TENSOR_MAP_DATA_TYPE_UINT32,
            _ => Of::CU_TENSOR_MAP_DATA_TYPE_UINT64,
        };
        use sys::CUtensorMapSwizzle as Order;
        let swizzle = match map.swizzle {
            Swizzle::None => Order::CU_TENSOR_MAP_SWIZZLE_NONE,
            Swizzle::Bytes32 => Order::CU_TENSOR_MAP_SWIZZLE_32B,
            Swizzle::Bytes64 => Order::CU_TENSOR_MAP_SWIZZLE_64B,
            Swizzle::Bytes128 => Order::CU_TENSOR_MAP_SWIZZLE_128B,
        };
        #[repr(align(64))]
        struct Place(sys::CUtensorMap);
        let mut place = Place(unsafe { mem::zeroed() });
        let inner: Vec<u32> = map.box_extents.iter().map(|&extent| extent as u32).collect();
        let steps = vec![1_u32; inner.len()];
        let outcome = unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut place.0,
                of,
                inner.len() as u32,
                ptr::with_exposed_provenance_mut(map.address as usize),
                map.extents.as_ptr(),
                map.strides.as_ptr(),
                inner.as_ptr(),
                steps.as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzle,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_NONE,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        said(outcome.result(), "cuTensorMapEncodeTiled");
        unsafe { mem::transmute(place.0) }
    }

    /// Launches a kernel and waits for it.
    pub fn launch(&self, module: &Module, kernel: &str, launch: &Launch, params: &[u8]) {
        let function = module.function(kernel);
        if launch.shared_bytes > 0 {
            let most = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let set = unsafe { result::function::set_function_attribute(function, most, launch.shared_bytes as i32) };
            said(set, "cuFuncSetAttribute");
        }
        let mut size = params.len();
        let mark = ptr::without_provenance_mut::<c_void>;
        let mut extra = [mark(1), params.as_ptr().cast_mut().cast(), mark(2), (&raw mut size).cast(), mark(0)];
        let mut cluster: sys::CUlaunchAttribute = unsafe { mem::zeroed() };
        cluster.id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        let extents = unsafe { &mut cluster.value.clusterDim };
        [extents.x, extents.y, extents.z] = launch.cluster;
        let config = sys::CUlaunchConfig {
            gridDimX: launch.grid[0],
            gridDimY: launch.grid[1],
            gridDimZ: launch.grid[2],
            blockDimX: launch.block[0],
            blockDimY: launch.block[1],
            blockDimZ: launch.block[2],
            sharedMemBytes: launch.shared_bytes,
            hStream: ptr::null_mut(),
            attrs: &raw mut cluster,
            numAttrs: u32::from(launch.cluster != [1; 3]),
        };
        let begun = unsafe { sys::cuLaunchKernelEx(&config, function, ptr::null_mut(), extra.as_mut_ptr()) };
        said(begun.result(), "cuLaunchKernelEx");
        said(result::ctx::synchronize(), kernel);
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        for address in self.allocated.take() {
            let _ = unsafe { result::free_sync(address) };
        }
    }
}

/// A module on the GPU.
pub struct Module(sys::CUmodule);

impl Module {
    fn function(&self, name: &str) -> sys::CUfunction {
        let c_name = CString::new(name).expect("a name without zeros");
        said(unsafe { result::module::get_function(self.0, c_name) }, name)
    }

    /// Address and bytes of a variable.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        let (mut address, mut bytes) = (0, 0);
        let c_name = CString::new(name).ok()?;
        unsafe { sys::cuModuleGetGlobal_v2(&mut address, &mut bytes, self.0, c_name.as_ptr()) }.result().ok()?;
        Some((address, bytes as u64))
    }

    /// Offset and bytes of each parameter.
    pub fn params(&self, kernel: &str) -> Vec<(usize, usize)> {
        let function = self.function(kernel);
        let param = |index| {
            let (mut offset, mut bytes) = (0, 0);
            unsafe { sys::cuFuncGetParamInfo(function, index, &mut offset, &mut bytes) }.result().ok()?;
            Some((offset, bytes))
        };
        (0..).map_while(param).collect()
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = unsafe { result::module::unload(self.0) };
    }
}
