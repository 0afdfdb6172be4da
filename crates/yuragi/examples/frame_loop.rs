//! A picture drawn beside a game that must show a frame every 16 ms: the model gets what is left of each.
//!
//! ```text
//! cargo run --release --example frame_loop -- "a red cat" 4
//! ```

use std::{
    thread,
    time::{Duration, Instant},
};

use yuragi::{
    cpu::Cpu,
    io::{Picture, png},
    models::generator::{Generator, Request, Sampling},
};

/// One frame at 62.5 Hz.
const FRAME: Duration = Duration::from_millis(16);

fn main() -> Result<(), yuragi::Failure> {
    let mut arguments = std::env::args().skip(1);
    let prompt = arguments.next().unwrap_or_else(|| "a red cat".into());
    let budget = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(4);
    let budget = Duration::from_millis(budget).min(FRAME);

    let started = Instant::now();
    let model = yuragi::builtin()?;
    // One thread: the game keeps the other cores.
    let generator = Generator::new(&Cpu::with_threads(1), model.params, model.settings, model.tokenizer, 1)?;
    println!("ready after {:.0?}; a picture's arena has {} bytes", started.elapsed(), generator.memory());

    let request = Request { prompt: &prompt, seed: 7, ..Request::default() };
    let sampling = Sampling::default();

    // A picture that is no longer wanted is dropped, between any two launches.
    let mut unwanted = generator.start(&[request], &sampling)?;
    let state = unwanted.advance(100)?;
    let dropped = Instant::now();
    drop(unwanted);
    println!("cancelled after {} of {} launches, in {:.0?}", state.done, state.total, dropped.elapsed());

    let mut job = generator.start(&[request], &sampling)?;
    let (mut frames, mut finished, mut worked) = (0, false, Duration::ZERO);
    let (mut slices, mut longest_share) = (Vec::new(), Duration::ZERO);
    while !finished {
        let frame = Instant::now();
        // The game computes its frame, then gives the model launches until the budget is spent.
        while !finished && frame.elapsed() < budget {
            let slice = Instant::now();
            finished = job.advance(1)?.is_all();
            slices.push(slice.elapsed());
        }
        let share = frame.elapsed();
        (frames, worked, longest_share) = (frames + 1, worked + share, longest_share.max(share));
        thread::sleep(FRAME.saturating_sub(frame.elapsed()));
    }
    slices.sort_unstable();
    let [median, most, longest] = [0.5, 0.99, 1.0].map(|share| slices[(share * (slices.len() - 1) as f64) as usize]);
    println!("{frames} frames of {FRAME:?} with {worked:.0?} of work in {} slices", slices.len());
    println!("a slice took {median:.1?} (median), {most:.1?} (99 of 100), {longest:.1?} (all)");
    println!("the longest share of a frame was {longest_share:.1?}; {budget:?} and one slice are allowed");

    let side = generator.settings().size;
    let picture = Picture::new(side, side, job.rgb8(0).unwrap_or_default())?;
    let path = std::env::temp_dir().join("frame_loop.png");
    png::save(&path, &picture, &[])?;
    println!("{}", path.display());
    Ok(())
}
