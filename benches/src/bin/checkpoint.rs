#![forbid(unsafe_code)]
//! Times the networks of a Stable Diffusion checkpoint, launch by launch or as a whole.
//!
//! ```sh
//! cargo run --release -p yuragi-benches --bin checkpoint -- FOLDER denoise --runs 3
//! cargo run --release -p yuragi-benches --bin checkpoint -- FOLDER decode --size 1024x1024 --profile
//! ```

use std::{collections::BTreeMap, error::Error, fs, path::PathBuf, time::Instant};

use clap::{Parser, ValueEnum};
use serde_json::json;
use yuragi_benches::Session;
use yuragi_cpu::{Cpu, Residency};
use yuragi_graph::Precision;
use yuragi_io::stable_diffusion;
use yuragi_models::stable_diffusion::{BAND, Batch, decode, decode_in_bands, denoise, encode, encode_text};

/// Times a network of a Stable Diffusion checkpoint on the processor.
#[derive(Parser)]
struct Arguments {
    /// A folder of diffusers, a .safetensors or .gguf file
    checkpoint: PathBuf,
    /// Which network
    network: Network,
    /// Width and height in pixels, such as 512x512 [default: what the model was made for]
    #[arg(long, value_parser = size)]
    size: Option<[usize; 2]>,
    /// Pictures, or prompts, at a time
    #[arg(long, default_value_t = 1)]
    pictures: usize,
    /// Threads, the main one included
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Give the pages of weights back after each launch
    #[arg(long)]
    low: bool,
    /// Runs to time, without any to warm up
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Precision of products
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Print where the time goes, the costliest kinds of launches first
    #[arg(long)]
    profile: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Network {
    Text,
    Denoise,
    Decode,
    DecodeInBands,
    Encode,
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let sides: Option<(usize, usize)> =
        text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides.map(|(width, height)| [width, height]).ok_or_else(|| "a size is WIDTHxHEIGHT in pixels".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let arguments = Arguments::parse();
    let opened = stable_diffusion::open(&arguments.checkpoint)?;
    let size = arguments.size.unwrap_or([opened.model.size; 2]);
    let batch = Batch { pictures: arguments.pictures, size, chunks: 1, skip: 0 };
    let graph = match arguments.network {
        Network::Text => encode_text(&opened.model, batch)?,
        Network::Denoise => denoise(&opened.model, batch)?,
        Network::Decode => decode(&opened.model, batch)?,
        Network::DecodeInBands => decode_in_bands(&opened.model, batch, BAND)?,
        Network::Encode => encode(&opened.model, batch)?,
    };
    let graph =
        graph.with_stored(|spec| Some(opened.params.get(&spec.name)?.dtype())).in_precision(arguments.precision);
    let residency = if arguments.low { Residency::Launch } else { Residency::State };
    let cpu = Cpu::with_threads(arguments.threads).winograd(true).residency(residency);
    let mut session = Session::with(graph, opened.params, &cpu)?;
    let opening = start.elapsed().as_secs_f64();
    let details = session.launches();
    let (mut times, mut kinds) = (Vec::new(), BTreeMap::<&str, (usize, f64)>::new());
    for _ in 0..arguments.runs.max(1) {
        let inputs = session.inputs();
        let start = Instant::now();
        let launches = session.run_timed(&inputs)?;
        times.push(start.elapsed().as_secs_f64());
        for (detail, (_, seconds)) in details.iter().zip(launches) {
            let (count, sum) = kinds.entry(detail).or_default();
            (*count, *sum) = (*count + 1, *sum + seconds);
        }
    }
    if arguments.profile {
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
        let all: f64 = times.iter().sum();
        for (detail, (count, seconds)) in kinds {
            let (ms, runs) = (1e3 * seconds / times.len() as f64, times.len());
            println!("{:6.2}% {ms:9.2} ms {:4} × {detail}", 100.0 * seconds / all, count / runs);
        }
    }
    let memory = session.memory();
    println!(
        "{}",
        json!({
            "opening_s": opening, "times_s": times, "arena_bytes": memory.arena, "resident_bytes": memory.resident,
            "peak_bytes": peak(),
            "sum": session.outputs().first().map(|values| values.iter().map(|x| f64::from(x.abs())).sum::<f64>()),
        })
    );
    Ok(())
}

/// The most memory that the process had, mapped files included, where the system tells.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? << 10)
}
