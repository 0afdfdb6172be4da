//! Clusters of several blocks: their numbers, each other's shared memory, their barrier, barriers and copies across them,
//! and what goes wrong there.

use crate::common::{Bench, blocks, needs_the_emulator, text};
use yuragi_emulator::{
    Arguments, Launch, Report, Swizzle, TensorMap,
    finding::{Finding, Kind},
};

/// Registers, and what every kernel here begins with: its thread, the rank of its block, its shared memory and its word
/// there, and where its word of the result lies.
const HEAD: &str = ".shared .align 128 .b8 s[2048];\n .shared .align 8 .b64 bar;\n .reg .pred %p<4>; .reg .b64 %x; .reg .b64 %out; \
    .reg .b64 %l<6>;\n .reg .b32 %t; .reg .b32 %rank; .reg .b32 %other; .reg .b32 %block; .reg .b32 %s; .reg .b32 %bar; .reg .b32 %own; \
    .reg .b32 %w<12>;\n ld.param.u64 %x, [x];\n ld.param.u64 %out, [out];\n mov.u32 %t, %tid.x;\n mov.u32 %rank, %cluster_ctarank;\n \
    xor.b32 %other, %rank, 1;\n mov.u32 %block, %ctaid.x;\n mov.u32 %s, s;\n mov.u32 %bar, bar;\n mad.lo.u32 %own, %t, 4, %s;\n \
    setp.ne.u32 %p1, %t, 0;\n mad.lo.u32 %w1, %block, 32, %t;\n mad.wide.u32 %out, %w1, 4, %out;\n ";
const MEET: &str = "barrier.cluster.arrive.aligned;\n barrier.cluster.wait.aligned;\n ";
/// A barrier in each block for so many arrivals, which all may use afterwards.
fn begin(count: u32) -> String {
    format!(
        "@%p1 bra BEGUN;\n mbarrier.init.shared::cta.b64 [%bar], {count};\n fence.mbarrier_init.release.cluster;\nBEGUN:\n {MEET}"
    )
}
const WAIT: &str = "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%bar], 0;\n @!%p2 bra WAIT;\n ";
const PARAMS: &str = ".param .u64 x, .param .u64 out";

/// Four blocks of 32 threads in clusters of two; `x` holds the numbers from 0 on.
fn run(body: &str) -> (Report, Vec<u32>) {
    let bench = Bench::new();
    let module = bench.kernel(PARAMS, &format!("{HEAD}{body}"));
    let (x, out) = (bench.put(&(0..1024).collect::<Vec<u32>>()), bench.put(&[0_u32; 128]));
    let launch = Launch { cluster: [2, 1, 1], ..blocks([4, 1, 1], 32, 0) };
    let report = bench.launch(&module, "kernel", launch, Arguments::new().u64(x).u64(out));
    (report, bench.get(out, 128))
}

fn sound(body: &str) -> Vec<u32> {
    let (report, values) = run(body);
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    values
}

/// The finding of this kind whose words hold others.
fn found(body: &str, kind: Kind, words: &str) -> Finding {
    let (report, _) = run(body);
    let all: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let fits = |finding: &Finding| finding.kind == kind && finding.note.contains(words);
    report.findings.into_iter().find(fits).unwrap_or_else(|| panic!("no {kind:?} with `{words}`: {all:#?}"))
}

/// By block and thread.
fn of_all(f: impl Fn(u32, u32) -> u32) -> Vec<u32> {
    (0..128).map(|i| f(i / 32, i % 32)).collect()
}

/// Every block stores, and reads what the other of its cluster stored.
fn exchange(before: &str, between: &str, load: &str, after: &str) -> String {
    format!(
        "{before}mad.lo.u32 %w1, %block, 100, %t;\n st.shared.u32 [%own], %w1;\n {between}{load}\n {after}st.global.u32 [%out], %w3;"
    )
}
const LOAD: &str = "mapa.shared::cluster.u32 %w2, %own, %other;\n ld.shared::cluster.u32 %w3, [%w2];";

