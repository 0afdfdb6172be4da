//! How a picture was made, as the picture tells it: the layout that web interfaces read.

use yuragi::{
    diffusion::{Rng, guidance::Interval, rng::Launch, sampler::Choice},
    io::parameters::Parameters,
    models::generator::Sampling,
};

/// The settings of one picture.
pub struct Record<'a> {
    pub prompt: &'a str,
    pub negative: &'a str,
    pub seed: u64,
    pub sampling: Sampling,
    /// Width and height that the model draws.
    pub size: [usize; 2],
    /// Blocks of the text encoders, counted from the end, at which they are left; 1 is none.
    pub skip: u16,
    /// What else flags say, by name; before what the picture is repeated with.
    pub more: &'a [(String, String)],
    pub model: &'a str,
}

impl From<&Record<'_>> for Parameters {
    fn from(record: &Record<'_>) -> Parameters {
        let &Record { prompt, negative, seed, sampling, size: [width, height], skip, more, model } = record;
        let Sampling { sampler, steps, guidance, spacing, rescale, interval, rng, .. } = sampling;
        let mut made = Parameters { prompt: prompt.to_owned(), negative: negative.to_owned(), ..Parameters::default() };
        made.set("Steps", steps);
        made.set("Sampler", Choice { kind: sampler, spacing }.label());
        made.set("CFG scale", guidance);
        made.set("Seed", seed);
        made.set("Size", format_args!("{width}x{height}"));
        if rescale != 0.0 {
            made.set("CFG Rescale", rescale);
        }
        if interval != Interval::default() {
            made.set("Guidance interval", interval);
        }
        if skip > 1 {
            made.set("Clip skip", skip);
        }
        match rng {
            Rng::Yuragi => {}
            Rng::TorchCpu => made.set("RNG", "CPU"),
            Rng::TorchCuda(Launch::UNLIMITED) => made.set("RNG", "NV"),
            Rng::TorchCuda(_) => made.set("RNG", rng),
        }
        more.iter().for_each(|(name, value)| made.set(name, value));
        made.set("Model", model);
        made.set("Version", concat!("yuragi ", env!("CARGO_PKG_VERSION")));
        made
    }
}

#[cfg(test)]
mod tests {
    use yuragi::diffusion::Spacing;

    use super::*;

    fn told(record: &Record<'_>) -> String {
        Parameters::from(record).to_string()
    }

    fn record<'a>(negative: &'a str, model: &'a str) -> Record<'a> {
        let sampling = Sampling { steps: 16, ..Sampling::default() };
        Record { prompt: "a red cat", negative, seed: u64::MAX, sampling, size: [64; 2], skip: 1, more: &[], model }
    }

    #[test]
    fn it_has_the_layout_of_web_interfaces() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            told(&record("dog", "yuragi-emoji")),
            format!(
                "a red cat\nNegative prompt: dog\nSteps: 16, Sampler: Euler, CFG scale: 1.5, \
                 Seed: 18446744073709551615, Size: 64x64, Model: yuragi-emoji, Version: yuragi {version}"
            )
        );
        let text = told(&record("", "a, \"b\": c"));
        assert!(text.starts_with("a red cat\nSteps: 16, "), "{text}");
        assert!(text.contains(r#"Model: "a, \"b\": c", Version"#), "{text}");
    }

    #[test]
    fn other_generators_are_named_as_web_interfaces_name_them() {
        for (rng, name) in
            [("torch-cpu", "CPU"), ("torch-cuda", "NV"), ("torch-cuda:28x1536", "\"torch-cuda:28x1536\"")]
        {
            let sampling = Sampling { rng: rng.parse().unwrap(), ..Sampling::default() };
            let text = told(&Record { sampling, ..record("", "m") });
            assert!(text.contains(&format!("Size: 64x64, RNG: {name}, Model: m")), "{text}");
        }
    }

    #[test]
    fn what_differs_from_the_usual_is_told() {
        let sampling = Sampling {
            spacing: Some(Spacing::Karras { rho: 7.0 }),
            rescale: 0.7,
            interval: "0.1:0.9".parse().unwrap(),
            ..Sampling::default()
        };
        let text = told(&Record { sampling, ..record("", "m") });
        assert!(text.contains("Sampler: Euler Karras, CFG scale: 1.5"), "{text}");
        assert!(text.contains("Size: 64x64, CFG Rescale: 0.7, Guidance interval: \"0.1:0.9\", Model: m"), "{text}");
    }
}
