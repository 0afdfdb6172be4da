//! Emitted PTX, run in the emulator, gives the numbers of the table.

mod bench;
mod folds;
mod operations;
mod types;
mod views;
