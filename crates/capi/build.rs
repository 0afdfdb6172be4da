//! The name under which programs look for the library, and the model that is a part of it.

use std::{env, error::Error, fs, path::Path};

use serde_json::{Map, Value, json};

#[path = "src/packed.rs"]
#[allow(dead_code)] // the library's
mod packed;

const MODEL: &str = "../yuragi/assets/emoji.safetensors";
/// What begins the names of tensors that no function for C can reach: the encoder of pictures.
const UNREACHED: &str = "encoder.";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libyuragi.so");
    }
    if env::var_os("CARGO_FEATURE_BUILTIN").is_some() {
        println!("cargo:rerun-if-changed={MODEL}");
        let folder = env::var_os("OUT_DIR").ok_or("cargo names no folder")?;
        let file = without(UNREACHED, &fs::read(MODEL)?)?;
        let small = packed::packed(&file.bytes, file.codes_from)?;
        // Other weights than those of the model must not be given away.
        if packed::unpacked(&small).as_ref() != Some(&file.bytes) {
            return Err("the model does not come back from what it was packed into".into());
        }
        fs::write(Path::new(&folder).join("model.packed"), small)?;
    }
    Ok(())
}

/// A safetensors file that ends with codes of 5 bits.
struct File {
    bytes: Vec<u8>,
    codes_from: usize,
}

/// The same safetensors file without some tensors, and codes behind all else; the others stay as they are.
fn without(prefix: &str, file: &[u8]) -> Result<File, Box<dyn Error>> {
    let (length, rest) = file.split_first_chunk::<8>().ok_or("the model is cut short")?;
    let (header, data) =
        rest.split_at_checked(u64::from_le_bytes(*length).try_into()?).ok_or("the model is cut short")?;
    let header: Map<String, Value> = serde_json::from_slice(header)?;
    let offset = |entry: &Value, end: usize| serde_json::from_value::<usize>(entry["data_offsets"][end].clone());
    let mut kept = Map::new();
    let mut tensors: Vec<(bool, usize, usize, String, Value)> = Vec::new();
    for (name, entry) in header {
        if name.starts_with("__") {
            kept.insert(name, entry);
        } else if !name.starts_with(prefix) {
            let codes = entry["dtype"] == "U8" && entry["shape"][2] == 5;
            tensors.push((codes, offset(&entry, 0)?, offset(&entry, 1)?, name, entry));
        }
    }
    tensors.sort_by_key(|(codes, begin, end, ..)| (*codes, *begin, *end));
    let (mut data_kept, mut others) = (Vec::with_capacity(data.len()), 0);
    for (codes, begin, end, name, mut entry) in tensors {
        let at = data_kept.len();
        data_kept.extend_from_slice(data.get(begin..end).ok_or("a tensor of the model lies outside its file")?);
        if !codes {
            others = data_kept.len();
        }
        entry["data_offsets"] = json!([at, data_kept.len()]);
        kept.insert(name, entry);
    }
    let mut header = serde_json::to_vec(&kept)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let codes_from = 8 + header.len() + others;
    Ok(File { bytes: [&(header.len() as u64).to_le_bytes()[..], &header, &data_kept].concat(), codes_from })
}
