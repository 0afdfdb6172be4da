//! Tests that need a CUDA driver: in a process of their own, with the emulator in the driver's place unless
//! `YURAGI_TEST_ON_GPU` asks for the machine's own.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

/// Set in a process that was started with a driver.
const READY: &str = "YURAGI_TEST_DRIVER";

/// Whether this process was started with a driver.
pub fn has_driver() -> bool {
    env::var_os(READY).is_some()
}

/// A folder with the emulator under the names by which programs look for the driver and for NCCL. Cargo builds the library beside
/// whatever depends on the emulator.
///
/// # Errors
/// No such library, or no folder for links to it.
pub fn driver_folder() -> io::Result<PathBuf> {
    // Tests are threads of one process, and each asks.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let program = env::current_exe()?;
    let places = ["libyuragi_emulator.so", "deps/libyuragi_emulator.so"].map(|name| program.with_file_name(name));
    let Some(library) = places.iter().find(|place| place.is_file()) else {
        let message = format!("{} is missing: build the emulator beside the tests", places[0].display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    };
    let name = program.file_name().map_or("tests".into(), |name| name.to_string_lossy().into_owned());
    let folder = program.with_file_name(format!("{name}-driver"));
    fs::create_dir_all(&folder)?;
    for name in ["libcuda.so", "libcuda.so.1", "libnccl.so", "libnccl.so.2"] {
        let link = folder.join(name);
        if fs::read_link(&link).ok().as_ref() != Some(library) {
            let beside = folder.join(format!("{name}-{}", std::process::id()));
            std::os::unix::fs::symlink(library, &beside)?;
            fs::rename(&beside, &link)?;
        }
    }
    Ok(folder)
}

/// This program again, with these arguments and a driver: the emulator's, or the machine's own.
///
/// # Errors
/// The emulator is not built, or the program cannot be found.
pub fn again<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, emulated: bool) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(arguments).env(READY, "1");
    if emulated {
        let mut path = OsString::from(driver_folder()?);
        if let Some(more) = env::var_os("LD_LIBRARY_PATH") {
            path.push(":");
            path.push(more);
        }
        command.env("LD_LIBRARY_PATH", path);
    }
    Ok(command)
}

/// Runs the test of this name again in a process that has a driver, and panics with its output if it fails there or if
/// the emulator finds fault with a kernel.
///
/// # Panics
/// As said.
pub fn passes(test: &str) {
    let emulated = env::var_os("YURAGI_TEST_ON_GPU").is_none();
    let output = again([test, "--exact", "--nocapture"], emulated).and_then(|mut command| command.output());
    let output = output.unwrap_or_else(|error| panic!("{test}: {error}"));
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(out.contains("running 1 test"), "no test {test}: {out}{err}");
    assert!(output.status.success(), "{test}:\n{out}{err}");
    assert!(!err.contains("yuragi-emulator:"), "{test}:\n{err}");
    print!("{out}");
}

/// A test that needs a CUDA driver.
///
/// ```no_run
/// yuragi_tests::on_a_driver! {
///     /// What it shows.
///     fn a_device_is_there() {
///         assert!(yuragi_cuda::Device::count().unwrap() > 0);
///     }
/// }
/// ```
#[macro_export]
macro_rules! on_a_driver {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            if $crate::emulated::has_driver() {
                $body
            } else {
                $crate::emulated::passes(stringify!($name));
            }
        }
    )*};
}
