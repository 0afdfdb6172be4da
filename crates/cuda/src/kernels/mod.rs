//! From sizes and addresses to launches: one file a family of kernels, each with its table of variants.

pub mod attention;
pub mod attention_grad;
pub mod codes;
pub mod conv;
pub mod gemm;
pub mod gemm_norm;
pub mod group_norm;
pub mod group_norm_grad;
pub mod operand;
pub mod picks;
pub mod picture;
pub mod product;
pub mod random;
pub mod row;
pub mod rows;

/// The files of `kernels/ptx` that this crate launches, by their stems; no two folders have one of the same stem.
macro_rules! shipped {
    ($($folder:literal: $($stem:literal)+;)+) => {
        const SHIPPED: &[(&str, &str)] =
            &[$($(($stem, include_str!(concat!("../../../../kernels/ptx/", $folder, "/", $stem, ".ptx"))),)+)+];
    };
}

shipped! {
    "sm_80":
    "any_bf16"
    "any_f16"
    "attention_bf16"
    "attention_f16"
    "attention_f32"
    "attention_grad_bf16"
    "attention_grad_f16"
    "attention_grad_f32"
    "codes"
    "conv_bf16"
    "conv_f16"
    "conv_f32"
    "conv_tf32"
    "gemm_bf16"
    "gemm_f16"
    "gemm_f32"
    "gemm_tf32"
    "group_norm"
    "group_norm_grad"
    "group_norm_silu"
    "ising"
    "ising_dense"
    "layer_norm"
    "layer_norm_grad"
    "philox_normal"
    "rows"
    "shares"
    "softmax";
    "sm_90a":
    "attention_grad_wgmma_bf16"
    "attention_grad_wgmma_f16"
    "attention_wgmma_bf16"
    "attention_wgmma_f16"
    "conv_wgmma_bf16"
    "conv_wgmma_f16"
    "gemm_norm_wgmma_bf16"
    "gemm_norm_wgmma_f16"
    "gemm_wgmma_bf16"
    "gemm_wgmma_f16"
    "group_norm_cluster";
}

/// The text of a shipped file; empty if there is none of this stem, which no driver takes.
pub fn ptx(stem: &str) -> &'static str {
    SHIPPED.iter().find(|(name, _)| *name == stem).map_or("", |(_, text)| text)
}
