use core::fmt;

use yuragi_graph::{Backend, BuildError, CompileError, Graph, Lost, Plan, RunError};

/// Why a step could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// A graph that cannot be cut.
    Build(BuildError),
    /// A graph that the backend cannot compile.
    Compile(CompileError),
    /// What the backend says, or inputs of other sizes than the slices.
    Run(RunError),
    /// Ranks that could not go on together.
    Lost(Lost),
    /// Fewer slices than ranks.
    Slices {
        /// The slices.
        slices: usize,
        /// The ranks.
        ranks: usize,
    },
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Build(error) => error.fmt(f),
            StepError::Compile(error) => error.fmt(f),
            StepError::Run(error) => error.fmt(f),
            StepError::Lost(error) => error.fmt(f),
            StepError::Slices { slices, ranks } => {
                write!(f, "{ranks} ranks share a step of {slices} slices: there must be at least one for each rank")
            }
        }
    }
}

impl core::error::Error for StepError {}

macro_rules! from {
    ($($name:ident $error:ty),*) => {$(
        impl From<$error> for StepError {
            fn from(error: $error) -> Self {
                StepError::$name(error)
            }
        }
    )*};
}

from!(Build BuildError, Compile CompileError, Run RunError, Lost Lost);

/// A plan and its arena.
pub(super) struct Compiled<B: Backend> {
    pub plan: B::Plan,
    pub state: <B::Plan as Plan>::State,
}

impl<B: Backend> Compiled<B> {
    pub fn new(backend: &B, graph: &Graph, store: &B::Store) -> Result<Self, StepError> {
        let plan = backend.compile(graph)?;
        let state = plan.state(store)?;
        Ok(Compiled { plan, state })
    }
}
