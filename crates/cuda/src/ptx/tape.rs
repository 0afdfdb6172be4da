use std::{cell::RefCell, collections::HashMap, fmt};

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Predicate,
    Half,
    Word,
    Double,
}

impl Class {
    pub const ALL: [Class; 4] = [Class::Predicate, Class::Half, Class::Word, Class::Double];

    /// How registers of the class are declared and named. Bits without a type serve every instruction of their size.
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Class::Predicate => (".pred", "%p"),
            Class::Half => (".b16", "%h"),
            Class::Word => (".b32", "%r"),
            Class::Double => (".b64", "%d"),
        }
    }
}

/// A register, by its number on the tape. All but those of variables are written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Register(usize);

/// What an instruction reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operand {
    Register(Register),
    /// The bits of a single-precision constant.
    F32(u32),
    /// The bits of a double-precision constant.
    F64(u64),
    Integer(u64),
    /// A name of the language or of the kernel, such as `%tid.x`.
    Name(&'static str),
    /// A kernel's argument.
    Argument(usize),
    /// Memory so many bytes after an address.
    Memory(Box<Operand>, usize),
    /// Several at once.
    Group(Vec<Operand>),
}

impl Operand {
    fn registers(&self, visit: &mut impl FnMut(Register)) {
        match self {
            Operand::Register(register) => visit(*register),
            Operand::Memory(base, _) => base.registers(visit),
            Operand::Group(parts) => parts.iter().for_each(|part| part.registers(visit)),
            Operand::F32(_) | Operand::F64(_) | Operand::Integer(_) | Operand::Name(_) | Operand::Argument(_) => {}
        }
    }
}

/// `mnemonic results, operands;`
#[derive(Clone, Debug)]
struct Instruction {
    mnemonic: &'static str,
    results: Vec<Register>,
    operands: Vec<Operand>,
    /// It does more than its results say, so it stays even if nobody reads them.
    effect: bool,
}

#[derive(Clone, Debug)]
enum Item {
    Instruction(Instruction),
    /// `for counter in (start..limit).step_by(step)`; the suffix is the counter's type, and `more` says
    /// whether the loop goes on.
    Loop {
        suffix: &'static str,
        counter: Register,
        more: Register,
        range: [Operand; 3],
        body: Vec<Item>,
    },
    /// `if condition`.
    When {
        condition: Register,
        body: Vec<Item>,
    },
}

/// The code of one kernel while it is recorded.
///
/// An instruction without effect is recorded once for equal operands, before every loop in which it
/// would not change, and left out of the text if nobody uses it.
#[derive(Debug, Default)]
pub(super) struct Tape {
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    /// Class of each register, and the innermost scope that it changes in.
    registers: Vec<(Class, usize)>,
    /// Scopes that are open, outermost first.
    scopes: Vec<Scope>,
}

#[derive(Debug, Default)]
struct Scope {
    /// Instructions in it cannot move out.
    conditional: bool,
    items: Vec<Item>,
    known: HashMap<(&'static str, Vec<Operand>), Vec<Register>>,
}

impl Default for State {
    fn default() -> State {
        State { registers: Vec::new(), scopes: vec![Scope::default()] }
    }
}

impl State {
    fn new_register(&mut self, class: Class, scope: usize) -> Register {
        self.registers.push((class, scope));
        Register(self.registers.len() - 1)
    }

    /// The outermost scope in which these operands, and the place itself, stand still.
    fn scope_of(&self, operands: &[Operand]) -> usize {
        let innermost = self.scopes.len() - 1;
        let mut scope = self.scopes.iter().rposition(|scope| scope.conditional).unwrap_or(0);
        for operand in operands {
            operand.registers(&mut |register| scope = scope.max(self.registers[register.0].1));
        }
        scope.min(innermost)
    }

    fn open(&mut self, conditional: bool) {
        self.scopes.push(Scope { conditional, ..Scope::default() });
    }

    fn close(&mut self) -> Vec<Item> {
        self.scopes.pop().map_or_else(Vec::new, |scope| scope.items)
    }

    fn push(&mut self, item: Item) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.items.push(item);
        }
    }
}

impl Tape {
    pub fn new() -> Tape {
        Tape::default()
    }

