//! From sizes and addresses to launches: one file a family of kernels, each with its table of variants.

pub mod attention;
pub mod conv;
pub mod gemm;
pub mod group_norm;
pub mod operand;
pub mod product;
pub mod random;
pub mod row;
pub mod rows;
