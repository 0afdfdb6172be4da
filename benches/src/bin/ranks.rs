//! What several ranks gain, and what they send: measured here, and on paper for a cluster of GPUs.
//!
//!     cargo run --release --package yuragi-benches --bin ranks -- bytes
//!     cargo run --release --package yuragi-benches --bin ranks -- overlap
//!     cargo run --release --package yuragi-benches --bin ranks -- time target/release/yuragi   # built with --features mpi
//!     cargo run --release --package yuragi-benches --bin ranks -- simulate [--plot efficiency.png]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use yuragi_benches::{
    clock::{children_seconds, processor_seconds},
    cluster::{Cluster, Population, Training},
};
use yuragi_cpu::Cpu;
use yuragi_energy::{
    Bonds, Problem, Schedule,
    draw::Draws,
    dynamics::Metropolis,
    rbm::{Rbm, Units, partition::annealed_log_z_on},
    replicas::{Ranks, Replicas, batch, group},
    sampler::{PopulationSettings, Resampling, anneal, population_anneal, quiet, resample},
};
use yuragi_graph::{Backend, Collective, DType, Graph, Params, Slice, SliceMut};
use yuragi_io::{
    Picture,
    plot::{Chart, Series},
    png,
};
use yuragi_models::{
    Settings,
    latent_diffusion::{OPTIMIZER, diffusion_training},
    likelihood::Likelihood,
    vae::{self, Layer, Vae},
};
use yuragi_nn::{optim::Optimizer, step::Step};
use yuragi_numeric::fill;
use yuragi_tests::team;

