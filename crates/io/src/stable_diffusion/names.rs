//! The names of checkpoints to those of the networks, which are diffusers'.

use super::source::Part;

/// The blocks of a U-Net as LDM numbers them: one list of layers, in which a halving or doubling ends a level.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Level and layer of each input block from 1 on; `None` for a halving.
    down: Vec<(usize, Option<usize>)>,
    /// Level and layer of each output block.
    up: Vec<(usize, usize)>,
    /// Levels of the autoencoder's decoder, which LDM counts from the other end.
    levels: usize,
}

const UNET: &str = "model.diffusion_model.";
const VAE: [&str; 2] = ["first_stage_model.", "vae."];

/// Text encoders of transformers' layout.
const CLIP: [(&str, &str); 3] = [
    ("cond_stage_model.transformer.", "text_encoder"),
    ("conditioner.embedders.0.transformer.", "text_encoder"),
    // stable-diffusion.cpp's name of the second of two.
    ("cond_stage_model.1.transformer.", "text_encoder_2"),
];

/// Text encoders of OpenCLIP's layout.
pub(super) const OPEN_CLIP: [(&str, &str); 3] = [
    ("cond_stage_model.model.", "text_encoder"),
    ("conditioner.embedders.1.model.", "text_encoder_2"),
    ("conditioner.embedders.0.model.", "text_encoder_2"),
];

impl Blocks {
    /// Reads the numbering off the names of a file.
    pub(super) fn of(names: &[String]) -> Blocks {
        let has = |name: String| names.contains(&name);
        let any = |start: String| names.iter().any(|name| name.starts_with(&start));
        let mut blocks = Blocks::default();
        let mut place = (0, 0);
        for number in 1.. {
            let block = format!("{UNET}input_blocks.{number}.");
            if has(format!("{block}0.op.weight")) {
                blocks.down.push((place.0, None));
                place = (place.0 + 1, 0);
            } else if any(block) {
                blocks.down.push((place.0, Some(place.1)));
                place.1 += 1;
            } else {
                break;
            }
        }
        place = (0, 0);
        for number in 0.. {
            let block = format!("{UNET}output_blocks.{number}.");
            if !any(block.clone()) {
                break;
            }
            blocks.up.push(place);
            place.1 += 1;
            if has(format!("{block}1.conv.weight")) || has(format!("{block}2.conv.weight")) {
                place = (place.0 + 1, 0);
            }
        }
        let level = |level: &usize| VAE.iter().any(|prefix| any(format!("{prefix}decoder.up.{level}.")));
        blocks.levels = (0..).take_while(level).count();
        blocks
    }

    /// The parameters that a stored tensor of a single file is; none if it is no part of a model.
    pub(super) fn rename(&self, stored: &str) -> Vec<(String, Part)> {
        let whole = |prefix: &str, name: Option<String>| -> Vec<(String, Part)> {
            name.map(|name| (format!("{prefix}.{name}"), Part::Whole)).into_iter().collect()
        };
        if let Some(rest) = stored.strip_prefix(UNET) {
            return whole("unet", self.unet(rest));
        }
        if let Some(rest) = VAE.iter().find_map(|prefix| stored.strip_prefix(prefix)) {
            return whole("vae", self.vae(rest));
        }
        for (prefix, component) in CLIP {
            if let Some(rest) = stored.strip_prefix(prefix) {
                let rest = rest.strip_prefix("text_model.").unwrap_or(rest);
                return whole(component, Some(rest.to_owned()).filter(|name| !name.ends_with("position_ids")));
            }
        }
        for (prefix, component) in OPEN_CLIP {
            if let Some(rest) = stored.strip_prefix(prefix) {
                return open_clip(component, rest);
            }
        }
        Vec::new()
    }

    fn unet(&self, name: &str) -> Option<String> {
        const PLAIN: [(&str, &str); 9] = [
            ("time_embed.0.", "time_embedding.linear_1."),
            ("time_embed.2.", "time_embedding.linear_2."),
            ("time_embed.cond_proj.", "time_embedding.cond_proj."),
            ("label_emb.0.0.", "add_embedding.linear_1."),
            ("label_emb.0.2.", "add_embedding.linear_2."),
            ("input_blocks.0.0.", "conv_in."),
            ("out.0.", "conv_norm_out."),
            ("out.2.", "conv_out."),
            ("time_embedding.cond_proj.", "time_embedding.cond_proj."),
        ];
        if let Some((rest, new)) = PLAIN.iter().find_map(|(old, new)| Some((name.strip_prefix(old)?, new))) {
            return Some(format!("{new}{rest}"));
        }
        let mut parts = name.splitn(4, '.');
        let (kind, number) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
        if kind == "middle_block" {
            let rest = name.splitn(3, '.').nth(2)?;
            return match number {
                1 => Some(format!("mid_block.attentions.0.{rest}")),
                _ => Some(format!("mid_block.resnets.{}.{}", number / 2, residual(rest)?)),
            };
        }
        let (piece, rest) = (parts.next()?, parts.next()?);
        let (side, level, layer) = match kind {
            "input_blocks" => {
                let (level, layer) = *self.down.get(number.checked_sub(1)?)?;
                let Some(layer) = layer else {
                    return Some(format!("down_blocks.{level}.downsamplers.0.conv.{}", rest.strip_prefix("op.")?));
                };
                ("down_blocks", level, layer)
            }
            "output_blocks" => {
                let (level, layer) = *self.up.get(number)?;
                if let Some(rest) = rest.strip_prefix("conv.") {
                    return Some(format!("up_blocks.{level}.upsamplers.0.conv.{rest}"));
                }
                ("up_blocks", level, layer)
            }
            _ => return None,
        };
        Some(match piece {
            "0" => format!("{side}.{level}.resnets.{layer}.{}", residual(rest)?),
            _ => format!("{side}.{level}.attentions.{layer}.{rest}"),
        })
    }

