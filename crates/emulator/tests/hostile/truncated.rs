//! Kernels of this workspace with parts missing.

use crate::{Random, common::shipped, device};

const FILES: [&str; 6] = ["elementwise", "softmax", "group_norm_silu", "gemm_f16", "philox_normal", "transpose"];

/// Loads a text, which must give a module or an error that says something.
fn load(text: &str) -> bool {
    let device = device(1);
    let result = device.load(text);
    if let Err(error) = &result {
        let message = error.to_string();
        assert!(!message.is_empty() && message.len() < 1000, "{message}");
    }
    let loaded = result.is_ok();
    drop(result);
    assert_eq!(device.used(), 0, "what a module had is given back");
    loaded
}

#[test]
fn kernels_cut_off_at_many_places() {
    for name in FILES {
        let text = shipped(&format!("sm_80/{name}.ptx"));
        let end = text.trim_end().len();
        let step = text.len() / 60;
        for cut in (0..end).step_by(step).chain(end - 20..end) {
            load(&text[..cut]);
        }
        // A kernel without its end is refused.
        assert!(!load(&text[..end - 1]) && load(&text[..end]));
    }
}

#[test]
fn kernels_without_one_of_their_lines() {
    let mut random = Random(11);
    for name in FILES {
        let text = shipped(&format!("sm_80/{name}.ptx"));
        let lines: Vec<&str> = text.lines().collect();
        let mut loaded = 0;
        for _ in 0..20 {
            let gone = random.below(lines.len());
            loaded += usize::from(load(&[&lines[..gone], &lines[gone + 1..]].concat().join("\n")));
        }
        // An instruction less is still a module; a declaration less is none.
        assert!((1..=20).contains(&loaded), "{name}: {loaded}");
    }
}

#[test]
fn kernels_with_two_lines_exchanged_or_a_byte_changed() {
    let mut random = Random(12);
    for name in ["softmax", "philox_normal", "transpose"] {
        let text = shipped(&format!("sm_80/{name}.ptx"));
        let lines: Vec<&str> = text.lines().collect();
        for _ in 0..30 {
            let mut changed = lines.clone();
            changed.swap(random.below(lines.len()), random.below(lines.len()));
            load(&changed.join("\n"));
            let mut bytes = text.as_bytes().to_vec();
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(7);
            load(&String::from_utf8_lossy(&bytes));
        }
    }
}
