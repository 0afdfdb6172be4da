//! Gradients of layers and networks against central differences, in f64.
#![allow(dead_code, reason = "each test program uses a part")]

use yuragi_graph::{Builder, DType, Tensor};
use yuragi_nn::Scope;
use yuragi_numeric::fill;
use yuragi_reference::Program;

/// An input of the function under test.
pub enum Input<'a> {
    /// Differentiated.
    Real(&'a [usize]),
    /// Indices of rows.
    Index(&'a [usize], &'a [i32]),
    /// The key of random numbers.
    Key([u32; 2]),
}

/// Uniform numbers in ±1, another row for every stream.
pub fn uniform(stream: u32, count: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill::uniform([3, 141], stream, 0, &mut values);
    values.iter().map(|x| f64::from(*x) * 2.0 - 1.0).collect()
}

/// Checks the derivative of a randomly weighted sum of the function's outputs, for every
/// floating input and every parameter along a random direction of that tensor.
pub fn check(inputs: &[Input<'_>], f: impl for<'g> Fn(&Scope<'g>, &[Tensor<'g>]) -> Vec<Tensor<'g>>) {
    let b = Builder::new();
    let declare = |(i, input): (usize, &Input<'_>)| match *input {
        Input::Real(shape) => b.input(&format!("x{i}"), shape, DType::F32),
        Input::Index(shape, _) => b.input(&format!("x{i}"), shape, DType::I32),
        Input::Key(_) => b.input(&format!("x{i}"), &[2], DType::U32),
    };
    let x: Vec<Tensor<'_>> = inputs.iter().enumerate().map(declare).collect();
    let mut loss = b.fill(&[], 0.0, DType::F32);
    for (stream, y) in (0..).zip(f(&Scope::new(&b), &x)) {
        let weights: Vec<f32> = uniform(1000 + stream, y.shape().count()).iter().map(|w| *w as f32).collect();
        loss = loss + (y * b.literal(&y.shape(), &weights)).sum_all();
    }
    let specs = b.params();
    let mut targets: Vec<Tensor<'_>> = x.iter().copied().filter(|t| t.dtype().is_float()).collect();
    let mut names: Vec<String> = (0..targets.len()).map(|i| format!("input {i}")).collect();
    targets.extend(specs.iter().map(|spec| b.find_param(&spec.name).unwrap()));
    names.extend(specs.iter().map(|spec| spec.name.clone()));

    let gradients = b.grad(loss, &targets);
    let function = Program::new(&b.finish(&[("loss", loss)]).unwrap());
    let outputs: Vec<(&str, Tensor<'_>)> = names.iter().map(String::as_str).zip(gradients).collect();
    let gradient = Program::new(&b.finish(&outputs).unwrap());

    let mut values: Vec<Vec<f64>> = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    for (place, input) in inputs.iter().enumerate() {
        values.push(match input {
            Input::Real(shape) => {
                places.push(place);
                uniform(place as u32, shape.iter().product())
            }
            Input::Index(_, indices) => indices.iter().map(|&i| i.into()).collect(),
            Input::Key(key) => key.iter().map(|&k| k.into()).collect(),
        });
    }
    for (place, spec) in specs.iter().enumerate() {
        places.push(values.len());
        values.push(uniform(100 + place as u32, spec.shape.count()));
    }
    let run = |program: &Program, values: &[Vec<f64>]| {
        let (inputs, params) = values.split_at(inputs.len());
        program.run::<f64>(inputs, params).unwrap().outputs
    };
    let expected = run(&gradient, &values);
    for ((name, place), expected) in names.iter().zip(places).zip(expected) {
        let direction = uniform(2000 + place as u32, expected.len());
        let slope: f64 = expected.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let size: f64 = expected.iter().zip(&direction).map(|(g, d)| (g * d).abs()).sum();
        let at = |h: f64| {
            let mut moved = values.clone();
            moved[place].iter_mut().zip(&direction).for_each(|(x, d)| *x += h * d);
            run(&function, &moved)[0][0]
        };
        let h = 1e-4;
        let difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        // Constants inside gradients (of GELU, for one) are single precision.
        assert!((slope - difference).abs() <= 1e-6 * size.max(1.0), "{name}: {slope} against {difference}");
        assert!(size > 0.0, "{name} has no influence");
    }
}
