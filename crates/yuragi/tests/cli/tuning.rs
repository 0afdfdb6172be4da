//! `tune` on the tiny checkpoint of `tests/golden`, with the emulator in the driver's place.

use std::{ffi::OsStr, fs, path::PathBuf, process::Command};

use yuragi::{
    cuda::kernels::{
        picks::{Origin, Picks},
        product::Pick,
    },
    io::Picture,
    tuning,
};
use yuragi_tests::emulated::driver_folder;

use crate::{
    program::{Ended, Running, Scratch},
    steps::model,
};

const F16: [&str; 8] = ["--width", "16", "--height", "16", "--precision", "f16", "--device", "cuda"];

impl Scratch {
    /// The program with a driver, or without any, and a folder for caches in this one.
    fn gpu_program<S: AsRef<OsStr>>(&self, driver: bool, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(arguments);
        command.env("XDG_CACHE_HOME", self.join("caches")).env("HOME", self.join("home")).env_remove("LD_LIBRARY_PATH");
        if driver {
            command.env("LD_LIBRARY_PATH", driver_folder().unwrap());
        }
        command
    }

    fn on_gpu<S: AsRef<OsStr>>(&self, driver: bool, arguments: impl IntoIterator<Item = S>) -> Ended {
        let output = self.gpu_program(driver, arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The files in the folder for caches.
    fn tables(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.join("caches/yuragi")).into_iter().flatten();
        files.map(|file| file.unwrap().path()).collect()
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_was_measured_is_kept_and_taken() {
    let scratch = Scratch::new();
    let model = model();
    let draw = |name: &str| {
        let more = ["generate", "a red cat", "--model", &model, "--steps", "1", "--seed", "3", "-o", name];
        let ended = scratch.on_gpu(true, more.iter().chain(&["--save-latents", "latents"]).chain(&F16));
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        (Picture::open(scratch.join(name)).unwrap(), ended.err)
    };
    let latents = || fs::read(scratch.join("latents")).unwrap();
    let info = || scratch.on_gpu(true, ["info"]).out;
    let (plain, said) = draw("plain.png");
    assert!(!said.contains("tune"), "{said}");
    let by_rule = latents();
    assert!(info().contains("\n  kernels: by rule; `yuragi tune` measures which are the fastest\n"), "{}", info());

    let ended = scratch.on_gpu(true, ["tune", &model].iter().chain(&F16));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("yuragi-emulator:"), "{}", ended.err);
    let [table] = &scratch.tables()[..] else { panic!("{:?}", scratch.tables()) };
    let text = fs::read_to_string(table).unwrap();
    let measured = ended.out.lines().filter(|line| line.contains(" µs, the least of ")).count();
    assert!(measured > 10 && text.lines().count() == measured + 1, "{}{text}", ended.out);
    assert!(ended.out.trim_end().ends_with(&table.display().to_string()), "{}", ended.out);
    for family in ["gemm f16", "conv2d f16", "attention f16"] {
        assert!(text.lines().any(|line| line.starts_with(family)), "no {family}: {text}");
    }
    assert!(info().contains(&format!("\n  kernels: {measured} as measured, of {}\n", table.display())), "{}", info());

    // Other kernels round otherwise, and no more than that: those that were the fastest, and others still.
    let is_near = |name: &str| {
        let (tuned, said) = draw(name);
        assert!(!said.contains("tune"), "{said}");
        let far = plain.rgb().iter().zip(tuned.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far <= Some(4), "{far:?}");
    };
    is_near("tuned.png");
    let fields: Vec<&str> = text.split(['\t', '\n']).collect();
    let (mut picks, origin) = (Picks::default(), Origin { device: fields[1].into(), driver: fields[2].into() });
    for key in text.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        let kernel = if key.starts_with("attention") { "256" } else { "any_64x64" };
        picks.insert(key.into(), Pick { kernel: kernel.into(), shares: 1 }, 1e-6);
    }
    fs::write(table, picks.text(&origin)).unwrap();
    is_near("slow.png");
    assert_ne!(latents(), by_rule);

    // A damaged table is as good as none, and so is one of another GPU.
    fs::write(table, text.replacen("gemm", "gemn", 1)).unwrap();
    let (again, said) = draw("again.png");
    let why = format!("note: {} is not used: it is damaged; `yuragi tune` makes a new one\n", table.display());
    assert!(said.contains(&why) && again.rgb() == plain.rgb() && latents() == by_rule, "{said}");
    assert!(info().contains("\n  kernels: by rule; ") && info().contains("it is damaged"), "{}", info());
    fs::write(table, text.replacen(fields[1], "Another GPU", 1)).unwrap();
    let (again, said) = draw("again.png");
    assert!(said.contains("it was measured on Another GPU with a driver of CUDA 13."), "{said}");
    assert!(again.rgb() == plain.rgb());
    fs::remove_file(table).unwrap();
    fs::create_dir(table).unwrap();
    let ended = scratch.on_gpu(true, ["tune", "--device", "cuda"]);
    assert!(ended.code == Some(1) && ended.err.ends_with("is a directory\n"), "{}", ended.err);
    assert!(tuning::path("A GPU").is_none_or(|path| path.ends_with("yuragi/tune-A-GPU.tsv")));
}

#[test]
#[cfg(target_os = "linux")]
fn kernels_of_learning_are_measured_too() {
    let scratch = Scratch::new();
    let program = scratch.gpu_program(true, ["tune", &model(), "--training", "1"].iter().chain(&F16));
    let mut running = Running::of(program, "computing on");
    let table = || scratch.tables().iter().filter_map(|path| fs::read_to_string(path).ok()).collect::<String>();
    // Gradients of attention read the logarithms of its sums.
    running.until(|| table().contains(" with sums"));
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(!ended.err.contains("yuragi-emulator:"), "{}", ended.err);
    let ended = scratch.on_gpu(true, ["tune", "--training", "0"]);
    assert!(ended.code == Some(2) && ended.err.contains("0 is not in 1..=256"), "{}", ended.err);
}

#[test]
#[cfg(target_os = "linux")]
fn interrupted_it_keeps_what_it_has() {
    let scratch = Scratch::new();
    let program = scratch.gpu_program(true, ["tune", &model()].iter().chain(&F16));
    let mut running = Running::of(program, "computing on");
    running.until(|| scratch.tables().iter().any(|file| file.extension().is_some_and(|end| end == "tsv")));
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.contains("stopping; what was measured is kept"), "{}", ended.err);
    assert_eq!(scratch.tables().len(), 1);
    let info = scratch.on_gpu(true, ["info"]).out;
    assert!(info.contains(" as measured, of ") && !info.contains("kernels: 0 "), "{info}");
}

#[test]
fn without_a_gpu_nothing_is_measured() {
    let scratch = Scratch::new();
    for flags in [&["tune"][..], &["tune", "--device", "cpu"]] {
        let Ended { code, out, err } = scratch.on_gpu(false, flags);
        assert_eq!(
            (code, out.as_str(), err.as_str()),
            (Some(1), "", "yuragi: there is no GPU whose kernels could be measured\n")
        );
    }
    let ended = scratch.on_gpu(false, ["tune", "--device", "cuda"]);
    assert!(
        ended.code == Some(1) && ended.err.lines().count() == 1 && ended.err.contains("no CUDA driver"),
        "{}",
        ended.err
    );
    assert!(!scratch.join("caches").exists());
}
