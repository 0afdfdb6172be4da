//! The names of adapters' tensors.
//!
//! A module is known by its part of the model and its path in it, joined by `_`: the spelling in which all of them agree.

use std::collections::BTreeMap;

/// The parts of a model, the longer name after the one that it begins with.
pub(super) const PARTS: [&str; 3] = ["unet", "text_encoder", "text_encoder_2"];

/// What a tensor is in its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// A, B and a core of Tucker's form: of a LoRA, of LoHa's two products, or of LoKr's two factors.
    Part(Product, Letter),
    /// A factor of LoKr as a whole.
    Factor(Product),
    /// The difference as a whole.
    Difference,
    /// That of a bias.
    BiasDifference,
    Alpha,
    /// DoRA's length of each output, as PEFT keeps it.
    Magnitude,
    /// DoRA's lengths as others keep them: of outputs `[out, 1, ..]` or of inputs `[1, in, ..]`.
    Lengths,
    /// Part of an adapter of another kind.
    Other,
}

impl Role {
    /// Whether it is a part of a change.
    pub(super) fn is_change(&self) -> bool {
        matches!(self, Role::Part(..) | Role::Factor(_) | Role::Difference | Role::BiasDifference)
    }

    /// What a module with it is called.
    pub(super) fn kind(self) -> Option<&'static str> {
        Some(match self {
            Role::Part(Product::Plain, _) => "LoRA",
            Role::Part(Product::Hadamard(_), _) => "LoHa",
            Role::Part(Product::Kronecker(_), _) | Role::Factor(_) => "LoKr",
            Role::Difference | Role::BiasDifference => "differences",
            Role::Magnitude | Role::Lengths => "DoRA",
            Role::Other => "another kind",
            Role::Alpha => return None,
        })
    }
}

/// A product of matrices in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Product {
    Plain,
    Hadamard(usize),
    Kronecker(usize),
}

/// A matrix of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Letter {
    /// From the inputs.
    A,
    /// To the outputs.
    B,
    Core,
}

const DOWN: Role = Role::Part(Product::Plain, Letter::A);
const UP: Role = Role::Part(Product::Plain, Letter::B);
const CORE: Role = Role::Part(Product::Plain, Letter::Core);

/// A part of LoHa. Its authors call A what is B here, and B what is A.
const fn hadamard(place: usize, letter: Letter) -> Role {
    Role::Part(Product::Hadamard(place), letter)
}

/// A part of LoKr, likewise.
const fn kronecker(place: usize, letter: Letter) -> Role {
    Role::Part(Product::Kronecker(place), letter)
}

/// How names end.
const ENDS: [(&str, Role); 40] = [
    (".lora_down.weight", DOWN),
    (".lora_up.weight", UP),
    (".lora_mid.weight", CORE),
    (".alpha", Role::Alpha),
    (".lora_A.weight", DOWN),
    (".lora_B.weight", UP),
    (".lora_A.default.weight", DOWN),
    (".lora_B.default.weight", UP),
    ("_lora.down.weight", DOWN),
    ("_lora.up.weight", UP),
    (".lora_linear_layer.down.weight", DOWN),
    (".lora_linear_layer.up.weight", UP),
    (".lora.down.weight", DOWN),
    (".lora.up.weight", UP),
    (".hada_w1_a", hadamard(0, Letter::B)),
    (".hada_w1_b", hadamard(0, Letter::A)),
    (".hada_t1", hadamard(0, Letter::Core)),
    (".hada_w2_a", hadamard(1, Letter::B)),
    (".hada_w2_b", hadamard(1, Letter::A)),
    (".hada_t2", hadamard(1, Letter::Core)),
    (".lokr_w1", Role::Factor(Product::Kronecker(0))),
    (".lokr_w1_a", kronecker(0, Letter::B)),
    (".lokr_w1_b", kronecker(0, Letter::A)),
    (".lokr_w2", Role::Factor(Product::Kronecker(1))),
    (".lokr_w2_a", kronecker(1, Letter::B)),
    (".lokr_w2_b", kronecker(1, Letter::A)),
    (".lokr_t2", kronecker(1, Letter::Core)),
    (".diff", Role::Difference),
    (".dora_scale", Role::Lengths),
    (".lora_magnitude_vector", Role::Magnitude),
    (".lora_magnitude_vector.weight", Role::Magnitude),
    (".lora_magnitude_vector.default.weight", Role::Magnitude),
    (".lora_down.bias", Role::Other),
    (".lora_up.bias", Role::Other),
    (".lora_B.bias", Role::Other),
    (".diff_b", Role::BiasDifference),
    (".bias", Role::Other),
    (".oft_blocks", Role::Other),
    (".oft_R.weight", Role::Other),
    (".on_input", Role::Other),
];

