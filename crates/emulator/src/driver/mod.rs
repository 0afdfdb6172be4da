//! The C face: the functions of the CUDA driver API, exported under their names, so that the crate's cdylib can stand
//! in for `libcuda.so.1`.
//!
//! A program that loads it (cudarc does so by itself) finds one device, and its kernels run checked on the CPU.
//! Work is done in the order of its stream, on the thread that submits it; only what comes after a host function
//! that still runs waits in a queue. An error of a kernel sticks to the context, and is returned by what waits
//! for the launch, as on a GPU, or with `YURAGI_EMULATOR_CHECK=now` by the launch itself.
//!
//! Handles are numbers, looked up in tables of what is alive: a wrong or destroyed one gives an error. No panic
//! crosses the boundary: [`boundary`] surrounds every function.
//!
//! A file of one thing (`stream`) has the object, one of several (`streams`) the functions of the API that work on it;
//! the objects lie below the functions.
#![allow(unsafe_code, non_snake_case)]

mod allocation;
mod array;
mod boundary;
mod capture;
mod captures;
mod context;
mod contexts;
mod copy;
mod device;
mod error;
mod event;
mod events;
mod exports;
mod fatbin;
mod function;
mod graph;
mod handle;
mod host;
mod launch;
mod link;
mod lock;
mod machine;
mod memory;
mod messages;
mod module;
mod nccl;
mod occupancy;
mod pages;
mod pointer;
mod pool;
mod region;
mod report;
mod residency;
mod run;
mod runtime;
mod shape;
mod stream;
mod streams;
mod symbols;
mod tensor;
mod textures;
mod transfer;
mod work;