#[test]
fn blocks_know_their_place_in_their_cluster() {
    let names = [
        "%clusterid.x",
        "%clusterid.y",
        "%nclusterid.x",
        "%nclusterid.y",
        "%cluster_ctaid.x",
        "%cluster_ctaid.y",
        "%cluster_nctaid.x",
        "%cluster_nctaid.y",
        "%cluster_ctarank",
        "%cluster_nctarank",
    ];
    let stores: String = (0..)
        .zip(names)
        .map(|(i, name)| format!("mov.u32 %w1, {name};\n st.global.u32 [%l1+{}], %w1;\n ", 4 * i))
        .collect();
    let body = format!(
        ".reg .b32 %w<4>; .reg .b64 %l<2>;\n ld.param.u64 %l1, [out];\n mov.u32 %w1, %ctaid.y;\n mov.u32 %w2, %ctaid.x;\n \
         mad.lo.u32 %w1, %w1, 4, %w2;\n mul.lo.u32 %w1, %w1, 40;\n cvt.u64.u32 %l0, %w1;\n add.u64 %l1, %l1, %l0;\n {stores}"
    );
    let bench = Bench::new();
    let module = bench.kernel(".param .u64 out", &body);
    let out = bench.put(&[0_u32; 160]);
    let launch = Launch { cluster: [2, 2, 1], ..blocks([4, 4, 1], 1, 0) };
    bench.run(&module, "kernel", launch, Arguments::new().u64(out));
    for (i, values) in bench.get::<u32>(out, 160).chunks(10).enumerate() {
        let (x, y) = (i as u32 % 4, i as u32 / 4);
        assert_eq!(values, [x / 2, y / 2, 2, 2, x % 2, y % 2, 2, 2, x % 2 + y % 2 * 2, 4], "block ({x}, {y})");
    }
}

#[test]
fn blocks_read_and_change_each_others_shared_memory() {
    let theirs = of_all(|block, t| (block ^ 1) * 100 + t);
    assert_eq!(sound(&exchange("", MEET, LOAD, MEET)), theirs);
    // By generic addresses, of which one tells the rank of its block.
    let generic = "cvt.u64.u32 %l1, %own;\n cvta.shared.u64 %l1, %l1;\n mapa.u64 %l2, %l1, %other;\n ld.u32 %w3, [%l2];\n \
        getctarank.u64 %w4, %l2;\n mad.lo.u32 %w3, %w4, 1000, %w3;\n isspacep.shared::cta %p2, %l2;\n @%p2 add.u32 %w3, %w3, 7;\n \
        isspacep.shared::cluster %p2, %l2;\n @!%p2 add.u32 %w3, %w3, 9;\n isspacep.shared::cta %p2, %l1;\n @!%p2 add.u32 %w3, %w3, 11;";
    assert_eq!(sound(&exchange("", MEET, generic, MEET)), of_all(|b, t| (b ^ 1) * 100 + t + (b & 1 ^ 1) * 1000));
    // All threads of a cluster count in its first block, by a variable's name.
    let count = format!(
        "st.shared.u32 [%own], 0;\n {MEET}mapa.shared::cluster.u32 %w2, s, 0;\n red.shared::cluster.add.u32 [%w2+4], %t;\n \
         atom.shared::cluster.add.u32 %w3, [%w2], 1;\n {MEET}ld.shared::cluster.u32 %w3, [%w2];\n ld.shared::cluster.u32 %w4, [%w2+4];\n \
         mad.lo.u32 %w3, %w4, 1000, %w3;\n {MEET}st.global.u32 [%out], %w3;"
    );
    assert_eq!(sound(&count), of_all(|_, _| 2 * 496 * 1000 + 64));
}

#[test]
fn accesses_that_nothing_orders_are_found_between_blocks() {
    if needs_the_emulator("races") {
        return;
    }
    let race = found(&exchange(MEET, "", LOAD, MEET), Kind::Race, "another block of the cluster");
    let other = race.other.unwrap();
    assert_eq!(race.at.block[0] ^ 1, other.block[0], "the two blocks of a cluster");
    // An arrival that tells nothing but that it came.
    let relaxed = MEET.replace("arrive", "arrive.relaxed");
    found(&exchange("", &relaxed, LOAD, MEET), Kind::Race, "another block of the cluster");
    // With a fence before it does.
    sound(&exchange("", &format!("fence.acq_rel.cluster;\n {relaxed}"), LOAD, MEET));
}

#[test]
fn blocks_that_need_not_be_there_are_found() {
    if needs_the_emulator("accesses that a GPU may let pass") {
        return;
    }
    found(&exchange("", "", LOAD, MEET), Kind::Cluster, "may not have begun");
    let early = found(&exchange("", MEET, LOAD, ""), Kind::Cluster, "exited");
    assert!(early.at.instruction.starts_with("ld.shared::cluster"), "{early}");
    // That everyone came is enough, told or not.
    sound(&exchange("", MEET, LOAD, &MEET.replace("arrive", "arrive.relaxed")));
}