/// How names begin.
const STARTS: [(&str, &str); 7] = [
    ("lora_unet_", "unet"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te_", "text_encoder"),
    ("unet.", "unet"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
];

/// How a stored tensor's name ends.
pub(super) fn end(stored: &str) -> &'static str {
    ENDS.iter().map(|(end, _)| *end).find(|end| stored.ends_with(end)).map_or("", |end| &end[1..])
}

/// The module of a stored tensor, and what the tensor is in it.
pub(super) fn module(stored: &str) -> Option<(String, Role)> {
    let (path, role) = ENDS.iter().find_map(|(end, role)| Some((stored.strip_suffix(end)?, *role)))?;
    let path = path.strip_prefix("base_model.model.").unwrap_or(path);
    let found = STARTS.iter().find_map(|(start, part)| Some((*part, path.strip_prefix(start)?)));
    let (part, path) = found.unwrap_or(("unet", path));
    let path = path.replace(".processor.", ".").replace('.', "_");
    let path = path.strip_prefix("text_model_").unwrap_or(&path);
    // The older names leave the place in the sequence out.
    let place = if path.ends_with("_to_out") { "_0" } else { "" };
    Some((format!("{part}_{path}{place}"), role))
}

/// The part of a model that a module belongs to.
pub(super) fn part(key: &str) -> Option<&'static str> {
    PARTS.into_iter().rfind(|part| key.strip_prefix(part).is_some_and(|rest| rest.starts_with('_')))
}

/// The module of a model's weight, by its name without `.weight`.
pub(super) fn key(path: &str) -> String {
    path.replace('.', "_")
}

/// What kohya's scripts call a layer of a model of so many text encoders.
pub(super) fn kohya(path: &str, encoders: usize) -> String {
    let (part, layer) = path.split_once('.').unwrap_or(("unet", path));
    let start = match (part, encoders) {
        ("text_encoder_2", _) => "te2_text_model",
        ("text_encoder", 2) => "te1_text_model",
        ("text_encoder", _) => "te_text_model",
        _ => "unet",
    };
    format!("lora_{start}_{}", key(layer))
}

/// How many layers the blocks of a U-Net have, by which LDM numbers them.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Residual blocks of a level, on the way down and up.
    layers: [usize; 2],
    /// Whether the level of an upsampler has attention.
    attends: BTreeMap<usize, bool>,
}

impl Blocks {
    /// Reads them off the names of a model's weights.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut blocks = Self::default();
        for name in names {
            let parts: Vec<&str> = name.split('.').take(5).collect();
            let ["unet", side, level, kind, layer] = parts[..] else { continue };
            let (Ok(level), Ok(layer)) = (level.parse::<usize>(), layer.parse::<usize>()) else { continue };
            match (side, kind) {
                ("down_blocks", "resnets") => blocks.layers[0] = blocks.layers[0].max(layer + 1),
                ("up_blocks", "resnets") => blocks.layers[1] = blocks.layers[1].max(layer + 1),
                ("up_blocks", "attentions") => drop(blocks.attends.insert(level, true)),
                _ => {}
            }
        }
        blocks
    }

    /// The module of a weight of the U-Net by LDM's names; `None` for other weights.
    pub(super) fn ldm(&self, path: &str) -> Option<String> {
        const PLAIN: [(&str, &str); 6] = [
            ("time_embedding.linear_1", "time_embed_0"),
            ("time_embedding.linear_2", "time_embed_2"),
            ("add_embedding.linear_1", "label_emb_0_0"),
            ("add_embedding.linear_2", "label_emb_0_2"),
            ("conv_in", "input_blocks_0_0"),
            ("conv_out", "out_2"),
        ];
        let path = path.strip_prefix("unet.")?;
        if let Some((_, name)) = PLAIN.iter().find(|(have, _)| *have == path) {
            return Some(format!("unet_{name}"));
        }
        let mut parts = path.splitn(5, '.');
        let side = parts.next()?;
        if side == "mid_block" {
            let (kind, layer) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
            let rest: Vec<&str> = parts.collect();
            let rest = rest.join(".");
            return match kind {
                "resnets" => Some(format!("unet_middle_block_{}_{}", 2 * layer, residual(&rest)?)),
                "attentions" => Some(format!("unet_middle_block_1_{}", key(&rest))),
                _ => None,
            };
        }
        let (level, kind) = (parts.next()?.parse::<usize>().ok()?, parts.next()?);
        let (layer, rest) = (parts.next()?.parse::<usize>().ok()?, parts.next()?);
        let [down, up] = self.layers;
        let (blocks, number) = match side {
            "down_blocks" => ("input", 1 + level * (down + 1)),
            "up_blocks" => ("output", level * up),
            _ => return None,
        };
        let (number, rest) = match kind {
            "resnets" => (number + layer, format!("0_{}", residual(rest)?)),
            "attentions" => (number + layer, format!("1_{}", key(rest))),
            "downsamplers" if rest == "conv" => (number + down, "0_op".to_owned()),
            "upsamplers" if rest == "conv" => {
                let piece = if self.attends.contains_key(&level) { 2 } else { 1 };
                ((number + up).checked_sub(1)?, format!("{piece}_conv"))
            }
            _ => return None,
        };
        Some(format!("unet_{blocks}_blocks_{number}_{rest}"))
    }
}

