//! How a picture was made, as the picture tells it: the layout that web interfaces read.

use std::fmt;

use yuragi::{
    diffusion::{Rng, guidance::Interval, rng::Launch, sampler::Choice},
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
    /// Adapters with their weights; none are "".
    pub adapters: &'a str,
    pub model: &'a str,
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Record { prompt, negative, seed, sampling, size: [width, height], skip, adapters, model } = self;
        let Sampling { sampler, steps, guidance, spacing, rescale, interval, rng, strength, .. } = sampling;
        writeln!(f, "{prompt}")?;
        if !negative.is_empty() {
            writeln!(f, "Negative prompt: {negative}")?;
        }
        let (sampler, model) = (quoted(&Choice { kind: sampler, spacing }.label()), quoted(model));
        write!(f, "Steps: {steps}, Sampler: {sampler}, CFG scale: {guidance}, Seed: {seed}, Size: {width}x{height}, ")?;
        if rescale != 0.0 {
            write!(f, "CFG Rescale: {rescale}, ")?;
        }
        if interval != Interval::default() {
            write!(f, "Guidance interval: {}, ", quoted(&interval.to_string()))?;
        }
        if skip > 1 {
            write!(f, "Clip skip: {skip}, ")?;
        }
        if strength < 1.0 {
            write!(f, "Denoising strength: {strength}, ")?;
        }
        match rng {
            Rng::Yuragi => {}
            Rng::TorchCpu => write!(f, "RNG: CPU, ")?,
            Rng::TorchCuda(Launch::UNLIMITED) => write!(f, "RNG: NV, ")?,
            Rng::TorchCuda(_) => write!(f, "RNG: {}, ", quoted(&rng.to_string()))?,
        }
        if !adapters.is_empty() {
            write!(f, "Lora: {}, ", quoted(adapters))?;
        }
        write!(f, "Model: {model}, Version: yuragi {}", env!("CARGO_PKG_VERSION"))
    }
}

/// A value as it is, or as a JSON string where it would end too early.
fn quoted(value: &str) -> String {
    let plain = !value.contains([',', ':', '\n', '"']);
    if plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

#[cfg(test)]
mod tests {
    use yuragi::diffusion::Spacing;

    use super::*;

    fn record<'a>(negative: &'a str, model: &'a str) -> Record<'a> {
        let sampling = Sampling { steps: 16, ..Sampling::default() };
        Record { prompt: "a red cat", negative, seed: u64::MAX, sampling, size: [64; 2], skip: 1, adapters: "", model }
    }

    #[test]
    fn it_has_the_layout_of_web_interfaces() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            record("dog", "yuragi-emoji").to_string(),
            format!(
                "a red cat\nNegative prompt: dog\nSteps: 16, Sampler: Euler, CFG scale: 1.5, \
                 Seed: 18446744073709551615, Size: 64x64, Model: yuragi-emoji, Version: yuragi {version}"
            )
        );
        let text = record("", "a, \"b\": c").to_string();
        assert!(text.starts_with("a red cat\nSteps: 16, "), "{text}");
        assert!(text.contains(r#"Model: "a, \"b\": c", Version"#), "{text}");
    }

    #[test]
    fn other_generators_are_named_as_web_interfaces_name_them() {
        for (rng, name) in
            [("torch-cpu", "CPU"), ("torch-cuda", "NV"), ("torch-cuda:28x1536", "\"torch-cuda:28x1536\"")]
        {
            let sampling = Sampling { rng: rng.parse().unwrap(), ..Sampling::default() };
            let text = Record { sampling, ..record("", "m") }.to_string();
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
        let text = Record { sampling, ..record("", "m") }.to_string();
        assert!(text.contains("Sampler: Euler Karras, CFG scale: 1.5"), "{text}");
        assert!(text.contains("Size: 64x64, CFG Rescale: 0.7, Guidance interval: \"0.1:0.9\", Model: m"), "{text}");
    }
}