    /// Results of an instruction without effect.
    pub fn results(&self, mnemonic: &'static str, classes: &[Class], operands: Vec<Operand>) -> Vec<Register> {
        let state = &mut *self.state.borrow_mut();
        let place = state.scope_of(&operands);
        let key = (mnemonic, operands);
        if let Some(known) = state.scopes[..=place].iter().find_map(|scope| scope.known.get(&key)) {
            return known.clone();
        }
        let results: Vec<Register> = classes.iter().map(|&class| state.new_register(class, place)).collect();
        let instruction = Instruction { mnemonic, results: results.clone(), operands: key.1.clone(), effect: false };
        state.scopes[place].items.push(Item::Instruction(instruction));
        state.scopes[place].known.insert(key, results.clone());
        results
    }

    /// The result of an instruction without effect.
    pub fn result(&self, mnemonic: &'static str, class: Class, operands: Vec<Operand>) -> Register {
        self.results(mnemonic, &[class], operands)[0]
    }

    /// Records an instruction that stays in its place.
    pub fn effect(&self, mnemonic: &'static str, operands: Vec<Operand>) {
        self.state.borrow_mut().push(Item::Instruction(Instruction {
            mnemonic,
            results: Vec::new(),
            operands,
            effect: true,
        }));
    }

    /// The result of an instruction that stays in its place.
    pub fn effect_result(&self, mnemonic: &'static str, class: Class, operands: Vec<Operand>) -> Register {
        let state = &mut *self.state.borrow_mut();
        let scope = state.scopes.len() - 1;
        let result = state.new_register(class, scope);
        state.push(Item::Instruction(Instruction { mnemonic, results: vec![result], operands, effect: true }));
        result
    }

    /// Gives a register a value; the same register may get others later.
    pub fn assign(&self, mnemonic: &'static str, register: Register, value: Operand) {
        let instruction = Instruction { mnemonic, results: vec![register], operands: vec![value], effect: true };
        self.state.borrow_mut().push(Item::Instruction(instruction));
    }

    /// A register to be assigned to.
    pub fn new_variable(&self, class: Class) -> Register {
        self.state.borrow_mut().new_register(class, usize::MAX)
    }

    /// A loop over the range `[start, limit, step]`.
    pub fn repeat(&self, suffix: &'static str, class: Class, range: [Operand; 3], body: impl FnOnce(Register)) {
        let [counter, more] = {
            let state = &mut *self.state.borrow_mut();
            state.open(false);
            let scope = state.scopes.len() - 1;
            [class, Class::Predicate].map(|class| state.new_register(class, scope))
        };
        body(counter);
        let state = &mut *self.state.borrow_mut();
        let body = state.close();
        state.push(Item::Loop { suffix, counter, more, range, body });
    }

    /// Code that runs where a condition holds.
    pub fn when(&self, condition: Register, body: impl FnOnce()) {
        self.state.borrow_mut().open(true);
        body();
        let state = &mut *self.state.borrow_mut();
        let body = state.close();
        state.push(Item::When { condition, body });
    }

    /// What gives a register its value, if that is in an open scope.
    pub fn definition(&self, register: Register) -> Option<(&'static str, Vec<Operand>)> {
        let state = self.state.borrow();
        let (_, scope) = state.registers[register.0];
        state.scopes.get(scope)?.items.iter().rev().find_map(|item| match item {
            Item::Instruction(i) if i.results[..] == [register] => Some((i.mnemonic, i.operands.clone())),
            _ => None,
        })
    }

    /// How many instructions are recorded in open scopes.
    pub fn len(&self) -> usize {
        fn count(items: &[Item]) -> usize {
            let inside = |item: &Item| match item {
                Item::Instruction(_) => 1,
                Item::Loop { body, .. } | Item::When { body, .. } => 4 + count(body),
            };
            items.iter().map(inside).sum()
        }
        self.state.borrow().scopes.iter().map(|scope| count(&scope.items)).sum()
    }
}

/// The text between a kernel's braces: declarations of the registers in use, then what is not dead.
impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        let items = &state.scopes[0].items;
        let mut text = Text { registers: &state.registers, numbers: vec![None; state.registers.len()], labels: 0 };
        text.mark(items);
        let counts = text.number();
        for (class, count) in Class::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            let (directive, name) = class.names();
            writeln!(f, "\t.reg {directive} {name}<{count}>;")?;
        }
        text.write(f, items)
    }
}

/// A tape being written.
struct Text<'a> {
    registers: &'a [(Class, usize)],
    /// The number of each live register in its class.
    numbers: Vec<Option<usize>>,
    labels: usize,
}

