use std::fs;

use yuragi::io::{Picture, checkpoint::Archive};

use crate::program::Scratch;

#[test]
fn fewer_bits_take_less_and_lose_more() {
    let scratch = Scratch::new();
    fs::write(scratch.join("whole.safetensors"), yuragi::builtin_file()).unwrap();
    let mut last = (u64::MAX, -1.0);
    for bits in ["16", "8", "6", "4"] {
        let out = scratch.succeed(["convert", "whole.safetensors", "--bits", bits]).out;
        let file = scratch.join(format!("whole-{bits}bit.safetensors"));
        let loss = out.lines().find(|line| line.starts_with("all")).unwrap().split_whitespace().last().unwrap();
        let now = (fs::metadata(&file).unwrap().len(), loss.trim_end_matches('%').parse::<f64>().unwrap());
        assert!(now.0 < last.0 && now.1 > last.1, "{bits} bits: {now:?} after {last:?}");
        last = now;
        let bits: usize = bits.parse().unwrap();
        let groups = Archive::open(&file).unwrap().groups("text.embedding").unwrap();
        assert_eq!(groups.map_or(16, |groups| groups.bits()), bits);
    }
    assert!((2.0..15.0).contains(&last.1), "{last:?}");
    scratch.succeed(["generate", "cat", "--model", "whole-4bit.safetensors", "--steps", "1", "-o", "cat.png"]);
    assert_eq!(Picture::open(scratch.join("cat.png")).unwrap().width(), 64);
}

#[test]
fn what_cannot_be_converted_is_left_alone() {
    let scratch = Scratch::new();
    fs::write(scratch.join("whole.safetensors"), yuragi::builtin_file()).unwrap();
    fs::create_dir(scratch.join("folder")).unwrap();
    let convert = |arguments: &[&'static str]| ["convert"].iter().chain(arguments).copied().collect::<Vec<_>>();
    for (arguments, words) in [
        (&["gone", "--bits", "5"][..], &["cannot read gone"][..]),
        (&["folder", "--bits", "5"], &["folder holds no model"]),
        (&["whole.safetensors", "--bits", "5", "--group", "12"], &["12 weights", "multiples of 8 up to 1024"]),
        (&["whole.safetensors", "--bits", "5", "-o", "none/x"], &["there is no folder none"]),
        (&["whole.safetensors", "--bits", "5", "-o", "folder/../whole.safetensors"], &["the model that is read"]),
    ] {
        scratch.refuse(convert(arguments), words);
    }
    let ended = scratch.run(["convert", "whole.safetensors", "--bits", "7"]);
    assert!(ended.code == Some(2) && ended.err.contains("it must be 4, 5, 6, 8 or 16"), "{}", ended.err);
    assert!(fs::read(scratch.join("whole.safetensors")).unwrap() == yuragi::builtin_file());
}
