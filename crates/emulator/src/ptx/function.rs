//! Kernels and device functions: heads and bodies.

use std::borrow::Cow;

use super::lexer::{Clipped, Token};
use super::parser::{MAX_REGISTERS, Parsed, Parser, has_inner_dollar};
use super::scope::{Kind, Scopes};
use super::{Function, ParseError, Register, Space, Type, Variable};

impl<'a> Parser<'a> {
    /// A kernel or a device function, from its `.entry` or `.func`.
    pub fn function(&mut self) -> Parsed<Function> {
        let mut function = Function { line: self.line, entry: self.at_dot("entry"), ..Function::default() };
        let mut scopes = Scopes::new();
        self.advance()?;
        while self.at_dot("attribute") {
            self.advance()?;
            self.attribute()?;
        }
        if !function.entry && self.at("(") {
            function.returns = self.parameters(&mut function, &mut scopes)?;
        }
        function.name = self.new_name("the name of a function")?.into();
        if self.at("(") {
            function.params = self.parameters(&mut function, &mut scopes)?;
        }
        while let Token::Dot(word) = self.token {
            self.performance(word, &mut function)?;
        }
        if self.eat(";")? {
            function.declared_only = true;
            return Ok(function);
        }
        if !self.at("{") {
            return Err(self.expected(format_args!("the body of `{}`, or `;`", Clipped(&function.name))));
        }
        self.source = None;
        let (place, nesting, head) = (self.place(), self.nesting, function.clone());
        match self.body(&mut function, &mut scopes) {
            Ok(()) => scopes.rename(&mut function, &self.taken),
            Err(error) if self.forgiving => {
                self.nesting = nesting;
                self.skip_body(place).map_err(|_| error.clone())?;
                function = Function { refusal: Some(error), ..head };
            }
            Err(error) => return Err(error),
        }
        Ok(function)
    }

    fn parameters(&mut self, function: &mut Function, scopes: &mut Scopes<'a>) -> Parsed<Vec<Variable>> {
        let mut parameters = Vec::new();
        self.expect("(", "before parameters")?;
        if self.eat(")")? {
            return Ok(parameters);
        }
        loop {
            let line = self.line;
            match self.token {
                Token::Dot("param") => {
                    self.advance()?;
                    let (name, variable) = self.parameter()?;
                    if name != "_" {
                        scopes.declare(name.into(), Kind::Parameter, 0, line)?;
                    }
                    parameters.push(variable);
                }
                Token::Dot("reg") if !function.entry => {
                    self.advance()?;
                    let of = self.register_type()?;
                    let name = self.word("the name of a parameter")?;
                    if name != "_" {
                        self.declare_register(name.into(), of, line, function, scopes)?;
                    }
                    let align = of.bytes();
                    parameters.push(Variable {
                        name: name.into(),
                        space: Space::Generic,
                        of,
                        count: 1,
                        align,
                        external: false,
                        initial: Vec::new(),
                        relocations: Vec::new(),
                        line,
                    });
                }
                _ => return Err(self.expected("a parameter")),
            }
            if !self.eat(",")? {
                break;
            }
        }
        self.expect(")", "after parameters")?;
        Ok(parameters)
    }

    /// A directive between the head and the body.
    fn performance(&mut self, word: &'a str, function: &mut Function) -> Parsed<()> {
        match word {
            "pragma" => return self.skip_directive(word),
            "maxntid" | "reqntid" | "reqnctapercluster" | "minnctapersm" | "maxnctapersm" | "maxnreg"
            | "maxclusterrank" | "explicitcluster" | "blocksareclusters"
                if !function.entry =>
            {
                return Err(self.error(format_args!("`.{word}` of a device function; it is for kernels")));
            }
            _ => {}
        }
        self.advance()?;
        match word {
            "noreturn" | "explicitcluster" | "blocksareclusters" => {}
            "maxntid" => function.max_threads = Some(self.three(word)?),
            "reqntid" => function.required_threads = Some(self.three(word)?),
            "reqnctapercluster" => function.cluster = Some(self.three(word)?),
            "minnctapersm" | "maxnctapersm" | "maxnreg" | "maxclusterrank" => {
                self.positive(word)?;
            }
            "abi_preserve" | "abi_preserve_control" => {
                self.integer("a number of registers")?;
            }
            _ => return Err(self.error(format_args!("unknown directive `.{}` of a function", Clipped(word)))),
        }
        Ok(())
    }

    /// Up to three extents of a directive; those left out are 1.
    fn three(&mut self, directive: &str) -> Parsed<[u32; 3]> {
        let mut extents = [self.positive(directive)?, 1, 1];
        for extent in extents.iter_mut().skip(1) {
            if !self.eat(",")? {
                break;
            }
            *extent = self.positive(directive)?;
        }
        Ok(extents)
    }

    fn positive(&mut self, directive: &str) -> Parsed<u32> {
        let value = self.integer("a positive number")?;
        match u32::try_from(value) {
            Ok(value @ 1..) => Ok(value),
            _ => Err(self.error(format_args!("`.{directive} {value}`; 1 to {} are legal", u32::MAX))),
        }
    }

