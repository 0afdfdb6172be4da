//! Two pictures drawn at once inside a game that must show a frame every 16 ms: on the game's own threads, in what is left
//! of each frame, with a heap that is closed while the game runs. In the 30th frame one of the two is given up for another.
//!
//! ```text
//! cargo run --release --example frame_loop -- 6 2
//! ```
//! draws in 6 ms of each frame, on 2 threads.
#![allow(unsafe_code)] // an allocator and a pool of threads, as engines have them

mod heap;
mod workers;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use heap::Heap;
use workers::Workers;
use yuragi::{
    cpu::Cpu,
    graph::Backend,
    io::{Picture, png},
    models::generator::{Generator, Request, Sampling},
};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// One frame at 62.5 Hz.
const FRAME: Duration = Duration::from_millis(16);
/// The frame in which the player changes their mind.
const SECOND_THOUGHT: usize = 30;

fn main() -> Result<(), yuragi::Failure> {
    let mut arguments = std::env::args().skip(1).map_while(|argument| argument.parse().ok());
    let budget = Duration::from_millis(arguments.next().unwrap_or(6)).min(FRAME);
    let threads = arguments.next().unwrap_or(2) as usize;

    let started = Instant::now();
    let model = yuragi::builtin()?;
    let cpu = Cpu::on(Arc::new(Workers::new(threads)));
    let generator = Generator::new(&cpu, cpu.upload(model.params)?, model.settings, model.tokenizer, 1)?;
    let request = |prompt, seed| [Request { prompt, seed, ..Request::default() }];
    let sampling = Sampling::default();
    let mut jobs =
        [generator.start(&request("a red cat", 7), &sampling)?, generator.start(&request("a dog", 7), &sampling)?];
    println!("ready after {:.0?}; each picture's arena has {} bytes", started.elapsed(), generator.memory());
    let mut shares = Vec::with_capacity(1 << 16);
    let mut slices = Vec::with_capacity(1 << 16);
    let mut restart = None;

    HEAP.close();
    while jobs.iter().any(|job| !job.progress().is_all()) && shares.len() < shares.capacity() {
        let frame = Instant::now();
        if shares.len() == SECOND_THOUGHT {
            let given_up = jobs[1].progress();
            let (begun, pieces, bytes) = HEAP.opened(|| jobs[1].restart(&request("a rocket", 8), &sampling));
            begun?;
            restart = Some((given_up, frame.elapsed(), pieces, bytes));
        }
        // The game computes its frame; then the pictures have launches by turns until the budget is spent.
        while frame.elapsed() < budget && jobs.iter().any(|job| !job.progress().is_all()) {
            for job in &mut jobs {
                let slice = Instant::now();
                if !job.progress().is_all() && frame.elapsed() < budget {
                    job.advance(1)?;
                    if slices.len() < slices.capacity() {
                        slices.push(slice.elapsed());
                    }
                }
            }
        }
        shares.push(frame.elapsed());
        thread::sleep(FRAME.saturating_sub(frame.elapsed()));
    }
    HEAP.open();

    let late = shares.iter().filter(|share| **share > FRAME).count();
    println!("{} frames of {FRAME:?}, {late} of them late; nothing was allocated in them", shares.len());
    if let Some((given_up, took, pieces, bytes)) = restart {
        let (done, total) = (given_up.done, given_up.total);
        println!(
            "a picture was given up after {done} of {total} launches, and another begun in {took:.1?}, with {bytes} bytes in \
             {pieces} pieces for its prompt and its steps"
        );
    }
    for (what, times) in [("share of a frame", &mut shares), ("launch", &mut slices)] {
        times.sort_unstable();
        let [median, most, longest] =
            [0.5, 0.99, 1.0].map(|q| times[(q * times.len().saturating_sub(1) as f64) as usize]);
        println!("a {what} took {median:.2?} (median), {most:.2?} (99 of 100), {longest:.2?} (all)");
    }
    println!("{budget:?} and one launch are allowed");

    let [width, height] = generator.size();
    for (number, job) in jobs.iter().enumerate() {
        let picture = Picture::new(width, height, job.rgb8(0).unwrap_or_default())?;
        let path = std::env::temp_dir().join(format!("frame_loop-{number}.png"));
        png::save(&path, &picture, &[])?;
        println!("{}", path.display());
    }
    Ok(())
}
