//! Instructions and their operands.

use super::expression::Number;
use super::lexer::Token;
use super::parser::{Parsed, Parser};
use super::{Instruction, Operand};

impl From<Number> for Operand {
    fn from(number: Number) -> Operand {
        match number {
            Number::Integer { bits, .. } => Operand::Integer(bits),
            Number::F32(bits) => Operand::F32(bits),
            Number::F64(bits) => Operand::F64(bits),
        }
    }
}

impl<'a> Parser<'a> {
    /// `@%p1` or `@!%p1`, from after the `@`.
    pub fn guard(&mut self) -> Parsed<(String, bool)> {
        let negated = self.eat("!")?;
        Ok((self.word("a predicate after `@`")?.into(), negated))
    }

    /// An instruction whose first word is read already.
    pub fn instruction(&mut self, first: &'a str, guard: Option<(String, bool)>, line: u32) -> Parsed<Instruction> {
        self.words.clear();
        self.words.push(first);
        while let Token::Dot(word) = self.token {
            self.words.push(word);
            self.advance()?;
        }
        let opcode = self.words.iter().map(|&word| word.into()).collect();
        let is_call = first == "call";
        let mut operands = Vec::new();
        if !self.at(";") {
            loop {
                operands.push(self.operand(is_call)?);
                if !self.eat(",")? {
                    break;
                }
            }
        }
        self.expect(";", "after an instruction")?;
        operands.shrink_to_fit();
        Ok(Instruction { guard, opcode, operands, line })
    }

    /// An operand; parentheses are a list in a call, and elsewhere part of a constant expression.
    fn operand(&mut self, is_call: bool) -> Parsed<Operand> {
        match self.token {
            Token::Mark("[") => self.address(),
            Token::Mark("{") => Ok(Operand::Vector(self.operands("{", "}", is_call)?)),
            Token::Mark("(") if is_call => Ok(Operand::List(self.operands("(", ")", is_call)?)),
            Token::Mark(mark @ ("!" | "-")) => {
                self.advance()?;
                if let Token::Word(word) = self.token
                    && word != "WARP_SZ"
                {
                    let name = self.full_name("a name")?;
                    return Ok(if mark == "!" { Operand::Not(name) } else { Operand::Negative(name) });
                }
                let value = self.deeper(Self::unary)?;
                let first = self.apply(mark, value)?;
                Ok(self.constant_from(first)?.into())
            }
            _ if self.at_constant() => Ok(self.constant()?.into()),
            Token::Word(_) => self.named(),
            _ => Err(self.expected("an operand")),
        }
    }

    /// The operands between two brackets.
    fn operands(&mut self, open: &str, close: &str, is_call: bool) -> Parsed<Vec<Operand>> {
        self.expect(open, "before operands")?;
        let mut operands = Vec::new();
        if self.eat(close)? {
            return Ok(operands);
        }
        loop {
            operands.push(self.deeper(|parser| parser.operand(is_call))?);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect(close, "after operands")?;
        operands.shrink_to_fit();
        Ok(operands)
    }

    /// A name with the words after its dots: `%tid.x`, `%r1.b0`.
    fn full_name(&mut self, what: &str) -> Parsed<String> {
        let mut name = String::from(self.word(what)?);
        while let Token::Dot(word) = self.token {
            name.push('.');
            name.push_str(word);
            self.advance()?;
        }
        Ok(name)
    }

    /// An operand that begins with a name.
    fn named(&mut self) -> Parsed<Operand> {
        let name = self.full_name("a name")?;
        match self.token {
            Token::Mark("|") => {
                self.advance()?;
                let second = Operand::Name(self.full_name("a second destination after `|`")?);
                Ok(Operand::Pair(Box::new(Operand::Name(name)), Box::new(second)))
            }
            Token::Mark("+") => {
                self.advance()?;
                Ok(Operand::Offset(name, self.offset()?))
            }
            Token::Mark("-") => Err(self.error("a negative offset is written `name+-4`")),
            Token::Mark("[") => Err(self.error("array elements are not supported; write `[name+bytes]`")),
            _ => Ok(Operand::Name(name)),
        }
    }

    /// `[base+offset]`, `[base, {coordinates}]`.
    fn address(&mut self) -> Parsed<Operand> {
        self.expect("[", "before an address")?;
        let (base, offset) = match self.token {
            Token::Word(word) if word != "WARP_SZ" => {
                let base = self.full_name("a name")?;
                if self.at("-") {
                    return Err(self.error("a negative offset is written `[name+-4]`"));
                }
                (base, if self.eat("+")? { self.offset()? } else { 0 })
            }
            _ if self.at_constant() => (String::new(), self.offset()?),
            _ => return Err(self.expected("an address")),
        };
        let mut coordinates = Vec::new();
        while self.eat(",")? {
            coordinates.push(self.deeper(|parser| parser.operand(false))?);
        }
        if let [Operand::Vector(elements)] = coordinates.as_mut_slice() {
            coordinates = std::mem::take(elements);
        }
        coordinates.shrink_to_fit();
        self.expect("]", "after an address")?;
        Ok(Operand::Address { base, offset, coordinates })
    }
}
