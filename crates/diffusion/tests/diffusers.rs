//! T30: states equal to those of diffusers 0.42.1's schedulers, evaluation by
//! evaluation, on a fixed function in place of a network
//! (`tests/golden/schedulers.py`; where their own rounding is too coarse to
//! tell, to the same code in double precision).

use std::collections::BTreeMap;
use yuragi_diffusion::config::Value;
use yuragi_diffusion::{Choice, Config, Kind};

const GOLDEN: &str = include_str!("../../../tests/golden/schedulers.txt");
/// Of the largest value of the states before and after a step, to which the
/// step's rounding is relative.
const TOLERANCE: f64 = 1e-5;

fn noise(stream: u32, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = (1.5 * (1.7 * f64::from(stream) + 2.3 * i as f64).sin()) as f32;
    }
}

fn network(x: &[f32], time: f64) -> Vec<f32> {
    let t = f64::from(time as f32);
    let value = |(i, x): (usize, &f32)| {
        let x = f64::from(*x);
        (0.7 * x + 0.4 * (2.0 * x + 0.003 * t + 0.5 * i as f64).sin()) as f32
    };
    x.iter().enumerate().map(value).collect()
}

/// The network's output with a variance behind it.
fn told(x: &[f32], time: f64) -> Vec<f32> {
    let t = f64::from(time as f32);
    let value = |(i, x): (usize, &f32)| (0.5 + 0.4 * (0.9 * f64::from(*x) + 0.002 * t + 0.3 * i as f64).sin()) as f32;
    network(x, time).into_iter().chain(x.iter().enumerate().map(value)).collect()
}

/// The configuration that a flat JSON object is, and η.
fn read(name: &str, json: &str) -> (Config, Option<f64>) {
    let (mut config, mut eta) = (Config::default(), None);
    config.set("_class_name", Value::Text(name)).unwrap();
    let inside = json.trim().trim_start_matches('{').trim_end_matches('}');
    for pair in inside.split(", ").filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(": ").unwrap();
        let key = key.trim_matches('"');
        let value = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text if text.starts_with('"') => Value::Text(text.trim_matches('"')),
            number => Value::Number(number.parse().unwrap()),
        };
        if key == "eta" {
            let Value::Number(number) = value else { panic!("eta is no number") };
            eta = Some(number);
        } else {
            assert!(config.set(key, value).unwrap(), "{key} is not taken");
        }
    }
    (config, eta)
}

fn single(bits: &str) -> f32 {
    f32::from_bits(u32::from_str_radix(bits, 16).unwrap())
}

/// The worst differences of a case: of timesteps, and of states.
fn compare(name: &str, steps: usize, skipped: usize, json: &str, golden: &[&str]) -> Result<(f64, f64), String> {
    let (config, eta) = read(name, json);
    let choice = match (name, eta) {
        ("DDIMScheduler" | "DDIMParallelScheduler", Some(eta)) => Some(Choice::from(Kind::Ddim { eta })),
        ("TCDScheduler", Some(gamma)) => Some(Choice::from(Kind::Tcd { gamma })),
        _ => None,
    };
    let mut plan = config.plan(choice, steps).map_err(|error| error.to_string())?;
    if skipped > 0 {
        plan = plan.tail(steps - skipped).map_err(|error| error.to_string())?;
    }
    let mut sampler = plan.sampler(2, 2).map_err(|error| error.to_string())?;
    if sampler.evaluations() != golden.len() {
        return Err(format!("{} evaluations, not {}", sampler.evaluations(), golden.len()));
    }
    let mut source = |stream: u32, _: usize, out: &mut [f32]| noise(stream, out);
    let mut state = [0.0; 2];
    if skipped > 0 {
        noise(0, &mut state);
    } else {
        sampler.start(&mut state, &mut source).unwrap();
    }
    let (mut worst_time, mut worst, mut before) = (0f64, 0f64, 0f64);
    for line in golden {
        let values: Vec<f32> = line.split(' ').map(single).collect();
        let time = sampler.request().unwrap().time;
        let scale = sampler.scale();
        let input = state.map(|x| x * scale);
        let output = if sampler.outputs() == 2 { network(&input, time) } else { told(&input, time) };
        sampler.advance(&mut state, &output, &mut source).unwrap();
        let size = f64::from(values[1].abs().max(values[2].abs()));
        let miss = state.iter().zip(&values[1..]).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        worst_time = worst_time.max((time - f64::from(values[0])).abs());
        worst = worst.max(miss / size.max(before));
        before = size;
    }
    Ok((worst_time, worst))
}

#[test]
fn t30_every_scheduler_of_diffusers_is_met_step_by_step() {
    let mut lines = GOLDEN.lines().peekable();
    let (mut faults, mut cases, mut double) = (Vec::new(), 0, 0);
    let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
    while let Some(head) = lines.next() {
        let fields: Vec<&str> = head.splitn(5, ' ').collect();
        let (steps, skipped) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
        let mut golden = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.contains("Scheduler")) {
            golden.push(line);
        }
        cases += 1;
        double += usize::from(fields[3] == "double");
        match compare(fields[0], steps, skipped, fields[4], &golden) {
            Ok((time, state)) => {
                let entry = worst.entry(fields[0]).or_default();
                *entry = entry.max(state);
                if time > 2e-4 || state.is_nan() || state > TOLERANCE {
                    faults.push(format!("{head}: timesteps differ by {time:.1e}, states by {state:.1e}"));
                }
            }
            Err(error) => faults.push(format!("{head}: {error}")),
        }
    }
    for (name, worst) in &worst {
        println!("{name}: {worst:.1e}");
    }
    println!("{cases} cases, {double} of them in double precision");
    assert!(cases > 800 && double < cases / 4, "{cases} cases, {double} in double precision");
    assert!(faults.is_empty(), "{} of {cases} cases:\n{}", faults.len(), faults.join("\n"));
}
