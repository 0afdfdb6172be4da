//! Extents of a diffusers folder, from its `config.json`s.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yuragi_diffusion::{
    Config as Scheduler,
    config::{PredictionType, Value as Setting},
};
use yuragi_models::stable_diffusion::{Activation, Addition, Checkpoint, Clip, Depth, KlAutoencoder, Level, UNet};

use super::ModelError;

/// The most bytes of a configuration or index.
const LARGEST: u64 = 1 << 26;

/// One JSON file.
pub(super) struct Config {
    pub path: PathBuf,
    value: Value,
}

type Result<T> = std::result::Result<T, ModelError>;

impl Config {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Config>> {
        let failed = |source| ModelError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        let wrong = |reason: String| ModelError::Config { path: path.to_owned(), reason };
        if bytes.len() as u64 > LARGEST {
            return Err(wrong("it is too large for a configuration".into()));
        }
        let value: Value = serde_json::from_slice(&bytes)
            // Python writes infinities, which JSON has not; -Infinity is a scheduler's way to set no limit.
            .or_else(|error| {
                let text = String::from_utf8_lossy(&bytes);
                if text.contains(": -Infinity") {
                    serde_json::from_str(&text.replace(": -Infinity", ": null"))
                } else {
                    Err(error)
                }
            })
            .map_err(|error| wrong(format!("it is no JSON: {error}")))?;
        if !value.is_object() {
            return Err(wrong("it is no JSON object".into()));
        }
        Ok(Some(Config { path: path.to_owned(), value }))
    }

    /// The value of a key; `None` where it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    fn wrong<T>(&self, key: &str, legal: &str) -> Result<T> {
        let value = self.value.get(key).map_or("absent".to_owned(), Value::to_string);
        let value: String = value.chars().take(80).collect();
        let reason = format!("`{key}` is {value}; this program reads {legal}");
        Err(ModelError::Config { path: self.path.clone(), reason })
    }

    fn count(&self, key: &str, default: Option<usize>) -> Result<usize> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (value, _) => match value.and_then(Value::as_u64).and_then(|v| usize::try_from(v).ok()) {
                Some(count) => Ok(count),
                None => self.wrong(key, "a whole number"),
            },
        }
    }

    fn number(&self, key: &str, default: f32) -> Result<f32> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_f64().map_or_else(|| self.wrong(key, "a number"), |v| Ok(v as f32)),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().map_or_else(|| self.wrong(key, "true or false"), Ok),
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// A list of whole numbers, or one number for each of `len` levels.
    fn counts(&self, key: &str, len: usize, default: usize) -> Result<Vec<usize>> {
        let legal = format!("a whole number, or {len} of them");
        match self.get(key) {
            Some(Value::Array(values)) => {
                let counts: Option<Vec<usize>> =
                    values.iter().map(|v| v.as_u64().and_then(|v| usize::try_from(v).ok())).collect();
                counts.filter(|counts| counts.len() == len).map_or_else(|| self.wrong(key, &legal), Ok)
            }
            _ => Ok(vec![self.count(key, Some(default))?; len]),
        }
    }

    fn widths(&self, key: &str) -> Result<Vec<usize>> {
        let values = self.get(key).and_then(Value::as_array).filter(|values| (1..=8).contains(&values.len()));
        match values {
            Some(values) => self.counts(key, values.len(), 0),
            None => self.wrong(key, "1 to 8 whole numbers"),
        }
    }

    fn words(&self, key: &str) -> Vec<&str> {
        let values = self.get(key).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn numbers(&self, key: &str) -> Option<Vec<f32>> {
        let values = self.get(key)?.as_array()?;
        values.iter().map(|v| v.as_f64().map(|v| v as f32)).collect()
    }

    /// Refuses what changes a network in a way that is not built here.
    fn only(&self, key: &str, legal: &[Value]) -> Result<()> {
        match self.get(key) {
            Some(value) if !legal.contains(value) => {
                let legal: Vec<String> = legal.iter().map(Value::to_string).collect();
                self.wrong(key, &if legal.is_empty() { "none".to_owned() } else { legal.join(" or ") })
            }
            _ => Ok(()),
        }
    }
}

