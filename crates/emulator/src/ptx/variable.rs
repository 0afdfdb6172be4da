//! Variables: their types, extents and initial values.

use super::expression::Number;
use super::lexer::{Clipped, Token};
use super::parser::{MAX_ALIGNMENT, MAX_NESTING, MAX_VARIABLE_BYTES, Parsed, Parser};
use super::{ParseError, Space, Type, Variable};

/// What stands before the names of a declaration.
struct Element {
    of: Type,
    /// Elements of a vector, or 1.
    lanes: u64,
    align: u64,
}

/// Initial values as they are read.
#[derive(Default)]
struct Initial {
    bytes: Vec<u8>,
    relocations: Vec<(u64, String, i64)>,
}

impl<'a> Parser<'a> {
    /// The variables of a declaration, from after its space to after its semicolon.
    pub fn variables(
        &mut self,
        space: Space,
        external: bool,
        add: &mut dyn FnMut(Variable) -> Parsed<()>,
    ) -> Parsed<()> {
        let element = self.element(space)?;
        loop {
            let line = self.line;
            let name = self.new_name("the name of a variable")?;
            add(self.variable(name, line, space, external, &element)?)?;
            if !self.eat(",")? {
                return self.expect(";", "after a variable");
            }
        }
    }

    /// A parameter, from after `.param`; its name, and what it is.
    pub fn parameter(&mut self) -> Parsed<(&'a str, Variable)> {
        let element = self.element(Space::Param)?;
        let line = self.line;
        let name = self.word("the name of a parameter")?;
        Ok((name, self.variable(name, line, Space::Param, false, &element)?))
    }

    /// `.align 8 .v2 .f32`, and of a parameter `.u64 .ptr .global .align 16`.
    fn element(&mut self, space: Space) -> Parsed<Element> {
        let mut align = None;
        let mut lanes = 1;
        let of = loop {
            let Token::Dot(word) = self.token else { return Err(self.expected("a type")) };
            let of = match word {
                "align" | "attribute" | "v2" | "v4" => None,
                _ => Some(self.type_named(word)?),
            };
            self.advance()?;
            match word {
                "align" => align = Some(self.alignment()?),
                "attribute" => self.attribute()?,
                "v2" => lanes = 2,
                "v4" => lanes = 4,
                _ => {}
            }
            if let Some(of) = of {
                break of;
            }
        };
        let bytes = of.bytes() * lanes;
        if of == Type::Pred {
            return Err(self.error("a variable of `.pred`, which only registers hold"));
        }
        if bytes > 16 {
            return Err(self.error(format_args!("a vector of {bytes} bytes; 16 are the most")));
        }
        if space == Space::Param && self.at_dot("ptr") {
            self.advance()?;
            if let Token::Dot(word) = self.token
                && Space::parse(word).is_some()
            {
                self.advance()?;
            }
            if self.at_dot("align") {
                self.advance()?;
                self.alignment()?;
            }
        }
        Ok(Element { of, lanes, align: align.unwrap_or(bytes) })
    }

    /// The type that `word` names.
    pub fn type_named(&self, word: &str) -> Parsed<Type> {
        Type::parse(word).ok_or_else(|| self.error(format_args!("unknown type `.{}`", Clipped(word))))
    }

    fn alignment(&mut self) -> Parsed<u64> {
        let align = self.integer("an alignment")?;
        if align.is_power_of_two() && align <= MAX_ALIGNMENT {
            return Ok(align);
        }
        Err(self.error(format_args!("an alignment of {align}; powers of two to {MAX_ALIGNMENT} are legal")))
    }

    /// `(.managed)`, `(.unified(19, 95))`: skipped.
    pub fn attribute(&mut self) -> Parsed<()> {
        self.expect("(", "after `.attribute`")?;
        let mut open = 1u32;
        while open > 0 {
            match self.token {
                Token::Mark("(") if open < MAX_NESTING => open += 1,
                Token::Mark(")") => open -= 1,
                Token::Dot(_) | Token::Integer { .. } | Token::Mark(",") => {}
                _ => return Err(self.expected("`)` after an attribute")),
            }
            self.advance()?;
        }
        Ok(())
    }

    /// The extents and initial values after a name.
    fn variable(&mut self, name: &str, line: u32, space: Space, external: bool, element: &Element) -> Parsed<Variable> {
        let of = element.of;
        let mut shape = self.extents(external)?;
        let is_array = !shape.is_empty();
        let is_unsized = shape.first() == Some(&0);
        if element.lanes > 1 {
            shape.push(element.lanes);
        }
        let mut initial = Initial::default();
        let mut first = None;
        if self.at("=") {
            if external || !matches!(space, Space::Global | Space::Constant) {
                let kind = if external { ".extern" } else { space.name() };
                return Err(self.error(format_args!("a variable of `{kind}` has no initial value")));
            }
            self.advance()?;
            self.area(&shape, of)?;
            first = Some(self.initial_values(of, &shape, &mut initial)?);
        }
        match (shape.first_mut(), first) {
            (Some(extent), Some(values)) if is_unsized && values > 0 => *extent = values,
            _ if is_unsized && !external && space != Space::Param => {
                let name = Clipped(name);
                return Err(ParseError { line, message: format!("`{name}` has neither a size nor initial values") });
            }
            _ => {}
        }
        let count = if is_array || element.lanes > 1 { self.area(&shape, of)? } else { 1 };
        let Initial { bytes, relocations } = initial;
        Ok(Variable {
            name: name.into(),
            space,
            of,
            count,
            align: element.align,
            external,
            initial: bytes,
            relocations,
            line,
        })
    }