    /// The statements from `{` to the `}` that closes it.
    fn body(&mut self, function: &mut Function, scopes: &mut Scopes<'a>) -> Parsed<()> {
        let opening = self.line;
        self.expect("{", "before a body")?;
        loop {
            let line = self.line;
            match self.token {
                Token::Mark("{") => {
                    scopes.open(line)?;
                    self.advance()?;
                }
                Token::Mark("}") => {
                    self.advance()?;
                    if !scopes.close() {
                        return Ok(());
                    }
                }
                Token::Mark("@") => {
                    self.advance()?;
                    let guard = self.guard()?;
                    let first = self.word("an instruction after its guard")?;
                    function.body.push(self.instruction(first, Some(guard), line)?);
                    function.sources.push(self.source);
                    scopes.instruction();
                }
                Token::Word(first) => {
                    self.advance()?;
                    if self.eat(":")? {
                        self.label(first, line, function, scopes)?;
                    } else {
                        function.body.push(self.instruction(first, None, line)?);
                        function.sources.push(self.source);
                        scopes.instruction();
                    }
                }
                Token::Dot(word) => self.declaration(word, function, scopes)?,
                Token::End => {
                    let name = Clipped(&function.name);
                    return Err(ParseError { line: opening, message: format!("the body of `{name}` has no end") });
                }
                _ => return Err(self.expected("a statement")),
            }
        }
    }

    /// A directive in a body.
    fn declaration(&mut self, word: &'a str, function: &mut Function, scopes: &mut Scopes<'a>) -> Parsed<()> {
        match word {
            "reg" => {
                self.advance()?;
                self.registers(function, scopes)
            }
            "local" | "shared" | "param" => {
                self.advance()?;
                let space = match word {
                    "local" => Space::Local,
                    "shared" => Space::Shared,
                    _ => Space::Param,
                };
                self.variables(space, false, &mut |variable| {
                    let (kind, since) = (Kind::Variable(function.variables.len()), function.body.len());
                    scopes.declare(Cow::Owned(variable.name.clone()), kind, since, variable.line)?;
                    function.variables.push(variable);
                    Ok(())
                })
            }
            "loc" | "file" | "pragma" => self.skip_directive(word),
            "global" | "const" | "extern" | "visible" | "weak" | "common" => {
                Err(self.error(format_args!("`.{word}` inside of a function; declare the variable outside")))
            }
            "branchtargets" | "calltargets" | "callprototype" => {
                Err(self.error(format_args!("`.{word}` without its label")))
            }
            _ => Err(self.error(format_args!("unknown directive `.{}` in a function", Clipped(word)))),
        }
    }

    /// A label, or the name of a table or a prototype, from after its colon.
    fn label(&mut self, name: &'a str, line: u32, function: &mut Function, scopes: &mut Scopes<'a>) -> Parsed<()> {
        if name == "_" {
            return Err(self.error("a label of the name `_`"));
        }
        let kind = match self.token {
            Token::Dot("branchtargets" | "calltargets") => {
                self.advance()?;
                let mut targets = vec![self.word("a target")?.to_string()];
                while self.eat(",")? {
                    targets.push(self.word("a target")?.to_string());
                }
                self.expect(";", "after targets")?;
                function.tables.push((name.into(), targets));
                scopes.table();
                Kind::Table(function.tables.len() - 1)
            }
            Token::Dot("callprototype") => {
                while !self.at(";") {
                    if matches!(self.token, Token::Mark("{" | "}") | Token::End) {
                        return Err(self.expected("`;` after a prototype"));
                    }
                    self.advance()?;
                }
                return self.advance().map(drop);
            }
            _ => {
                function.labels.push((name.into(), function.body.len()));
                Kind::Label(function.labels.len() - 1)
            }
        };
        scopes.declare(name.into(), kind, function.body.len(), line)
    }

    fn register_type(&mut self) -> Parsed<Type> {
        let Token::Dot(word) = self.token else { return Err(self.expected("a type after `.reg`")) };
        if matches!(word, "v2" | "v4") {
            return Err(self.error("vector registers are not supported; declare their elements"));
        }
        let of = self.type_named(word)?;
        self.advance()?;
        Ok(of)
    }

    /// `.b32 %r<13>, x;`, from after `.reg`.
    fn registers(&mut self, function: &mut Function, scopes: &mut Scopes<'a>) -> Parsed<()> {
        let of = self.register_type()?;
        loop {
            let line = self.line;
            let name = self.new_name("the name of a register")?;
            if self.eat("<")? {
                let count = self.integer("a number of registers")?;
                self.expect(">", "after a number of registers")?;
                if count > MAX_REGISTERS as u64 {
                    return Err(self.too_many_registers(line));
                }
                for i in 0..count {
                    let name = format!("{name}{i}");
                    if has_inner_dollar(&name) {
                        self.taken.insert(Cow::Owned(name.clone()));
                    }
                    self.declare_register(Cow::Owned(name), of, line, function, scopes)?;
                }
            } else {
                self.declare_register(name.into(), of, line, function, scopes)?;
            }
            if !self.eat(",")? {
                return self.expect(";", "after registers");
            }
        }
    }

    fn declare_register(
        &mut self,
        name: Cow<'a, str>,
        of: Type,
        line: u32,
        function: &mut Function,
        scopes: &mut Scopes<'a>,
    ) -> Parsed<()> {
        let index = function.registers.len();
        match self.registers_left.checked_sub(1) {
            Some(left) if index < MAX_REGISTERS => self.registers_left = left,
            _ => return Err(self.too_many_registers(line)),
        }
        function.registers.push(Register { name: name.to_string(), of });
        scopes.declare(name, Kind::Register(index), function.body.len(), line)
    }

    fn too_many_registers(&self, line: u32) -> ParseError {
        let message = format!(
            "more registers than {MAX_REGISTERS} in a function, or than {} and one per four bytes of text in a module",
            super::parser::FREE_REGISTERS
        );
        ParseError { line, message }
    }
}
