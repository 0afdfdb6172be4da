use std::{fs, process::Stdio};

use yuragi::io::{Picture, png};

use crate::program::Scratch;

#[test]
fn the_built_in_model_tells_its_parts() {
    let out = Scratch::new().succeed(["info"]).out;
    for words in
        ["yuragi ", "threads", "picture.size", "tokenizer", "encoder", "decoder", "text ", "unet ", "5bitx192", "F16"]
    {
        assert!(out.contains(words), "{words} in {out}");
    }
    let row = |name: &str| -> Vec<usize> {
        let line = out.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let model = yuragi::builtin().unwrap();
    let parameters: usize = model.params.iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum();
    assert_eq!(row("all")[0], parameters + row("encoder")[0], "it was read without the encoder");
    assert!(row("all")[1] <= yuragi::builtin_file().len() + yuragi::builtin_decoder().len());
}

#[test]
fn pictures_and_files_of_others() {
    let scratch = Scratch::new();
    let picture = Picture::filled(4, 4, [9; 3]).unwrap();
    png::save(scratch.join("plain.png"), &picture, &[]).unwrap();
    assert_eq!(scratch.succeed(["info", "plain.png"]).out, "plain.png does not tell how it was made\n");
    let text = "a cat\nSteps: 1 \u{1b}[31m";
    png::save(scratch.join("odd.png"), &picture, &[(png::PARAMETERS, text)]).unwrap();
    assert_eq!(scratch.succeed(["info", "odd.png"]).out, "a cat\nSteps: 1 \u{fffd}[31m\n");

    let bytes = fs::read(scratch.join("odd.png")).unwrap();
    fs::write(scratch.join("cut.png"), &bytes[..30]).unwrap();
    scratch.refuse(["info", "cut.png"], &["cut.png"]);
    fs::write(scratch.join("notes.txt"), "nothing").unwrap();
    scratch.refuse(["info", "notes.txt"], &["notes.txt"]);
    scratch.refuse(["info", "gone"], &["gone", "No such file"]);
    scratch.refuse(["info", "."], &[". holds no model", "checkpoint.safetensors"]);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let scratch = Scratch::new();
    let mut child = scratch.program(["info"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
