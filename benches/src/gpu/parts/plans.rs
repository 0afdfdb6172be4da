//! Whole plans of the built-in model beside the processor.

use std::time::Instant;

use yuragi_cpu::Cpu;
use yuragi_cuda::Cuda;
use yuragi_graph::{Plan, Precision};

use crate::{
    Session, Values, Work,
    gpu::{
        effort::{Effort, cut},
        record::{Outcome, Part},
    },
};

/// The largest difference of an output in single precision, relative to its size, as between the processor and PyTorch.
const SAME: f32 = 1e-4;
/// What rounding of all factors may do.
const NEAR: f32 = 0.1;

pub(super) fn alone(effort: Effort) -> Outcome {
    let (cuda, cpu) = (Cuda::new()?, Cpu::new());
    let (mut rows, mut same) = (Vec::new(), true);
    let repeated = if effort.small { 1 } else { 20 };
    // Made small, the U-Net of larger pictures is that of the others.
    let works = Work::ALL.into_iter().filter(|&work| !effort.small || work != Work::UnetTraining);
    let left = effort.each(works, |work| -> Outcome<()> {
        let graph = if effort.small { work.small() } else { work.graph() }?;
        let mut session = Session::new(graph.clone(), &cpu)?;
        let inputs = session.inputs();
        session.run(&inputs)?;
        let truth = session.outputs().to_vec();
        let start = Instant::now();
        session.run(&inputs)?;
        let processor = start.elapsed().as_secs_f64();
        let precisions: &[Precision] =
            if effort.small { &[Precision::F32] } else { &[Precision::F32, Precision::Tf32, Precision::BF16] };
        for &precision in precisions {
            let graph = graph.in_precision(precision);
            let cuda = cuda.clone().tf32(precision == Precision::Tf32);
            let mut session = Session::new(graph.clone(), &cuda)?;
            session.run(&inputs)?;
            let difference = session.outputs().iter().zip(&truth).map(|(have, want)| relative(have, want));
            let difference = difference.fold(0.0, f32::max);
            same &= difference <= if precision == Precision::F32 { SAME } else { NEAR };
            // The same with launches that wait until those before them are over: equal bits, in more time.
            let mut apart = String::new();
            if cuda.device().has_dependent_launches() && Some(&precision) == precisions.last() {
                let mut other = Session::new(graph, &cuda.dependent(false))?;
                other.run(&inputs)?;
                same &= other.outputs() == session.outputs();
                apart = format!("{:.3}", seconds(&mut other, &inputs, repeated)? * 1e3);
            }
            let seconds = seconds(&mut session, &inputs, repeated)?;
            let (plan, ..) = session.parts();
            let launches = plan.launches().to_string();
            let [processor_ms, gpu_ms] = [processor, seconds].map(|s| format!("{:.3}", s * 1e3));
            let ratio = format!("{:.1}", processor / seconds);
            let names = [work.name().into(), precision.to_string()];
            let figures = [launches, processor_ms, gpu_ms, ratio, format!("{difference:.1e}"), apart];
            rows.push(names.into_iter().chain(figures).collect());
        }
        Ok(())
    })?;
    let summary = format!("{} plans; the processor has {} threads{}", rows.len(), cpu.threads(), cut(left));
    let columns = [
        "plan",
        "precision",
        "launches",
        "processor ms",
        "GPU ms",
        "ratio",
        "relative difference",
        "GPU ms, launches apart",
    ];
    Ok(Part::new(same && left == 0, summary, &columns, rows))
}

/// Seconds of one of so many runs.
fn seconds(session: &mut Session<Cuda>, inputs: &[Values], runs: u32) -> Outcome<f64> {
    let views: Vec<_> = inputs.iter().map(Values::view).collect();
    let (plan, state, store) = session.parts();
    Ok(plan.seconds(state, store, &views, runs)?)
}

/// The largest difference over the largest value; infinite if a number is none.
pub(super) fn relative(have: &[f32], want: &[f32]) -> f32 {
    let size = want.iter().map(|x| x.abs()).fold(f32::MIN_POSITIVE, f32::max);
    let apart = |(a, b): (&f32, &f32)| if a.is_finite() && b.is_finite() { (a - b).abs() } else { f32::INFINITY };
    have.iter().zip(want).map(apart).fold(0.0, f32::max) / size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_the_largest_value() {
        assert_eq!(relative(&[1.0, -3.5], &[1.0, -4.0]), 0.125);
        assert_eq!(relative(&[f32::NAN], &[1.0]), f32::INFINITY);
    }
}
