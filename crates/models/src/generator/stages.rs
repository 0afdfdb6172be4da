//! The networks of a generator in the order in which they run.

use alloc::{string::String, vec::Vec};

use yuragi_graph::{Backend, Graph, Plan};

use super::{Batch, Error, Network, Pipeline};

/// What a job does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Text,
    /// The picture to begin with; for inpainting networks also what of it is kept.
    Encode {
        kept: bool,
    },
    Denoise,
    Decode,
    Done,
}

impl Stage {
    /// The place of the network's arena.
    pub(super) fn arena(self) -> usize {
        match self {
            Stage::Text => 0,
            Stage::Encode { .. } => 1,
            Stage::Denoise => 2,
            Stage::Decode | Stage::Done => 3,
        }
    }
}

/// How far a [`Job`](super::Job) is, in launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Launches made.
    pub done: usize,
    /// Launches from start to end.
    pub total: usize,
}

impl Done {
    /// Whether the pictures are there.
    pub fn is_all(self) -> bool {
        self.done == self.total
    }
}

/// A compiled network, and the names and lengths of what it takes and gives.
pub(super) struct Compiled<P> {
    pub plan: P,
    /// Names, and values of all rows.
    pub inputs: Vec<(String, usize)>,
    pub outputs: Vec<(String, usize)>,
}

impl<P> Compiled<P> {
    fn new<B: Backend<Plan = P>>(backend: &B, graph: &Graph) -> Result<Self, Error> {
        let inputs = graph.inputs().iter().map(|input| (input.name.clone(), input.shape.count())).collect();
        let count = |output: &yuragi_graph::Output| graph.node(output.node).shape.count();
        let outputs = graph.outputs().iter().map(|output| (output.name.clone(), count(output))).collect();
        Ok(Compiled { plan: backend.compile(graph)?, inputs, outputs })
    }
}

/// The compiled networks.
pub(super) struct Plans<B: Backend> {
    text: Compiled<B::Plan>,
    /// For one prompt of each picture, and for both; which of them a job needs, its guidance says.
    single: Compiled<B::Plan>,
    guided: Option<Compiled<B::Plan>>,
    decode: Compiled<B::Plan>,
    encode: Option<Compiled<B::Plan>>,
    preview: Option<Compiled<B::Plan>>,
}

impl<B: Backend> Plans<B> {
    pub fn new<P: Pipeline>(backend: &B, pipeline: &P, batch: Batch) -> Result<Self, Error> {
        let twice = Batch { pictures: 2 * batch.pictures, ..batch };
        let compiled = |network, batch| Compiled::new(backend, &pipeline.graph(network, batch)?);
        Ok(Plans {
            text: compiled(Network::Text, twice)?,
            single: compiled(Network::Denoise, batch)?,
            guided: if pipeline.guides_itself() { None } else { Some(compiled(Network::Denoise, twice)?) },
            decode: compiled(Network::Decode, batch)?,
            encode: None,
            preview: None,
        })
    }

    pub fn add_encoder<P: Pipeline>(&mut self, backend: &B, pipeline: &P, batch: Batch) -> Result<(), Error> {
        self.encode = Some(Compiled::new(backend, &pipeline.graph(Network::Encode, batch)?)?);
        Ok(())
    }

    pub fn add_preview<P: Pipeline>(&mut self, backend: &B, pipeline: &P, batch: Batch) -> Result<(), Error> {
        self.preview = Some(Compiled::new(backend, &pipeline.graph(Network::Preview, batch)?)?);
        Ok(())
    }

    pub fn preview(&self) -> Option<&Compiled<B::Plan>> {
        self.preview.as_ref()
    }

    /// Has another decoder, or one of other pictures.
    pub fn decode_by<P: Pipeline>(
        &mut self,
        backend: &B,
        pipeline: &P,
        (network, batch): (Network, Batch),
    ) -> Result<(), Error> {
        self.decode = Compiled::new(backend, &pipeline.graph(network, batch)?)?;
        Ok(())
    }

    pub fn has_encoder(&self) -> bool {
        self.encode.is_some()
    }

    /// The bytes that each network of a guided job needs.
    pub fn arenas(&self) -> Vec<usize> {
        let denoise = self.guided.as_ref().unwrap_or(&self.single);
        let all = [Some(&self.text), Some(denoise), Some(&self.decode), self.encode.as_ref(), self.preview.as_ref()];
        all.into_iter().flatten().map(|network| network.plan.memory().arena).collect()
    }

    pub fn get(&self, stage: Stage, guided: bool) -> &Compiled<B::Plan> {
        match (stage, &self.guided, &self.encode) {
            (Stage::Text, ..) => &self.text,
            (Stage::Denoise, Some(both), _) if guided => both,
            (Stage::Denoise, ..) => &self.single,
            (Stage::Encode { .. }, _, Some(encode)) => encode,
            (Stage::Encode { .. } | Stage::Decode | Stage::Done, ..) => &self.decode,
        }
    }
}