#[derive(Parser)]
#[command(about = "What several ranks gain, and what they send")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Count the bytes that ranks send, beside the fewest possible
    Bytes,
    /// Time a training step on two ranks (threads) over links of several speeds, with gradients that leave as they are
    /// computed and without
    Overlap {
        /// Steps of each, of which the shortest counts
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Time one and two ranks beside one and two threads
    Time {
        /// The program, built with `--features mpi`
        program: PathBuf,
        /// Runs of each, of which the shortest counts
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Reckon a cluster of 8 to 1024 GPUs
    Simulate {
        /// Draw the efficiencies into this PNG file
        #[arg(long)]
        plot: Option<PathBuf>,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().what {
        What::Bytes => bytes(),
        What::Overlap { rounds } => overlap(rounds),
        What::Time { program, rounds } => time(&program, rounds),
        What::Simulate { plot } => simulate(plot.as_deref()),
    }
}

/// All bytes that some ranks send, without those that only give every rank the result.
fn sent<T: Send>(size: usize, run: impl Fn(&team::Member<'_>) -> T + Sync) -> usize {
    team::run(size, |rank| {
        run(rank);
        rank.sent()
    })
    .iter()
    .sum()
}

fn bytes() -> Result<(), Box<dyn Error>> {
    println!("| what | ranks | bytes sent | fewest possible | ratio |\n|---|---:|---:|---:|---:|");
    let line = |what: &str, size: usize, sent: f64, least: f64| {
        println!("| {what} | {size} | {sent:.0} | {least:.0} | {:.2} |", sent / least);
    };
    let glass = Problem::lattice(&[32, 32], Bonds::Uniform(1.0), &[])?;
    let mut rbm = Rbm::new(784, 100, Units::Binary, Units::Binary)?;
    rbm.randomize(0.01, 1);
    for size in [2, 3, 4] {
        let others = (size - 1) as f64;
        // Every rank is to have the result, which is the caller's on each.
        let reads = 1024u32;
        let schedule = Schedule::linear(0.1, 2.0, 20)?;
        let annealed = sent(size, |rank| {
            let here = |own| batch(&glass, Metropolis, own, 1).map(|own| own as Box<dyn Replicas>);
            let mut all = Ranks::new(rank, &glass, reads, 1, group(&glass, &Metropolis), here)?;
            anneal(&mut all, &schedule, &mut quiet)
        });
        // One bit a spin of each read, to each other rank.
        line(
            "annealing, 1024 reads of 1024 spins, in all",
            size,
            annealed as f64,
            f64::from(reads) * 1024.0 / 8.0 * others,
        );
        let chains = 1000;
        let weighed =
            sent(size, |rank| annealed_log_z_on((rank, 1), &rbm, &rbm.visible_bias, (3, chains), 1, &mut quiet));
        line(
            "annealed importance sampling, 1000 chains, in all",
            size,
            weighed as f64,
            f64::from(chains) * 8.0 * others,
        );
    }
    let log_weights: Vec<f64> = (0..1_000_000).map(|i| -f64::from(i % 97) * 0.05).collect();
    let before = processor_seconds();
    resample(Resampling::Systematic, &log_weights, Draws::new(1), 1)?;
    let each = (processor_seconds() - before) / 1e6;
    println!("\nWeights and children of a member of 1,000,000: {:.0} ns of the processor", 1e9 * each);
    // Of a population, what one temperature takes: the difference of many and few, so that the end is left out.
    println!("\n| members of 1024 spins | ranks | bytes a temperature | fewest: what moves | energies alone |");
    println!("|---:|---:|---:|---:|---:|");
    for members in [1024u32, 16_384] {
        for size in [2, 4, 8] {
            let run = |temperatures: u32| -> Result<usize, Box<dyn Error>> {
                let beta = 0.01 * f64::from(temperatures - 1);
                let schedule = Schedule::linear(0.0, beta, temperatures)?;
                let settings = PopulationSettings { schedule, sweeps: 1, resampling: Resampling::Systematic };
                Ok(sent(size, |rank| {
                    let here = |own| batch(&glass, Metropolis, own, 1).map(|own| own as Box<dyn Replicas>);
                    let mut all = Ranks::new(rank, &glass, members, 1, group(&glass, &Metropolis), here)?;
                    population_anneal(&mut all, &settings, &mut quiet)
                }))
            };
            let each = (run(9)? - run(2)?) as f64 / 7.0;
            let energies = f64::from(members) * 8.0 * (size - 1) as f64;
            let moves = moved(&glass, members, size)?;
            println!("| {members} | {size} | {each:.0} | {moves:.0} | {energies:.0} |");
        }
    }
    Ok(())
}

/// Bytes of the configurations that resampling puts into the share of another rank, as bits, at a temperature.
fn moved(problem: &Problem, members: u32, size: usize) -> Result<f64, Box<dyn Error>> {
    let mut all = batch(problem, Metropolis, members, 1)?;
    let mut energies = vec![0.0; members as usize];
    let mut moves = 0;
    let share = (members as usize).div_ceil(size);
    for step in 1..9 {
        let beta = 0.01 * step as f32;
        all.energies(&mut energies)?;
        let log_weights: Vec<f64> = energies.iter().map(|energy| -0.01 * energy).collect();
        let parents = resample(Resampling::Systematic, &log_weights, Draws::new(1), step)?;
        let mut foreign: Vec<(u32, usize)> =
            parents.iter().enumerate().map(|(slot, &from)| (from, slot / share)).collect();
        foreign.retain(|&(from, to)| from as usize / share != to);
        foreign.dedup();
        moves += foreign.len();
        all.resample(&parents)?;
        all.sweep(step, yuragi_energy::replicas::Betas::Same(beta))?;
    }
    Ok(moves as f64 / 8.0 * (problem.len() as f64 / 8.0))
}

/// Some steps on a rank: the shortest one's seconds, the bytes that a step sends, and the weights in the end.
fn learn(
    (graph, optimizer): (&Graph, &Optimizer),
    ranks: &team::Member<'_>,
    (steps, overlaps): (usize, bool),
) -> Result<(f64, usize, Params), Box<dyn Error + Send + Sync>> {
    let cpu = Cpu::with_threads(1);
    let mut params = Params::new();
    params.initialise(graph.params(), 1);
    let mut store = cpu.upload(params)?;
    let mut step = Step::new(&cpu, graph, &store, 2, ranks)?.overlapping(overlaps);
    let (mut best, mut sent) = (f64::INFINITY, 0);
    let numbers: Vec<(Vec<f32>, Vec<i32>)> = graph
        .inputs()
        .iter()
        .map(|input| {
            let mut values = vec![0.0; input.shape.count()];
            fill::uniform([1, ranks.rank() as u32], 0, 0, &mut values);
            let indices = values.iter().map(|u| (u * 50.0) as i32).collect();
            (values, indices)
        })
        .collect();
    for number in 0..=steps as u64 {
        let (key, hyper) = ([number as u32, 9], optimizer.hyper(number, 1e-4, 0.9));
        let inputs: Vec<Slice<'_>> = graph
            .inputs()
            .iter()
            .zip(&numbers)
            .map(|(input, (values, indices))| match (&*input.name, input.dtype) {
                ("hyper", _) => Slice::F32(&hyper),
                ("key", _) => Slice::U32(&key),
                (_, DType::I32) => Slice::I32(indices),
                _ => Slice::F32(values),
            })
            .collect();
        let mut outputs = vec![[0.0f32; 1]; graph.outputs().len()];
        let mut views: Vec<SliceMut<'_>> = outputs.iter_mut().map(|output| SliceMut::F32(output)).collect();
        ranks.barrier()?;
        let (started, before) = (Instant::now(), ranks.sent());
        step.run(&mut store, ranks, &inputs, &mut views)?;
        ranks.barrier()?;
        sent = ranks.sent() - before;
        // The first one meets memory that was never touched.
        best = if number == 0 { best } else { best.min(started.elapsed().as_secs_f64()) };
    }
    Ok((best, sent, cpu.download(&store)?))
}

fn overlap(rounds: usize) -> Result<(), Box<dyn Error>> {
    let layers = vec![Layer { hidden: vec![500, 500], latent: 50 }];
    let vae = Vae { shape: vec![784], likelihood: Likelihood::Bernoulli, layers, convolutional: false };
    let works = [
        ("autoencoder of digits, 2 × 128", vae.training(128, 1)?, vae::OPTIMIZER),
        ("built-in U-Net and text encoder, 2 × 4", diffusion_training(&Settings::default(), 4)?, OPTIMIZER),
    ];
    println!(
        "| step | bytes a rank | link | all at the end | as they are computed | gain |\n|---|---:|---|---:|---:|---:|"
    );
    let gigabit = 1e9 / 8.0;
    for (name, graph, optimizer) in &works {
        let mut weights: Option<Vec<Vec<f32>>> = None;
        for (link, rate) in [("memory", f64::INFINITY), ("10 Gbit/s", 10.0 * gigabit), ("1 Gbit/s", gigabit)] {
            let mut times = [0.0; 2];
            let mut bytes = 0;
            for (time, overlaps) in times.iter_mut().zip([false, true]) {
                let latency = if rate.is_finite() { Duration::from_micros(20) } else { Duration::ZERO };
                let link = team::Link { latency, rate };
                let found = team::run_over(link, 2, |rank| learn((graph, optimizer), rank, (rounds, overlaps)));
                for found in found {
                    let (seconds, sent, params) = found.map_err(|error| error.to_string())?;
                    (*time, bytes) = (seconds.max(*time), sent);
                    let values = params.iter().map(|(_, tensor)| tensor.to_f32()).collect();
                    if *weights.get_or_insert_with(|| Vec::clone(&values)) != values {
                        return Err(format!("{name}: the weights depend on how gradients travel").into());
                    }
                }
            }
            let [late, early] = times.map(|seconds| 1e3 * seconds);
            println!("| {name} | {bytes} | {link} | {late:.1} ms | {early:.1} ms | {:.2} |", late / early);
        }
    }
    Ok(())
}

/// Seconds of the clock and of processors that commands took: of the clock, the shortest of several runs; of processors, of
/// the run that had fewest.
fn seconds(rounds: usize, mut command: impl FnMut() -> Command) -> Result<[f64; 2], Box<dyn Error>> {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..rounds.max(1) {
        let (started, before) = (Instant::now(), children_seconds());
        let output = command().output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let took = [started.elapsed().as_secs_f64(), children_seconds() - before];
        best = [0, 1].map(|i| f64::min(best[i], took[i]));
    }
    Ok(best)
}

/// What the trainings and fits of [`time`] learn from.
fn data(folder: &Path) -> Result<(), Box<dyn Error>> {
    let bit = |row: usize, i: usize| if (i * 7 + row * 31) % 11 < 3 { "1" } else { "0" };
    let rows = |count: usize| -> String {
        (0..count).map(|row| (0..784).map(|i| bit(row, i)).collect::<Vec<_>>().join(",") + "\n").collect()
    };
    fs::write(folder.join("bits.csv"), rows(50))?;
    fs::write(folder.join("many.csv"), rows(2560))?;
    fs::create_dir(folder.join("pictures"))?;
    for number in 0..32u8 {
        let pixels = (0..64 * 64 * 3).map(|i| (i as u8).wrapping_mul(number | 1)).collect();
        png::save(folder.join(format!("pictures/{number}.png")), &Picture::new(64, 64, pixels)?, &[])?;
        fs::write(folder.join(format!("pictures/{number}.txt")), format!("a picture {number}"))?;
    }
    Ok(())
}

fn time(program: &Path, rounds: usize) -> Result<(), Box<dyn Error>> {
    let program = fs::canonicalize(program)?;
    let folder = std::env::temp_dir().join(format!("yuragi-ranks-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    data(&folder)?;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    let anneal = |sweeps: &str| words(&format!("anneal glass:64x64 -n 2048 --seed 1 --sweeps {sweeps}"));
    let ais = |steps: &str| words(&format!("fit rbm bits.csv --hidden 500 --epochs 1 --chains 1024 --ais {steps}"));
    let vae = |more: &str| {
        words(&format!("train vae many.csv --hidden 500,500 --batch 256 --slices 2 --save-every 9999 {more}"))
    };
    let pictures = |steps: &str| {
        let flags = "--autoencoder-steps 1 --autoencoder-batch 2 --batch 32 --slices 2 --save-every 9999 --compose 0";
        words(&format!("train --data pictures {flags} --steps {steps}"))
    };
    // What a run takes beside its work is what the same run takes with hardly any.
    let works = [
        ("annealing, 2048 reads of 64×64 spins", anneal("1000"), anneal("1")),
        ("annealed importance sampling, 1024 chains of 784 and 500 units", ais("150"), ais("1")),
        ("autoencoder of digits, 200 steps of 256", vae("--passes 21"), vae("--passes 1")),
        ("the same, sharded", vae("--passes 21 --shard-optimiser"), vae("--passes 1 --shard-optimiser")),
        ("built-in U-Net and text encoder, 40 steps of 32", pictures("61"), pictures("21")),
    ];
    println!(
        "| work | one | two threads | two ranks | threads gain | ranks gain | processor seconds: one | two ranks |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut number = 0;
    for (what, much, little) in works {
        let mut run = |arguments: &[String], threads: &str, ranks: usize| {
            let mut command = if ranks > 1 {
                let mut mpirun = Command::new("mpirun");
                mpirun.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "core", "-n", &ranks.to_string()]);
                mpirun.arg(&program);
                mpirun
            } else {
                Command::new(&program)
            };
            command.args(arguments).args(["--threads", threads]).current_dir(&folder);
            if arguments.first().is_some_and(|first| first == "train") {
                number += 1;
                command.args(["--device", "cpu", "--out", &format!("run{number}")]);
            }
            command
        };
        let mut took = [[0.0; 2]; 3];
        for (took, (threads, ranks)) in took.iter_mut().zip([("1", 1), ("2", 1), ("1", 2)]) {
            let all = seconds(rounds, || run(&much, threads, ranks))?;
            let beside = seconds(rounds, || run(&little, threads, ranks))?;
            *took = [0, 1].map(|i| all[i] - beside[i]);
        }
        let [[one, work], [threads, _], [ranks, both]] = took;
        println!(
            "| {what} | {one:.2} s | {threads:.2} s | {ranks:.2} s | {:.2} | {:.2} | {work:.2} | {both:.2} |",
            one / threads,
            one / ranks
        );
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

const GPUS: [usize; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];
/// Spins and sweeps of the population, and what was measured of it: see `bytes` and the results.
const POPULATION: Population = Population {
    members: 1e6,
    spins: 4096.0,
    sweeps: 10.0,
    rate: 1.236e12,
    host: 44e-9,
    sums: [1000.0, 5000.0],
    moved: 0.5,
};

fn simulate(plot: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let mut series = Vec::new();
    let mut table = |title: String, row: &dyn Fn(&Cluster, usize) -> (String, f64)| {
        println!("\n{title}\n\n| | {} |\n|---|{}", GPUS.map(|n| n.to_string()).join(" | "), "---:|".repeat(GPUS.len()));
        for cluster in &Cluster::ALL {
            let cells: Vec<(String, f64)> = GPUS.iter().map(|&gpus| row(cluster, gpus)).collect();
            println!(
                "| {} | {} |",
                cluster.name,
                cells.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" | ")
            );
            // What each GPU has does not change, and the optimiser is whole: six lines can be told apart.
            let name = title.split([',', ':']).next().unwrap_or_default();
            let link = cluster.name.split([',', ' ']).next_back().unwrap_or_default();
            if *cluster != Cluster::PCIE && !title.contains("in all") && !title.contains("sharded") {
                let label = format!("{name}, {}", if link == "Ethernet" { link } else { "NVLink" });
                let points =
                    GPUS.iter().zip(&cells).map(|(&n, (_, share))| (f64::from(n as u32).log2(), 100.0 * share));
                series.push(Series { label, points: points.collect(), ..Series::default() });
            }
        }
    };
    for training in [Training::STABLE_DIFFUSION, Training::SMALL] {
        for sharded in [false, true] {
            let what = if sharded { ", sharded optimiser" } else { "" };
            for (batch, many) in [(None, "on each GPU"), (Some(training.global), "in all")] {
                let examples = batch.unwrap_or(training.batch);
                if sharded && batch.is_some() {
                    continue;
                }
                let title =
                    format!("{}{what}: {examples} examples {many}, milliseconds a step and efficiency", training.name);
                table(title, &|cluster, gpus| {
                    let step = match batch {
                        None => training.step(cluster, gpus, training.batch, sharded),
                        Some(_) => training.step_of_all(cluster, gpus),
                    };
                    (format!("{:.1} ({:.0} %)", 1e3 * step.seconds, 100.0 * step.efficiency), step.efficiency)
                });
            }
        }
    }
    let alone: f64 = POPULATION.temperature(&Cluster::NVLINK, 1).iter().sum();
    let title = format!(
        "Population annealing: {:.0} members of {} spins, {} sweeps a temperature, milliseconds a temperature and efficiency ({:.1} ms on one GPU)",
        POPULATION.members,
        POPULATION.spins,
        POPULATION.sweeps,
        1e3 * alone
    );
    table(title, &|cluster, gpus| {
        let parts = POPULATION.temperature(cluster, gpus);
        let seconds: f64 = parts.iter().sum();
        let share = alone / seconds / gpus as f64;
        (format!("{:.3} ({:.0} %)", 1e3 * seconds, 100.0 * share), share)
    });
    println!("\n| its parts, {} | sweeps | host | sums | moves |\n|---:|---:|---:|---:|---:|", Cluster::NVLINK.name);
    for gpus in GPUS {
        let parts = POPULATION.temperature(&Cluster::NVLINK, gpus).map(|part| format!("{:.3} ms", 1e3 * part));
        println!("| {gpus} | {} |", parts.join(" | "));
    }
    if let Some(path) = plot {
        let chart = Chart {
            title: "Efficiency of GPUs, on paper".into(),
            x_label: "binary logarithm of the number of GPUs".into(),
            y_label: "%".into(),
            height: 640,
            ..Chart::default()
        };
        png::save(path, &chart.draw(&series)?, &[])?;
    }
    Ok(())
}
