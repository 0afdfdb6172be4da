//! A PTX text to a module: the directives outside of functions, and what all parts of the parser share.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use super::lexer::{Clipped, Lexer, Token};
use super::{Function, Module, ParseError, Space, Variable};

/// The most registers that a function may declare.
pub const MAX_REGISTERS: usize = 1_000_000;
/// A module may declare this many registers, and one more for every four bytes of its text.
pub const FREE_REGISTERS: usize = 1 << 16;
/// The most bytes of a variable: 1 TiB.
pub const MAX_VARIABLE_BYTES: u64 = 1 << 40;
/// The largest alignment of a variable, in bytes.
pub const MAX_ALIGNMENT: u64 = 1 << 20;
/// How deep scopes may nest.
pub const MAX_SCOPE_DEPTH: usize = 32;
/// How deep braces and parentheses of initial values, operands and constant expressions may nest.
pub const MAX_NESTING: u32 = 64;

pub(super) type Parsed<T> = Result<T, ParseError>;

/// A module-level name.
#[derive(Clone, Copy)]
enum Named {
    Function(usize),
    Variable(usize),
}

/// Reads tokens with one of lookahead.
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is next.
    pub token: Token<'a>,
    /// Its line.
    pub line: u32,
    pub nesting: u32,
    /// Registers that the module may still declare.
    pub registers_left: usize,
    /// Names with a `$` inside: what a name made from one of an inner scope must not equal.
    pub taken: HashSet<Cow<'a, str>>,
    /// The words of the opcode being read.
    pub words: Vec<&'a str>,
    /// Whether a body that is not understood is stepped over.
    pub forgiving: bool,
    /// The file and line of the last `.loc` of the function.
    pub source: Option<(u64, u64)>,
    /// The source files by number.
    files: Vec<(u64, String)>,
}

impl Module {
    /// Reads a text as a driver does that does not know all of it: a function whose body is not understood keeps its
    /// head and says why, as long as the braces of its body close.
    ///
    /// # Errors
    /// What is wrong outside of functions, or with the characters of the text.
    pub fn read(text: &str) -> Result<Module, ParseError> {
        let mut parser = Parser::new(text)?;
        parser.forgiving = true;
        parser.module()
    }
}

impl FromStr for Module {
    type Err = ParseError;

    /// Parses a PTX text; see the [module's page](super) for what is refused.
    fn from_str(text: &str) -> Result<Module, ParseError> {
        Parser::new(text)?.module()
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Parser<'a>> {
        let mut parser = Parser {
            lexer: Lexer::new(text),
            token: Token::End,
            line: 1,
            nesting: 0,
            registers_left: FREE_REGISTERS.saturating_add(text.len() / 4),
            taken: HashSet::new(),
            words: Vec::new(),
            forgiving: false,
            source: None,
            files: Vec::new(),
        };
        parser.advance()?;
        Ok(parser)
    }

