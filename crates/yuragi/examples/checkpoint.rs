//! A Stable Diffusion checkpoint is loaded once and draws many pictures, while another thread looks on and may stop it.
//!
//! ```sh
//! cargo run --release --example checkpoint -- v1-5-pruned-emaonly.safetensors "a red cat" "a blue cat"
//! ```

use std::{
    env,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use yuragi::{
    Failure,
    cpu::Cpu,
    graph::Backend,
    io::{Picture, png},
    models::generator::{Batch, Generator, Pipeline, Request},
    stable_diffusion,
};

/// How far the pictures are, for those who look on.
#[derive(Default)]
struct Course {
    done: AtomicUsize,
    total: AtomicUsize,
    stop: AtomicBool,
    ended: AtomicBool,
}

fn main() -> Result<(), Failure> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or_else(|| Failure::new("name a checkpoint, then prompts"))?;
    let prompts: Vec<String> = arguments.collect();
    let course = Course::default();
    thread::scope(|scope| {
        let drawing = scope.spawn(|| {
            let drawn = draw(Path::new(&path), &prompts, &course);
            course.ended.store(true, Relaxed);
            drawn
        });
        // A window would draw a bar here, and set `stop` where someone asks for it.
        while !course.ended.load(Relaxed) {
            thread::sleep(Duration::from_millis(200));
            eprint!("\r{} of {} launches ", course.done.load(Relaxed), course.total.load(Relaxed));
        }
        eprintln!();
        drawing.join().unwrap_or_else(|_| Err(Failure::new("the drawing thread ended early")))
    })
}

/// Draws a picture of each prompt: `0.png`, `1.png`, ..
fn draw(path: &Path, prompts: &[String], course: &Course) -> Result<(), Failure> {
    let loaded = stable_diffusion::open(path)?;
    let (drawing, cpu) = (loaded.drawing, Cpu::new().winograd(true));
    let chunks = prompts.iter().map(|prompt| drawing.chunks(prompt)).max().unwrap_or(1);
    let batch = Batch { pictures: 1, size: drawing.size(), chunks, skip: 0 };
    let how = drawing.sampling();
    let store = cpu.upload(loaded.params)?;
    // Frugal: each network gives its memory back before the next one takes its own.
    let generator = Generator::of(&cpu, &store, &drawing, batch)?.frugal(true);
    for (number, prompt) in prompts.iter().enumerate() {
        let request = Request { prompt, negative: "blurry", seed: number as u64, ..Request::default() };
        let mut job = generator.start(&[request], &how)?;
        loop {
            let state = job.advance(16)?;
            course.done.store(state.done, Relaxed);
            course.total.store(state.total, Relaxed);
            if course.stop.load(Relaxed) {
                return Ok(());
            }
            if state.is_all() {
                break;
            }
        }
        let [width, height] = generator.size();
        let picture = Picture::new(width, height, job.rgb8(0).unwrap_or_default())?;
        png::save(Path::new(&format!("{number}.png")), &picture, &[])?;
    }
    Ok(())
}
