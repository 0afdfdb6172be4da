//! A PTX module as written: what the parser gives, before any instruction is understood.
//!
//! A [`Module`] is parsed from text with [`str::parse`]. The parser takes what NVRTC 13.0 writes (PTX ISA 9.0) and
//! what inline assembly adds to it; it does not know the instructions, only their form. Debug directives (`.loc`,
//! `.file`, `.section`), pragmas and the linkage of names are skipped.
//!
//! ```
//! use yuragi_emulator::ptx::Module;
//! let module: Module = "
//!     .version 9.0
//!     .target sm_80
//!     .address_size 64
//!     .visible .entry fill(.param .u64 to, .param .f32 value)
//!     {
//!         .reg .f32 %f<2>;
//!         .reg .b64 %rd<3>;
//!         ld.param.u64 %rd1, [to];
//!         ld.param.f32 %f1, [value];
//!         cvta.to.global.u64 %rd2, %rd1;
//!         st.global.f32 [%rd2+16], %f1;
//!         ret;
//!     }"
//! .parse()?;
//! let fill = &module.functions[0];
//! assert_eq!((fill.name.as_str(), fill.params.len(), fill.registers.len()), ("fill", 2, 5));
//! assert_eq!(fill.body[3].to_string(), "st.global.f32 [%rd2+16], %f1;");
//! assert_eq!(fill.body[3].line, 12);
//! # Ok::<(), yuragi_emulator::ptx::ParseError>(())
//! ```
//!
//! # Scopes
//! A name that an inner scope `{ .reg .b32 x; ... }` declares, be it a register, a variable, a label or a table, is
//! made unique: `x$3` in the function's third scope, or with a number beyond its scopes where the text has an `x$3`
//! already. All uses that mean it say so. Other names stay as they are.
//!
//! # Limits
//! A text never makes the parser panic, and takes time and memory in proportion to its length.
//! - A function has at most [`MAX_REGISTERS`] registers; a module [`FREE_REGISTERS`] and one per four bytes of text.
//! - A variable has at most [`MAX_VARIABLE_BYTES`] bytes and an alignment of at most [`MAX_ALIGNMENT`]. Its size takes
//!   no memory; its initial values lie one behind the other, so that short inner rows are not filled up, as on GPUs.
//! - Scopes nest to [`MAX_SCOPE_DEPTH`], other brackets to [`MAX_NESTING`].
//! - Integers have 64 bits.
//!
//! Refused with an error that says so: preprocessor lines, `.alias`, textures and samplers as variables, vector
//! registers, `.global` and `.const` inside of functions, array elements as operands (`a[3]`), masks of addresses
//! (`0xff(a)`) as initial values, and arithmetic on floating-point constants.

mod display;
mod expression;
mod function;
mod lexer;
mod names;
mod operand;
mod parser;
mod scope;
mod variable;

pub use parser::{FREE_REGISTERS, MAX_ALIGNMENT, MAX_NESTING, MAX_REGISTERS, MAX_SCOPE_DEPTH, MAX_VARIABLE_BYTES};

use std::fmt;

/// A module.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// The PTX ISA version, such as (9, 0).
    pub version: (u32, u32),
    /// The target, such as `sm_80`.
    pub target: String,
    /// Bytes of an address: 4 or 8.
    pub address_bytes: u32,
    /// Module-level variables (`.global`, `.const`, `.shared`).
    pub variables: Vec<Variable>,
    /// Kernels (`.entry`) and device functions (`.func`), in their order.
    pub functions: Vec<Function>,
    /// The source files that `.loc` speaks of, by number.
    pub files: Vec<(u64, String)>,
}

impl Module {
    /// The number of its target, such as 90 for `sm_90a`; 0 where it has none.
    pub fn target_number(&self) -> u32 {
        let digits = self.target.trim_start_matches("sm_").trim_end_matches(char::is_alphabetic);
        digits.parse().unwrap_or(0)
    }
}

/// The place of a variable or an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// `.global`
    Global,
    /// `.shared`, of the block itself.
    Shared,
    /// `.shared::cluster`, of every block of its cluster.
    Cluster,
    /// `.local`
    Local,
    /// `.const`
    Constant,
    /// `.param`
    Param,
    /// No space is named: the address decides.
    Generic,
}

/// A fundamental type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    BF16,
    BF16x2,
    TF32,
    F32,
    F64,
    E4M3,
    E5M2,
    E4M3x2,
    E5M2x2,
    Pred,
}

