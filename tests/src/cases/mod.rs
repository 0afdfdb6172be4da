//! Generated cases: small graphs, each about one operation or one combination of operations.

mod composite;
mod conv;
mod elementwise;
mod epilogue;
mod feed;
mod fused;
mod gather;
mod gradient;
mod law;
mod matmul;
mod movement;
mod random;
mod reduce;

use std::fmt;

use yuragi_graph::{BuildError, Builder, DType, Graph, Tensor};
use yuragi_numeric::fnv::fnv1a_32;

pub use law::{Drawn, Law};

/// The floating types in which every operation is tried.
pub const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// How often a case can be differentiated and compared with differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Smooth {
    /// Not at all: nothing depends on a floating input, or the inputs are extreme.
    No,
    /// Once: the function has kinks, which random inputs avoid.
    Once,
    /// Twice.
    Twice,
}

/// A run-time input of a case.
#[derive(Clone, Debug)]
pub struct Input {
    /// Extents.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// How its values are drawn.
    pub law: Law,
}

type Build = Box<dyn for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Vec<Tensor<'g>>>;

/// A small graph and how its inputs are drawn.
pub struct Case {
    /// The operation it is about: the row of the report.
    pub op: &'static str,
    /// The element type it is about: the column of the report.
    pub dtype: DType,
    /// What sets it apart from the operation's other cases.
    pub detail: String,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// How often it can be differentiated.
    pub smooth: Smooth,
    build: Build,
}

impl Case {
    /// A case that gives the outputs of `build` from inputs yet to be added.
    pub fn new(
        op: &'static str,
        dtype: DType,
        detail: impl Into<String>,
        build: impl for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Vec<Tensor<'g>> + 'static,
    ) -> Case {
        Case { op, dtype, detail: detail.into(), inputs: Vec::new(), smooth: Smooth::No, build: Box::new(build) }
    }

    /// With one more input of the case's element type.
    #[must_use]
    pub fn input(self, shape: &[usize], law: Law) -> Case {
        let dtype = self.dtype;
        self.typed_input(shape, dtype, law)
    }

    /// With one more input of any element type.
    #[must_use]
    pub fn typed_input(mut self, shape: &[usize], dtype: DType, law: Law) -> Case {
        self.inputs.push(Input { shape: shape.to_vec(), dtype, law });
        self
    }

    /// With gradients to check.
    #[must_use]
    pub fn smooth(mut self, smooth: Smooth) -> Case {
        self.smooth = smooth;
        self
    }

    /// Records the case in a builder, from these inputs.
    pub fn record<'g>(&self, builder: &'g Builder, inputs: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        (self.build)(builder, inputs)
    }

    /// The graph, with inputs `x0`, `x1`, … and outputs `y0`, `y1`, ….
    ///
    /// # Errors
    /// The mistake in the case, if there is one.
    pub fn graph(&self) -> Result<Graph, BuildError> {
        let builder = Builder::new();
        let inputs = self.declare(&builder);
        let outputs = self.record(&builder, &inputs);
        let names: Vec<String> = (0..outputs.len()).map(|i| format!("y{i}")).collect();
        let named: Vec<(&str, Tensor<'_>)> = names.iter().map(String::as_str).zip(outputs).collect();
        builder.finish(&named)
    }

    /// The inputs as tensors of a builder.
    pub fn declare<'g>(&self, builder: &'g Builder) -> Vec<Tensor<'g>> {
        let declare = |(i, input): (usize, &Input)| builder.input(&format!("x{i}"), &input.shape, input.dtype);
        self.inputs.iter().enumerate().map(declare).collect()
    }

    /// Values for the inputs: a pure function of the seed and the case's name.
    pub fn draw(&self, seed: u32) -> Vec<Drawn> {
        let key = [seed, fnv1a_32(&self.to_string())];
        let draw =
            |(i, input): (usize, &Input)| input.law.draw(key, i as u32, input.shape.iter().product(), input.dtype);
        self.inputs.iter().enumerate().map(draw).collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.op, self.dtype, self.detail)
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    elementwise::cases(&mut cases);
    reduce::cases(&mut cases);
    movement::cases(&mut cases);
    matmul::cases(&mut cases);
    conv::cases(&mut cases);
    epilogue::cases(&mut cases);
    gather::cases(&mut cases);
    random::cases(&mut cases);
    fused::cases(&mut cases);
    gradient::cases(&mut cases);
    composite::cases(&mut cases);
    cases
}