impl Text<'_> {
    fn is_live(&self, instruction: &Instruction) -> bool {
        instruction.effect || instruction.results.iter().any(|r| self.numbers[r.0].is_some())
    }

    /// Marks the registers that matter, users before what they use.
    fn mark(&mut self, items: &[Item]) {
        for item in items.iter().rev() {
            let live = !matches!(item, Item::Instruction(instruction) if !self.is_live(instruction));
            let mut mark = |register: Register| self.numbers[register.0] = Some(0);
            match item {
                Item::Instruction(instruction) if live => {
                    instruction.results.iter().copied().for_each(&mut mark);
                    instruction.operands.iter().for_each(|operand| operand.registers(&mut mark));
                }
                Item::Instruction(_) => {}
                Item::Loop { counter, more, range, body, .. } => {
                    mark(*counter);
                    mark(*more);
                    range.iter().for_each(|operand| operand.registers(&mut mark));
                    self.mark(body);
                }
                Item::When { condition, body } => {
                    mark(*condition);
                    self.mark(body);
                }
            }
        }
    }

    /// Numbers the marked registers, and counts them by class.
    fn number(&mut self) -> [usize; 4] {
        let mut counts = [0; 4];
        for (number, (class, _)) in self.numbers.iter_mut().zip(self.registers) {
            if let Some(number) = number {
                *number = counts[*class as usize];
                counts[*class as usize] += 1;
            }
        }
        counts
    }

    fn register(&self, register: Register) -> String {
        let (class, _) = self.registers[register.0];
        format!("{}{}", class.names().1, self.numbers[register.0].unwrap_or(0))
    }

    fn operand(&self, operand: &Operand) -> String {
        match operand {
            Operand::Register(register) => self.register(*register),
            Operand::F32(bits) => format!("0f{bits:08X}"),
            Operand::F64(bits) => format!("0d{bits:016X}"),
            Operand::Integer(value) => value.to_string(),
            Operand::Name(name) => (*name).to_string(),
            Operand::Argument(number) => format!("%a{number}"),
            Operand::Memory(base, 0) => format!("[{}]", self.operand(base)),
            Operand::Memory(base, bytes) => format!("[{}+{bytes}]", self.operand(base)),
            Operand::Group(parts) => group(parts.iter().map(|part| self.operand(part)).collect()),
        }
    }

    fn write(&mut self, f: &mut fmt::Formatter<'_>, items: &[Item]) -> fmt::Result {
        for item in items {
            match item {
                Item::Instruction(instruction) if self.is_live(instruction) => {
                    let results: Vec<String> = instruction.results.iter().map(|r| self.register(*r)).collect();
                    let results = (!results.is_empty()).then(|| group(results));
                    let operands = instruction.operands.iter().map(|operand| self.operand(operand));
                    let all: Vec<String> = results.into_iter().chain(operands).collect();
                    writeln!(f, "\t{} {};", instruction.mnemonic, all.join(", "))?;
                }
                Item::Instruction(_) => {}
                Item::Loop { suffix, counter, more, range, body } => {
                    let label = self.new_label();
                    let [counter, more] = [*counter, *more].map(|register| self.register(register));
                    let [start, limit, step] = range.each_ref().map(|operand| self.operand(operand));
                    writeln!(f, "\tmov.{suffix} {counter}, {start};")?;
                    writeln!(f, "\tsetp.ge.{suffix} {more}, {counter}, {limit};")?;
                    writeln!(f, "\t@{more} bra $end{label};\n$top{label}:")?;
                    self.write(f, body)?;
                    writeln!(f, "\tadd.{suffix} {counter}, {counter}, {step};")?;
                    writeln!(f, "\tsetp.lt.{suffix} {more}, {counter}, {limit};")?;
                    writeln!(f, "\t@{more} bra $top{label};\n$end{label}:")?;
                }
                Item::When { condition, body } => {
                    let label = self.new_label();
                    writeln!(f, "\t@!{} bra $end{label};", self.register(*condition))?;
                    self.write(f, body)?;
                    writeln!(f, "$end{label}:")?;
                }
            }
        }
        Ok(())
    }

    fn new_label(&mut self) -> usize {
        self.labels += 1;
        self.labels
    }
}

fn group(parts: Vec<String>) -> String {
    match &parts[..] {
        [one] => one.clone(),
        _ => format!("{{{}}}", parts.join(", ")),
    }
}
