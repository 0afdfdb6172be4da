use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use yuragi::{
    Failure,
    io::checkpoint::Archive,
    model::{Loss, Model, Storage},
};

use super::common::{bits, check_place, file_of, open, print};

/// Store a model in fewer bits, and tell what that loses.
///
/// Rounds each weight of a matrix or kernel to a code of 4, 5, 6 or 8 bits, of which a group shares a
/// scale, or to 16 bits. Of a training's checkpoint, the averaged weights are written.
#[derive(Args)]
pub struct Convert {
    /// A model or training checkpoint, or the folder of a training
    model: PathBuf,
    /// Bits of a weight: 4, 5, 6, 8 or 16
    #[arg(long, value_parser = bits)]
    bits: usize,
    /// Weights that share a scale of 16 bits: 8, 16, .. to 1024
    #[arg(long, default_value_t = Storage::GROUP)]
    group: usize,
    /// The file to write [default: MODEL-BITSbit.safetensors, here]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Convert {
    /// Converts, reads the new file and compares.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let storage = Storage::new(self.bits, self.group)?;
        let (model, name) = open(&self.model)?;
        let output = self.output.unwrap_or_else(|| format!("{name}-{}bit.safetensors", self.bits).into());
        check_place(&output)?;
        let source = file_of(&self.model);
        if output.exists() && source.canonicalize()? == output.canonicalize()? {
            return Err(Failure::new(format!("cannot write {}: it is the model that is read", output.display())));
        }
        model.save(&output, storage)?;
        let written = Model::read(&Archive::open(&output)?)?;
        let losses = written.losses(&model);
        let size = |path: &PathBuf| Ok::<_, std::io::Error>(path.metadata()?.len());
        let (shown, now, was) = (output.display(), size(&output)?, size(&source)?);
        let mut text =
            format!("{shown}: {now} bytes, {was} before\n\n{:12}{:>12}{:>18}\n", "part", "weights", "rounding error");
        let all = losses.iter().fold(Loss { part: "all".into(), ..Loss::default() }, |mut all, loss| {
            all.weights += loss.weights;
            all.squares += loss.squares;
            all.errors += loss.errors;
            all
        });
        for loss in losses.iter().chain([&all]) {
            text += &format!("{:12}{:>12}{:>17.2}%\n", loss.part, loss.weights, 100.0 * loss.share());
        }
        text += "\nThe error is the root mean square of what rounding changed, as a share of that of the weights.\n";
        text += &format!("What it does to pictures: yuragi evaluate --model {shown}\n");
        print(text)?;
        Ok(ExitCode::SUCCESS)
    }
}
