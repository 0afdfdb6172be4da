//! Gradients against central differences, in f64 on the reference.

use std::fmt;

use yuragi_graph::{BuildError, Builder, DType, RunError, Tensor};
use yuragi_numeric::fill;
use yuragi_reference::Program;

use crate::cases::{Case, Drawn, Smooth};

/// The largest accepted difference, relative to the gradient's largest element or 1.
///
/// The fourth-order difference with [`STEP`] is right to about 1e-11; constants in formulas are `f32`.
pub const TOLERANCE: f64 = 1e-6;

/// The distance of the inner points of the difference.
pub const STEP: f64 = 1e-4;

/// Elements of one operand that are checked.
const MOST: usize = 48;

/// Why a gradient is not accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Mismatch {
    /// The graph could not be built.
    Build(BuildError),
    /// The graph could not be run.
    Run(RunError),
    /// A derivative is wrong.
    Derivative {
        /// The input or parameter.
        operand: String,
        /// The element in it.
        element: usize,
        /// What the graph gives.
        gradient: f64,
        /// The central difference.
        difference: f64,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Build(error) => error.fmt(f),
            Mismatch::Run(error) => error.fmt(f),
            Mismatch::Derivative { operand, element, gradient, difference } => {
                write!(f, "{operand}[{element}]: the gradient is {gradient:e}, the difference {difference:e}")
            }
        }
    }
}

impl std::error::Error for Mismatch {}

impl From<BuildError> for Mismatch {
    fn from(error: BuildError) -> Mismatch {
        Mismatch::Build(error)
    }
}

impl From<RunError> for Mismatch {
    fn from(error: RunError) -> Mismatch {
        Mismatch::Run(error)
    }
}

/// An input of a function whose gradient is checked. Floating ones are differentiated.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Extents.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// Where the derivative is taken.
    pub values: Vec<f64>,
}

impl Operand {
    /// Distinct values between −2 and 2, far from each other, 0 and the integers: no kink is near.
    /// `place` tells operands apart among `places`.
    pub fn spread(shape: &[usize], place: usize, places: usize) -> Operand {
        let count: usize = shape.iter().product();
        let slots = (count * places).next_multiple_of(4).max(4);
        // A step coprime to the number of slots visits each once.
        let step = (slots * 5 / 13..).find(|&s| gcd(s, slots) == 1).unwrap_or(1);
        let slot = |i: usize| (i * places + place) * step % slots;
        let values = (0..count).map(|i| (slot(i) as f64 + 0.5) / slots as f64 * 4.0 - 2.0).collect();
        Operand { shape: shape.to_vec(), dtype: DType::F32, values }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Checks the gradients of a function for its floating operands and its parameters, as often as it is smooth.
///
/// The function's outputs are first folded to one number with random weights. Parameters take
/// values spread around their initial ones.
///
/// # Errors
/// The first derivative that differs from its central difference.
pub fn check(
    operands: &[Operand],
    smooth: Smooth,
    f: impl for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Vec<Tensor<'g>>,
) -> Result<(), Mismatch> {
    if smooth >= Smooth::Once {
        check_once(operands, &|b, x| folded(&f(b, x), 0))?;
    }
    if smooth >= Smooth::Twice {
        check_once(operands, &|b, x| {
            let loss = folded(&f(b, x), 0);
            let gradients = b.grad(loss, &variables(b, x));
            folded(&gradients, 100)
        })?;
    }
    Ok(())
}

/// Checks the gradients of a case.
///
/// # Errors
/// The first derivative that differs from its central difference.
pub fn check_case(case: &Case) -> Result<(), Mismatch> {
    let normal = case.inputs.iter().filter(|i| i.dtype.is_float()).count();
    let drawn = case.draw(1);
    let operand = |(place, (input, drawn)): (usize, (&crate::cases::Input, &Drawn))| {
        let values = match drawn {
            Drawn::F32(_) if input.law == crate::cases::Law::Normal => {
                Operand::spread(&input.shape, place, normal).values
            }
            Drawn::F32(x) => x.iter().map(|&x| x.into()).collect(),
            Drawn::I32(x) => x.iter().map(|&x| x.into()).collect(),
            Drawn::U32(x) => x.iter().map(|&x| x.into()).collect(),
        };
        Operand { shape: input.shape.clone(), dtype: input.dtype, values }
    };
    let operands: Vec<Operand> = case.inputs.iter().zip(&drawn).enumerate().map(operand).collect();
    check(&operands, case.smooth, |b, x| case.record(b, x))
}

/// Every tensor that is differentiated: floating inputs, then parameters.
fn variables<'g>(b: &'g Builder, inputs: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let params = b.params().into_iter().filter_map(|spec| b.find_param(&spec.name));
    inputs.iter().copied().chain(params).filter(|t| t.dtype().is_float()).collect()
}

/// Σ wᵢyᵢ over all elements of all floating tensors, with random weights.
fn folded<'g>(outputs: &[Tensor<'g>], stream: u32) -> Tensor<'g> {
    let mut sum: Option<Tensor<'g>> = None;
    for (&y, stream) in outputs.iter().filter(|y| y.dtype().is_float()).zip(stream..) {
        let mut weights = vec![0.0; y.shape().count()];
        fill::normal([17, 29], stream, 0, &mut weights);
        let weights = y.builder().literal(&y.shape(), &weights);
        let part = (y.cast(DType::F32) * weights).sum_all();
        sum = Some(sum.map_or(part, |sum| sum + part));
    }
    sum.unwrap_or_else(|| outputs[0].builder().fill(&[], 0.0, DType::F32))
}