    fn vae(&self, name: &str) -> Option<String> {
        let Some((side, rest)) = name.split_once('.').filter(|(side, _)| matches!(*side, "encoder" | "decoder")) else {
            let known = ["quant_conv.", "post_quant_conv."].iter().any(|prefix| name.starts_with(prefix));
            return known.then(|| name.to_owned());
        };
        let parts: Vec<&str> = rest.split('.').collect();
        let (inner, tail) = match parts[..] {
            [kind @ ("down" | "up"), level, "block", layer, ..] => {
                let level = self.level(kind, level)?;
                (format!("{kind}_blocks.{level}.resnets.{layer}"), &parts[4..])
            }
            ["down", level, "downsample", "conv", ..] => {
                (format!("down_blocks.{level}.downsamplers.0.conv"), &parts[4..])
            }
            ["up", level, "upsample", "conv", ..] => {
                (format!("up_blocks.{}.upsamplers.0.conv", self.level("up", level)?), &parts[4..])
            }
            ["mid", "block_1", ..] => ("mid_block.resnets.0".to_owned(), &parts[2..]),
            ["mid", "block_2", ..] => ("mid_block.resnets.1".to_owned(), &parts[2..]),
            ["mid", "attn_1", ..] => ("mid_block.attentions.0".to_owned(), &parts[2..]),
            ["norm_out", ..] => ("conv_norm_out".to_owned(), &parts[1..]),
            ["conv_in" | "conv_out", ..] => (parts[0].to_owned(), &parts[1..]),
            _ => return None,
        };
        let attention = inner.ends_with("attentions.0");
        let word = |word: &&str| match *word {
            "nin_shortcut" => "conv_shortcut".to_owned(),
            "norm" if attention => "group_norm".to_owned(),
            "proj_out" if attention => "to_out.0".to_owned(),
            "q" | "k" | "v" if attention => format!("to_{word}"),
            other => other.to_owned(),
        };
        let tail: Vec<String> = tail.iter().map(word).collect();
        Some(format!("{side}.{inner}.{}", tail.join(".")))
    }

    /// The decoder's levels from the latent up, as diffusers counts them.
    fn level(&self, kind: &str, level: &str) -> Option<usize> {
        let level: usize = level.parse().ok()?;
        if kind == "up" { self.levels.checked_sub(level + 1) } else { Some(level) }
    }
}

/// A residual block's parameter.
fn residual(name: &str) -> Option<String> {
    const PARTS: [(&str, &str); 6] = [
        ("in_layers.0.", "norm1."),
        ("in_layers.2.", "conv1."),
        ("emb_layers.1.", "time_emb_proj."),
        ("out_layers.0.", "norm2."),
        ("out_layers.3.", "conv2."),
        ("skip_connection.", "conv_shortcut."),
    ];
    PARTS.iter().find_map(|(old, new)| Some(format!("{new}{}", name.strip_prefix(old)?)))
}

/// A text encoder's parameters in OpenCLIP's layout.
fn open_clip(component: &str, name: &str) -> Vec<(String, Part)> {
    let one = |name: String| vec![(format!("{component}.{name}"), Part::Whole)];
    match name {
        "positional_embedding" => return one("embeddings.position_embedding.weight".into()),
        "token_embedding.weight" => return one("embeddings.token_embedding.weight".into()),
        "ln_final.weight" => return one("final_layer_norm.weight".into()),
        "ln_final.bias" => return one("final_layer_norm.bias".into()),
        "text_projection" => return vec![(format!("{component}.text_projection.weight"), Part::Transposed)],
        _ => {}
    }
    let Some((layer, rest)) = name.strip_prefix("transformer.resblocks.").and_then(|rest| rest.split_once('.')) else {
        return Vec::new();
    };
    let layer = format!("encoder.layers.{layer}");
    for (fused, kind) in [("attn.in_proj_weight", "weight"), ("attn.in_proj_bias", "bias")] {
        if rest == fused {
            let third = |(third, map)| (format!("{component}.{layer}.self_attn.{map}_proj.{kind}"), Part::Third(third));
            return ["q", "k", "v"].into_iter().enumerate().map(third).collect();
        }
    }
    const PARTS: [(&str, &str); 5] = [
        ("ln_1.", "layer_norm1."),
        ("ln_2.", "layer_norm2."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
        ("attn.out_proj.", "self_attn.out_proj."),
    ];
    let found = PARTS.iter().find_map(|(old, new)| Some(format!("{layer}.{new}{}", rest.strip_prefix(old)?)));
    found.map_or(Vec::new(), one)
}

/// The parameter that a tensor of a component's folder is.
pub(super) fn of_folder(component: &str, stored: &str) -> Vec<(String, Part)> {
    if stored.ends_with("position_ids") {
        return Vec::new();
    }
    let mut name = stored.strip_prefix("text_model.").unwrap_or(stored).to_owned();
    if component == "vae" {
        // As older versions called an attention's maps.
        for (old, new) in [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")] {
            name = name.replace(&format!("attentions.0.{old}."), &format!("attentions.0.{new}."));
        }
    }
    vec![(format!("{component}.{name}"), Part::Whole)]
}
