//! Two blocks of a cluster read each other's shared memory, with and without the barrier that makes it sound.
//!
//! `cargo run --release -p yuragi-emulator --example cluster`

use std::error::Error;

use yuragi_emulator::{Arguments, Device, Launch, Properties};

const EXCHANGE: &str = "
.version 9.0
.target sm_90
.address_size 64

.visible .entry exchange(.param .u64 out)
{
    .shared .align 4 .b8 own[4];
    .reg .b32 %rank;
    .reg .b32 %other;
    .reg .b32 %theirs;
    .reg .b32 %value;
    .reg .b64 %out;
    mov.u32 %rank, %cluster_ctarank;
    xor.b32 %other, %rank, 1;
    add.u32 %value, %rank, 100;
    st.shared.u32 [own], %value;
    barrier.cluster.arrive.release.aligned;
    barrier.cluster.wait.acquire.aligned;       // both have stored
    mapa.shared::cluster.u32 %theirs, own, %other;
    ld.shared::cluster.u32 %value, [%theirs];
    barrier.cluster.arrive.release.aligned;
    barrier.cluster.wait.acquire.aligned;       // both have loaded, and may end
    ld.param.u64 %out, [out];
    mad.wide.u32 %out, %rank, 4, %out;
    st.global.u32 [%out], %value;
    ret;
}
";

fn run(text: &str) -> Result<(), Box<dyn Error>> {
    let device = Device::new(Properties::default());
    let module = device.load(text)?;
    let kernel = module.kernel("exchange").ok_or("the kernel is missing")?;
    let out = device.allocate(8)?;
    let launch = Launch { cluster: [2, 1, 1], ..Launch::linear(2, 1) };
    let report = device.launch(&kernel, &launch, Arguments::new().u64(out).bytes())?;
    let mut bytes = [0; 8];
    device.read(out, &mut bytes)?;
    println!("the blocks read {} and {}", bytes[0], bytes[4]);
    report.findings.iter().for_each(|finding| println!("{finding}"));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(EXCHANGE)?;
    println!("\nwith no barrier before they end:");
    let (kept, _) = EXCHANGE.rsplit_once("    barrier.cluster.arrive").ok_or("the barrier is missing")?;
    let (_, end) = EXCHANGE.split_once("may end\n").ok_or("the end is missing")?;
    run(&format!("{kept}{end}"))
}
