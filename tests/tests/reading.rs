//! Ranks that read a file together read each its share of it, and have the whole.

use std::{fs, path::PathBuf};

use yuragi_graph::Collective;
use yuragi_io::{
    Picture, folder, png,
    table::{Reading, Table, Values},
};
use yuragi_tests::team;

/// A folder that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("yuragi-reading-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The bytes that this thread has read from files, where the system counts them.
fn read() -> Option<usize> {
    let counts = fs::read_to_string("/proc/thread-self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// What a rank reads beside its share: the counter itself, and the names in a folder.
const BESIDE: usize = 4096;

/// Every rank gives what one process gives, and reads its share of so many bytes, to within some.
fn shared<T: PartialEq + Send + Sync>(all: usize, unit: usize, read_by: impl Fn(&dyn Collective) -> T + Sync) {
    let alone = team::run(1, |rank| read_by(rank)).pop().unwrap();
    for size in [2, 3, 5] {
        let found = team::run(size, |rank| {
            let before = read();
            let found = read_by(rank);
            (found == alone, before.zip(read()).map(|(before, after)| after - before))
        });
        for (rank, (same, bytes)) in found.into_iter().enumerate() {
            assert!(same, "rank {rank} of {size} has something else");
            match bytes {
                Some(bytes) => {
                    assert!(bytes <= all / size + unit + BESIDE, "rank {rank} of {size} read {bytes} of {all}")
                }
                None => eprintln!("SKIPPED: the system does not count what a thread reads"),
            }
        }
    }
}

#[test]
fn rows_of_arrays_and_texts() {
    let scratch = Scratch::new("rows");
    let reals: Vec<f64> = (0..12_000).map(|i| f64::from(i) * 0.37).collect();
    let table = Table::new(vec![6], Values::Reals(reals)).unwrap();
    for name in ["rows.npy", "rows.csv"] {
        let path = scratch.0.join(name);
        table.save(&path).unwrap();
        let length = fs::metadata(&path).unwrap().len() as usize;
        shared(length, 4096, |ranks| Reading::default().open_on(&path, ranks).unwrap().table);
    }
    // IDX, as MNIST's: 1000 pictures of 8×8 bytes.
    let mut idx = vec![0, 0, 8, 3];
    [1000u32, 8, 8].iter().for_each(|side| idx.extend(side.to_be_bytes()));
    idx.extend((0..64_000u32).map(|i| (i * 7) as u8));
    let path = scratch.0.join("pictures-idx3-ubyte");
    fs::write(&path, &idx).unwrap();
    shared(idx.len(), 4096, |ranks| Reading::default().open_on(&path, ranks).unwrap().table);
    let absent = team::run(2, |rank| Reading::default().open_on(scratch.0.join("absent.npy"), rank).is_err());
    assert_eq!(absent, [true, true]);
}

#[test]
fn pictures_of_a_folder() {
    let scratch = Scratch::new("pictures");
    let (mut all, mut largest) = (0, 0);
    for i in 0..15u32 {
        let pixels = (0..64 * 64 * 3).map(|p| ((p * (i + 3)) ^ (p >> 4)) as u8).collect();
        let path = scratch.0.join(format!("{i:02}.png"));
        png::save(&path, &Picture::new(64, 64, pixels).unwrap(), &[]).unwrap();
        let length = fs::metadata(&path).unwrap().len() as usize;
        (all, largest) = (all + length, largest.max(length));
    }
    fs::write(scratch.0.join("07.png"), "no picture").unwrap();
    shared(all, 2 * largest, |ranks| {
        let dataset = folder::load_on(&scratch.0, &folder::Options::default(), ranks).unwrap();
        assert_eq!((dataset.items.len(), dataset.skipped.len()), (14, 1));
        (dataset.items, dataset.skipped.into_iter().map(|skipped| skipped.reason).collect::<Vec<_>>())
    });
}
