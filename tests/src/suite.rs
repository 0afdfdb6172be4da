//! Runs every case on a backend.

use yuragi_graph::{Backend, DType, Graph, Op, Params, Shape, View};
use yuragi_reference::{Bounded, bounds};

use crate::{
    cases::{self, Case},
    contract,
    report::{Report, Row},
    tolerance::{self, Failure, fraction},
};

/// The row of what plans promise beside their numbers.
const CONTRACT: &str = "contract";

/// Which cases are run, and with which seed.
#[derive(Clone, Debug)]
pub struct Suite {
    seed: u32,
    filter: String,
    part: (usize, usize),
    skips: Vec<(&'static str, Option<DType>, &'static str)>,
}

impl Default for Suite {
    fn default() -> Suite {
        Suite::new()
    }
}

impl Suite {
    /// Every case, with the seed that the project's own tests use.
    pub fn new() -> Suite {
        Suite { seed: 2, filter: String::new(), part: (0, 1), skips: Vec::new() }
    }

    /// With another seed.
    #[must_use]
    pub fn seed(mut self, seed: u32) -> Suite {
        self.seed = seed;
        self
    }

    /// Only cases whose name (operation, element type, details) contains this.
    #[must_use]
    pub fn filter(mut self, filter: &str) -> Suite {
        filter.clone_into(&mut self.filter);
        self
    }

    /// Only every `of`-th case, beginning with this one, from 0 on: for several processes side by side.
    #[must_use]
    pub fn part(mut self, index: usize, of: usize) -> Suite {
        self.part = (index, of.max(1));
        self
    }

    /// Without an operation in one element type, or in all: the reason stands in the report.
    #[must_use]
    pub fn skip(mut self, op: &'static str, dtype: Option<DType>, reason: &'static str) -> Suite {
        self.skips.push((op, dtype, reason));
        self
    }

    /// The cases that are run.
    pub fn cases(&self) -> Vec<Case> {
        let mut cases = cases::all();
        cases.retain(|case| case.to_string().contains(&self.filter));
        cases.into_iter().skip(self.part.0).step_by(self.part.1).collect()
    }

    /// Runs the cases on a backend.
    pub fn run<B: Backend>(&self, backend: &B) -> Report {
        let mut report = Report::default();
        for case in self.cases() {
            let row = report.rows.entry((case.op, case.dtype)).or_default();
            let reason = |(op, dtype, reason): &(&'static str, Option<DType>, &'static str)| {
                (*op == case.op && dtype.is_none_or(|d| d == case.dtype)).then_some(*reason)
            };
            if let Some(reason) = self.skips.iter().find_map(reason) {
                row.skipped = Some(reason.to_owned());
                continue;
            }
            if let Err(failure) = self.compare(backend, &case, row) {
                row.failures.push(format!("{case}: {failure}"));
            }
        }
        if CONTRACT.contains(&self.filter) && self.part.0 == 0 {
            let row = report.rows.entry((CONTRACT, DType::F32)).or_default();
            (row.cases, row.failures) = contract::check(backend);
        }
        report
    }

    /// Compares one case with the truth; twice where the backend claims a fused operation, for its
    /// expansion must hold as well.
    fn compare<B: Backend>(&self, backend: &B, case: &Case, row: &mut Row) -> Result<(), Failure> {
        let graph = case.graph()?;
        graph.verify().map_err(Failure::Verify)?;
        let mut params = Params::new();
        params.initialise(graph.params(), self.seed.into());
        let drawn = case.draw(self.seed);
        let inputs: Vec<View<'_>> = drawn.iter().map(cases::Drawn::view).collect();
        let truth = bounds(&graph, &params, &inputs)?;
        let claimed = claims(backend, &graph);
        row.claimed |= claimed;
        let expansion = claimed.then(|| graph.expanded(|_, _, _| false));
        for graph in std::iter::once(&graph).chain(&expansion) {
            row.cases += 1;
            let (outputs, store) = tolerance::run(backend, graph, &params, &inputs)?;
            let mut note = |fraction: f64, truth: &[Bounded]| {
                row.elements += truth.len();
                row.unknown += truth.iter().filter(|t| t.is_unknown()).count();
                if fraction > row.worst {
                    row.worst = fraction;
                    row.case.clone_from(&case.detail);
                }
            };
            for (have, truth) in outputs.iter().zip(&truth.outputs) {
                note(have.fraction(truth), truth);
            }
            for (update, truth) in graph.updates().iter().zip(&truth.updates) {
                let have = store.get(&graph.params()[update.param].name).map(|t| t.to_f32()).unwrap_or_default();
                let worst = have.iter().zip(truth).map(|(&x, &t)| fraction(t, x)).fold(0.0, f64::max);
                note(if have.len() == truth.len() { worst } else { f64::INFINITY }, truth);
            }
        }
        Ok(())
    }
}

/// Whether a backend has a kernel of its own for any fused operation of a graph.
fn claims<B: Backend>(backend: &B, graph: &Graph) -> bool {
    graph.nodes().iter().any(|node| match &node.op {
        Op::Fused(op) => {
            let operands: Vec<Shape> = node.inputs.iter().map(|&i| graph.node(i).shape).collect();
            backend.claims(op, node, &operands)
        }
        _ => false,
    })
}
