//! What a plan promises beside its numbers: slices, cancellation, shared stores, and errors in place of panics.

use std::sync::Arc;

use yuragi_graph::{
    Backend, Builder, DType, Graph, HostTensor, Init, Params, Plan, Progress, RunError, Shape, View, ViewMut,
};
use yuragi_numeric::groups::Groups;

use crate::tolerance::{Failure, Values, run};

/// A promise, and how it is put to the test.
type Promise<B> = (&'static str, fn(&B) -> Result<(), Failure>);

/// Tests every promise; gives the number tested and what was broken.
pub fn check<B: Backend>(backend: &B) -> (usize, Vec<String>) {
    let promises: [Promise<B>; 10] = [
        ("a run in slices gives the same bits", slices),
        ("a cancelled run leaves no trace", cancelled),
        ("plans share a store", shared),
        ("outputs cannot be read before the run has ended", unfinished),
        ("wrong operands are errors", operands),
        ("wrong parameters are errors", parameters),
        ("indices outside their table are errors", indices),
        ("updates need an exclusive store", updates),
        ("parameters are borrowed, in half precision too", borrowed),
        ("parameters come in codes of 4 to 8 bits", coded),
    ];
    let broken = |(name, promise): &Promise<B>| match promise(backend) {
        Ok(()) => None,
        Err(Failure::Verify(message)) => Some(format!("{name}: {message}")),
        Err(failure) => Some(format!("{name}: {failure}")),
    };
    (promises.len(), promises.iter().filter_map(broken).collect())
}

fn expect(holds: bool, message: impl Into<String>) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Verify(message.into())) }
}

/// Whether a run failed as it should.
fn refused<T>(result: Result<T, RunError>, legal: impl Fn(&RunError) -> bool) -> Result<(), Failure> {
    match result {
        Err(error) if legal(&error) => Ok(()),
        Err(error) => Err(Failure::Verify(format!("the wrong error: {error}"))),
        Ok(_) => Err(Failure::Verify("there was no error".into())),
    }
}

/// A graph of several kernels, its parameters and two inputs for it.
fn network() -> Result<(Graph, Params, [Vec<f32>; 2]), Failure> {
    let b = Builder::new();
    let x = b.input("x", &[6, 5], DType::F32);
    let w = b.param("w", &[5, 5], DType::F32, Init::Normal(1.0));
    let y = (x.matmul(w).softmax() + x).tanh().permute(&[1, 0]).matmul(x);
    let graph = b.finish(&[("y", y), ("mean", y.mean_all())])?;
    let mut params = Params::new();
    params.initialise(graph.params(), 5);
    let inputs = [1, 2].map(|seed| {
        let mut x = vec![0.0; 30];
        yuragi_numeric::fill::normal([seed, 0], 0, 0, &mut x);
        x
    });
    Ok((graph, params, inputs))
}

fn slices<B: Backend>(backend: &B) -> Result<(), Failure> {
    let (graph, params, [input, _]) = network()?;
    let whole = run(backend, &graph, &params, &[View::F32(&input)])?.0;
    let plan = backend.compile(&graph)?;
    let store = backend.upload(params)?;
    let mut state = plan.state(&store)?;
    for step in [1, 2] {
        plan.begin(&mut state, &[View::F32(&input)])?;
        let mut remaining = plan.launches() + 1;
        let mut early = Values::room(&graph);
        let mut waited: Vec<usize> = (0..graph.outputs().len()).collect();
        loop {
            let now = match plan.advance(&mut state, &store, step)? {
                Progress::Running(now) => now,
                Progress::Done => 0,
            };
            expect(now < remaining, format!("{now} launches remain after {remaining}"))?;
            remaining = now;
            let ready = |output: &usize| plan.ready(*output) <= plan.launches() - now;
            let mut room = views(&mut early);
            for output in waited.extract_if(.., |output| ready(output)) {
                plan.output(&state, output, &mut room[output])?;
            }
            if now == 0 {
                break;
            }
        }
        expect(waited.is_empty(), "an output is not ready at the end")?;
        let mut values = Values::room(&graph);
        plan.finish(&state, &mut views(&mut values))?;
        expect(values == whole && early == whole, "the outputs differ")?;
    }
    Ok(())
}

fn cancelled<B: Backend>(backend: &B) -> Result<(), Failure> {
    let (graph, params, [input, other]) = network()?;
    let whole = run(backend, &graph, &params, &[View::F32(&input)])?.0;
    let plan = backend.compile(&graph)?;
    let store = backend.upload(params)?;
    let mut state = plan.state(&store)?;
    plan.begin(&mut state, &[View::F32(&other)])?;
    plan.advance(&mut state, &store, 2)?;
    for _ in 0..2 {
        let mut values = Values::room(&graph);
        plan.run(&mut state, &store, &[View::F32(&input)], &mut views(&mut values))?;
        expect(values == whole, "the outputs differ")?;
    }
    Ok(())
}

