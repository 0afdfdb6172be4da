use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use yuragi::{
    Failure,
    decoder::Decoder,
    io::checkpoint::Archive,
    model::{Loss, Model, Storage, losses},
};

use super::{
    common::{bits, check_place, print},
    models::{archive_of, decoded_by, open},
};

/// Store a model in fewer bits, and tell what that loses.
///
/// Rounds each weight of a matrix or kernel to a code of 4, 5, 6 or 8 bits, of which a group shares a
/// scale, or to 16 bits. Of a training's checkpoint, the averaged weights are written.
#[derive(Args)]
pub struct Convert {
    /// A model or training checkpoint, the folder of a training, or a decoder
    model: PathBuf,
    /// Bits of a weight: 4, 5, 6, 8 or 16
    #[arg(long, value_parser = bits)]
    bits: usize,
    /// Weights that share a scale of 16 bits: 8, 16, .. to 1024
    #[arg(long, default_value_t = Storage::GROUP)]
    group: usize,
    /// Write the decoder of this file in place of the model's own
    #[arg(long, value_name = "FILE")]
    decoder: Option<PathBuf>,
    /// The file to write [default: MODEL-BITSbit.safetensors, here]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is stored.
enum What {
    Model(Model),
    Decoder(Decoder),
}

impl Convert {
    /// Converts, reads the new file and compares.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let storage = Storage::new(self.bits, self.group)?;
        let (source, archive) = archive_of(&self.model)?;
        let what = if Decoder::is_alone(&archive) {
            if let Some(other) = &self.decoder {
                let (source, other) = (source.display(), other.display());
                return Err(Failure::new(format!("{source} is a decoder itself: {other} cannot take its place")));
            }
            What::Decoder(Decoder::read(&archive)?)
        } else {
            What::Model(decoded_by(open(&self.model)?.0, self.decoder.as_deref())?)
        };
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        let output = self.output.unwrap_or_else(|| format!("{name}-{}bit.safetensors", self.bits).into());
        check_place(&output)?;
        if output.exists() && source.canonicalize()? == output.canonicalize()? {
            return Err(Failure::new(format!("cannot write {}: it is the model that is read", output.display())));
        }
        let losses = match &what {
            What::Model(model) => {
                model.save(&output, storage)?;
                losses(&Model::read(&Archive::open(&output)?)?.params, &model.params)
            }
            What::Decoder(decoder) => {
                decoder.save(&output, storage)?;
                losses(&Decoder::read(&Archive::open(&output)?)?.params, &decoder.params)
            }
        };
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
        let flag = if matches!(what, What::Model(_)) { "--model" } else { "--decoder" };
        text += &format!("What it does to pictures: yuragi evaluate {flag} {shown}\n");
        print(text)?;
        Ok(ExitCode::SUCCESS)
    }
}
