//! From sizes and addresses to launches: one file a family of kernels, each with its table of variants.

pub mod conv;
pub mod gemm;
pub mod product;