#[test]
fn addresses_of_other_blocks_are_for_the_window_of_the_cluster() {
    if needs_the_emulator("an error that ends the context") {
        return;
    }
    let plain = LOAD.replace("ld.shared::cluster", "ld.shared");
    let wrong = found(&exchange("", MEET, &plain, MEET), Kind::OutOfBounds, "`.shared::cluster` reaches");
    assert!(wrong.access.unwrap().address >> 24 <= 1, "{wrong}");
    found(
        &exchange("", MEET, &LOAD.replace("%other;", "5;"), MEET),
        Kind::OutOfBounds,
        "of block 5 of its cluster, which has 2",
    );
    // A rank beyond all ranks does not begin anew.
    found(
        &exchange("", MEET, &LOAD.replace("%other;", "257;"), MEET),
        Kind::OutOfBounds,
        "of block 255 of its cluster",
    );
    found(&exchange("", MEET, &LOAD.replace("[%w2]", "[%w2+4000]"), MEET), Kind::OutOfBounds, "has 2056 bytes");
}

#[test]
fn the_barrier_of_a_cluster_in_two_parts() {
    // What the blocks do between arrival and wait is their own.
    let parts = "barrier.cluster.arrive.release.aligned;\n add.u32 %w5, %t, 5;\n st.shared.u32 [%own+1024], %w5;\n \
        ld.shared.u32 %w6, [%own+1024];\n barrier.cluster.wait.acquire.aligned;\n ";
    let load = format!("{LOAD}\n mad.lo.u32 %w3, %w6, 10000, %w3;");
    assert_eq!(sound(&exchange("", parts, &load, parts)), of_all(|b, t| (b ^ 1) * 100 + t + 10_000 * (t + 5)));
    if needs_the_emulator("what is not defined") {
        return;
    }
    found(
        "barrier.cluster.arrive;\n barrier.cluster.arrive;\n barrier.cluster.wait;",
        Kind::DivergentBarrier,
        "not waited since",
    );
    found("barrier.cluster.wait;", Kind::DivergentBarrier, "not arrived");
    // Threads that have exited are not waited for.
    sound("@%p1 bra LAST;\n barrier.cluster.arrive;\n barrier.cluster.wait;\nLAST:");
    found(&format!("setp.ne.u32 %p3, %t, 3;\n @!%p3 bra LAST;\n {MEET}LAST:"), Kind::DivergentBarrier, "exited");
}

/// The threads 0 of both blocks arrive at the barrier of the first, which then reads what both stored.
fn gather(arrive: &str) -> String {
    format!(
        "{}mad.lo.u32 %w1, %block, 100, %t;\n st.shared.u32 [%own], %w1;\n bar.sync 0;\n mapa.shared::cluster.u32 %w5, bar, 0;\n \
         {arrive}\n setp.ne.u32 %p3, %rank, 0;\n @%p3 bra LAST;\nWAIT:\n {WAIT}ld.shared.u32 %w3, [%own];\n {LOAD_MORE}\n \
         st.global.u32 [%out], %w3;\nLAST:\n {MEET}",
        begin(2)
    )
}
const LOAD_MORE: &str =
    "mapa.shared::cluster.u32 %w2, %own, 1;\n ld.shared::cluster.u32 %w4, [%w2];\n mad.lo.u32 %w3, %w4, 1000, %w3;";
const ARRIVE: &str = "@%p1 bra ARRIVED;\n mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%w5];\nARRIVED:";

#[test]
fn threads_of_one_block_arrive_at_a_barrier_of_another() {
    let expected = of_all(|b, t| if b % 2 == 0 { ((b + 1) * 100 + t) * 1000 + b * 100 + t } else { 0 });
    assert_eq!(sound(&gather(ARRIVE)), expected);
    if needs_the_emulator("threads that wait for ever") {
        return;
    }
    // Arrivals and waits that tell nothing, but with a fence on their side.
    let relaxed = ARRIVE.replace("release", "relaxed");
    found(&gather(&relaxed), Kind::Race, "another block of the cluster");
    let fence = "fence.acq_rel.cluster;\n ";
    assert_eq!(sound(&gather(&format!("{fence}{relaxed}"))), expected);
    let wait = |after: &str| gather(ARRIVE).replace("acquire", "relaxed").replace("@!%p2 bra WAIT;\n ", after);
    found(&wait("@!%p2 bra WAIT;\n "), Kind::Race, "another block of the cluster");
    assert_eq!(sound(&wait(&format!("@!%p2 bra WAIT;\n {fence}"))), expected);
    let lost = gather(&format!("setp.ne.or.u32 %p1, %rank, 0, %p1;\n {ARRIVE}"));
    let dead = found(&lost, Kind::Deadlock, "still expects 1 arrivals");
    assert!(
        dead.note.contains("only block (0,0,0) thread (0,0,0)") || dead.note.contains("only block (2,0,0)"),
        "{dead}"
    );
    assert!(dead.note.contains("the barrier of the cluster waits for block"), "{dead}");
    // Nobody waits at a barrier of another block.
    let text =
        text(PARAMS, &format!("{HEAD}{}", gather(ARRIVE).replace("acquire.cluster.shared::cta", "shared::cluster")));
    let error = Bench::new().load(&text).map(drop).unwrap_err();
    assert!(error.contains("by the barrier's own block"), "{error}");
}