/// The extents of the folder's networks.
pub(super) fn checkpoint(folder: &Path) -> Result<Checkpoint> {
    let read = |component: &str| Config::read(&folder.join(component).join("config.json"));
    let needed = |component: &str| {
        let absent =
            || ModelError::Absent { path: folder.to_owned(), reason: format!("it has no {component}/config.json") };
        read(component)?.ok_or_else(absent)
    };
    let unet_file = needed("unet")?;
    let vae = autoencoder(&needed("vae")?)?;
    let text = [read("text_encoder")?, read("text_encoder_2")?];
    let clip = |place: usize| text[place].as_ref().map(|config| clip(config, place == 1)).transpose();
    let text = [clip(0)?, clip(1)?];
    let pooled = text.iter().flatten().last().map_or(0, |clip| clip.projection.unwrap_or(clip.width));
    let (unet, sample) = unet(&unet_file, pooled)?;
    let large = unet.addition.is_some();
    let index = Config::read(&folder.join("model_index.json"))?;
    let silent = index.as_ref().map_or(Ok(large), |index| index.flag("force_zeros_for_empty_prompt", false))?;
    let scheduler = match Config::read(&folder.join("scheduler/scheduler_config.json"))? {
        Some(config) => scheduler(&config)?,
        None => Scheduler::stable_diffusion(PredictionType::Epsilon),
    };
    Ok(Checkpoint {
        size: sample.saturating_mul(vae.factor()),
        unet,
        vae,
        text,
        depth: if large { Depth { skipped: 1, normalised: false } } else { Depth { skipped: 0, normalised: true } },
        scheduler,
        silent_negative: silent,
    })
}

/// What a scheduler's file says. Keys that mean nothing to a sampler are passed over.
fn scheduler(config: &Config) -> Result<Scheduler> {
    let mut scheduler = Scheduler::default();
    for (key, value) in config.value.as_object().into_iter().flatten() {
        let numbers: Option<Vec<f64>> = value.as_array().and_then(|values| values.iter().map(Value::as_f64).collect());
        let other = value.to_string();
        let setting = match (value, &numbers) {
            (Value::Null, _) => Setting::Null,
            (Value::Bool(value), _) => Setting::Bool(*value),
            (Value::String(text), _) => Setting::Text(text),
            (_, Some(numbers)) if numbers.is_empty() => Setting::Null,
            (_, Some(numbers)) => Setting::Numbers(numbers),
            (value, None) => value.as_f64().map_or(Setting::Text(&other), Setting::Number),
        };
        let wrong = |reason: yuragi_diffusion::Error| ModelError::Config {
            path: config.path.clone(),
            reason: reason.to_string().chars().take(400).collect(),
        };
        scheduler.set(key, setting).map_err(wrong)?;
    }
    Ok(scheduler)
}

/// A text encoder; a second one always has a projection.
fn clip(config: &Config, second: bool) -> Result<Clip> {
    let width = config.count("hidden_size", Some(512))?;
    let projected = second || config.words("architectures").contains(&"CLIPTextModelWithProjection");
    let vocabulary = config.count("vocab_size", Some(49408))?;
    // Older files all say 2, and mean the largest id.
    let end = match config.count("eos_token_id", Some(2))? {
        2 => vocabulary.saturating_sub(1),
        end => end,
    };
    Ok(Clip {
        vocabulary,
        length: config.count("max_position_embeddings", Some(77))?,
        width,
        hidden: config.count("intermediate_size", Some(2048))?,
        layers: config.count("num_hidden_layers", Some(12))?,
        heads: config.count("num_attention_heads", Some(8))?,
        activation: match config.text("hidden_act").unwrap_or("quick_gelu") {
            "quick_gelu" => Activation::QuickGelu,
            "gelu" => Activation::Gelu,
            _ => return config.wrong("hidden_act", "quick_gelu or gelu"),
        },
        eps: config.number("layer_norm_eps", 1e-5)?,
        projection: if projected { Some(config.count("projection_dim", Some(512))?) } else { None },
        end: u32::try_from(end).unwrap_or(0),
    })
}

