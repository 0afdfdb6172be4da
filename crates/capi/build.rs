//! The name under which programs look for the library, and the model that is a part of it.

use std::{env, error::Error, fs, path::Path};

const MODEL: &str = "../yuragi/assets/emoji.safetensors";
const DECODER: &str = "../yuragi/assets/decoder.safetensors";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libyuragi.so");
    }
    if env::var_os("CARGO_FEATURE_BUILTIN").is_some() {
        println!("cargo:rerun-if-changed={MODEL}");
        println!("cargo:rerun-if-changed={DECODER}");
        let folder = env::var_os("OUT_DIR").ok_or("cargo names no folder")?;
        let packed = yuragi_packed::pack(&fs::read(MODEL)?, Some(&fs::read(DECODER)?))?;
        fs::write(Path::new(&folder).join("model.packed"), packed)?;
    }
    Ok(())
}
