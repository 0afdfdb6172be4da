//! Errors of the runtime: those that the driver does not have, and names that the driver has otherwise.

use std::ffi::CStr;

use super::super::error::{Code, Error};

/// `cudaError_t`s that the driver does not have.
pub const INVALID_CONFIGURATION: Code = Code::of(9);
pub const INVALID_SYMBOL: Code = Code::of(13);
pub const INVALID_DIRECTION: Code = Code::of(21);
pub const INVALID_FUNCTION: Code = Code::of(98);

/// An error under another number where it has a certain one.
pub fn rather(error: Error, from: Code, to: Code) -> Error {
    if error.code == from { Error { code: to, ..error } } else { error }
}

/// The errors that the runtime names otherwise than the driver.
const NAMES: [(u32, &str); 17] = [
    (0, "cudaSuccess"),
    (2, "cudaErrorMemoryAllocation"),
    (3, "cudaErrorInitializationError"),
    (4, "cudaErrorCudartUnloading"),
    (46, "cudaErrorDevicesUnavailable"),
    (200, "cudaErrorInvalidKernelImage"),
    (201, "cudaErrorDeviceUninitialized"),
    (205, "cudaErrorMapBufferObjectFailed"),
    (206, "cudaErrorUnmapBufferObjectFailed"),
    (209, "cudaErrorNoKernelImageForDevice"),
    (214, "cudaErrorECCUncorrectable"),
    (216, "cudaErrorDeviceAlreadyInUse"),
    (225, "cudaErrorUnsupportedDevSideSync"),
    (400, "cudaErrorInvalidResourceHandle"),
    (500, "cudaErrorSymbolNotFound"),
    (708, "cudaErrorSetOnActiveProcess"),
    (719, "cudaErrorLaunchFailure"),
];

/// The errors that only the runtime has, of those that are given here.
pub const OWN: [(Code, &str, &CStr); 4] = [
    (INVALID_CONFIGURATION, "cudaErrorInvalidConfiguration", c"invalid configuration argument"),
    (INVALID_SYMBOL, "cudaErrorInvalidSymbol", c"invalid device symbol"),
    (INVALID_DIRECTION, "cudaErrorInvalidMemcpyDirection", c"invalid copy direction for memcpy"),
    (INVALID_FUNCTION, "cudaErrorInvalidDeviceFunction", c"invalid device function"),
];

/// The runtime's name of an error: `cudaErrorIllegalAddress` for `CUDA_ERROR_ILLEGAL_ADDRESS`.
pub fn name(code: Code) -> String {
    let own = OWN.iter().find(|(own, ..)| *own == code).map(|(_, name, _)| *name);
    let other = NAMES.iter().find(|(number, _)| *number == code.number()).map(|(_, name)| *name);
    match (own.or(other), code.name()) {
        (Some(name), _) => name.into(),
        (None, None) => "unrecognized error code".into(),
        (None, Some(name)) => {
            let words = name.to_str().unwrap_or_default().trim_start_matches("CUDA_ERROR_").split('_');
            let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
            "cudaError".to_owned() + &words.filter(|word| !word.is_empty()).map(word).collect::<String>()
        }
    }
}
