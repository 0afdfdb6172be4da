//! Where a microcontroller's memory lies, for its linker alone.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=memory.x");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
        fs::copy("memory.x", folder.join("memory.x"))?;
        println!("cargo::rustc-link-search={}", folder.display());
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }
    Ok(())
}
