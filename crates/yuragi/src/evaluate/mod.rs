//! How well a model draws what it is told: for captions of a data set, is the true picture the one
//! nearest to the drawn one?
//!
//! Pictures are compared by the mean colours of 16×16 boxes ([`metric`]); real emoji, shifted, blurred
//! and paled, still find themselves first in more than nine of ten cases. Captions that were trained on
//! are measured apart from combinations that were kept from training, and those beside what copying a
//! sibling of another skin tone would score ([`Composition::sibling_copy`]). Beside that metric a [judge](crate::judge), which
//! learned to see, names what was drawn, also for [prompts] of any words.

pub mod metric;
pub mod prompts;
mod report;
#[cfg(test)]
mod tests;
mod trials;

use std::ops::ControlFlow;

use yuragi_graph::{Backend, Collective};
use yuragi_io::{Dataset, Picture, PictureError, picture::contact_sheet};
use yuragi_models::{
    Generator,
    generator::{Request, Sampling},
};

pub use report::{Composition, Group, Report, Score, Tones, score};
pub use trials::{Language, Stratum, Trial, trials};

use crate::Failure;

/// Launches between two reports of progress.
const LAUNCHES: usize = 32;
/// Pairs on a sheet for each of seen and held-out captions.
const SHOWN: usize = 64;
/// Pairs in a row of a sheet.
const COLUMNS: usize = 16;

/// Draws captions, each with a seed; each of the ranks draws its share. `proceed` hears the share that is done, 0 to 1, and
/// may stop it, which gives `None`.
///
/// # Errors
/// Those of the generator, or a rank that is gone.
pub fn draw<B: Backend>(
    ranks: &dyn Collective,
    generator: &Generator<B>,
    captions: &[(&str, u64)],
    sampling: &Sampling,
    mut proceed: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<Vec<Picture>>, Failure> {
    let side = generator.settings().size;
    let own = &captions[ranks.share(captions.len(), generator.count(), ranks.rank())];
    let batches = own.chunks(generator.count());
    let total = batches.len() as f64;
    let mut drawn = Vec::with_capacity(own.len() * side * side * 3);
    for (number, batch) in batches.enumerate() {
        let requests: Vec<Request<'_>> =
            batch.iter().map(|&(prompt, seed)| Request { prompt, seed, ..Request::default() }).collect();
        let mut job = generator.start(&requests, sampling)?;
        loop {
            let progress = job.advance(LAUNCHES)?;
            if proceed((number as f64 + progress.done as f64 / progress.total as f64) / total).is_break() {
                return Ok(None);
            }
            if progress.is_all() {
                break;
            }
        }
        (0..batch.len()).filter_map(|i| job.rgb8(i)).for_each(|rgb| drawn.extend(rgb));
    }
    let all = ranks.gather(&drawn)?.concat();
    let pictures = all.chunks(side * side * 3).map(|rgb| Picture::new(side, side, rgb.to_vec()));
    Ok(Some(pictures.collect::<Result<_, _>>()?))
}

/// Drawn pictures, each above the true one: seen captions first, then those that are held out.
///
/// # Errors
/// None if there are trials.
pub fn sheet(dataset: &Dataset, trials: &[Trial], drawn: &[Picture]) -> Result<Picture, PictureError> {
    let first = trials.first().map(|t| t.language);
    let mut cells = Vec::new();
    for held_out in [false, true] {
        let pairs: Vec<(&Trial, &Picture)> =
            trials.iter().zip(drawn).filter(|(t, _)| t.held_out == held_out && Some(t.language) == first).collect();
        let every = pairs.len().div_ceil(SHOWN).max(1);
        let pairs: Vec<_> = pairs.into_iter().step_by(every).collect();
        for row in pairs.chunks(COLUMNS) {
            let blank = Picture::filled(1, 1, [255; 3])?;
            let mut line = |pictures: Vec<Picture>| {
                cells.extend(pictures);
                cells.extend(std::iter::repeat_n(blank.clone(), COLUMNS - row.len()));
            };
            line(row.iter().map(|(_, picture)| (*picture).clone()).collect());
            line(row.iter().map(|(trial, _)| dataset.items[trial.item].picture.clone()).collect());
        }
    }
    contact_sheet(&cells, COLUMNS, 2)
}
