//! What graphs draw and compute element by element on the CPU's backend.

use alloc::vec;

use yuragi_cpu::Cpu;
use yuragi_graph::op::Distribution;
use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut, Tensor};

use super::digest::{Digest, Draw, Failure};

pub const ALL: &[(&str, Draw)] = &[
    ("graph/uniform", |digest| random(digest, Distribution::Uniform)),
    ("graph/normal", |digest| random(digest, Distribution::Normal)),
    ("graph/elementwise", |digest| {
        let b = Builder::new();
        let x = b.input("x", &[COUNT], DType::F32);
        // Positive, so that every function has a value.
        let at = x * 0.37 + 0.01;
        let values = [at.exp(), at.ln(), at.sqrt(), at.recip(), at.sin(), at.cos(), at.tanh(), at.sigmoid()];
        let gates = [at.erf(), at.relu(), at.silu(), at.gelu()].map(|gate| gate - x * x);
        let all = at.concat(&values, 0).concat(&gates, 0);
        run(digest, &b, all, &|x| Slice::F32(x))
    }),
];

/// Not a multiple of any vector's length.
const COUNT: usize = 333;

fn random(digest: &mut Digest, law: Distribution) -> Result<(), Failure> {
    let b = Builder::new();
    let key = b.input("key", &[2], DType::U32);
    let drawn = b.random(law, key, 5, &[3, COUNT / 3]);
    run(digest, &b, drawn, &|_| Slice::U32(&[7, 8]))
}

/// Feeds what a graph of one input gives; the numbers offered to it rise by steps from 0.
fn run(
    digest: &mut Digest,
    b: &Builder,
    output: Tensor<'_>,
    input: &dyn for<'a> Fn(&'a [f32]) -> Slice<'a>,
) -> Result<(), Failure> {
    let graph = b.finish(&[("y", output)]).map_err(|_| Failure::Graph)?;
    let cpu = Cpu::new();
    let plan = cpu.compile(&graph).map_err(|_| Failure::Graph)?;
    let store = cpu.upload(Params::new()).map_err(|_| Failure::Graph)?;
    let mut state = plan.state(&store).map_err(|_| Failure::Graph)?;
    let x: [f32; COUNT] = core::array::from_fn(|i| i as f32 * 0.043);
    let mut y = vec![0.0; output.shape().count()];
    let ran = plan.run(&mut state, &store, &[input(&x)], &mut [SliceMut::F32(&mut y)]);
    ran.map_err(|_| Failure::Graph)?;
    digest.singles(&y);
    Ok(())
}