/// Both blocks copy their half of 256 numbers to both, and read all.
fn multicast(mask: u32, expected: u32) -> String {
    format!(
        "{}@%p1 bra WAIT;\n mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], {expected};\n shl.b32 %w5, %rank, 9;\n add.u32 %w6, %s, %w5;\n \
         cvt.u64.u32 %l1, %w5;\n add.u64 %l1, %x, %l1;\n cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster \
         [%w6], [%l1], 512, [%bar], {mask};\nWAIT:\n {WAIT}mad.lo.u32 %w7, %t, 28, %own;\n ld.shared.u32 %w3, [%w7];\n \
         st.global.u32 [%out], %w3;",
        begin(1)
    )
}

#[test]
fn a_copy_reaches_several_blocks_and_their_barriers() {
    assert_eq!(sound(&multicast(3, 1024)), of_all(|_, t| 8 * t));
    if needs_the_emulator("copies that are not waited for") {
        return;
    }
    let dead = found(&multicast(1, 1024), Kind::Deadlock, "bytes in its phase 0");
    assert!(dead.at.instruction.contains("try_wait"), "{dead}");
    found(&multicast(4, 1024), Kind::Illegal, "the blocks 0x4 of a cluster of 2");
    let unwaited = multicast(3, 1024).replace("@!%p2 bra WAIT;", "");
    found(&unwaited, Kind::NotWaited, "has not been waited for");
    found(&unwaited, Kind::Cluster, "exited");
}

#[test]
fn a_tile_reaches_several_blocks() {
    // Each block brings 4 rows of 16 numbers of a matrix of 8 rows to both.
    let body = format!(
        "{}@%p1 bra WAIT;\n mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 512;\n shl.b32 %w5, %rank, 8;\n add.u32 %w6, %s, %w5;\n \
         shl.b32 %w7, %rank, 2;\n mov.u16 %mask, 3;\n mov.b64 %l1, map;\n cvta.param.u64 %l1, %l1;\n mov.u32 %w8, 0;\n \
         cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint \
         [%w6], [%l1, {{%w8, %w7}}], [%bar], %mask, 0;\nWAIT:\n {WAIT}mad.lo.u32 %w7, %t, 12, %own;\n ld.shared.u32 %w3, [%w7];\n \
         st.global.u32 [%out], %w3;",
        begin(1)
    );
    let bench = Bench::new();
    let head = HEAD.replace(".reg .b64 %x;", ".reg .b64 %x; .reg .b16 %mask;");
    let module = bench.kernel(&format!("{PARAMS}, .param .align 64 .b8 map[128]"), &format!("{head}{body}"));
    let (x, out) = (bench.put(&(0..128).collect::<Vec<u32>>()), bench.put(&[0_u32; 128]));
    let map = TensorMap {
        address: x,
        element_bytes: 4,
        extents: vec![16, 8],
        strides: vec![64],
        box_extents: vec![16, 4],
        swizzle: Swizzle::None,
    };
    let launch = Launch { cluster: [2, 1, 1], ..blocks([4, 1, 1], 32, 0) };
    let arguments = Arguments::new().u64(x).u64(out).aligned(&bench.tensor(&map), 64);
    let report = bench.run(&module, "kernel", launch, arguments);
    assert_eq!(bench.get::<u32>(out, 128), of_all(|_, t| 4 * t));
    // Of global memory each row is read once for both: 8 sectors a block, and 4 of the result.
    assert!([0, 4 * (8 + 4)].contains(&report.counters.global_sectors), "0 on a GPU");
}