fn shared<B: Backend>(backend: &B) -> Result<(), Failure> {
    let build = |train: bool| {
        let b = Builder::new();
        let w = b.param("w", &[3], DType::F32, Init::Constant(1.0));
        if train {
            b.update(w, w + w);
        }
        b.finish(&[("w", w * 1.5)])
    };
    let (train, sample) = (build(true)?, build(false)?);
    let mut params = Params::new();
    params.initialise(train.params(), 0);
    let (train, sample) = (backend.compile(&train)?, backend.compile(&sample)?);
    let mut store = backend.upload(params)?;
    let (mut training, mut sampling) = (train.state(&store)?, sample.state(&store)?);
    for step in 0..3_u8 {
        let (mut old, mut new) = ([0.0; 3], [0.0; 3]);
        train.update(&mut training, &mut store, &[], &mut [ViewMut::F32(&mut old)])?;
        sample.run(&mut sampling, &store, &[], &mut [ViewMut::F32(&mut new)])?;
        let want = 1.5 * f32::from(1_u8 << step);
        expect(old == [want; 3], format!("the outputs of step {step} are {old:?}"))?;
        expect(new == [2.0 * want; 3], format!("another plan sees {new:?} after step {step}"))?;
    }
    Ok(())
}

fn unfinished<B: Backend>(backend: &B) -> Result<(), Failure> {
    let (graph, params, [input, _]) = network()?;
    let plan = backend.compile(&graph)?;
    let store = backend.upload(params)?;
    let mut state = plan.state(&store)?;
    plan.begin(&mut state, &[View::F32(&input)])?;
    let mut values = Values::room(&graph);
    refused(plan.output(&state, 0, &mut views(&mut values)[0]), |e| *e == RunError::Unfinished)?;
    refused(plan.finish(&state, &mut views(&mut values)), |e| *e == RunError::Unfinished)
}

fn operands<B: Backend>(backend: &B) -> Result<(), Failure> {
    let (graph, params, [input, _]) = network()?;
    let plan = backend.compile(&graph)?;
    let store = backend.upload(params)?;
    let mut state = plan.state(&store)?;
    let good = View::F32(&input);
    let integers = [0_i32; 30];
    for (inputs, count) in [
        (vec![], true),
        (vec![good, good], true),
        (vec![View::F32(&input[1..])], false),
        (vec![View::I32(&integers)], false),
    ] {
        let legal = |e: &RunError| match e {
            RunError::Count { what, want: 1, .. } => count && *what == "inputs",
            RunError::Operand { name, .. } => !count && name == "x",
            _ => false,
        };
        refused(plan.begin(&mut state, &inputs), legal)?;
    }
    let (mut y, mut mean, mut short, mut whole) = ([0.0; 25], [0.0; 1], [0.0; 24], [0_i32; 25]);
    let mut go = |outputs: &mut [ViewMut<'_>]| plan.run(&mut state, &store, &[good], outputs);
    refused(go(&mut [ViewMut::F32(&mut y)]), |e| matches!(e, RunError::Count { what: "outputs", want: 2, have: 1 }))?;
    let named_y = |e: &RunError| matches!(e, RunError::Operand { name, .. } if name == "y");
    refused(go(&mut [ViewMut::F32(&mut short), ViewMut::F32(&mut mean)]), named_y)?;
    refused(go(&mut [ViewMut::I32(&mut whole), ViewMut::F32(&mut mean)]), named_y)?;
    Ok(go(&mut [ViewMut::F32(&mut y), ViewMut::F32(&mut mean)])?)
}

fn parameters<B: Backend>(backend: &B) -> Result<(), Failure> {
    let (graph, _, _) = network()?;
    let plan = backend.compile(&graph)?;
    let empty = backend.upload(Params::new())?;
    refused(plan.state(&empty), |e| *e == RunError::MissingParam("w".into()))?;
    let mut wrong = Params::new();
    if let Some(tensor) = Shape::new(&[25]).and_then(|shape| HostTensor::new(shape, vec![0.0; 25])) {
        wrong.insert("w", tensor);
    }
    let wrong = backend.upload(wrong)?;
    refused(plan.state(&wrong), |e| matches!(e, RunError::ParamMismatch { name, .. } if name == "w"))
}

/// Indices that are inputs must be checked; those computed inside the graph may also read zeros.
fn indices<B: Backend>(backend: &B) -> Result<(), Failure> {
    type Reader = for<'g> fn(&'g Builder) -> yuragi_graph::Tensor<'g>;
    let readers: [(bool, Reader); 4] = [
        (true, |b| table(b).gather(b.input("i", &[3], DType::I32))),
        (true, |b| b.input("i", &[3], DType::I32).scatter_add(b.fill(&[3, 2], 1.0, DType::F32).exp(), 4)),
        (false, |b| table(b).gather(b.input("i", &[3], DType::I32).slice(0, 1, 3))),
        (false, |b| table(b).gather(b.input("i", &[3], DType::I32).cast(DType::F32).cast(DType::I32))),
    ];
    for (direct, reader) in readers {
        let b = Builder::new();
        let graph = b.finish(&[("y", reader(&b))])?;
        for bad in [-1, 4, i32::MAX, i32::MIN] {
            let result = match run(backend, &graph, &Params::new(), &[View::I32(&[0, bad, 3])]) {
                Err(Failure::Run(error)) => Err(error),
                Err(other) => return Err(other),
                Ok(_) if !direct => continue,
                Ok(_) => Ok(()),
            };
            // Single precision holds no i32::MAX: the cast index may be its neighbour.
            refused(
                result,
                |e| matches!(e, RunError::Index { rows: 4, index } if (index - i64::from(bad)).abs() <= 1),
            )?;
        }
    }
    Ok(())
}

