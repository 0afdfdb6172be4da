//! The scopes of a function: what a name means where it stands, and the unique names of what inner scopes declare.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::lexer::Clipped;
use super::parser::{MAX_SCOPE_DEPTH, Parsed};
use super::{Function, Operand, ParseError};

/// What a name stands for: an index into the list of a [`Function`] that holds it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Parameter,
    Register(usize),
    Variable(usize),
    Label(usize),
    Table(usize),
}

struct Symbol {
    kind: Kind,
    /// The first instruction that sees it; a label is seen in its whole scope.
    since: usize,
    line: u32,
    /// What makes its name unique: the number of its scope, or one beyond all scopes where that name is taken.
    number: usize,
}

/// The scopes of one function, numbered in the order in which they open; 0 is the function's own.
pub(super) struct Scopes<'a> {
    /// Those that are open, from the outside in, without 0.
    open: Vec<u32>,
    /// The parent of each scope, and whether it declares anything.
    scopes: Vec<(u32, bool)>,
    symbols: HashMap<(u32, Cow<'a, str>), Symbol>,
    /// The scope of each instruction and of each table.
    of_instructions: Vec<u32>,
    of_tables: Vec<u32>,
}

impl<'a> Scopes<'a> {
    pub fn new() -> Scopes<'a> {
        Scopes {
            open: Vec::new(),
            scopes: vec![(0, true)],
            symbols: HashMap::new(),
            of_instructions: Vec::new(),
            of_tables: Vec::new(),
        }
    }

    fn current(&self) -> u32 {
        self.open.last().copied().unwrap_or(0)
    }

    pub fn open(&mut self, line: u32) -> Parsed<()> {
        if self.open.len() >= MAX_SCOPE_DEPTH {
            return Err(ParseError { line, message: format!("scopes nested deeper than {MAX_SCOPE_DEPTH}") });
        }
        let number = u32::try_from(self.scopes.len());
        let number = number.map_err(|_| ParseError { line, message: "more than 2^32 scopes".into() })?;
        self.scopes.push((self.current(), false));
        self.open.push(number);
        Ok(())
    }

    /// Closes the innermost scope; false if only the function's own is open.
    pub fn close(&mut self) -> bool {
        self.open.pop().is_some()
    }

    /// Notes that an instruction stands here.
    pub fn instruction(&mut self) {
        self.of_instructions.push(self.current());
    }

    /// Notes that a table stands here.
    pub fn table(&mut self) {
        self.of_tables.push(self.current());
    }

    /// Declares a name in the innermost scope, `since` the next instruction.
    pub fn declare(&mut self, name: Cow<'a, str>, kind: Kind, since: usize, line: u32) -> Parsed<()> {
        let scope = self.current();
        if let Some((_, declares)) = self.scopes.get_mut(scope as usize) {
            *declares = true;
        }
        let key = (scope, name);
        if let Some(earlier) = self.symbols.get(&key) {
            let name = Clipped(&key.1);
            let message = format!("`{name}` is already declared in this scope, on line {}", earlier.line);
            return Err(ParseError { line, message });
        }
        self.symbols.insert(key, Symbol { kind, since, line, number: scope as usize });
        Ok(())
    }

    /// Gives what inner scopes declare a unique name, and says so wherever it is meant.
    pub fn rename(mut self, function: &mut Function, taken: &HashSet<Cow<'_, str>>) {
        if !self.scopes.iter().skip(1).any(|&(_, declares)| declares) {
            return;
        }
        let is_taken = |name: &str, number| taken.contains(unique(name, number).as_str());
        let inner = self.symbols.iter_mut().filter(|((scope, _), _)| *scope > 0);
        let mut clashes: Vec<_> = inner.filter(|((_, name), symbol)| is_taken(name, symbol.number)).collect();
        clashes.sort_unstable_by_key(|(a, _)| *a);
        let mut beyond = self.scopes.len();
        for ((_, name), symbol) in clashes {
            while is_taken(name, symbol.number) {
                symbol.number = beyond;
                beyond += 1;
            }
        }
        for ((_, name), symbol) in self.symbols.iter().filter(|((scope, _), _)| *scope > 0) {
            let place = match symbol.kind {
                Kind::Register(i) => function.registers.get_mut(i).map(|register| &mut register.name),
                Kind::Variable(i) => function.variables.get_mut(i).map(|variable| &mut variable.name),
                Kind::Label(i) => function.labels.get_mut(i).map(|(name, _)| name),
                Kind::Table(i) => function.tables.get_mut(i).map(|(name, _)| name),
                Kind::Parameter => None,
            };
            if let Some(place) = place {
                *place = unique(name, symbol.number);
            }
        }
        let parents = self.declaring_parents();
        let rename = |name: &mut String, scope: u32, at: usize| {
            let base = name.split_once('.').map_or(name.as_str(), |(base, _)| base);
            if let Some(number) = self.find(base, scope, at, &parents) {
                let rest = name.get(base.len()..).unwrap_or_default();
                *name = unique(base, number) + rest;
            }
        };
        for (at, (instruction, &scope)) in function.body.iter_mut().zip(&self.of_instructions).enumerate() {
            if scope == 0 {
                continue;
            }
            if let Some((predicate, _)) = &mut instruction.guard {
                rename(predicate, scope, at);
            }
            for operand in &mut instruction.operands {
                each_name(operand, &mut |name| rename(name, scope, at));
            }
        }
        for ((_, targets), &scope) in function.tables.iter_mut().zip(&self.of_tables) {
            for target in targets {
                rename(target, scope, usize::MAX);
            }
        }
    }

    /// For each scope the nearest around it that declares anything, itself included.
    fn declaring_parents(&self) -> Vec<u32> {
        let mut nearest = Vec::with_capacity(self.scopes.len());
        for (number, &(parent, declares)) in (0..).zip(&self.scopes) {
            let outer = nearest.get(parent as usize).copied().unwrap_or(0);
            nearest.push(if declares { number } else { outer });
        }
        nearest
    }

    /// The number behind `name` as an instruction `at` in `scope` means it; none if no inner scope declares it.
    fn find(&self, name: &str, scope: u32, at: usize, nearest: &[u32]) -> Option<usize> {
        let mut key = (nearest.get(scope as usize).copied()?, Cow::Borrowed(name));
        while key.0 > 0 {
            if let Some(symbol) = self.symbols.get(&key)
                && (symbol.since <= at || matches!(symbol.kind, Kind::Label(_) | Kind::Table(_)))
            {
                return Some(symbol.number);
            }
            let (parent, _) = self.scopes.get(key.0 as usize)?;
            key.0 = nearest.get(*parent as usize).copied()?;
        }
        None
    }
}

fn unique(name: &str, number: usize) -> String {
    format!("{name}${number}")
}

fn each_name(operand: &mut Operand, visit: &mut dyn FnMut(&mut String)) {
    match operand {
        Operand::Name(name) | Operand::Not(name) | Operand::Negative(name) | Operand::Offset(name, _) => visit(name),
        Operand::Integer(_) | Operand::F32(_) | Operand::F64(_) => {}
        Operand::Address { base, coordinates, .. } => {
            visit(base);
            coordinates.iter_mut().for_each(|operand| each_name(operand, visit));
        }
        Operand::Vector(operands) | Operand::List(operands) => {
            operands.iter_mut().for_each(|operand| each_name(operand, visit));
        }
        Operand::Pair(first, second) => {
            each_name(first, visit);
            each_name(second, visit);
        }
    }
}