/// The U-Net beside text encoders with so many pooled channels, and the latents' size.
fn unet(config: &Config, pooled: usize) -> Result<(UNet, usize)> {
    let yes = |values: &[&str]| values.iter().map(|v| Value::from(*v)).collect::<Vec<_>>();
    config.only("act_fn", &yes(&["silu", "swish"]))?;
    config.only("mid_block_type", &yes(&["UNetMidBlock2DCrossAttn"]))?;
    config.only("time_embedding_type", &yes(&["positional"]))?;
    config.only("resnet_time_scale_shift", &yes(&["default"]))?;
    config.only("attention_type", &yes(&["default"]))?;
    config.only("addition_embed_type", &yes(&["text_time"]))?;
    for key in ["only_cross_attention", "dual_cross_attention", "center_input_sample", "class_embeddings_concat"] {
        config.only(key, &[Value::from(false)])?;
    }
    for key in ["class_embed_type", "num_class_embeds", "encoder_hid_dim", "time_embedding_act_fn", "timestep_post_act"]
    {
        config.only(key, &[])?;
    }
    config.only("flip_sin_to_cos", &[Value::from(true)])?;
    config.only("freq_shift", &[Value::from(0)])?;
    config.only("downsample_padding", &[Value::from(1)])?;
    config.only("mid_block_scale_factor", &[Value::from(1), Value::from(1.0)])?;
    for key in ["conv_in_kernel", "conv_out_kernel"] {
        config.only(key, &[Value::from(3)])?;
    }

    let channels = config.widths("block_out_channels")?;
    let n = channels.len();
    let layers = config.counts("layers_per_block", n, 2)?;
    let depth = config.counts("transformer_layers_per_block", n, 1)?;
    // What the configuration calls the heads' channels are their number.
    let heads = config.counts(
        if config.get("num_attention_heads").is_some() { "num_attention_heads" } else { "attention_head_dim" },
        n,
        8,
    )?;
    let down = config.words("down_block_types");
    let up = config.words("up_block_types");
    let mut levels = Vec::with_capacity(n);
    for (level, (&channels, &layers)) in channels.iter().zip(&layers).enumerate() {
        let attends = match (down.get(level), up.iter().rev().nth(level)) {
            (Some(&"CrossAttnDownBlock2D"), Some(&"CrossAttnUpBlock2D")) => true,
            (Some(&"DownBlock2D"), Some(&"UpBlock2D")) => false,
            _ => {
                return config.wrong(
                    "down_block_types",
                    "DownBlock2D and CrossAttnDownBlock2D for each of block_out_channels, and the same upwards",
                );
            }
        };
        levels.push(Level {
            channels,
            layers,
            transformers: if attends { depth[level] } else { 0 },
            heads: heads[level],
        });
    }
    let width = config.count("addition_time_embed_dim", Some(256))?;
    let context = config.counts("cross_attention_dim", n, 1280)?;
    if context.iter().any(|c| *c != context[0]) {
        return config.wrong("cross_attention_dim", "one whole number");
    }
    let addition = match config.text("addition_embed_type") {
        Some(_) => {
            let told = config.count("projection_class_embeddings_input_dim", None)?;
            let numbers = told.saturating_sub(pooled).checked_div(width).unwrap_or(0);
            if numbers.checked_mul(width).and_then(|numbers| numbers.checked_add(pooled)) != Some(told) {
                let legal = format!("{pooled} channels of pooled text and a multiple of {width}");
                return config.wrong("projection_class_embeddings_input_dim", &legal);
            }
            Some(Addition { pooled, numbers, width })
        }
        None => None,
    };
    let guidance = match config.get("time_cond_proj_dim") {
        Some(_) => Some(config.count("time_cond_proj_dim", None)?),
        None => None,
    };
    let unet = UNet {
        inputs: config.count("in_channels", Some(4))?,
        outputs: config.count("out_channels", Some(4))?,
        levels,
        middle: depth[n - 1],
        context: context[0],
        time: config.count("time_embedding_dim", Some(channels[0].saturating_mul(4)))?,
        linear: config.flag("use_linear_projection", false)?,
        groups: config.count("norm_num_groups", Some(32))?,
        eps: config.number("norm_eps", 1e-5)?,
        addition,
        guidance,
    };
    Ok((unet, config.count("sample_size", Some(64))?))
}

fn autoencoder(config: &Config) -> Result<KlAutoencoder> {
    let kinds = |key: &str, kind: &str| config.words(key).iter().all(|k| *k == kind);
    if !kinds("down_block_types", "DownEncoderBlock2D") || !kinds("up_block_types", "UpDecoderBlock2D") {
        return config.wrong("down_block_types", "DownEncoderBlock2D, and upwards UpDecoderBlock2D");
    }
    config.only("act_fn", &[Value::from("silu"), Value::from("swish")])?;
    let statistics = config.numbers("latents_mean").zip(config.numbers("latents_std"));
    Ok(KlAutoencoder {
        latent: config.count("latent_channels", Some(4))?,
        channels: config.widths("block_out_channels")?,
        layers: config.count("layers_per_block", Some(1))?,
        groups: config.count("norm_num_groups", Some(32))?,
        attention: config.flag("mid_block_add_attention", true)?,
        quantised: [config.flag("use_quant_conv", true)?, config.flag("use_post_quant_conv", true)?],
        scale: config.number("scaling_factor", 0.18215)?,
        shift: config.number("shift_factor", 0.0)?,
        statistics,
    })
}