/// The layers of a residual block.
fn residual(name: &str) -> Option<&'static str> {
    Some(match name {
        "conv1" => "in_layers_2",
        "time_emb_proj" => "emb_layers_1",
        "conv2" => "out_layers_3",
        "conv_shortcut" => "skip_connection",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_module_agree() {
        let key = |stored: &str| module(stored).unwrap();
        let q = "unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q";
        for stored in [
            "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q.lora_down.weight",
            "unet.down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q.lora_A.weight",
            "base_model.model.down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q.lora_A.weight",
            "unet.down_blocks.0.attentions.1.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
            "unet.down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q.lora.down.weight",
        ] {
            assert_eq!(key(stored), (q.to_owned(), DOWN), "{stored}");
        }
        let out = key("unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.up.weight");
        assert_eq!(out, ("unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0".into(), UP));
        let text = ("text_encoder_encoder_layers_3_mlp_fc1".to_owned(), Role::Alpha);
        assert_eq!(key("lora_te_text_model_encoder_layers_3_mlp_fc1.alpha"), text);
        assert_eq!(key("text_encoder.text_model.encoder.layers.3.mlp.fc1.alpha"), text);
        let second = key("lora_te2_text_model_encoder_layers_3_mlp_fc1.lora_up.weight");
        assert_eq!(second, ("text_encoder_2_encoder_layers_3_mlp_fc1".into(), UP));
        assert_eq!(module("model.diffusion_model.out.2.weight"), None);
    }

    /// The blocks of SDXL: 320, 640 and 1280 channels, two layers each, attention in the last two levels.
    #[test]
    fn blocks_are_numbered_as_ldm_numbers_them() {
        let mut names = Vec::new();
        for level in 0..3 {
            (0..2).for_each(|layer| names.push(format!("unet.down_blocks.{level}.resnets.{layer}.conv1.weight")));
            (0..3).for_each(|layer| names.push(format!("unet.up_blocks.{level}.resnets.{layer}.conv1.weight")));
        }
        for level in 0..2 {
            names.push(format!("unet.up_blocks.{level}.attentions.0.proj_in.weight"));
        }
        let blocks = Blocks::of(names.iter().map(String::as_str));
        for (path, want) in [
            ("unet.conv_in", "unet_input_blocks_0_0"),
            ("unet.down_blocks.0.resnets.1.conv1", "unet_input_blocks_2_0_in_layers_2"),
            ("unet.down_blocks.0.downsamplers.0.conv", "unet_input_blocks_3_0_op"),
            (
                "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k",
                "unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k",
            ),
            ("unet.down_blocks.2.attentions.1.proj_in", "unet_input_blocks_8_1_proj_in"),
            ("unet.mid_block.attentions.0.proj_out", "unet_middle_block_1_proj_out"),
            ("unet.mid_block.resnets.1.conv2", "unet_middle_block_2_out_layers_3"),
            ("unet.up_blocks.0.attentions.2.proj_in", "unet_output_blocks_2_1_proj_in"),
            ("unet.up_blocks.0.upsamplers.0.conv", "unet_output_blocks_2_2_conv"),
            ("unet.up_blocks.1.resnets.0.conv_shortcut", "unet_output_blocks_3_0_skip_connection"),
            ("unet.up_blocks.2.resnets.2.time_emb_proj", "unet_output_blocks_8_0_emb_layers_1"),
        ] {
            assert_eq!(blocks.ldm(path).as_deref(), Some(want), "{path}");
        }
        assert_eq!(blocks.ldm("vae.decoder.conv_in"), None);
    }
}
