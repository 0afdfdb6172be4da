use crate::{
    BuildError, Builder, Cut, Graph, NodeId, Op, Output, ParamSpec,
    cut::{CUT, WORD},
};
use alloc::{collections::BTreeSet, format, vec::Vec};
use core::panic::Location;

/// What becomes of the sums of some cuts alone, for a process that keeps the optimiser's state of those parameters only
/// (Rajbhandari et al. 2020, "ZeRO", the first stage): the [tail](Cut::tail) of a step, shared out by the cuts.
#[derive(Clone, Debug)]
pub struct Shard {
    /// From the sums of its own cuts to what all need to know of them, such as the squares that make a norm.
    pub told: Graph,
    /// The update of its own parameters, from the inputs that all parts share, the sums of its own cuts, and behind them all
    /// of [`words`](Self::words). Behind the outputs of the tail, it gives the new values of what it has
    /// [`changed`](Self::changed).
    pub tail: Graph,
    /// Puts what others have changed in its place: an input for each.
    pub taken: Graph,
    /// What all need to know, of all cuts: the cut that each follows from, and how many numbers it is.
    pub words: Vec<(usize, usize)>,
    /// The parameters that the parts read and the step changes, each with the cut that it follows from, in the order of cuts.
    pub changed: Vec<(usize, ParamSpec)>,
    /// What the step alone reads and changes: the optimiser's state, which nobody needs but who has the cut.
    pub state: Vec<(usize, ParamSpec)>,
}

/// From which cuts a value follows.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    /// From none, or from what all know.
    All,
    One(usize),
}

/// An input of a half of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// One of the step, by its place there.
    Input(usize),
    /// The sum of the cut of this number.
    Cut(usize),
    /// The word of this number, of a [`Shard`].
    Word(usize),
}

impl Given {
    /// What each input of a half of this step is.
    pub fn inputs(half: &Graph, step: &Graph) -> Vec<Given> {
        let of = |name: &str| {
            let number = |prefix: &str| name.strip_prefix(prefix).and_then(|number| number.parse().ok());
            let place = || step.inputs.iter().position(|input| input.name == name).map(Given::Input);
            number(CUT).map(Given::Cut).or_else(|| number(WORD).map(Given::Word)).or_else(place)
        };
        half.inputs.iter().filter_map(|input| of(&input.name)).collect()
    }
}

impl Cut {
    /// The part of the tail that who has these cuts does.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Init};
    /// let b = Builder::new();
    /// let x = b.input("x", &[8], DType::F32);
    /// let weights = ["v", "w"].map(|name| b.param(name, &[], DType::F32, Init::Constant(0.5)));
    /// let loss = (x * weights[0] - weights[1]).tanh().mean_all();
    /// let gradients = b.grad(loss, &weights);
    /// gradients.iter().for_each(|gradient| b.cut(*gradient));
    /// let norm = (gradients[0] * gradients[0] + gradients[1] * gradients[1]).sqrt();
    /// for (weight, gradient) in weights.into_iter().zip(gradients) {
    ///     b.update(weight, weight - gradient / norm);
    /// }
    /// let step = b.finish(&[("loss", loss)])?.cut(4, &[])?;
    /// let first = step.shard(&|cut| cut == 0)?;
    /// assert_eq!((first.told.outputs().len(), first.words.len()), (1, 2));
    /// assert_eq!((first.tail.updates().len(), first.taken.updates().len()), (1, 1));
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// What all need to know of one cut follows from what others tell.
    #[track_caller]
    pub fn shard(&self, own: &dyn Fn(usize) -> bool) -> Result<Shard, BuildError> {
        let tail = &self.tail;
        // Where what follows from different cuts meets, all need to know it; what follows from that, all have.
        let mut sources: Vec<Source> = Vec::with_capacity(tail.nodes.len());
        let mut meeting = BTreeSet::new();
        for node in &tail.nodes {
            let mut source = Source::All;
            if let Op::Input(input) = node.op
                && let Some(cut) = tail.inputs[input as usize].name.strip_prefix(CUT).and_then(|n| n.parse().ok())
            {
                source = Source::One(cut);
            }
            for input in &node.inputs {
                match (source, sources[input.index()]) {
                    (_, Source::All) => {}
                    (Source::All, one) => source = one,
                    (a, b) if a == b => {}
                    _ => {
                        let of_one = |input: &&NodeId| sources[input.index()] != Source::All;
                        meeting.extend(node.inputs.iter().filter(of_one).copied());
                        source = Source::All;
                        break;
                    }
                }
            }
            sources.push(source);
        }
        let of = |node: NodeId| match sources[node.index()] {
            Source::One(cut) => Some(cut),
            Source::All => None,
        };
        meeting.extend(tail.outputs.iter().map(|output| output.node).filter(|node| of(*node).is_some()));
        let words: Vec<(usize, usize)> =
            meeting.iter().filter_map(|node| Some((of(*node)?, tail.node(*node).shape.count()))).collect();
        let told = meeting.iter().enumerate().filter(|(_, node)| of(**node).is_some_and(own));
        let told = told.map(|(n, node)| Output { name: format!("{WORD}{n}"), node: *node }).collect();
        let told = tail.half(told, Vec::new(), &BTreeSet::new(), (WORD, 1));
        let strange = |given: &Given| matches!(given, Given::Cut(cut) if !own(*cut));
        if Given::inputs(&told, tail).iter().any(strange) {
            return Err(BuildError {
                message: "gradients that meet again in what follows from their meeting cannot be shared out".into(),
                location: Location::caller(),
            });
        }

        let read: BTreeSet<&str> = self.head.params.iter().map(|spec| &*spec.name).collect();
        let (mut changed, mut state, mut updates) = (Vec::new(), Vec::new(), Vec::new());
        for update in &tail.updates {
            let spec = &tail.params[update.param];
            let source = of(update.node);
            if source.is_none_or(own) {
                updates.push(*update);
            }
            match source {
                Some(cut) if read.contains(&*spec.name) => changed.push((cut, update.node, spec.clone())),
                Some(cut) => state.push((cut, spec.clone())),
                None => {}
            }
        }
        // Two weights that are only added to each other have one gradient.
        changed.sort_by_key(|(cut, ..)| *cut);
        let new = changed.iter().enumerate().filter(|(_, (cut, ..))| own(*cut));
        let new = new.map(|(n, (_, node, _))| Output { name: format!("new.{n}"), node: *node });
        let outputs: Vec<Output> = tail.outputs.iter().cloned().chain(new).collect();
        let builder = Builder::new();
        for (n, (_, _, spec)) in changed.iter().enumerate().filter(|(_, (cut, ..))| !own(*cut)) {
            let param = builder.param(&spec.name, &spec.shape, spec.dtype, spec.init);
            builder.update(param, builder.input(&format!("new.{n}"), &spec.shape, spec.dtype));
        }
        Ok(Shard {
            told,
            tail: tail.half(outputs, updates, &meeting, (WORD, 1)),
            taken: builder.finish(&[])?,
            words,
            changed: changed.into_iter().map(|(cut, _, spec)| (cut, spec)).collect(),
            state,
        })
    }
}
