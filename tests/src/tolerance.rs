//! How far a value may lie from the truth, and how far it does.

use yuragi_graph::{Backend, BuildError, CompileError, Graph, Params, Plan, RunError, View, ViewMut};
use yuragi_reference::{Bounded, Reference};

/// |have − truth| as a fraction of its bound: at most 1 for a correct backend.
///
/// Where the truth is certainly infinite or NaN, the value must be of that class: the fraction is 0 or ∞.
///
/// ```
/// use yuragi_reference::Bounded;
/// use yuragi_tests::tolerance::fraction;
/// assert_eq!(fraction(Bounded { value: 1.0, error: 0.5 }, 1.25), 0.5);
/// assert_eq!(fraction(Bounded { value: 1.0, error: 0.0 }, 1.0), 0.0);
/// assert_eq!(fraction(Bounded { value: f64::NAN, error: 0.0 }, f32::NAN), 0.0);
/// assert_eq!(fraction(Bounded { value: 1.0, error: 0.5 }, f32::NAN), f64::INFINITY);
/// ```
pub fn fraction(truth: Bounded, have: f32) -> f64 {
    let have = f64::from(have);
    let Bounded { value, error } = truth;
    if truth.is_unknown() || have == value || have.is_nan() && value.is_nan() {
        return 0.0;
    }
    let fraction = (have - value).abs() / error;
    if fraction.is_nan() { f64::INFINITY } else { fraction }
}

/// What can go wrong before values can be compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The graph could not be built.
    Build(BuildError),
    /// The graph breaks an invariant.
    Verify(String),
    /// The backend could not compile it.
    Compile(CompileError),
    /// The backend or the reference could not run it.
    Run(RunError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Build(error) => error.fmt(f),
            Failure::Verify(message) => f.write_str(message),
            Failure::Compile(error) => error.fmt(f),
            Failure::Run(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        Failure::Build(error)
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Failure {
        Failure::Compile(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        Failure::Run(error)
    }
}

/// Room for an output of any element type.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Of a floating type.
    F32(Vec<f32>),
    /// Indices.
    I32(Vec<i32>),
    /// Keys.
    U32(Vec<u32>),
}

impl Values {
    /// Room for the outputs of a graph, filled with what no run should leave.
    pub fn room(graph: &Graph) -> Vec<Values> {
        use yuragi_graph::DType;
        let room = |node: &yuragi_graph::Node| match node.dtype {
            DType::F32 | DType::F16 | DType::BF16 => Values::F32(vec![-7.25e-11; node.shape.count()]),
            DType::I32 => Values::I32(vec![i32::MIN; node.shape.count()]),
            DType::U32 => Values::U32(vec![0xdead_beef; node.shape.count()]),
        };
        graph.outputs().iter().map(|o| room(graph.node(o.node))).collect()
    }

    /// What a run writes to.
    pub fn view(&mut self) -> ViewMut<'_> {
        match self {
            Values::F32(x) => ViewMut::F32(x),
            Values::I32(x) => ViewMut::I32(x),
            Values::U32(x) => ViewMut::U32(x),
        }
    }

    /// The worst [`fraction`]; integers are compared exactly where the truth is certain.
    pub fn fraction(&self, truth: &[Bounded]) -> f64 {
        let whole = |x: f64, t: &Bounded| match () {
            () if x == t.value || t.is_unknown() => 0.0,
            () => (x - t.value).abs() / t.error,
        };
        let worst = |fractions: &mut dyn Iterator<Item = f64>| fractions.fold(0.0, f64::max);
        match self {
            Values::F32(x) => worst(&mut x.iter().zip(truth).map(|(&x, &t)| fraction(t, x))),
            Values::I32(x) => worst(&mut x.iter().zip(truth).map(|(&x, t)| whole(x.into(), t))),
            Values::U32(x) => worst(&mut x.iter().zip(truth).map(|(&x, t)| whole(x.into(), t))),
        }
    }
}

/// One run of a graph on a backend: its outputs, and its store afterwards.
///
/// # Errors
/// What the backend says.
pub fn run<B: Backend>(
    backend: &B,
    graph: &Graph,
    params: &Params,
    inputs: &[View<'_>],
) -> Result<(Vec<Values>, Params), Failure> {
    let plan = backend.compile(graph)?;
    let mut store = backend.upload(params.clone())?;
    let mut state = plan.state(&store)?;
    let mut values = Values::room(graph);
    let mut views: Vec<ViewMut<'_>> = values.iter_mut().map(Values::view).collect();
    if graph.updates().is_empty() {
        plan.run(&mut state, &store, inputs, &mut views)?;
    } else {
        plan.update(&mut state, &mut store, inputs, &mut views)?;
    }
    drop(views);
    let params = backend.download(&store)?;
    Ok((values, params))
}

/// The error of a backend on a whole model, in units of the error of the reference evaluated in
/// `F32`: the norm of the difference from the truth over all floating outputs. At most
/// [`WHOLE_MODEL`] for a correct backend.
///
/// # Errors
/// What the backend or the reference says.
pub fn whole_model<B: Backend>(
    backend: &B,
    graph: &Graph,
    params: &Params,
    inputs: &[View<'_>],
) -> Result<f64, Failure> {
    let truth = run(&Reference::truth(), graph, params, inputs)?.0;
    let single = run(&Reference::single(), graph, params, inputs)?.0;
    let have = run(backend, graph, params, inputs)?.0;
    let distance = |a: &[Values]| {
        let squares = a.iter().zip(&truth).map(|pair| match pair {
            (Values::F32(x), Values::F32(t)) => x.iter().zip(t).map(|(x, t)| f64::from(x - t).powi(2)).sum(),
            _ => 0.0,
        });
        squares.sum::<f64>().sqrt()
    };
    let (have, single) = (distance(&have), distance(&single));
    Ok(if have == single { 1.0 } else { have / single })
}

/// The largest allowed result of [`whole_model`].
pub const WHOLE_MODEL: f64 = 4.0;