impl Type {
    /// Its bits; those of a packed pair together.
    pub fn bits(self) -> u32 {
        use Type::*;
        match self {
            Pred => 1,
            B8 | U8 | S8 | E4M3 | E5M2 => 8,
            B16 | U16 | S16 | F16 | BF16 | E4M3x2 | E5M2x2 => 16,
            B32 | U32 | S32 | F32 | TF32 | F16x2 | BF16x2 => 32,
            B64 | U64 | S64 | F64 => 64,
            B128 => 128,
        }
    }

    /// Whether it is of integers in two's complement.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Whether it is of floating-point numbers that arithmetic exists for.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F16 | Type::F16x2 | Type::BF16 | Type::BF16x2 | Type::F32 | Type::F64)
    }
}

/// A variable or a parameter.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name, unique in its scope.
    pub name: String,
    /// Where it lies.
    pub space: Space,
    /// The type of an element.
    pub of: Type,
    /// The number of elements; 0 for an unsized array (`.extern .shared … s[]`).
    pub count: u64,
    /// Bytes to which its address is a multiple: as written, or the element's size.
    pub align: u64,
    /// `.extern`
    pub external: bool,
    /// The initial bytes; the rest is 0. Addresses of other variables stand as relocations.
    pub initial: Vec<u8>,
    /// (offset in bytes, variable, addend) of each address among the initial values; 8 bytes each.
    pub relocations: Vec<(u64, String, i64)>,
    /// The line of its declaration.
    pub line: u32,
}

/// A kernel or a device function.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// `.entry`
    pub entry: bool,
    /// `.func` declared without a body.
    pub declared_only: bool,
    /// Parameters in order, in `.param` space (a device function's may be registers).
    pub params: Vec<Variable>,
    /// What a device function returns.
    pub returns: Vec<Variable>,
    /// Registers in order of declaration; those of inner scopes have unique names (see [`Register`]).
    pub registers: Vec<Register>,
    /// `.shared`, `.local` and `.param` variables declared inside, of all scopes, with unique names.
    pub variables: Vec<Variable>,
    /// Instructions in order.
    pub body: Vec<Instruction>,
    /// Of each instruction the number of a source file and a line in it, as the last `.loc` before it says.
    pub sources: Vec<Option<(u64, u64)>>,
    /// The instruction that each label precedes (`body.len()` for one at the end).
    pub labels: Vec<(String, usize)>,
    /// Branch target tables (`ts: .branchtargets L0, L1;`), by name.
    pub tables: Vec<(String, Vec<String>)>,
    /// `.maxntid x, y, z`
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid x, y, z`
    pub required_threads: Option<[u32; 3]>,
    /// `.reqnctapercluster` / `.explicitcluster` extents.
    pub cluster: Option<[u32; 3]>,
    /// The line of its head.
    pub line: u32,
    /// What in its body is not understood, where the text was read by [`Module::read`].
    pub refusal: Option<ParseError>,
}

/// A register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its name with the `%` if it has one, such as `%r12`. A register of an inner scope `{ .reg .b32 x; }`
    /// is named `x$1`, `x$2`, .. by the number of its scope, and so stands in the instructions.
    pub name: String,
    /// Its type.
    pub of: Type,
}

/// An instruction as written: `@!%p1 ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1+16];`.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The guard: a predicate register, and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// The words of the opcode between its dots: `ld`, `global`, `v4`, `f32` (`::` stays inside a word:
    /// `shared::cluster`).
    pub opcode: Vec<String>,
    /// The operands.
    pub operands: Vec<Operand>,
    /// The line it begins on.
    pub line: u32,
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, a special register (`%tid.x`), a variable, a function or a label, by name;
    /// `_` is the sink.
    Name(String),
    /// `!%p1`
    Not(String),
    /// `-%r1` where the syntax allows it.
    Negative(String),
    /// An integer; negative ones as two's complement.
    Integer(u64),
    /// `0f3F800000`
    F32(u32),
    /// `0d3FF0000000000000` or a decimal literal
    F64(u64),
    /// `[base+offset]`, or `[base+offset, {coordinates}]` of a tensor copy. An absolute address has an empty base.
    Address {
        /// A register or variable, or empty.
        base: String,
        /// Bytes.
        offset: i64,
        /// The coordinates of a tensor copy.
        coordinates: Vec<Operand>,
    },
    /// `{a, b, c, d}`
    Vector(Vec<Operand>),
    /// `%p1|%q1`: two destinations.
    Pair(Box<Operand>, Box<Operand>),
    /// `variable+8` outside of brackets.
    Offset(String, i64),
    /// The parenthesised lists of a call: `(ret), f, (a, b)` gives `List(ret)`, `Name(f)`, `List(a, b)`.
    List(Vec<Operand>),
}

/// Why a text is no PTX module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}
