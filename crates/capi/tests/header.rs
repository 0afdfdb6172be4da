//! The header is what cbindgen makes of the source; `YURAGI_WRITE_HEADER=1` writes it.

use std::{env, fs, path::Path};

#[test]
fn the_header_is_current() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(crate_folder.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["failure", "boundary/status", "boundary/log", "boundary/heap", "boundary/cpu", "boundary/model"] {
        builder = builder.with_src(crate_folder.join(format!("src/{file}.rs")));
    }
    for file in ["drawing", "problem", "annealing", "draft", "operations", "plan", "network"] {
        builder = builder.with_src(crate_folder.join(format!("src/boundary/{file}.rs")));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let path = crate_folder.join("include/yuragi.h");
    if env::var_os("YURAGI_WRITE_HEADER").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(made.lines()).position(|(a, b)| a != b);
    assert!(committed == made, "include/yuragi.h is not current (line {differs:?}); YURAGI_WRITE_HEADER=1 writes it");
}
