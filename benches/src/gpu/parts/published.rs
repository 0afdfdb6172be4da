//! Published networks at their full extents, beside what is known of PyTorch on an H100.

use yuragi_cuda::Cuda;
use yuragi_graph::Plan;

use crate::{
    Session, Values,
    gpu::{
        effort::{Effort, cut},
        record::{Outcome, Part},
    },
    overlaid,
    published::Published,
    weights,
};

pub(super) fn alone(effort: Effort) -> Outcome {
    let cuda = Cuda::new()?;
    let mut rows = Vec::new();
    let left = effort.each(Published::ALL, |work| -> Outcome<()> {
        let precision = work.precision();
        let graph = if effort.small { work.small(precision) } else { work.graph(precision) }?;
        // What learns owns its weights.
        let params = if graph.updates().is_empty() { overlaid(graph.params()) } else { weights(graph.params()) };
        let mut session = Session::with(graph, params, &cuda)?;
        let inputs = session.inputs();
        let views: Vec<_> = inputs.iter().map(Values::view).collect();
        let (plan, state, store) = session.parts();
        let seconds = plan.seconds(state, store, &views, if effort.small { 1 } else { 20 })?;
        let memory = plan.memory();
        rows.push(vec![
            work.name().into(),
            precision.to_string(),
            plan.launches().to_string(),
            format!("{:.2}", memory.arena as f64 * 1e-9),
            format!("{:.2}", memory.params as f64 * 1e-9),
            format!("{:.3}", seconds * 1e3),
            format!("{:.2}", work.compiled()),
            format!("{:.2}", work.compiled() / (seconds * 1e3)),
        ]);
        Ok(())
    })?;
    let columns = [
        "plan",
        "precision",
        "launches",
        "arena GB",
        "weights GB",
        "ms",
        "torch.compile's on an H100",
        "its time / ours",
    ];
    Ok(Part::new(left == 0, format!("{} plans{}", rows.len(), cut(left)), &columns, rows))
}
