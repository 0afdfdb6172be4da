//! Programs in C and C++ that use the library: compiled without a warning, run, and looked at for what they leave.

#![cfg(unix)]

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
    thread,
};

/// A folder with the library under its name for C.
fn workshop() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let program = env::current_exe().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callers");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let shared = if cfg!(target_os = "macos") { "dylib" } else { "so" };
        for extension in [shared, "a"] {
            let name = format!("libyuragi_capi.{extension}");
            let places = [program.with_file_name(&name), program.parent().unwrap().with_file_name(&name)];
            let library = places.into_iter().find(|place| place.exists()).expect("the library is built");
            symlink(library, folder.join(format!("libyuragi.{extension}"))).unwrap();
        }
        folder
    })
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Whether there is such a program; says so if not.
fn there_is(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: there is no `{program}`");
    }
    there
}

/// Compiles a program; `None` without a compiler.
fn compiled(file: &str, linked_in: bool) -> Option<PathBuf> {
    let is_c = file.ends_with(".c");
    let (compiler, standard) = if is_c { ("cc", "-std=c11") } else { ("c++", "-std=c++17") };
    if !there_is(compiler) {
        return None;
    }
    let folder = workshop();
    let name = Path::new(file).file_stem().unwrap().to_string_lossy();
    let out = folder.join(format!("{name}{}", if linked_in { "-static" } else { "" }));
    let mut command = Command::new(compiler);
    command.args([standard, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]).arg(source("include"));
    command.arg(source(file)).arg("-o").arg(&out);
    if linked_in {
        command.arg(folder.join("libyuragi.a"));
    } else {
        command.arg("-L").arg(folder).args(["-lyuragi", &format!("-Wl,-rpath,{}", folder.display())]);
    }
    command.args(["-lm", "-lpthread", "-ldl"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(out)
}

/// What a program prints, which must end well.
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

#[test]
fn a_picture_is_drawn() {
    let Some(program) = compiled("examples/picture.c", false) else { return };
    let path = workshop().join("cat.ppm");
    let said = printed(Command::new(&program).args(["a cat", path.to_str().unwrap()]));
    assert!(said.contains("128x128 pixels"), "{said}");
    let picture = fs::read(path).unwrap();
    let pixels = picture.strip_prefix(b"P6\n128 128\n255\n").unwrap();
    assert_eq!(pixels.len(), 128 * 128 * 3);
    let (least, most) = (pixels.iter().min(), pixels.iter().max());
    assert!(least < Some(&64) && most > Some(&192), "a picture has dark and bright pixels");
    let refused = Command::new(&program).args(["a cat", "no/such/folder/cat.ppm"]).output().unwrap();
    assert!(!refused.status.success());
}

#[test]
fn magnets_are_annealed_whichever_way_the_library_is_linked() {
    let Some(program) = compiled("examples/anneal.c", false) else { return };
    let said = printed(&mut Command::new(program));
    assert!(said.contains("half of the way: cancelled") && said.contains("energy -200 of read"), "{said}");
    let Some(program) = compiled("examples/anneal.c", true) else { return };
    assert_eq!(printed(&mut Command::new(program)), said);
}

#[test]
fn graphs_are_coloured_and_sets_are_found() {
    let Some(program) = compiled("examples/colours.c", false) else { return };
    let said = printed(&mut Command::new(program));
    assert!(said.contains("three colours: energy 0 at") && said.contains("set: energy -4 at"), "{said}");
}

#[test]
fn a_perceptron_learns_in_cpp() {
    let Some(program) = compiled("examples/spirals.cpp", false) else { return };
    let said = printed(&mut Command::new(program));
    assert!(said.contains("points are told right"), "{said}");
}

#[test]
fn nothing_is_allocated_while_work_is_under_way_and_all_is_given_back() {
    let Some(program) = compiled("tests/callers/memory.c", false) else { return };
    let said = printed(&mut Command::new(program));
    for none in ["drawing: 0 allocations", "annealing: 0 allocations", "training: 0 allocations", "not enough memory"] {
        assert!(said.contains(none), "{none}: {said}");
    }
}

#[test]
fn a_hostile_caller_gets_answers() {
    let Some(program) = compiled("tests/callers/hostile.c", false) else { return };
    let model = source("../yuragi/assets/emoji.safetensors");
    let said = printed(Command::new(&program).arg(&model));
    assert!(said.contains(" 0 wrong"), "{said}");
    if !there_is("valgrind") {
        return;
    }
    // On two cores: drawing, and all else.
    let checked = ["drawing", "computing"].map(|part| {
        let mut checked = Command::new("valgrind");
        checked.args([
            "--quiet",
            "--error-exitcode=9",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect,possible",
        ]);
        checked.arg(&program).arg(&model).arg(part);
        thread::spawn(move || printed(&mut checked))
    });
    for said in checked.map(|checked| checked.join().unwrap()) {
        assert!(said.contains(" 0 wrong"), "{said}");
    }
}
