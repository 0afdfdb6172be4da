//! Extents of a single file, from its tensors' shapes.

use yuragi_diffusion::{Config, config::PredictionType};
use yuragi_models::stable_diffusion::{Activation, Addition, Checkpoint, Clip, Depth, KlAutoencoder, Level, UNet};

use super::source::Tensors;

/// Channels of each number that XL's U-Net is told.
const NUMBER_WIDTH: usize = 256;
/// Channels of a head, but for the first version, which has [`HEADS`] heads everywhere.
const HEAD: usize = 64;
const HEADS: usize = 8;
const GROUPS: usize = 32;

/// The extents, or what is missing.
pub(super) fn checkpoint(tensors: &Tensors, open_clip: bool, velocity: bool) -> Result<Checkpoint, String> {
    let text = [clip(tensors, "text_encoder", open_clip), clip(tensors, "text_encoder_2", true)];
    let pooled = text[1].and_then(|clip| clip.projection);
    let unet = unet(tensors, pooled)?;
    let large = unet.addition.is_some();
    let vae = autoencoder(tensors, if large { 0.13025 } else { 0.18215 })?;
    if text.iter().all(Option::is_none) {
        return Err("it has no text encoder (`cond_stage_model.…` or `conditioner.…`)".into());
    }
    let second = unet.linear && !large;
    let depth = match (large, second) {
        (true, _) => Depth { skipped: 1, normalised: false },
        (_, true) => Depth { skipped: 1, normalised: true },
        _ => Depth { skipped: 0, normalised: true },
    };
    // Inpainting networks of the second version were made of its smaller model, which predicts the noise.
    let inpaints = unet.inputs > unet.outputs;
    let base = second && !inpaints;
    let velocity = velocity || base;
    let prediction = if velocity { PredictionType::Velocity } else { PredictionType::Epsilon };
    let sampler = "DPMSolverMultistepScheduler".to_owned();
    Ok(Checkpoint {
        unet,
        vae,
        text,
        depth,
        scheduler: Config { class_name: Some(sampler), ..Config::stable_diffusion(prediction) },
        silent_negative: large && text[0].is_some(),
        size: if large {
            1024
        } else if base {
            768
        } else {
            512
        },
    })
}

fn extent(tensors: &Tensors, name: &str, axis: usize) -> Result<usize, String> {
    let shape = tensors.shape(name).ok_or_else(|| format!("it has no tensor for `{name}`"))?;
    shape.get(axis).copied().ok_or_else(|| format!("the tensor for `{name}` has shape {shape:?}"))
}

fn clip(tensors: &Tensors, component: &str, open: bool) -> Option<Clip> {
    let extent = |name: &str, axis| extent(tensors, &format!("{component}.{name}"), axis).ok();
    let width = extent("embeddings.token_embedding.weight", 1)?;
    let vocabulary = extent("embeddings.token_embedding.weight", 0)?;
    // A projection belongs to the encoder whose whole text is read.
    let projection = if component == "text_encoder_2" { extent("text_projection.weight", 0) } else { None };
    Some(Clip {
        vocabulary,
        length: extent("embeddings.position_embedding.weight", 0)?,
        width,
        hidden: extent("encoder.layers.0.mlp.fc1.weight", 0)?,
        layers: tensors.count(&format!("{component}.encoder.layers")),
        heads: (width / HEAD).max(1),
        activation: if open { Activation::Gelu } else { Activation::QuickGelu },
        eps: 1e-5,
        projection,
        end: vocabulary.saturating_sub(1) as u32,
    })
}

fn unet(tensors: &Tensors, pooled: Option<usize>) -> Result<UNet, String> {
    let has = |name: &str| tensors.contains(&format!("unet.{name}"));
    let extent = |name: &str, axis| extent(tensors, &format!("unet.{name}"), axis);
    let count = |name: &str| tensors.count(&format!("unet.{name}"));
    let mut levels = Vec::new();
    for level in 0..count("down_blocks") {
        let block = format!("down_blocks.{level}");
        levels.push(Level {
            channels: extent(&format!("{block}.resnets.0.conv1.weight"), 0)?,
            layers: count(&format!("{block}.resnets")),
            transformers: count(&format!("{block}.attentions.0.transformer_blocks")),
            heads: 0,
        });
    }
    let attending = levels.iter().position(|level| level.transformers > 0);
    let attention = attending.ok_or("no level of its U-Net attends to words")?;
    let attention = format!("down_blocks.{attention}.attentions.0");
    let project = tensors.shape(&format!("unet.{attention}.proj_in.weight")).unwrap_or_default();
    let linear = project.len() == 2;
    for level in &mut levels {
        level.heads = if linear { (level.channels / HEAD).max(1) } else { HEADS };
    }
    let addition = if has("add_embedding.linear_1.weight") {
        let pooled = pooled.ok_or("its U-Net is told of the whole text, but there is no second text encoder")?;
        let told = extent("add_embedding.linear_1.weight", 1)?;
        let numbers = told.saturating_sub(pooled) / NUMBER_WIDTH;
        Some(Addition { pooled, numbers, width: NUMBER_WIDTH })
    } else {
        None
    };
    Ok(UNet {
        inputs: extent("conv_in.weight", 1)?,
        outputs: extent("conv_out.weight", 0)?,
        middle: count("mid_block.attentions.0.transformer_blocks"),
        context: extent(&format!("{attention}.transformer_blocks.0.attn2.to_k.weight"), 1)?,
        time: extent("time_embedding.linear_1.weight", 0)?,
        guidance: extent("time_embedding.cond_proj.weight", 1).ok(),
        linear,
        levels,
        groups: GROUPS,
        eps: 1e-5,
        addition,
    })
}

fn autoencoder(tensors: &Tensors, scale: f32) -> Result<KlAutoencoder, String> {
    let has = |name: &str| tensors.contains(&format!("vae.{name}"));
    let extent = |name: &str, axis| extent(tensors, &format!("vae.{name}"), axis);
    let levels = tensors.count("vae.encoder.down_blocks");
    let channels = |level| extent(&format!("encoder.down_blocks.{level}.resnets.0.conv1.weight"), 0);
    Ok(KlAutoencoder {
        latent: extent("decoder.conv_in.weight", 1)?,
        channels: (0..levels).map(channels).collect::<Result<_, _>>()?,
        layers: tensors.count("vae.encoder.down_blocks.0.resnets"),
        groups: GROUPS,
        attention: has("decoder.mid_block.attentions.0.to_q.weight"),
        quantised: [has("quant_conv.weight"), has("post_quant_conv.weight")],
        scale,
        shift: 0.0,
        statistics: None,
    })
}
