//! What an adapter learns from.

use yuragi_graph::{Backend, Graph, Params, Plan, Slice, SliceMut};
use yuragi_io::Dataset;
use yuragi_models::{
    generator::{Batch, Network, Pipeline, Side, Words},
    stable_diffusion::Drawing,
};

use super::MOST_CHUNKS;
use crate::{
    Failure,
    machine::{Machine, MachinePlan, State, Store},
    train::{News, Tell},
};

/// A picture as the denoiser learns from it, by the names of the graph's inputs.
pub type Example = Vec<(String, Words)>;

/// The pictures and captions, encoded once.
pub struct Examples {
    pub items: Vec<Example>,
    pub chunks: usize,
}

impl Examples {
    /// Encodes pictures of this side, and captions unless their ids are asked for; `None` if `tell` breaks.
    pub fn new(
        drawing: &Drawing,
        params: &Params,
        dataset: &Dataset,
        (size, ids): (usize, bool),
        machine: &Machine,
        tell: Tell<'_>,
    ) -> Result<Option<Examples>, Failure> {
        let captions: Vec<String> = dataset.items.iter().map(|item| literal(item.title())).collect();
        let chunks = captions.iter().map(|caption| drawing.chunks(caption)).max().unwrap_or(1).min(MOST_CHUNKS);
        let batch = Batch { pictures: 1, size: [size; 2], chunks, skip: 0 };
        let store = machine.upload(params.clone())?;
        let graph = |network| drawing.graph(network, batch);
        let (words_graph, pictures_graph) = (graph(Network::Text)?, graph(Network::Encode)?);
        let mut text = if ids { None } else { Some(Running::new(machine, &store, &words_graph)?) };
        let mut encode = Running::new(machine, &store, &pictures_graph)?;
        let read: Vec<&String> = words_graph.inputs().iter().map(|input| &input.name).collect();
        let numbers = drawing.told("numbers", Side::Prompt, [size; 2], 1.0);
        let (mut items, total) = (Vec::new(), dataset.items.len());
        for (item, caption) in dataset.items.iter().zip(&captions) {
            if tell(&News::Encoding { done: items.len(), total }).is_break() {
                return Ok(None);
            }
            let words = drawing.read(caption, chunks);
            let mut example: Example = match &mut text {
                None => read.iter().map(|name| (*name).clone()).zip(words).collect(),
                Some(text) => {
                    let told = text.run(&words.iter().map(view).collect::<Vec<_>>())?;
                    named(["tokens", "pooled"], told).collect()
                }
            };
            let latent = encode.run(&[Slice::F32(&item.picture.to_f32())])?;
            example.extend(named(["mean", "deviation"], latent));
            example.extend(numbers.iter().map(|numbers| ("numbers".to_owned(), Words::F32(numbers.clone()))));
            items.push(example);
        }
        let _ = tell(&News::Encoding { done: total, total });
        Ok(Some(Examples { items, chunks }))
    }
}

/// What a network gave, by its names.
fn named(names: [&str; 2], values: Vec<Vec<f32>>) -> impl Iterator<Item = (String, Words)> {
    names.into_iter().map(str::to_owned).zip(values.into_iter().map(Words::F32))
}

/// A network that runs once for each picture.
struct Running<'s> {
    plan: MachinePlan,
    state: State,
    store: &'s Store,
    /// The extents of its outputs.
    counts: Vec<usize>,
}

impl Running<'_> {
    fn new<'s>(machine: &Machine, store: &'s Store, graph: &Graph) -> Result<Running<'s>, Failure> {
        let plan = machine.compile(graph)?;
        let counts = graph.outputs().iter().map(|output| graph.node(output.node).shape.count()).collect();
        Ok(Running { state: plan.state(store)?, plan, store, counts })
    }

    fn run(&mut self, inputs: &[Slice<'_>]) -> Result<Vec<Vec<f32>>, Failure> {
        let mut outputs: Vec<Vec<f32>> = self.counts.iter().map(|count| vec![0.0; *count]).collect();
        let mut views: Vec<SliceMut<'_>> = outputs.iter_mut().map(|values| SliceMut::F32(values)).collect();
        self.plan.run(&mut self.state, self.store, inputs, &mut views)?;
        Ok(outputs)
    }
}

/// Words as a network reads them.
fn view(words: &Words) -> Slice<'_> {
    match words {
        Words::I32(values) => Slice::I32(values),
        Words::F32(values) => Slice::F32(values),
    }
}

/// A caption whose brackets are brackets, and whose `BREAK` is a word.
pub fn literal(caption: &str) -> String {
    let escape = |c: char| [matches!(c, '(' | ')' | '[' | ']' | '\\').then_some('\\'), Some(c)];
    let text: String = caption.chars().flat_map(escape).flatten().collect();
    // A stroke before a letter is dropped.
    text.replace("BREAK", "B\\REAK")
}

/// The inputs of a step.
#[derive(Default)]
pub struct Fed(Vec<(String, Words)>);

impl Fed {
    /// Adds a picture.
    pub fn add(&mut self, example: &Example) {
        for (name, values) in example {
            match (self.0.iter_mut().find(|(have, _)| have == name), values) {
                (Some((_, Words::F32(all))), Words::F32(values)) => all.extend(values),
                (Some((_, Words::I32(all))), Words::I32(values)) => all.extend(values),
                (Some(_), _) => {}
                (None, _) => self.0.push((name.clone(), values.clone())),
            }
        }
    }

    pub fn of(&self, name: &str) -> Slice<'_> {
        self.0.iter().find(|(have, _)| have == name).map_or(Slice::F32(&[]), |(_, values)| view(values))
    }
}

#[cfg(test)]
mod tests {
    use yuragi_models::prompt;

    use super::*;

    #[test]
    fn captions_are_read_as_they_stand() {
        for caption in
            ["a button (blood type) [AB] \\ BREAK", "BREAK [a|b] (c:1.5) BREAK, \\(", "UNBREAKABLE", "(BREAK)", ""]
        {
            let read = prompt::texts(&literal(caption));
            assert_eq!(read.len(), 1, "{caption}");
            assert_eq!(prompt::weighted(&read[0]), [prompt::Piece::Text(caption.into(), 1.0)]);
        }
    }
}
