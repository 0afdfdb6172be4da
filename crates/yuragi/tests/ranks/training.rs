//! Trainings that ranks share end with the bytes of one process, also when a rank is killed on the way.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use yuragi::io::checkpoint::Archive;

use super::{launch, mpirun, program::Scratch, ranks};

/// Every file of a training's folder.
fn left(scratch: &Scratch, out: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(scratch.join(out)).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// One process, and these numbers of ranks, leave the same files in folders of their own.
fn equal(scratch: &Scratch, arguments: &[&str], counts: &[usize]) {
    scratch.succeed(arguments.iter().chain(&["--out", "alone"]));
    let alone = left(scratch, "alone");
    assert!(alone.contains_key("model.safetensors"), "{:?}", alone.keys());
    for count in counts {
        let out = format!("of{count}");
        let output = ranks(scratch, *count, &[arguments, &["--out", &out]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let together = left(scratch, &out);
        let other = alone.iter().find(|(name, bytes)| together.get(*name) != Some(bytes));
        assert!(other.is_none(), "{arguments:?} on {count} ranks: {:?}", other.map(|(name, _)| name));
        assert!(together.keys().eq(alone.keys()), "{:?}", together.keys());
    }
}

/// A table of 120 rows of 12 bits.
fn bits(scratch: &Scratch) -> &'static str {
    let row = |i: usize| (0..12).map(|j| u8::from((i >> (j % 5)) % (2 + j / 5) == 0).to_string()).collect::<Vec<_>>();
    let rows: Vec<String> = (0..120).map(|i| row(i).join(",")).collect();
    fs::write(scratch.join("bits.csv"), rows.join("\n")).unwrap();
    "bits.csv"
}

const NETWORK: [&str; 8] = ["--hidden", "16", "--latent", "2", "--passes", "6", "--batch", "24"];

#[test]
fn t24_an_autoencoder_is_learned_together() {
    if !mpirun() {
        return;
    }
    let scratch = Scratch::new();
    let data = bits(&scratch);
    let train = [&["train", "vae", data, "--test", data][..], &NETWORK, &["--slices", "4"]].concat();
    equal(&scratch, &train, &[2, 3, 4]);
    // The optimiser's state in shares: the checkpoint of one process all the same, with which another number goes on.
    for count in [2, 3, 4] {
        let flags = ["--shard-optimiser", "--save-every", "0", "--out"];
        let output = ranks(&scratch, count, &[&train[..], &flags, &["sharded"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(left(&scratch, "sharded") == left(&scratch, "alone"), "{count} ranks");
        fs::remove_dir_all(scratch.join("sharded")).unwrap();
    }
}

#[test]
fn t26_a_diffusion_model_is_learned_together_in_half_precision() {
    if !mpirun() {
        return;
    }
    let scratch = Scratch::new();
    let data = bits(&scratch);
    let train = ["train", "vdm", data, "--channels", "8", "--blocks", "1", "--likelihood", "gaussian", "--batch", "12"];
    equal(&scratch, &[&train[..], &["--passes", "1", "--slices", "3", "--precision", "f16"]].concat(), &[2, 3]);
}

#[test]
fn t32_pictures_and_words_are_learned_together() {
    if !mpirun() {
        return;
    }
    let scratch = Scratch::new();
    let data = scratch.pictures();
    let train = ["train", "--data", data, "--autoencoder-steps", "1", "--steps", "1", "--batch", "2", "--slices", "2"];
    let train = [&train[..], &["--autoencoder-batch", "2", "--compose", "1"]].concat();
    equal(&scratch, &train, &[2]);
    // The second stage begins with the first one's averages.
    let output = ranks(&scratch, 2, &[&train[..], &["--shard-optimiser", "--out", "sharded"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(left(&scratch, "sharded") == left(&scratch, "alone"));
}

#[test]
fn t08_t11_models_of_tables_are_learned_together() {
    if !mpirun() {
        return;
    }
    let table = |scratch: &Scratch| assert_eq!(bits(scratch), "bits.csv");
    let fit = |arguments: &[&str]| {
        let flags = ["--epochs", "3", "--batch", "24", "--slices", "4", "--ais", "20", "--json", "--device", "cpu"];
        super::equal(table, &[&["fit"], arguments, &flags].concat());
    };
    fit(&["rbm", "bits.csv", "--hidden", "7", "--momentum", "0.5", "--centred"]);
    fit(&["rbm", "bits.csv", "--hidden", "7", "--persistent", "--units", "spin"]);
    fit(&["rbm", "bits.csv", "--hidden", "7", "--units", "gaussian", "--rate", "0.01"]);
    fit(&["dbn", "bits.csv", "--layers", "6,5"]);
    fit(&["dbm", "bits.csv", "--layers", "6,5", "--persistent", "--centred"]);
    fit(&["dbm", "bits.csv", "--layers", "6,5,4"]);
    // Fewer rows than a batch, which the slices do not divide.
    let few = ["--epochs", "3", "--batch", "130", "--slices", "4", "--ais", "0", "--json", "--device", "cpu"];
    super::equal(table, &[&["fit", "dbm", "bits.csv", "--layers", "6,5", "--persistent"], &few[..]].concat());
    // Enough rows for several pieces, and some that lack a number.
    let points = |scratch: &Scratch| {
        let row = |i: u32| {
            let [a, b] = [i.wrapping_mul(2_654_435_761) >> 16, i.wrapping_mul(40_503) % 4096].map(f64::from);
            let lacks = if i % 50 == 7 { String::new() } else { format!("{:.3}", b / 4096.0 + f64::from(i % 3)) };
            format!("{:.3},{lacks}\n", a / 65_536.0 + 4.0 * f64::from(i % 2))
        };
        fs::write(scratch.join("points.csv"), format!("x,y\n{}", (0..9000).map(row).collect::<String>())).unwrap();
    };
    for covariance in ["full", "diagonal"] {
        let flags = ["-k", "3", "--covariance", covariance, "--scores", "scores.npy", "--iterations", "20", "--json"];
        super::equal(points, &[&["fit", "gmm", "points.csv"], &flags[..]].concat());
    }
}

/// A launcher with its ranks under way.
struct Launched(Child);

impl Launched {
    fn new(scratch: &Scratch, count: usize, arguments: &[&str]) -> Launched {
        let mut command = launch(scratch, count, arguments);
        Launched(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// The processes of the program that it started.
    fn ranks(&self) -> Vec<u32> {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let is_program =
            |id: &u32| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "yuragi");
        let mut ranks: Vec<u32> =
            children.split_whitespace().filter_map(|id| id.parse().ok()).filter(is_program).collect();
        ranks.sort_by_key(|id| rank(*id));
        ranks
    }

    fn until(&mut self, what: impl Fn(&Launched) -> bool) {
        let started = Instant::now();
        while !what(self) {
            assert!(self.0.try_wait().unwrap().is_none(), "it ended too early");
            assert!(started.elapsed() < Duration::from_secs(120), "it never came");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it tells this.
    fn until_told(&mut self, what: &str) {
        // Byte by byte, so that nothing is taken away from what it tells after that.
        let (mut told, mut byte) = (Vec::new(), [0]);
        let stderr = self.0.stderr.as_mut().unwrap();
        while !String::from_utf8_lossy(&told).contains(what) {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "it ended too early: {}", String::from_utf8_lossy(&told));
            told.extend(byte);
        }
    }

    fn end(self) -> (bool, String) {
        let output = self.0.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The rank of a process, as its launcher told it.
fn rank(id: u32) -> usize {
    let told = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    told.split('\0').find_map(|line| line.strip_prefix("OMPI_COMM_WORLD_RANK=")?.parse().ok()).unwrap_or(usize::MAX)
}

fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap().success());
}

/// The steps that a checkpoint holds; one that is not whole fails.
fn steps(scratch: &Scratch, out: &str) -> u64 {
    let path = scratch.join(out).join("checkpoint.safetensors");
    if Path::exists(&path) { Archive::open(&path).unwrap().setting("step").unwrap() } else { 0 }
}

#[test]
fn a_killed_or_interrupted_training_goes_on_with_any_number_of_ranks_to_the_same_weights() {
    if !mpirun() {
        return;
    }
    let scratch = Scratch::new();
    let data = bits(&scratch);
    let train = ["train", "vae", data, "--hidden", "64", "--passes", "400", "--batch", "24", "--slices", "4"];
    scratch.succeed(train.iter().chain(&["--out", "alone"]));
    let alone = left(&scratch, "alone");
    let saving = ["--save-every", "0", "--threads", "1"];
    // Milliseconds after its first checkpoints, number of ranks, and which of them is killed; every other time they keep
    // shares of the optimiser's state.
    let times = [(3, 2, 0), (47, 3, 2), (120, 2, 1), (211, 3, 0), (330, 4, 1)];
    for (turn, (pause, count, which)) in times.into_iter().enumerate() {
        let resume = ["train", "vae", "--resume", "killed"];
        let begin = [&train[..], &["--out", "killed"]].concat();
        let arguments = if turn == 0 { &begin[..] } else { &resume };
        let before = if turn == 0 { 0 } else { steps(&scratch, "killed") };
        let sharded: &[&str] = if turn % 2 == 0 { &["--shard-optimiser"] } else { &[] };
        let mut launched = Launched::new(&scratch, count, &[arguments, &saving, sharded].concat());
        launched.until(|launched| launched.ranks().len() == count && steps(&scratch, "killed") > before + 1);
        thread::sleep(Duration::from_millis(pause));
        signal("KILL", launched.ranks()[which]);
        let (success, told) = launched.end();
        assert!(!success);
        // The launcher's words.
        let named = told.lines().filter(|line| line.contains(&format!("rank {which} ")) && line.contains("signal 9"));
        assert_eq!(named.count(), 1, "rank {which}: {told}");
        assert!(steps(&scratch, "killed") > before, "the checkpoint is whole, and further");
        assert!(!scratch.join("killed/model.safetensors").exists());
    }
    // At Ctrl-C the launcher tells the ranks to end. It kills what is there after a second, which a busy disk may take.
    let written = || fs::metadata(scratch.join("killed/checkpoint.safetensors")).unwrap().modified().unwrap();
    let before = written();
    let mut launched = Launched::new(&scratch, 2, &["train", "vae", "--resume", "killed", "--save-every", "9999"]);
    launched.until_told("120 examples");
    launched.ranks().into_iter().for_each(|rank| signal("TERM", rank));
    let (success, told) = launched.end();
    assert!(!success && told.contains("interrupted and saved"), "{told}");
    assert!(written() > before, "the interrupted training was not saved");
    let output = ranks(&scratch, 3, &["train", "vae", "--resume", "killed"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["checkpoint.safetensors", "model.safetensors"] {
        assert!(left(&scratch, "killed")[file] == alone[file], "{file}");
    }
}

#[test]
fn trainings_that_cannot_be_shared_are_refused_in_one_line() {
    if !mpirun() {
        return;
    }
    let scratch = Scratch::new();
    let data = bits(&scratch);
    let refused = |output: std::process::Output, says: &str| {
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{told}");
        assert_eq!(told.lines().filter(|line| line.contains(says)).count(), 1, "{says}: {told}");
    };
    let train = |slices: &str, batch: &str| {
        let flags = ["train", "vae", data, "--slices", slices, "--batch", batch, "--out", "none"];
        ranks(&scratch, 3, &flags)
    };
    refused(train("1", "24"), "yuragi: 3 ranks share the slices of a batch, and it is one slice");
    refused(train("2", "24"), "yuragi: 3 ranks share the slices of a batch, and it has 2 slices");
    refused(train("5", "24"), "yuragi: the batch of 24 is not a multiple of its 5 slices");
    refused(ranks(&scratch, 2, &["train", "judge"]), "a judge is learnt by one process");
    let fit = ["fit", "rbm", data, "--slices", "5", "--batch", "24"];
    refused(ranks(&scratch, 2, &fit), "yuragi: the batch of 24 is not a multiple of its 5 slices");
    // Two programs of one launcher with other settings.
    let flags = ["train", "vae", data, "--slices", "2", "--batch", "24", "--passes", "2", "--out", "none"];
    let mut command = launch(&scratch, 1, &flags);
    command.args([":", "-n", "1", env!("CARGO_BIN_EXE_yuragi")]).args(flags).args(["--seed", "7"]);
    refused(command.output().unwrap(), "yuragi: rank 1 was started with other settings, data or weights than rank 0");
    assert!(!scratch.join("none").exists(), "nothing was begun");
}
