//! The PTX parser on what NVRTC writes, on every form by hand, on what it must refuse, and on noise.

mod accepts;
mod fuzz;
mod initial_values;
mod refuses;
mod scopes;

use yuragi_emulator::ptx::{Function, Module, ParseError};

/// Written by hand: every form that the parser knows. Assembles with ptxas 13.0 for sm_90.
const FORMS: &str = include_str!("texts/forms.ptx");
const CALLS: &str = include_str!("texts/calls.ptx");
const TENSOR: &str = include_str!("texts/tensor.ptx");
const HOPPER: &str = include_str!("texts/hopper.ptx");
const DEBUG: &str = include_str!("texts/debug.ptx");

const HEAD: &str = ".version 9.0\n.target sm_90a\n.address_size 64\n";

/// A module of the declarations, which begin on line 4.
fn declare(declarations: &str) -> Result<Module, ParseError> {
    format!("{HEAD}{declarations}").parse()
}

/// A kernel of the statements, which begin on line 5.
fn kernel(statements: &str) -> Result<Function, ParseError> {
    let mut module = declare(&format!(".entry k(.param .u64 a) {{\n{statements}\n}}"))?;
    Ok(module.functions.remove(0))
}

/// The only instruction of a kernel, as it is printed.
fn printed(statement: &str) -> String {
    let kernel = kernel(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    assert_eq!(kernel.body.len(), 1, "{statement}");
    kernel.body[0].to_string()
}
