//! Constants: literals, and integer expressions of them with the precedence of C.

use super::lexer::Token;
use super::parser::{Parsed, Parser};

/// What a constant expression is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// 64 bits, signed or not.
    Integer { bits: u64, unsigned: bool },
    /// The bits of a `0f` literal.
    F32(u32),
    /// The bits of a `0d` or decimal literal.
    F64(u64),
}

impl Number {
    fn signed(value: i64) -> Number {
        Number::Integer { bits: value as u64, unsigned: false }
    }

    fn truth(value: bool) -> Number {
        Number::signed(value.into())
    }
}

/// The binary operators and how strongly they bind.
const OPERATORS: [(&str, u8); 18] = [
    ("||", 1),
    ("&&", 2),
    ("|", 3),
    ("^", 4),
    ("&", 5),
    ("==", 6),
    ("!=", 6),
    ("<", 7),
    ("<=", 7),
    (">", 7),
    (">=", 7),
    ("<<", 8),
    (">>", 8),
    ("+", 9),
    ("-", 9),
    ("*", 10),
    ("/", 10),
    ("%", 10),
];

impl<'a> Parser<'a> {
    /// True if a constant can begin here.
    pub fn at_constant(&self) -> bool {
        match self.token {
            Token::Integer { .. } | Token::F32(_) | Token::F64(_) | Token::Decimal(_) => true,
            Token::Word(word) => word == "WARP_SZ",
            Token::Mark(mark) => matches!(mark, "(" | "+" | "-" | "~" | "!"),
            _ => false,
        }
    }

    /// A constant expression.
    pub fn constant(&mut self) -> Parsed<Number> {
        let first = self.unary()?;
        self.constant_from(first)
    }

    /// A constant expression whose first operand is read already.
    pub fn constant_from(&mut self, first: Number) -> Parsed<Number> {
        let condition = self.binary(first, 0)?;
        if !self.at("?") {
            return Ok(condition);
        }
        let (bits, _) = self.whole(condition)?;
        self.advance()?;
        let yes = self.deeper(Self::constant)?;
        self.expect(":", "of `?`")?;
        let no = self.deeper(Self::constant)?;
        Ok(if bits != 0 { yes } else { no })
    }

    /// An integer constant expression, as an offset in bytes.
    pub fn offset(&mut self) -> Parsed<i64> {
        if !self.at_constant() {
            return Err(self.expected("an offset"));
        }
        let number = self.constant()?;
        let (bits, unsigned) = self.whole(number)?;
        if unsigned && bits > i64::MAX as u64 {
            return Err(self.error(format_args!("an offset of {bits}, which exceeds 63 bits")));
        }
        Ok(bits as i64)
    }

    /// The operators that stand before a value, then the value.
    pub fn unary(&mut self) -> Parsed<Number> {
        match self.token {
            Token::Mark(mark @ ("+" | "-" | "~" | "!")) => {
                self.advance()?;
                let value = self.deeper(Self::unary)?;
                self.apply(mark, value)
            }
            Token::Mark("(") => {
                self.advance()?;
                if let Token::Dot(of @ ("s64" | "u64")) = self.token {
                    self.advance()?;
                    self.expect(")", "of a conversion")?;
                    let value = self.deeper(Self::unary)?;
                    let (bits, _) = self.whole(value)?;
                    return Ok(Number::Integer { bits, unsigned: of == "u64" });
                }
                let value = self.deeper(Self::constant)?;
                self.expect(")", "of a constant expression")?;
                Ok(value)
            }
            _ => self.literal(),
        }
    }

    /// `+`, `-`, `~` or `!` of a constant.
    pub fn apply(&self, operator: &str, value: Number) -> Parsed<Number> {
        if let (Number::F64(bits), "-") = (value, operator) {
            return Ok(Number::F64((-f64::from_bits(bits)).to_bits()));
        }
        if operator == "+" {
            return Ok(value);
        }
        let (bits, unsigned) = self.whole(value)?;
        Ok(match operator {
            "-" => Number::Integer { bits: bits.wrapping_neg(), unsigned },
            "~" => Number::Integer { bits: !bits, unsigned },
            _ => Number::truth(bits == 0),
        })
    }

    fn literal(&mut self) -> Parsed<Number> {
        let number = match self.token {
            Token::Integer { bits, unsigned } => Number::Integer { bits, unsigned },
            Token::F32(bits) => Number::F32(bits),
            Token::F64(bits) => Number::F64(bits),
            Token::Decimal(text) => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Number::F64(value.to_bits()),
                _ => return Err(self.error(format_args!("{} exceeds the range of f64", self.token))),
            },
            Token::Word("WARP_SZ") => Number::signed(32),
            _ => return Err(self.expected("a constant")),
        };
        self.advance()?;
        Ok(number)
    }

    /// Precedence climbing: operators that bind more strongly than `above`.
    fn binary(&mut self, first: Number, above: u8) -> Parsed<Number> {
        let mut left = first;
        while let Token::Mark(mark) = self.token
            && let Some(&(operator, strength)) = OPERATORS.iter().find(|(name, _)| *name == mark)
            && strength > above
        {
            let a = self.whole(left)?;
            self.advance()?;
            let next = self.unary()?;
            let right = self.deeper(|parser| parser.binary(next, strength))?;
            let b = self.whole(right)?;
            left = evaluate(operator, a, b).ok_or_else(|| self.error("a division by zero"))?;
        }
        Ok(left)
    }

    /// The 64 bits of an integer, and whether it is unsigned.
    fn whole(&self, number: Number) -> Parsed<(u64, bool)> {
        match number {
            Number::Integer { bits, unsigned } => Ok((bits, unsigned)),
            _ => Err(self.error("an integer is needed here, not a floating-point number")),
        }
    }
}

/// `a operator b`; none where it divides by zero.
fn evaluate(operator: &str, (a, a_unsigned): (u64, bool), (b, b_unsigned): (u64, bool)) -> Option<Number> {
    let unsigned = a_unsigned || b_unsigned;
    let (sa, sb) = (a as i64, b as i64);
    let integer = |bits| Number::Integer { bits, unsigned };
    let ordering = if unsigned { a.cmp(&b) } else { sa.cmp(&sb) };
    Some(match operator {
        "||" => Number::truth(a != 0 || b != 0),
        "&&" => Number::truth(a != 0 && b != 0),
        "|" => integer(a | b),
        "^" => integer(a ^ b),
        "&" => integer(a & b),
        "==" => Number::truth(a == b),
        "!=" => Number::truth(a != b),
        "<" => Number::truth(ordering.is_lt()),
        "<=" => Number::truth(ordering.is_le()),
        ">" => Number::truth(ordering.is_gt()),
        ">=" => Number::truth(ordering.is_ge()),
        // A shift has the sign of what is shifted, and past the width nothing but the sign is left.
        "<<" => Number::Integer { bits: if b < 64 { a << b } else { 0 }, unsigned: a_unsigned },
        ">>" if a_unsigned => Number::Integer { bits: if b < 64 { a >> b } else { 0 }, unsigned: true },
        ">>" => Number::signed(sa >> b.min(63)),
        "+" => integer(a.wrapping_add(b)),
        "-" => integer(a.wrapping_sub(b)),
        "*" => integer(a.wrapping_mul(b)),
        "/" if unsigned => integer(a.checked_div(b)?),
        "%" if unsigned => integer(a.checked_rem(b)?),
        _ if b == 0 => return None,
        "/" => integer(sa.wrapping_div(sb) as u64),
        _ => integer(sa.wrapping_rem(sb) as u64),
    })
}
