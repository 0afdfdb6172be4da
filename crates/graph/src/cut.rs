use alloc::{collections::BTreeSet, format, vec, vec::Vec};
use core::panic::Location;

use crate::{BuildError, Builder, DType, Graph, Init, NodeId, Op, Output, Tensor, Update};

/// A step in two halves: what is computed of each part of a batch, and what becomes of the means over the parts.
#[derive(Clone, Debug)]
pub struct Cut {
    /// From the inputs of a part to outputs of its own (the first so many of its outputs) and the values of the cuts, all
    /// of which are means over the part's examples.
    pub head: Graph,
    /// From the inputs that all parts share and, behind them, the sums of the cuts' values over the parts, to the updates
    /// and the outputs that follow from the means.
    pub tail: Graph,
    /// Where each output of the step is.
    pub outputs: Vec<Half>,
}

/// The half that gives an output, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// An output of each part, of which the step's is the mean.
    Head(usize),
    /// An output that follows from the means.
    Tail(usize),
}

impl Graph {
    /// Cuts a step where [`Builder::cut`] said that it may be, into what each of so many parts of a batch needs, all of one
    /// size, and what the mean of their gradients needs. All inputs are a part's own but those that are `shared`, by name.
    ///
    /// The values at the cuts must be means over examples; the graph is that of one part. So a batch is learned from that is
    /// larger than what is computed at a time, or that is shared out.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Half, Init};
    /// let b = Builder::new();
    /// let x = b.input("x", &[8], DType::F32);
    /// let rate = b.input("rate", &[], DType::F32);
    /// let w = b.param("w", &[], DType::F32, Init::Constant(0.0));
    /// let loss = ((x - w) * (x - w)).mean_all();
    /// let gradient = b.grad(loss, &[w])[0];
    /// b.cut(gradient);
    /// b.update(w, w - gradient * rate);
    /// let step = b.finish(&[("loss", loss)])?.cut(4, &["rate"])?;
    /// let names = |graph: &yuragi_graph::Graph| graph.inputs().iter().map(|input| input.name.clone()).collect::<Vec<_>>();
    /// assert_eq!((names(&step.head), step.head.outputs().len()), (vec!["x".into()], 2));
    /// assert_eq!((names(&step.tail), step.outputs), (vec!["rate".into(), "cut.0".into()], vec![Half::Head(0)]));
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// No part, or an update that needs an input of a part otherwise than through a cut.
    #[track_caller]
    pub fn cut(&self, parts: usize, shared: &[&str]) -> Result<Cut, BuildError> {
        let location = Location::caller();
        if parts == 0 {
            return Err(BuildError { message: "a step of 0 parts: there must be at least 1".into(), location });
        }
        if let Some(input) =
            self.inputs.iter().find(|input| input.name.starts_with(CUT) || input.name.starts_with(WORD))
        {
            let message = format!("an input of a step that is cut has the name `{}`, which is taken", input.name);
            return Err(BuildError { message, location });
        }
        let own = |input: u32| self.inputs.get(input as usize).is_some_and(|spec| !shared.contains(&&*spec.name));
        // What differs between parts, and what follows from a cut.
        let (mut varies, mut follows) = (vec![false; self.nodes.len()], vec![false; self.nodes.len()]);
        let mut cuts = BTreeSet::new();
        for (id, node) in self.ids().zip(&self.nodes) {
            let own = matches!(node.op, Op::Input(input) if own(input));
            varies[id.index()] = own || node.inputs.iter().any(|input| varies[input.index()]);
            follows[id.index()] = node.inputs.iter().any(|input| follows[input.index()] || cuts.contains(input));
            if varies[id.index()] && self.cuts.contains(&id) {
                cuts.insert(id);
            }
        }
        let of_part = |output: &&Output| varies[output.node.index()] && !follows[output.node.index()];
        let (heads, tails): (Vec<&Output>, Vec<&Output>) = self.outputs.iter().partition(of_part);
        let (mut head, mut tail) = (0, 0);
        let outputs = self.outputs.iter().map(|output| {
            let (half, next): (fn(usize) -> Half, _) =
                if of_part(&output) { (Half::Head, &mut head) } else { (Half::Tail, &mut tail) };
            *next += 1;
            half(*next - 1)
        });
        let outputs = outputs.collect();

        let named = cuts.iter().enumerate().map(|(n, &node)| Output { name: format!("cut.{n}"), node });
        let all = heads.into_iter().cloned().chain(named).collect();
        let head = self.half(all, Vec::new(), &BTreeSet::new(), (CUT, 1));
        let tail = self.half(tails.into_iter().cloned().collect(), self.updates.clone(), &cuts, (CUT, parts));
        match tail.inputs.iter().find(|input| !input.name.starts_with(CUT) && !shared.contains(&&*input.name)) {
            Some(input) => {
                let message = format!(
                    "the step needs the input `{}` of each part, and not its gradients alone: it cannot be cut in parts",
                    input.name
                );
                Err(BuildError { message, location })
            }
            None => Ok(Cut { head, tail, outputs }),
        }
    }

