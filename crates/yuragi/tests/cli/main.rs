//! The program as people meet it: what it writes, what it refuses, and what a signal leaves behind.

mod annealing;
mod bounds;
mod checkpoints;
mod conversion;
mod evaluation;
mod generation;
mod inspection;
mod lora;
mod passes;
mod program;
mod refusals;
mod steps;
mod tables;
mod training;
#[cfg(feature = "cuda")]
mod tuning;