    /// `[2][3]`; 0 stands for `[]`.
    fn extents(&mut self, external: bool) -> Parsed<Vec<u64>> {
        let mut shape = Vec::new();
        while self.eat("[")? {
            if shape.len() >= MAX_NESTING as usize {
                return Err(self.error(format_args!("more than {MAX_NESTING} dimensions")));
            }
            let extent = if self.at("]") { None } else { Some(self.integer("an extent or `]`")?) };
            match extent {
                Some(1..) => {}
                None if shape.is_empty() => {}
                Some(0) if shape.is_empty() && external => {}
                None => return Err(self.error("only the first extent may be left out")),
                Some(0) => return Err(self.error("an extent of 0")),
            }
            self.expect("]", "after an extent")?;
            shape.push(extent.unwrap_or(0));
        }
        Ok(shape)
    }

    /// The number of elements; 0 if the first extent is not known.
    fn area(&self, shape: &[u64], of: Type) -> Parsed<u64> {
        let known = shape.iter().filter(|&&extent| extent > 0);
        let area = known.copied().try_fold(1, u64::checked_mul);
        match area.and_then(|area| area.checked_mul(of.bytes())) {
            Some(bytes) if bytes <= MAX_VARIABLE_BYTES => {}
            _ => return Err(self.error(format_args!("a variable of more than {MAX_VARIABLE_BYTES} bytes"))),
        }
        Ok(if shape.first() == Some(&0) { 0 } else { area.unwrap_or(0) })
    }

    /// The values of an array of `shape`, one behind the other as GPUs take them: rows that are too short are not
    /// filled up. How many its outermost braces hold.
    fn initial_values(&mut self, of: Type, shape: &[u64], initial: &mut Initial) -> Parsed<u64> {
        let Some((&extent, inner)) = shape.split_first() else {
            self.initial_value(of, initial)?;
            return Ok(1);
        };
        self.expect("{", "before the values of an array")?;
        if self.eat("}")? {
            return Ok(0);
        }
        let mut count = 0u64;
        loop {
            if extent > 0 && count == extent {
                return Err(self.error(format_args!("more initial values than {extent}")));
            }
            self.deeper(|parser| parser.initial_values(of, inner, initial))?;
            count += 1;
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("}", "after the values of an array")?;
        Ok(count)
    }

    fn initial_value(&mut self, of: Type, initial: &mut Initial) -> Parsed<()> {
        let at = initial.bytes.len() as u64;
        if let Some((name, addend)) = self.relocation(of)? {
            initial.relocations.push((at, name, addend));
            initial.bytes.resize((at + of.bytes()) as usize, 0);
            return Ok(());
        }
        if !self.at_constant() {
            return Err(self.expected("an initial value"));
        }
        let number = self.constant()?;
        if self.at("(") {
            return Err(self.error("a mask of an address, such as `0xff(name)`, is not supported"));
        }
        let bits = self.bits_of(number, of)?;
        initial.bytes.extend(bits.to_le_bytes().into_iter().take(of.bytes() as usize));
        Ok(())
    }

    /// `name+4` or `generic(name)+4`.
    fn relocation(&mut self, of: Type) -> Parsed<Option<(String, i64)>> {
        let Token::Word(word) = self.token else { return Ok(None) };
        if word == "WARP_SZ" {
            return Ok(None);
        }
        self.advance()?;
        let name = if word == "generic" && self.eat("(")? {
            let name = self.word("a variable's name")?;
            self.expect(")", "after `generic(name`")?;
            name
        } else {
            word
        };
        if !matches!(of, Type::U64 | Type::B64) {
            return Err(self.error(format_args!("an address among values of `.{of}`; it takes `.u64`")));
        }
        let addend = if self.eat("+")? { self.offset()? } else { 0 };
        Ok(Some((name.into(), addend)))
    }

    /// The bits of `number` as an element of type `of`, in its low bytes.
    fn bits_of(&self, number: Number, of: Type) -> Parsed<u64> {
        match (of, number) {
            (
                Type::B8
                | Type::B16
                | Type::B32
                | Type::B64
                | Type::U8
                | Type::U16
                | Type::U32
                | Type::U64
                | Type::S8
                | Type::S16
                | Type::S32
                | Type::S64,
                Number::Integer { bits, .. },
            ) => Ok(bits),
            (Type::F32 | Type::B32, Number::F32(bits)) => Ok(bits.into()),
            (Type::F32 | Type::B32, Number::F64(bits)) => Ok((f64::from_bits(bits) as f32).to_bits().into()),
            (Type::F64 | Type::B64, Number::F32(bits)) => Ok(f64::from(f32::from_bits(bits)).to_bits()),
            (Type::F64 | Type::B64, Number::F64(bits)) => Ok(bits),
            _ => Err(self.error(format_args!("an initial value that does not fit `.{of}`"))),
        }
    }
}
