use crate::{CompileError, DType, Graph, Node, Params, RunError, Shape, op::Fused};

/// Something that runs graphs. Two traits make a backend; the conformance suite proves it.
pub trait Backend {
    /// Parameters where the backend computes. Several plans may share one store.
    type Store;
    /// What a graph becomes.
    type Plan: Plan<Store = Self::Store>;

    /// Whether a fused operation on operands of these shapes has a kernel here; the others are replaced by their
    /// expansions.
    fn claims(&self, op: &Fused, node: &Node, operands: &[Shape]) -> bool;
    /// Chooses kernels and places every buffer.
    fn compile(&self, graph: &Graph) -> Result<Self::Plan, CompileError>;
    /// Takes parameters to the device.
    fn upload(&self, params: Params) -> Result<Self::Store, RunError>;
    /// Brings parameters back to the host.
    fn download(&self, store: &Self::Store) -> Result<Params, RunError>;
}

/// A compiled graph: immutable, shareable between threads; all that changes lies in its state and the store.
pub trait Plan {
    /// See [`Backend::Store`].
    type Store;
    /// The arena of one run at a time.
    type State;

    /// The bytes that a run needs, known before anything runs.
    fn memory(&self) -> Memory;
    /// The number of launches that one run makes.
    fn launches(&self) -> usize;
    /// An arena bound to a store, whose parameters are checked against the graph.
    fn state(&self, store: &Self::Store) -> Result<Self::State, RunError>;
    /// Begins a run: takes the inputs, in the graph's order.
    fn begin(&self, state: &mut Self::State, inputs: &[View<'_>]) -> Result<(), RunError>;
    /// Goes on for at most so many launches. A run that is never advanced again is cancelled by the next `begin`.
    fn advance(&self, state: &mut Self::State, store: &Self::Store, launches: usize) -> Result<Progress, RunError>;
    /// After so many launches of a run this output is what it is at the end.
    fn ready(&self, output: usize) -> usize {
        let _ = output;
        self.launches()
    }
    /// Gives one output of a run that is that far.
    fn output(&self, state: &Self::State, output: usize, view: &mut ViewMut<'_>) -> Result<(), RunError>;
    /// Gives the outputs of a run that has ended, in the graph's order.
    fn finish(&self, state: &Self::State, outputs: &mut [ViewMut<'_>]) -> Result<(), RunError>;
    /// A whole run of a graph with updates: outputs are computed, then the store's parameters replaced.
    fn update(
        &self,
        state: &mut Self::State,
        store: &mut Self::Store,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
    ) -> Result<(), RunError>;

    /// A whole run of a graph without updates.
    fn run(
        &self,
        state: &mut Self::State,
        store: &Self::Store,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
    ) -> Result<(), RunError> {
        self.begin(state, inputs)?;
        self.advance(state, store, usize::MAX)?;
        self.finish(state, outputs)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many launches remain.
    Running(usize),
    /// The outputs can be read.
    Done,
}

/// The bytes that a plan needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Intermediate values, inputs, outputs and scratch space: one block.
    pub arena: usize,
    /// Constants of the graph.
    pub literals: usize,
    /// Parameters, shared with other plans of the same store.
    pub params: usize,
    /// The most of them that is needed at a time, where the others can be given back: to a mapped file, by a plan that
    /// was told to.
    pub resident: usize,
}

/// Elements of one type, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slice<'a> {
    /// Floating numbers.
    F32(&'a [f32]),
    /// Indices.
    I32(&'a [i32]),
    /// Keys.
    U32(&'a [u32]),
}

/// An input of a run: values for `F32`, `F16` and `BF16` inputs are given in single precision.
pub type View<'a> = Slice<'a>;

/// Room for elements of one type, row-major.
#[derive(Debug, PartialEq)]
pub enum SliceMut<'a> {
    /// Floating numbers.
    F32(&'a mut [f32]),
    /// Indices.
    I32(&'a mut [i32]),
    /// Keys.
    U32(&'a mut [u32]),
}

/// An output of a run; floating numbers of any width come in single precision.
pub type ViewMut<'a> = SliceMut<'a>;

impl Slice<'_> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Slice::F32(s) => s.len(),
            Slice::I32(s) => s.len(),
            Slice::U32(s) => s.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Slice::F32(_) => DType::F32,
            Slice::I32(_) => DType::I32,
            Slice::U32(_) => DType::U32,
        }
    }
}

impl SliceMut<'_> {
    /// The same elements, to be read.
    pub fn as_slice(&self) -> Slice<'_> {
        match self {
            SliceMut::F32(s) => Slice::F32(s),
            SliceMut::I32(s) => Slice::I32(s),
            SliceMut::U32(s) => Slice::U32(s),
        }
    }
}