#[test]
fn blocks_write_into_each_other_and_say_so_at_a_barrier_there() {
    let expect = |bytes: u32| {
        format!(
            "{}@%p1 bra WROTE;\n mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], {bytes};\nWROTE:\n ",
            begin(1)
        )
    };
    let read = format!("WAIT:\n {WAIT}ld.shared.u32 %w3, [%own+1024];\n st.global.u32 [%out], %w3;\n {MEET}");
    let remote = "mapa.shared::cluster.u32 %w5, %own, %other;\n mapa.shared::cluster.u32 %w6, %bar, %other;\n mad.lo.u32 %w1, %block, 100, %t;\n ";
    let theirs = of_all(|block, t| (block ^ 1) * 100 + t);
    let store = format!(
        "{}{remote}st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%w5+1024], %w1, [%w6];\n {read}",
        expect(128)
    );
    assert_eq!(sound(&store), theirs);
    let add = format!(
        "st.shared.u32 [%own+1024], 1;\n {}{remote}red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 \
         [%w5+1024], %w1, [%w6];\n {read}",
        expect(128)
    );
    assert_eq!(sound(&add), of_all(|block, t| (block ^ 1) * 100 + t + 1));
    let copy = |fence: &str| {
        format!(
            "mad.lo.u32 %w1, %block, 100, %t;\n st.shared.u32 [%own], %w1;\n {fence}{}@%p1 bra WAIT;\n mapa.shared::cluster.u32 %w5, %s, %other;\n \
             mapa.shared::cluster.u32 %w6, %bar, %other;\n add.u32 %w5, %w5, 1024;\n \
             cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%w5], [%s], 128, [%w6];\n {read}",
            expect(128)
        )
    };
    assert_eq!(sound(&copy("fence.proxy.async;\n ")), theirs);
    if needs_the_emulator("a missing fence") {
        return;
    }
    found(&copy(""), Kind::Proxy, "no fence.proxy.async");
    // A barrier counts what is written to its own block.
    let map = "mapa.shared::cluster.u32 %w6, %bar, %other;";
    for body in [store, add, copy("fence.proxy.async;\n ")] {
        let elsewhere = body.replace(map, "mov.u32 %w6, %bar;");
        found(&elsewhere, Kind::Illegal, "both must be of one");
    }
}

#[test]
fn a_product_of_a_group_ends_with_its_blocks_shared_memory() {
    if needs_the_emulator("an error that ends the context") {
        return;
    }
    // The second half of A lies 3072 bytes behind the first, where the emulator keeps the next block's memory.
    let descriptor = |leading: u64, stride: u64| (leading >> 4) << 16 | (stride >> 4) << 32;
    let body = format!(
        ".shared .align 1024 .b8 s[2048];\n .reg .b32 %rank; .reg .b32 %s; .reg .b64 %a; .reg .b64 %b; .reg .f32 %f<4>; .reg .pred %p;\n \
         mov.u32 %rank, %cluster_ctarank;\n mov.u32 %s, s;\n setp.ne.u32 %p, %rank, 0;\n {MEET}@%p bra LAST;\n cvt.u64.u32 %a, %s;\n \
         shr.u64 %a, %a, 4;\n or.b64 %b, %a, {};\n or.b64 %a, %a, {};\n wgmma.fence.sync.aligned;\n \
         wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {{%f0, %f1, %f2, %f3}}, %a, %b, 0, 1, 1, 0, 0;\n \
         wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;\nLAST:\n {MEET}",
        descriptor(128, 256),
        descriptor(3072, 128),
    );
    let bench = Bench::new();
    let launch = Launch { cluster: [2, 1, 1], ..blocks([2, 1, 1], 128, 0) };
    let report = bench.launch(&bench.kernel("", &body), "kernel", launch, Arguments::new());
    let beyond = |finding: &&Finding| finding.kind == Kind::OutOfBounds && finding.note.contains("2048 bytes");
    assert!(report.findings.iter().any(|finding| beyond(&finding)), "{:?}", report.findings);
}

#[test]
fn clusters_that_no_device_has_are_refused() {
    if needs_the_emulator("the form of a launch") {
        return;
    }
    let bench = Bench::new();
    let device = bench.device();
    let module = device.load(&text("", "")).unwrap();
    let kernel = module.kernel("kernel").unwrap();
    for (cluster, legal) in [([32, 1, 1], "1 to 16"), ([0, 1, 1], "1 to 16"), ([3, 1, 1], "a multiple")] {
        let refused = device.launch(&kernel, &Launch { cluster, ..blocks([32, 1, 1], 32, 0) }, &[]).unwrap_err();
        assert!(refused.to_string().contains(legal), "{refused}");
    }
    let older = Bench::emulated(|p| p.capability = (8, 0));
    let launch = Launch { cluster: [2, 1, 1], ..blocks([2, 1, 1], 32, 0) };
    let kernel = older.device().load(&text("", "")).unwrap().kernel("kernel").unwrap();
    let refused = older.device().launch(&kernel, &launch, &[]).unwrap_err();
    assert!(refused.to_string().contains("1 on this device"), "{refused}");
}