/// Four rows of two.
fn table(b: &Builder) -> yuragi_graph::Tensor<'_> {
    b.fill(&[4, 2], 1.0, DType::F32).exp()
}

fn updates<B: Backend>(backend: &B) -> Result<(), Failure> {
    let b = Builder::new();
    let w = b.param("w", &[2], DType::F32, Init::Constant(1.0));
    b.update(w, w * 2.0);
    let graph = b.finish(&[])?;
    let mut params = Params::new();
    params.initialise(graph.params(), 0);
    let plan = backend.compile(&graph)?;
    let store = backend.upload(params)?;
    let mut state = plan.state(&store)?;
    refused(plan.run(&mut state, &store, &[], &mut []), |e| *e == RunError::Updates)
}

fn borrowed<B: Backend>(backend: &B) -> Result<(), Failure> {
    let shape = Shape::new(&[5]).unwrap_or(Shape::SCALAR);
    let values = [1.0_f32, -0.5, 6e-8, 65_504.0, 0.333_251_95];
    let halves: [u16; 5] = [0x3c00, 0xb800, 0x0001, 0x7bff, 0x3555];
    // An odd offset: nothing says that a file's tensors are aligned.
    let bytes: Vec<u8> = std::iter::once(7).chain(halves.iter().flat_map(|h| h.to_le_bytes())).collect();
    let mut params = Params::new();
    if let Some(tensor) = HostTensor::shared(shape, DType::F16, Arc::new(bytes), 1..11) {
        params.insert("h", tensor);
    }
    let single: Vec<u8> = std::iter::once(7).chain(values.iter().flat_map(|v| v.to_le_bytes())).collect();
    if let Some(tensor) = HostTensor::shared(shape, DType::F32, Arc::new(single), 1..21) {
        params.insert("s", tensor);
    }
    let b = Builder::new();
    let h = b.param("h", &[5], DType::F16, Init::Constant(0.0)).cast(DType::F32);
    let s = b.param("s", &[5], DType::F32, Init::Constant(0.0));
    let graph = b.finish(&[("h", h), ("s", s * 2.0)])?;
    let have = run(backend, &graph, &params, &[])?.0;
    let exact = values.map(|v| DType::F16.round(v.into()) as f32);
    let doubled = values.map(|v| v * 2.0);
    expect(have == [Values::F32(exact.into()), Values::F32(doubled.into())], format!("read {have:?}"))
}

fn coded<B: Backend>(backend: &B) -> Result<(), Failure> {
    let (mut params, b, mut outputs, mut want) = (Params::new(), Builder::new(), Vec::new(), Vec::new());
    let mut numbers = vec![0.0; 3001];
    yuragi_numeric::fill::normal([3, 0], 0, 0, &mut numbers);
    for (bits, size, count) in [(4, 32, 3001), (5, 192, 1000), (6, 8, 5), (8, 1024, 2048), (5, 16, 0)] {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let name = format!("{bits} {dtype}{count}");
            let (Some(groups), Some(shape)) = (Groups::new(bits, size), Shape::new(&[count])) else { continue };
            let (codes, scales) = groups.encode(&numbers[..count]);
            // Again, nothing says that codes are aligned.
            let bytes = [&[7], &codes[..], &scales].concat();
            let middle = 1 + codes.len();
            let scales = middle..bytes.len();
            let Some(tensor) = HostTensor::grouped(shape, dtype, groups, Arc::new(bytes), 1..middle, scales) else {
                return expect(false, "the codes do not fit");
            };
            want.push(Values::F32(tensor.to_f32()));
            params.insert(&name, tensor);
            outputs.push((name.clone(), b.param(&name, &[count], dtype, Init::Constant(0.0)).cast(DType::F32)));
        }
    }
    let outputs: Vec<_> = outputs.iter().map(|(name, node)| (name.as_str(), *node)).collect();
    let have = run(backend, &b.finish(&outputs)?, &params, &[])?.0;
    expect(have == want, "the numbers differ")
}

fn views(values: &mut [Values]) -> Vec<ViewMut<'_>> {
    values.iter_mut().map(Values::view).collect()
}
