//! The pictures of a training, and their batches.

use yuragi_graph::Collective;
use yuragi_io::{CaptionKind, Dataset, Item, Picture, emoji, folder};
use yuragi_models::tokenizer::Tokenizer;
use yuragi_numeric::fnv::Fnv1a;

use super::{
    Options, Source,
    compose::Composer,
    order::{Draws, Order},
};
use crate::Failure;

/// Composed pictures kept ready, for each that an epoch takes.
const COMPOSED_VARIETY: f64 = 8.0;
/// How often an epoch shows a picture that has no siblings to learn from, where others have.
const SINGULAR: usize = 2;

/// Everything that is learned from.
pub struct Data {
    /// The data set as loaded, held-out items included.
    pub dataset: Dataset,
    /// What is trained on: the data's items first, then composed ones.
    pub items: Vec<Item>,
    /// How many of the items are the data's own.
    pub own: usize,
    /// One epoch of the data's own items: each, and those without siblings more often.
    shown: Vec<usize>,
    /// Composed items in one epoch.
    composed_per_epoch: usize,
}

impl Data {
    /// Loads the pictures at a size, of a folder's each of these ranks its share, and composes more.
    pub fn load(options: &Options, size: usize, ranks: &dyn Collective) -> Result<Data, Failure> {
        let dataset = load(&options.data, options.column.as_deref(), size, ranks)?;
        let mut items: Vec<Item> = dataset.trained().cloned().collect();
        let own = items.len();
        let composed_per_epoch = (own as f64 * options.compose) as usize;
        let composer = Composer::new(&dataset.items, options.seed);
        for number in 0..(composed_per_epoch as f64 * COMPOSED_VARIETY) as u64 {
            items.extend(composer.item(number).transpose()?);
        }
        let composed_per_epoch = if items.len() > own { composed_per_epoch } else { 0 };
        let shown = shown(&items[..own]);
        Ok(Data { dataset, items, own, shown, composed_per_epoch })
    }

    /// The number of pictures in one epoch.
    pub fn epoch(&self) -> usize {
        self.shown.len() + self.composed_per_epoch
    }

    /// A hash of pictures and captions (FNV-1a, 64 bits).
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv1a::default();
        let mut add = |bytes: &[u8]| hash.bytes(bytes);
        for item in &self.items {
            add(item.id.as_bytes());
            add(item.picture.rgb());
            item.captions.iter().for_each(|c| add(c.text.as_bytes()));
        }
        hash.value()
    }

    /// A tokenizer learned from all captions.
    pub fn tokenizer(&self, vocabulary: usize) -> Result<Tokenizer, Failure> {
        let captions: Vec<&str> = self.captions().collect();
        let mut tokenizer = Tokenizer::train(captions.iter().copied(), vocabulary)?;
        tokenizer.lexicon = tokenizer.lexicon.and(self.composed());
        Ok(tokenizer)
    }

    /// A model's tokenizer that also knows the words of the captions.
    pub fn known_to(&self, tokenizer: Tokenizer) -> Tokenizer {
        let lexicon = tokenizer.lexicon.and(self.captions().chain(self.composed()));
        Tokenizer { lexicon, ..tokenizer }
    }

    /// The data's own pictures whose names or descriptions a model that reads so many tokens does not read to the end.
    pub fn cut(&self, tokenizer: &Tokenizer, tokens: usize) -> Vec<&Item> {
        let keywords = |kind| matches!(kind, CaptionKind::KeywordsEn | CaptionKind::KeywordsJa);
        let long = |item: &&Item| {
            item.captions.iter().any(|caption| !keywords(caption.kind) && tokenizer.count(&caption.text) > tokens)
        };
        self.items[..self.own].iter().filter(long).collect()
    }

    fn captions(&self) -> impl Iterator<Item = &str> {
        self.items[..self.own].iter().flat_map(|item| item.captions.iter().map(|caption| caption.text.as_str()))
    }

    fn composed(&self) -> impl Iterator<Item = &str> {
        self.items[self.own..].iter().flat_map(|item| item.captions.iter().map(|caption| caption.text.as_str()))
    }
}

/// The places of items as one epoch shows them.
fn shown(items: &[Item]) -> Vec<usize> {
    let combination = |item: &Item| item.emoji.as_ref().is_some_and(|emoji| emoji.is_combination());
    let times = if items.iter().any(combination) { SINGULAR } else { 1 };
    let again = |(place, item)| std::iter::repeat_n(place, if combination(item) { 1 } else { times });
    items.iter().enumerate().flat_map(again).collect()
}

/// Loads a source's pictures at a size; a folder's lists may have another column of captions.
pub fn load(source: &Source, column: Option<&str>, size: usize, ranks: &dyn Collective) -> Result<Dataset, Failure> {
    Ok(match source {
        Source::Emoji(font) => emoji::load(&emoji::Options { font: font.clone(), size, ..emoji::Options::default() })?,
        Source::Folder(path) => {
            let column = column.map(str::to_owned);
            folder::load_on(path, &folder::Options { size, column, ..folder::Options::default() }, ranks)?
        }
    })
}

/// Draws the batches of a stage: a pure function of the seed and the step.
pub struct Batches<'a> {
    data: &'a Data,
    seed: u64,
    order: Order,
    batch: usize,
}

/// One picture of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    /// Its place in [`Data::items`].
    pub item: usize,
    /// Draws of its own.
    pub draws: Draws,
}

impl<'a> Batches<'a> {
    /// Batches of a stage with its own seed.
    pub fn new(data: &'a Data, seed: u64, batch: usize) -> Batches<'a> {
        Batches { data, seed, order: Order::new(seed, data.epoch()), batch }
    }

    /// The picture at a place of the batch of a step (counted from 0).
    pub fn pick(&mut self, step: u64, place: usize) -> Pick {
        let Data { items, own, shown, composed_per_epoch, .. } = self.data;
        let position = step * self.batch as u64 + place as u64;
        let (slot, epoch) = self.order.at(position);
        let item = match slot.checked_sub(shown.len()) {
            None => shown[slot],
            // Every epoch goes on where the last one stopped among the composed.
            Some(slot) => own + (slot + epoch as usize * composed_per_epoch) % (items.len() - own),
        };
        Pick { item, draws: Draws::new(self.seed ^ 0x0063_6170_7469_6f6e, position) }
    }
}

/// Pictures as one `[N, size, size, 3]` tensor in [-1, 1].
pub fn stack<'a>(pictures: impl IntoIterator<Item = &'a Picture>, out: &mut Vec<f32>) {
    out.clear();
    for picture in pictures {
        out.extend(picture.to_f32());
    }
}
