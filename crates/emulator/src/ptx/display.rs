//! Instructions as text.

use std::fmt;

use super::{Instruction, Operand};

impl fmt::Display for Instruction {
    /// Writes it as PTX, with its semicolon: what is written reads back as the same instruction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((predicate, negated)) = &self.guard {
            write!(f, "@{}{predicate} ", if *negated { "!" } else { "" })?;
        }
        f.write_str(&self.opcode.join("."))?;
        for (i, operand) in self.operands.iter().enumerate() {
            write!(f, "{}{operand}", if i == 0 { " " } else { ", " })?;
        }
        f.write_str(";")
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Name(name) => f.write_str(name),
            Operand::Not(name) => write!(f, "!{name}"),
            Operand::Negative(name) => write!(f, "-{name}"),
            Operand::Integer(bits) => write!(f, "{}", *bits as i64),
            Operand::F32(bits) => write!(f, "0f{bits:08X}"),
            Operand::F64(bits) => write!(f, "0d{bits:016X}"),
            Operand::Address { base, offset, coordinates } => {
                match (base.is_empty(), *offset) {
                    (true, offset) => write!(f, "[{offset}")?,
                    (false, 0) => write!(f, "[{base}")?,
                    (false, offset) => write!(f, "[{base}+{offset}")?,
                }
                if !coordinates.is_empty() {
                    write!(f, ", {{{}}}", Listed(coordinates))?;
                }
                f.write_str("]")
            }
            Operand::Vector(elements) => write!(f, "{{{}}}", Listed(elements)),
            Operand::Pair(first, second) => write!(f, "{first}|{second}"),
            Operand::Offset(name, offset) => write!(f, "{name}+{offset}"),
            Operand::List(elements) => write!(f, "({})", Listed(elements)),
        }
    }
}

struct Listed<'a>(&'a [Operand]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, operand) in self.0.iter().enumerate() {
            write!(f, "{}{operand}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