    /// The part of the graph that these outputs and updates need, with sums over so many parts given at the cuts, as inputs
    /// whose names begin so.
    pub(crate) fn half(
        &self,
        outputs: Vec<Output>,
        updates: Vec<Update>,
        cuts: &BTreeSet<NodeId>,
        (named, parts): (&str, usize),
    ) -> Graph {
        let mut needed = vec![false; self.nodes.len()];
        outputs.iter().map(|o| o.node).chain(updates.iter().map(|u| u.node)).for_each(|id| needed[id.index()] = true);
        for id in self.ids().rev() {
            if needed[id.index()] && !cuts.contains(&id) {
                self.node(id).inputs.iter().for_each(|input| needed[input.index()] = true);
            }
        }
        let mut params: Vec<bool> = vec![false; self.params.len()];
        let mut inputs: Vec<bool> = vec![false; self.inputs.len()];
        updates.iter().for_each(|update| params[update.param] = true);
        for (_, node) in self.ids().zip(&self.nodes).filter(|(id, _)| needed[id.index()] && !cuts.contains(id)) {
            match node.op {
                Op::Param(param) => params[param as usize] = true,
                Op::Input(input) => inputs[input as usize] = true,
                _ => {}
            }
        }
        let kept = |kept: &[bool], place: u32| kept[..place as usize].iter().filter(|kept| **kept).count() as u32;
        let mut base = self.clone();
        base.inputs =
            self.inputs.iter().zip(&inputs).filter(|(_, kept)| **kept).map(|(spec, _)| spec.clone()).collect();
        base.params =
            self.params.iter().zip(&params).filter(|(_, kept)| **kept).map(|(spec, _)| spec.clone()).collect();
        let builder = Builder::resume(&base);
        let sums: Vec<NodeId> = cuts
            .iter()
            .enumerate()
            .map(|(n, &cut)| {
                let node = self.node(cut);
                let sum = builder.input(&format!("{named}{n}"), &node.shape, node.dtype);
                (sum * (1.0 / parts as f32)).id()
            })
            .collect();
        let mut new: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.ids().zip(&self.nodes) {
            let given = cuts.iter().position(|cut| *cut == id);
            new.push(match (given, needed[id.index()]) {
                (Some(given), _) => sums[given],
                (None, false) => NodeId(0),
                (None, true) => {
                    let op = match node.op {
                        Op::Input(input) => Op::Input(kept(&inputs, input)),
                        Op::Param(param) => Op::Param(kept(&params, param)),
                        op => op,
                    };
                    let operands: Vec<NodeId> = node.inputs.iter().map(|input| new[input.index()]).collect();
                    let made: Tensor<'_> = builder.push_typed(op, &operands, node.shape, Some(node.dtype));
                    made.id()
                }
            });
        }
        let outputs = outputs.into_iter().map(|o| Output { node: new[o.node.index()], ..o }).collect();
        let place = |update: Update| kept(&params, update.param as u32) as usize;
        let updates = updates.into_iter().map(|u| Update { param: place(u), node: new[u.node.index()] }).collect();
        builder.conclude(outputs, updates)
    }
}

