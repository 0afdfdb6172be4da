//! Short kernels, each with what a checker must or must not say of it. They lie in `../shared/cases/emulator`, or in
//! `cases/emulator` of the folder that `YURAGI_DATA` names; where they are in neither, nothing is tested.

use std::{env, fs, path::PathBuf};

use yuragi_emulator::{Arguments, Device, Launch, Properties, finding::Kind};

/// A file, the blocks and the threads of each, and what is found.
type Case = (&'static str, u32, u32, &'static [Kind]);

const CASES: [Case; 14] = [
    ("assert", 1, 32, &[Kind::Assertion]),
    ("deadlock_mbarrier", 1, 64, &[Kind::Deadlock]),
    ("envreg_grid_sync", 1, 32, &[]),
    ("init_by_one_block", 8, 32, &[Kind::Race]),
    ("init_by_one_block_found", 8, 32, &[Kind::Race]),
    ("newer_version", 1, 32, &[]),
    ("printf_unused", 1, 32, &[]),
    ("recursion", 1, 32, &[]),
    ("reserved_smem", 1, 32, &[]),
    ("spin_mbarrier_cost", 1, 256, &[]),
    ("volatile_shared_no_barrier", 1, 256, &[Kind::Race]),
    ("war_through_shfl", 1, 32, &[]),
    ("wgmma_wait_then_write", 1, 128, &[]),
    ("wmma", 1, 32, &[]),
];

fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/cases/emulator"));
    let named = env::var_os("YURAGI_DATA").map(|data| PathBuf::from(data).join("cases/emulator"));
    [Some(beside), named].into_iter().flatten().find(|folder| folder.is_dir())
}

#[test]
fn every_case_is_judged_as_its_head_says() {
    let Some(folder) = folder() else {
        println!("skipped: no ../shared/cases/emulator, and no cases/emulator in $YURAGI_DATA");
        return;
    };
    for (name, blocks, threads, expected) in CASES {
        let text = fs::read_to_string(folder.join(format!("{name}.ptx"))).unwrap_or_else(|e| panic!("{name}: {e}"));
        // What depends on which block comes first is found each time.
        for _ in 0..if blocks > 1 { 5 } else { 1 } {
            let device = Device::new(Properties::default());
            let module = device.load(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            let kernel = module.kernel("k").unwrap_or_else(|| panic!("{name}: no kernel k"));
            let out = device.allocate(4096).unwrap();
            device.write(out, &[0; 4096]).unwrap();
            let arguments = Arguments::new().u64(out);
            let report = device.launch(&kernel, &Launch::linear(blocks, threads), arguments.bytes());
            let report = report.unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut found: Vec<Kind> = report.findings.iter().map(|finding| finding.kind).collect();
            // Several instructions of a case may be wrong in the same way.
            found.dedup();
            assert_eq!(found, expected, "{name}");
            // Waiting costs little beside the 40,000 steps of a warp that computes, and what never ends is soon found.
            assert!(report.counters.warp_instructions < 100_000, "{name}: {}", report.counters.warp_instructions);
        }
    }
}

#[test]
fn no_case_is_left_out() {
    let Some(folder) = folder() else {
        println!("skipped: no ../shared/cases/emulator, and no cases/emulator in $YURAGI_DATA");
        return;
    };
    let files = fs::read_dir(folder).unwrap().filter_map(|file| file.unwrap().file_name().into_string().ok());
    let mut names: Vec<String> = files.filter_map(|name| Some(name.strip_suffix(".ptx")?.to_owned())).collect();
    names.sort();
    assert_eq!(names, CASES.map(|(name, ..)| name));
}
