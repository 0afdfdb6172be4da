//! The operations of Stable Diffusion's networks one by one.

use std::collections::HashSet;

use yuragi_cuda::Cuda;
use yuragi_graph::{Backend, DType};

use super::plans::relative;
use crate::{
    Session,
    gpu::{
        effort::{Effort, cut},
        record::{Outcome, Part},
        shapes::Shape,
    },
};

/// The largest difference between half and single precision, relative to the largest result: factors are rounded to 11
/// bits, sums to 11 bits once.
const NEAR: f32 = 1e-2;

/// Operations and bytes in a second that an H100 reached at best: tensor cores at large products, its cache.
const MOST: (f64, f64) = (803e12, 4.4e12);

pub(super) fn alone(effort: Effort) -> Outcome {
    let cuda = Cuda::new()?;
    let mut shapes = Shape::all();
    if effort.small {
        let mut seen = HashSet::new();
        shapes.retain(|shape| seen.insert(shape.kind));
        shapes.iter_mut().for_each(Shape::shrink);
    }
    let (mut rows, mut near) = (Vec::new(), true);
    let left = effort.each(&shapes, |shape| -> Outcome<()> {
        let Some(graph) = shape.graph(DType::F16)? else { return Ok(()) };
        let (operations, bytes) = shape.cost(&graph);
        let mut session = Session::new(graph, &cuda)?;
        let (plan, state, store) = session.parts();
        let seconds = plan.seconds(state, store, &[], if effort.small { 1 } else { 50 })?;
        let half = result(&cuda, &session)?;
        // What the kernels for every GPU take, where this one has its own.
        let mut portable = String::new();
        if cuda.device().is_hopper() && matches!(shape.kind, "conv" | "linear") {
            let graph = shape.graph(DType::F16)?.ok_or("the same kind once more")?;
            let mut session = Session::new(graph, &cuda.clone().portable(true))?;
            let (plan, state, store) = session.parts();
            portable = format!("{:.1}", plan.seconds(state, store, &[], if effort.small { 1 } else { 20 })? * 1e6);
        }
        let mut session = Session::new(shape.graph(DType::F32)?.ok_or("the same kind in another precision")?, &cuda)?;
        session.run(&[])?;
        let difference = relative(&half, &result(&cuda, &session)?);
        near &= difference <= NEAR;
        rows.push(vec![
            shape.model.into(),
            shape.kind.into(),
            shape.text.to_string(),
            format!("{:.1}", seconds * 1e6),
            portable,
            format!("{:.1}", operations / seconds * 1e-12),
            format!("{:.2}", bytes / seconds * 1e-12),
            format!("{:.2}", (operations / MOST.0).max(bytes / MOST.1) / seconds),
            format!("{:.2}", shape.library * 1e-6 / seconds),
            format!("{difference:.1e}"),
        ]);
        Ok(())
    })?;
    let columns = [
        "network",
        "operation",
        "extents",
        "µs",
        "by mma.sync",
        "TFLOP/s",
        "TB/s",
        "bound / ours (H100)",
        "library's time / ours (H100)",
        "difference to f32",
    ];
    Ok(Part::new(near && left == 0, format!("{} shapes in f16{}", rows.len(), cut(left)), &columns, rows))
}

/// What the operation left on the device.
fn result(cuda: &Cuda, session: &Session<Cuda>) -> Outcome<Vec<f32>> {
    let params = cuda.download(session.store())?;
    Ok(params.get("result").ok_or("the graph has a result")?.to_f32())
}