type Loss<'a> = &'a dyn for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Tensor<'g>;

fn check_once(operands: &[Operand], f: Loss<'_>) -> Result<(), Mismatch> {
    let b = Builder::new();
    let declare = |(i, o): (usize, &Operand)| b.input(&format!("x{i}"), &o.shape, o.dtype);
    let inputs: Vec<Tensor<'_>> = operands.iter().enumerate().map(declare).collect();
    let loss = f(&b, &inputs);
    let gradients = b.grad(loss, &variables(&b, &inputs));
    let program = Program::new(&b.finish(&[("loss", loss)])?);
    let names: Vec<String> = (0..gradients.len()).map(|i| format!("g{i}")).collect();
    let outputs: Vec<(&str, Tensor<'_>)> = names.iter().map(String::as_str).zip(gradients).collect();
    let gradient = Program::new(&b.finish(&outputs)?);

    let mut values: Vec<Vec<f64>> = operands.iter().map(|o| o.values.clone()).collect();
    let mut params: Vec<Vec<f64>> = Vec::new();
    for (place, spec) in b.params().iter().enumerate() {
        params.push(Operand::spread(&spec.shape, place, b.params().len()).values);
    }
    let expected = gradient.run::<f64>(&values, &params)?.outputs;
    let mut expected = expected.into_iter();
    for place in 0..operands.len() + params.len() {
        let (name, float) = match operands.get(place) {
            Some(operand) => (format!("x{place}"), operand.dtype.is_float()),
            None => (b.params()[place - operands.len()].name.clone(), true),
        };
        if !float {
            continue;
        }
        let Some(gradient) = expected.next() else { break };
        let scale = gradient.iter().fold(1.0, |m: f64, g| m.max(g.abs()));
        let stride = gradient.len().div_ceil(MOST).max(1);
        for element in (0..gradient.len()).step_by(stride) {
            let mut at = |offset: f64| -> Result<f64, Mismatch> {
                let all = if place < operands.len() { &mut values[place] } else { &mut params[place - operands.len()] };
                let kept = all[element];
                all[element] += offset;
                let loss = program.run::<f64>(&values, &params)?.outputs[0][0];
                let all = if place < operands.len() { &mut values[place] } else { &mut params[place - operands.len()] };
                all[element] = kept;
                Ok(loss)
            };
            let h = STEP;
            let difference = (8.0 * (at(h)? - at(-h)?) - (at(2.0 * h)? - at(-2.0 * h)?)) / (12.0 * h);
            let gradient = gradient[element];
            let close = (gradient - difference).abs() <= TOLERANCE * scale;
            if !close {
                return Err(Mismatch::Derivative { operand: name, element, gradient, difference });
            }
        }
    }
    Ok(())
}