impl Cut {
    /// The same with sums that stay in the store, where an engine can add up those of several devices: the head adds the
    /// value of each cut to a parameter, `gradient.` and its number, which is zero at first, and the tail takes them from
    /// there and makes them zero again.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Init};
    /// let b = Builder::new();
    /// let x = b.input("x", &[8], DType::F32);
    /// let w = b.param("w", &[], DType::F32, Init::Constant(0.0));
    /// let loss = ((x - w) * (x - w)).mean_all();
    /// let gradient = b.grad(loss, &[w])[0];
    /// b.cut(gradient);
    /// b.update(w, w - gradient);
    /// let step = b.finish(&[("loss", loss)])?.cut(4, &[])?.in_store();
    /// assert_eq!((step.head.outputs().len(), step.head.updates().len()), (1, 1));
    /// assert_eq!((step.tail.inputs().len(), step.tail.updates().len()), (0, 2));
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn in_store(&self) -> Cut {
        fn sum<'g>(builder: &'g Builder, cut: &str, shape: &[usize], dtype: DType) -> Tensor<'g> {
            builder.param(&format!("{GRADIENT}{cut}"), shape, dtype, Init::Constant(0.0))
        }
        let copied = |graph: &Graph, builder: &Builder| -> Vec<NodeId> {
            let mut new: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
            for node in &graph.nodes {
                let name = match node.op {
                    Op::Input(input) => graph.inputs[input as usize].name.strip_prefix(CUT),
                    _ => None,
                };
                let tensor = match name {
                    Some(cut) => sum(builder, cut, &node.shape, node.dtype),
                    None => {
                        let operands: Vec<NodeId> = node.inputs.iter().map(|input| new[input.index()]).collect();
                        builder.push_typed(node.op, &operands, node.shape, Some(node.dtype))
                    }
                };
                new.push(tensor.id());
            }
            new
        };
        let renamed = |output: &Output, new: &[NodeId]| Output { node: new[output.node.index()], ..output.clone() };

        let builder = Builder::resume(&self.head);
        let new = copied(&self.head, &builder);
        let (mut outputs, mut updates) = (Vec::new(), Vec::new());
        for output in &self.head.outputs {
            let Some(cut) = output.name.strip_prefix(CUT) else {
                outputs.push(renamed(output, &new));
                continue;
            };
            let node = self.head.node(output.node);
            let value = Tensor::new(&builder, new[output.node.index()]);
            let total = sum(&builder, cut, &node.shape, node.dtype) + value;
            updates.push(Update { param: self.head.params.len() + updates.len(), node: total.id() });
        }
        let head = builder.conclude(outputs, updates);

        // The sums are the last inputs.
        let base = Graph {
            inputs: self.tail.inputs.iter().filter(|input| !input.name.starts_with(CUT)).cloned().collect(),
            ..self.tail.clone()
        };
        let builder = Builder::resume(&base);
        let new = copied(&self.tail, &builder);
        let outputs = self.tail.outputs.iter().map(|output| renamed(output, &new)).collect();
        let mut updates: Vec<Update> =
            self.tail.updates.iter().map(|update| Update { node: new[update.node.index()], ..*update }).collect();
        for (param, spec) in builder.params().iter().enumerate().skip(base.params.len()) {
            updates.push(Update { param, node: builder.fill(&spec.shape, 0.0, spec.dtype).id() });
        }
        Cut { head, tail: builder.conclude(outputs, updates), outputs: self.outputs.clone() }
    }
}

/// How the names of sums that stay in the store begin.
pub const GRADIENT: &str = "gradient.";

/// How the names of the cuts' sums begin.
pub(crate) const CUT: &str = "cut.";
/// How the names of what all need to know begin, of a [`Shard`](crate::Shard).
pub(crate) const WORD: &str = "word.";
