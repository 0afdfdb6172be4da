//! A sampler spread over frames: one evaluation a frame, saved and resumed in
//! between, nothing allocated (T30).
//!
//! cargo run --release -p yuragi-diffusion --example frames -- "DPM++ 2M Karras" 12

use std::process::ExitCode;
use yuragi_diffusion::config::PredictionType;
use yuragi_diffusion::{Choice, Config, Error};

/// In place of a network: the ε of data that are all ½.
fn network(x: &[f32], alpha: f64, sigma: f64, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = ((f64::from(*x) - 0.5 * alpha) / sigma) as f32;
    }
}

fn draw(name: &str, steps: usize) -> Result<(), Error> {
    let choice: Choice = name.parse()?;
    let plan = Config::stable_diffusion(PredictionType::Epsilon).plan(Some(choice), steps)?;
    let (mut sampler, mut latents) = (plan.sampler(16, 16)?, [0.0f32; 16]);
    let (mut input, mut output) = ([0.0; 16], [0.0; 16]);
    let mut seed = [42, 0];
    sampler.start(&mut latents, &mut seed)?;
    while let Some(point) = sampler.request() {
        let scale = sampler.scale();
        input.iter_mut().zip(&latents).for_each(|(to, from)| *to = scale * from);
        // What the network reads has unit variance where the sampler scales it.
        let size = f64::from(scale);
        network(&input, point.alpha * size, point.sigma * size, &mut output);
        sampler.advance(&mut latents, &output, &mut seed)?;
        let (frame, all) = (sampler.done(), sampler.evaluations());
        println!("frame {frame:2} of {all}: timestep {:5.1}, first latent {:8.4}", point.time, latents[0]);
        // A game would save these, and go on another day.
        let (done, memory) = (sampler.done(), sampler.memory().to_vec());
        sampler = plan.sampler(16, 16)?;
        sampler.resume(done, &memory)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "DPM++ 2M Karras".into());
    let steps = arguments.next().map_or(Some(12), |steps| steps.parse().ok());
    match steps.map(|steps| draw(&name, steps)) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("error: the number of steps must be a whole number");
            ExitCode::FAILURE
        }
    }
}