    /// Steps over the token and returns it.
    pub fn advance(&mut self) -> Parsed<Token<'a>> {
        let (next, line) = self.lexer.next()?;
        if let Token::Word(name) = next
            && has_inner_dollar(name)
        {
            self.taken.insert(Cow::Borrowed(name));
        }
        self.line = line;
        Ok(std::mem::replace(&mut self.token, next))
    }

    pub fn error(&self, message: impl fmt::Display) -> ParseError {
        ParseError { line: self.line, message: message.to_string() }
    }

    pub fn expected(&self, what: impl fmt::Display) -> ParseError {
        self.error(format_args!("expected {what}, found {}", self.token))
    }

    pub fn at(&self, mark: &str) -> bool {
        matches!(self.token, Token::Mark(found) if found == mark)
    }

    pub fn at_dot(&self, word: &str) -> bool {
        matches!(self.token, Token::Dot(found) if found == word)
    }

    /// Steps over `mark` if it is next.
    pub fn eat(&mut self, mark: &str) -> Parsed<bool> {
        let found = self.at(mark);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Steps over `mark`, which `place` says where to look for: "after an instruction".
    pub fn expect(&mut self, mark: &str, place: &str) -> Parsed<()> {
        if self.eat(mark)? { Ok(()) } else { Err(self.expected(format_args!("`{mark}` {place}"))) }
    }

    /// A place in the text to return to.
    pub fn place(&self) -> (Lexer<'a>, Token<'a>, u32) {
        (self.lexer.clone(), self.token, self.line)
    }

    /// Steps over a body from its `{`, at a place to which the parser returns, to the `}` that closes it.
    pub fn skip_body(&mut self, (lexer, token, line): (Lexer<'a>, Token<'a>, u32)) -> Parsed<()> {
        (self.lexer, self.token, self.line) = (lexer, token, line);
        self.words.clear();
        let mut open = 0_u64;
        loop {
            match self.advance()? {
                Token::Mark("{") => open += 1,
                Token::Mark("}") if open == 1 => return Ok(()),
                Token::Mark("}") => open -= 1,
                Token::End => return Err(ParseError { line, message: "a body without its closing `}`".into() }),
                _ => {}
            }
        }
    }

    /// A word: `what` names it in the message.
    pub fn word(&mut self, what: &str) -> Parsed<&'a str> {
        match self.token {
            Token::Word(word) => {
                self.advance()?;
                Ok(word)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A word that names something new, so not the sink `_`.
    pub fn new_name(&mut self, what: &str) -> Parsed<&'a str> {
        if self.token == Token::Word("_") { Err(self.expected(what)) } else { self.word(what) }
    }

    /// An integer literal from 0 up.
    pub fn integer(&mut self, what: &str) -> Parsed<u64> {
        match self.token {
            Token::Integer { bits, .. } => {
                self.advance()?;
                Ok(bits)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Runs `inner` one level deeper.
    pub fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            return Err(self.error(format_args!("nested deeper than {MAX_NESTING}")));
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    fn module(mut self) -> Parsed<Module> {
        let mut module = Module { address_bytes: 8, ..Module::default() };
        if !self.at_dot("version") {
            return Err(self.expected("`.version`, with which a module begins"));
        }
        self.advance()?;
        module.version = self.version()?;
        if !self.at_dot("target") {
            return Err(self.expected("`.target` after `.version`"));
        }
        let mut names = HashMap::new();
        loop {
            match self.token {
                Token::End => return Ok(Module { files: self.files, ..module }),
                Token::Dot(word) => self.directive(word, &mut module, &mut names)?,
                _ => return Err(self.expected("a directive")),
            }
        }
    }

    fn version(&mut self) -> Parsed<(u32, u32)> {
        let Token::Decimal(text) = self.token else { return Err(self.expected("a version such as 9.0")) };
        let numbers = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let version = numbers.ok_or_else(|| self.expected("a version such as 9.0"))?;
        self.advance()?;
        Ok(version)
    }

    fn directive(&mut self, word: &'a str, module: &mut Module, names: &mut HashMap<String, Named>) -> Parsed<()> {
        match word {
            "target" => {
                self.advance()?;
                let target = self.word("a target such as sm_80")?;
                if module.target.is_empty() {
                    module.target = target.into();
                }
                while self.eat(",")? {
                    self.word("a target option")?;
                }
                Ok(())
            }
            "address_size" => {
                self.advance()?;
                module.address_bytes = match self.integer("an address size of 32 or 64")? {
                    32 => 4,
                    64 => 8,
                    bits => return Err(self.error(format_args!("an address size of {bits}; 32 and 64 are legal"))),
                };
                Ok(())
            }
            "file" | "section" | "loc" | "pragma" => self.skip_directive(word),
            "entry" | "func" | "global" | "const" | "shared" => self.item(false, module, names),
            "visible" | "extern" | "weak" | "common" => {
                self.advance()?;
                self.item(word == "extern", module, names)
            }
            "local" | "param" | "reg" => Err(self.error(format_args!("`.{word}` outside of a function"))),
            "version" => Err(self.error("`.version` a second time")),
            "alias" => Err(self.error("`.alias` is not supported")),
            _ => Err(self.error(format_args!("unknown directive `.{}`", Clipped(word)))),
        }
    }

    /// A function or variables.
    fn item(&mut self, external: bool, module: &mut Module, names: &mut HashMap<String, Named>) -> Parsed<()> {
        let space = match self.token {
            Token::Dot("entry" | "func") => {
                let function = self.function()?;
                return add_function(function, module, names);
            }
            Token::Dot("global") => Space::Global,
            Token::Dot("const") => Space::Constant,
            Token::Dot("shared") => Space::Shared,
            _ => return Err(self.expected("`.entry`, `.func`, `.global`, `.const` or `.shared`")),
        };
        self.advance()?;
        self.variables(space, external, &mut |variable| add_variable(variable, module, names))
    }

    /// Steps over what a debugger or an optimiser would read.
    pub fn skip_directive(&mut self, word: &str) -> Parsed<()> {
        self.advance()?;
        match word {
            "pragma" => {
                self.text("a string after `.pragma`")?;
                while self.eat(",")? {
                    self.text("a string after `,`")?;
                }
                self.expect(";", "after `.pragma`")
            }
            "loc" => self.location(),
            "file" => {
                let number = self.integer("the number of a file")?;
                let name = self.text("the name of a file")?;
                self.files.push((number, name.into()));
                while self.eat(",")? {
                    self.integer("the time or the size of a file")?;
                }
                Ok(())
            }
            _ => self.section(),
        }
    }

    fn text(&mut self, what: &str) -> Parsed<&'a str> {
        let Token::Text(text) = self.token else { return Err(self.expected(what)) };
        self.advance()?;
        Ok(text)
    }

    /// `.loc file line column`, perhaps with `, function_name label + 3, inlined_at file line column`.
    fn location(&mut self) -> Parsed<()> {
        let [file, line, _] = self.source_place()?;
        // Line 0 is of nothing that anybody wrote.
        self.source = Some((file, line)).filter(|_| line > 0);
        while self.eat(",")? {
            match self.word("`function_name` or `inlined_at`")? {
                "function_name" => {
                    self.word("a label after `function_name`")?;
                    if self.eat("+")? {
                        self.integer("an offset after `+`")?;
                    }
                }
                "inlined_at" => drop(self.source_place()?),
                other => {
                    return Err(self.error(format_args!("unknown attribute `{}` of `.loc`", Clipped(other))));
                }
            }
        }
        Ok(())
    }

    fn source_place(&mut self) -> Parsed<[u64; 3]> {
        Ok([self.integer("a file's number")?, self.integer("a line")?, self.integer("a column")?])
    }

    /// `.section .debug_info { ... }`: skipped to its closing brace.
    fn section(&mut self) -> Parsed<()> {
        let line = self.line;
        if !matches!(self.token, Token::Dot(_)) {
            return Err(self.expected("the name of a section"));
        }
        self.advance()?;
        self.expect("{", "after the name of a section")?;
        let mut open = 1u64;
        while open > 0 {
            match self.advance()? {
                Token::Mark("{") => open += 1,
                Token::Mark("}") => open -= 1,
                Token::End => return Err(ParseError { line, message: "a section without its closing `}`".into() }),
                _ => {}
            }
        }
        Ok(())
    }
}

/// True for a name that could equal one of an inner scope with its scope's number.
pub(super) fn has_inner_dollar(name: &str) -> bool {
    name.get(1..).is_some_and(|rest| rest.contains('$'))
}

fn duplicate(line: u32, name: &str, earlier: u32) -> ParseError {
    ParseError { line, message: format!("`{}` is already declared on line {earlier}", Clipped(name)) }
}

/// A definition takes the place of a declaration, whichever comes first.
fn add_function(function: Function, module: &mut Module, names: &mut HashMap<String, Named>) -> Parsed<()> {
    let earlier = match names.get(&function.name) {
        Some(&Named::Function(i)) => module.functions.get_mut(i),
        Some(&Named::Variable(i)) => {
            let earlier = module.variables.get(i).map_or(0, |variable| variable.line);
            return Err(duplicate(function.line, &function.name, earlier));
        }
        None => None,
    };
    match earlier {
        Some(earlier) if earlier.declared_only => *earlier = function,
        Some(_) if function.declared_only => {}
        Some(earlier) => return Err(duplicate(function.line, &function.name, earlier.line)),
        None => {
            names.insert(function.name.clone(), Named::Function(module.functions.len()));
            module.functions.push(function);
        }
    }
    Ok(())
}

fn add_variable(variable: Variable, module: &mut Module, names: &mut HashMap<String, Named>) -> Parsed<()> {
    let earlier = match names.get(&variable.name) {
        Some(&Named::Variable(i)) => module.variables.get_mut(i),
        Some(&Named::Function(i)) => {
            let earlier = module.functions.get(i).map_or(0, |function| function.line);
            return Err(duplicate(variable.line, &variable.name, earlier));
        }
        None => None,
    };
    match earlier {
        Some(earlier) if earlier.space != variable.space => Err(duplicate(variable.line, &variable.name, earlier.line)),
        Some(earlier) if earlier.external => {
            *earlier = variable;
            Ok(())
        }
        Some(_) if variable.external => Ok(()),
        Some(earlier) => Err(duplicate(variable.line, &variable.name, earlier.line)),
        None => {
            names.insert(variable.name.clone(), Named::Variable(module.variables.len()));
            module.variables.push(variable);
            Ok(())
        }
    }
}
