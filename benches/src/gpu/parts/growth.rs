//! How times grow with pictures, their sides, and reads.

use std::time::Instant;

use yuragi_cuda::{Cuda, replicas::CudaReplicas};
use yuragi_energy::{
    dynamics::{Dynamics, Metropolis, Order, SingleSite},
    replicas::{Betas, Reads, Replicas},
};
use yuragi_graph::{Backend, BuildError, Graph, Plan, Precision};
use yuragi_io::{
    Picture,
    plot::{Chart, Series},
};
use yuragi_models::latent_diffusion::OPTIMIZER;

use super::samplers::{BETA, lattice};
use crate::{
    Values,
    gpu::{
        effort::{Effort, cut},
        record::{Outcome, Part},
    },
    inputs, overlaid,
    published::{guided_small, guided15},
};

/// The first column of the rows, and what their times are divided by.
const PICTURES: &str = "pictures of one step of Stable Diffusion 1.5";
const SIDE: &str = "side of one picture, pixels";
const READS: &str = "reads of a \u{b1}J lattice, one sweep by colours";

/// What grows, how large it is, and how much work that is beside size 1.
type Row = (&'static str, usize, f64);

pub(super) fn alone(effort: Effort) -> Outcome {
    let cuda = Cuda::new()?;
    let (pictures, sides, reads): (&[usize], &[usize], &[u32]) = if effort.small {
        (&[1, 2], &[16, 32], &[32, 64])
    } else {
        (&[1, 2, 4, 8, 16, 32, 64], &[256, 512, 768, 1024], &[64, 256, 1024, 4096])
    };
    let step: fn(usize, usize, Precision) -> Result<Graph, BuildError> =
        if effort.small { guided_small } else { guided15 };
    let usual = if effort.small { 16 } else { 512 };
    let mut store = cuda.upload(overlaid(step(1, usual, Precision::F16)?.params()))?;
    let mut rows = Vec::new();
    let mut row = |(what, size, work): Row, outcome: Outcome<f64>| {
        // The largest may not fit the card.
        let [time, rate] = match outcome {
            Ok(seconds) => [format!("{:.3}", seconds * 1e3), format!("{:.4}", work / (seconds * 1e3))],
            Err(error) => [error.to_string(), String::new()],
        };
        rows.push(vec![what.into(), size.to_string(), time, rate]);
    };
    let mut seconds = |graph: Graph| -> Outcome<f64> {
        let plan = cuda.compile(&graph)?;
        let mut state = plan.state(&store)?;
        let given = inputs(&graph, 0, &OPTIMIZER);
        let views: Vec<_> = given.iter().map(Values::view).collect();
        Ok(plan.seconds(&mut state, &mut store, &views, if effort.small { 1 } else { 8 })?)
    };
    let mut left = effort.each(pictures, |&count| -> Outcome<()> {
        row((PICTURES, count, count as f64), seconds(step(count, usual, Precision::F16)?));
        Ok(())
    })?;
    left += effort.each(sides, |&side| -> Outcome<()> {
        row((SIDE, side, (side * side) as f64 * 1e-3), seconds(step(1, side, Precision::F16)?));
        Ok(())
    })?;
    let (problem, sweeps) = if effort.small { (lattice(12)?, 2) } else { (lattice(1024)?, 50) };
    let chain = SingleSite { kernel: Metropolis, order: Order::Checkerboard };
    left += effort.each(reads, |&count| -> Outcome<()> {
        let two_state = chain.two_state().ok_or("a chain of single spins in a fixed order")?;
        let mut replicas = CudaReplicas::on(cuda.device(), &problem, two_state, Reads { first: 0, count }, 7)?;
        replicas.sweep(0, Betas::Same(BETA))?;
        let mut values = vec![0; problem.len()];
        replicas.values(0, &mut values)?;
        let start = Instant::now();
        (0..sweeps).try_for_each(|sweep| replicas.sweep(1 + sweep, Betas::Same(BETA)))?;
        replicas.values(0, &mut values)?;
        let visits = problem.len() as f64 * f64::from(count) * 1e-6;
        row((READS, count as usize, visits), Ok(start.elapsed().as_secs_f64() / f64::from(sweeps)));
        Ok(())
    })?;
    let columns = ["what", "size", "ms", "pictures, thousand pixels, million visits a ms"];
    Ok(Part::new(left == 0, format!("{} sizes{}", rows.len(), cut(left)), &columns, rows))
}

/// The part's rows: work done in a time over size, beside that of the first size of its kind; `None` if nothing was done.
///
/// # Errors
/// None for what this part wrote.
pub fn chart(part: &Part) -> Outcome<Option<Picture>> {
    let mut series: Vec<Series> = Vec::new();
    for row in &part.rows {
        let [what, size, _, rate] = &row[..] else { continue };
        let (Ok(size), Ok(rate)) = (size.parse::<f64>(), rate.parse::<f64>()) else { continue };
        if series.last().is_none_or(|series| series.label != *what) {
            series.push(Series { label: what.clone(), ..Series::default() });
        }
        let Some(series) = series.last_mut() else { continue };
        series.points.push((size.log2(), rate));
    }
    for Series { points, .. } in &mut series {
        let first = points.first().map_or(1.0, |&(_, rate)| rate);
        points.iter_mut().for_each(|(_, rate)| *rate *= 100.0 / first);
    }
    if series.is_empty() {
        return Ok(None);
    }
    let chart = Chart {
        title: "Work in a time over size".into(),
        x_label: "binary logarithm of the size".into(),
        y_label: "% of the first size's".into(),
        ..Chart::default()
    };
    Ok(Some(chart.draw(&series)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_leaves_out_what_did_not_fit() {
        let row = |size: &str, time: &str, rate: &str| [PICTURES, size, time, rate].map(String::from).to_vec();
        let rows = vec![row("1", "2.0", "0.5"), row("2", "3.0", "0.667"), row("4", "not enough memory", "")];
        let picture = chart(&Part::new(true, String::new(), &[], rows)).unwrap().unwrap();
        assert!(picture.rgb().iter().any(|&byte| byte < 255));
        assert!(chart(&Part::new(true, String::new(), &[], Vec::new())).unwrap().is_none());
    }
}
