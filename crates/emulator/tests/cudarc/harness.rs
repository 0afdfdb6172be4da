//! Runs a test again, with the emulator in the driver's place.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// Declares tests that run on whatever driver there is.
macro_rules! on_a_driver {
    ($($(#[$doc:meta])* fn $name:ident() $body:block)*) => {
        mod driver {
            use super::*;

            $($(#[$doc])*
            #[test]
            #[ignore = "needs a CUDA driver; a test outside of this module brings one"]
            fn $name() $body)*
        }
    };
}
pub(crate) use on_a_driver;

/// Declares such tests, and for each a test that runs it on the emulator.
macro_rules! emulated {
    ($($(#[$doc:meta])* fn $name:ident() $body:block)*) => {
        $(#[test]
        fn $name() {
            $crate::harness::passes(module_path!(), stringify!($name));
        })*

        $crate::harness::on_a_driver! { $($(#[$doc])* fn $name() $body)* }
    };
}
pub(crate) use emulated;

/// Whether the tests are to run on the driver of the machine, which then needs a GPU.
pub fn on_gpu() -> bool {
    env::var_os("YURAGI_TEST_ON_GPU").is_some()
}

/// A folder with the emulator's cdylib under the names by which cudarc looks for the driver.
fn library_folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let program = env::current_exe().expect("a running program has a path");
        let library = program.with_file_name("libyuragi_emulator.so");
        assert!(library.is_file(), "cargo builds the cdylib beside the tests: {}", library.display());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(program.file_name().expect("a file"));
        fs::create_dir_all(&folder).expect("cargo's temporary folder can be written");
        for name in ["libcuda.so", "libcuda.so.1"] {
            let link = folder.join(name);
            let _ = fs::remove_file(&link);
            symlink(&library, &link).expect("a link in cargo's temporary folder");
        }
        folder
    })
}

/// What a test printed.
pub struct Printed {
    pub passed: bool,
    pub out: String,
    pub err: String,
}

/// Runs the ignored test of a module on the emulator.
pub fn run(module: &str, test: &str, variables: &[(&str, &str)]) -> Printed {
    let module = module.split_once("::").map_or("", |(_, module)| module);
    let mut command = Command::new(env::current_exe().expect("a running program has a path"));
    command.args([&format!("{module}::driver::{test}"), "--exact", "--ignored", "--nocapture"]);
    if !on_gpu() {
        let mut path = OsString::from(library_folder());
        if let Some(more) = env::var_os("LD_LIBRARY_PATH") {
            path.push(":");
            path.push(more);
        }
        command.env("LD_LIBRARY_PATH", path);
    }
    command.env_remove("YURAGI_EMULATOR_CHECK").env_remove("YURAGI_EMULATOR_COUNTERS");
    let output = command.envs(variables.iter().copied()).output().expect("the program can be started again");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let printed = Printed { passed: output.status.success(), out: text(output.stdout), err: text(output.stderr) };
    assert!(printed.out.contains("running 1 test"), "no test {test}: {}{}", printed.out, printed.err);
    printed
}

/// The test passes, and the emulator has nothing to say about it.
pub fn passes(module: &str, test: &str) {
    let printed = run(module, test, &[]);
    assert!(printed.passed, "{test}:\n{}{}", printed.out, printed.err);
    let leaks: Vec<&str> = printed.err.lines().filter(|line| line.contains("leak:")).collect();
    assert!(leaks.is_empty(), "{test}:\n{}", printed.err);
}
