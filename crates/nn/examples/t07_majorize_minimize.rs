//! T07: gradient descent with η = 1/λ_max goes to the minimum of a parabola that lies above the loss, so the
//! loss never rises; beyond 2/λ_max it does. λ_max comes from Hessian-vector products alone.

use std::error::Error;

use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut};
use yuragi_nn::{Scope, curvature, init};
use yuragi_reference::Reference;

fn main() -> Result<(), Box<dyn Error>> {
    for times in [1.0, 1.9, 2.1] {
        let b = Builder::new();
        let x = Scope::new(&b).param("x", &[3], init::ONE);
        let loss = (x * x * b.literal(&[3], &[2.0, 0.5, 0.1])).sum_all().reshape(&[]);
        let found = curvature::largest(loss, |_| true);
        let go = b.input("go", &[], DType::F32);
        let surrogate = curvature::majorize(loss, found.rate(1e3) * go, |_| true);
        let graph = b.finish(&[("loss", loss), ("surrogate", surrogate), ("largest", found.largest)])?;

        let plan = Reference::truth().compile(&graph)?;
        let mut params = Params::new();
        params.initialise(graph.params(), 7);
        let mut state = plan.state(&params)?;
        let mut run = |go: f32| {
            let (mut loss, mut surrogate, mut largest) = ([0.0], [0.0], [0.0]);
            let outputs = &mut [SliceMut::F32(&mut loss), SliceMut::F32(&mut surrogate), SliceMut::F32(&mut largest)];
            plan.update(&mut state, &mut params, &[Slice::F32(&[go])], outputs)?;
            Ok::<_, Box<dyn Error>>((loss[0], surrogate[0], largest[0]))
        };
        for _ in 0..20 {
            run(0.0)?; // the power iteration alone
        }
        println!("rate {times}/lambda");
        for step in 0..6 {
            let (loss, surrogate, largest) = run(times)?;
            println!("  {step}: lambda = {largest:.4}, loss {loss:.5}, the parabola's least {surrogate:.5}");
        }
    }
    Ok(())
}
