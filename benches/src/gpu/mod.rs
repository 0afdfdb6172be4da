//! What a GPU is asked for in one visit: [`shapes`] one by one, whole plans, and a record of both.

pub mod record;
pub mod shapes;
