//! Noise: whatever the text, an answer, and memory in proportion to it.

use std::mem::size_of_val;

use yuragi_emulator::ptx::{Function, Instruction, Module, Operand, Variable};

use super::{CALLS, DEBUG, FORMS, HOPPER, TENSOR, kernel};

/// A linear congruential generator (Knuth's MMIX); the high half of its state is what it draws.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// What hostile texts are made of.
const SHARDS: [&str; 44] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    ";",
    ",",
    ":",
    "::",
    "@",
    "!",
    "|",
    "+",
    "-",
    "%",
    ".",
    "/*",
    "\"",
    "\n",
    "\0",
    "é",
    "%r<4000000000>",
    "18446744073709551616",
    "0f3F8",
    "1e999",
    "1/0",
    ".reg .b32 %r<600>;",
    "{{{{{{{{",
    "((((((((",
    "[1099511627776]",
    ".align 3",
    ".v4",
    "= {1, 2}",
    "generic(x)",
    "x:",
    "{ .reg .b32 t;",
    ".extern",
    ".entry f {",
    "call (x), f, (y);",
    "?",
    "-9223372036854775808",
];

fn mutate(text: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(text.len());
    let end = (at + random.below(24)).min(text.len());
    match random.below(7) {
        0 if !text.is_empty() => text[at] = random.below(256) as u8,
        1 if !text.is_empty() => text[at] ^= 1 << random.below(8),
        2 => text.truncate(at),
        3 => drop(text.drain(at..end)),
        4 => {
            let again = text[at..end].to_vec();
            let to = random.below(text.len());
            text.splice(to..to, again);
        }
        5 => swap_words(text, random),
        _ => {
            let shard = SHARDS[random.below(SHARDS.len())];
            text.splice(at..at, shard.bytes());
        }
    }
}

/// Exchanges two words or marks.
fn swap_words(text: &mut Vec<u8>, random: &mut Random) {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"_$%.".contains(&b);
    let word = |from: usize| {
        let end = text[from..].iter().position(|&b| !is_word(b)).map_or(text.len(), |n| from + n);
        from..end.max((from + 1).min(text.len()))
    };
    let (a, b) = (word(random.below(text.len())), word(random.below(text.len())));
    let (a, b) = if a.start <= b.start { (a, b) } else { (b, a) };
    if a.end > b.start {
        return;
    }
    let swapped = [&text[..a.start], &text[b.clone()], &text[a.end..b.start], &text[a], &text[b.end..]].concat();
    *text = swapped;
}

/// The bytes that a module holds.
fn weight(module: &Module) -> usize {
    let functions = module.functions.iter().map(function_weight).sum::<usize>();
    let variables = variables_weight(&module.variables);
    let spare = module.functions.capacity() * size_of::<Function>();
    module.target.capacity() + functions + variables + spare
}

fn function_weight(f: &Function) -> usize {
    let registers = f.registers.iter().map(|r| r.name.capacity()).sum::<usize>();
    let labels = f.labels.iter().map(|(name, _)| name.capacity()).sum::<usize>();
    let targets = |names: &Vec<String>| names.capacity() * 24 + names.iter().map(String::capacity).sum::<usize>();
    let tables = f.tables.iter().map(|(name, names)| name.capacity() + targets(names)).sum::<usize>();
    let body = f.body.iter().map(instruction_weight).sum::<usize>();
    let spare = (f.registers.capacity() + f.labels.capacity()) * 32 + f.tables.capacity() * 48;
    let variables = [&f.params, &f.returns, &f.variables].map(variables_weight).iter().sum::<usize>();
    let bodies = f.body.capacity() * size_of::<Instruction>();
    f.name.capacity() + registers + labels + tables + body + spare + variables + bodies
}

fn variables_weight(variables: &Vec<Variable>) -> usize {
    let relocation = |r: &(u64, String, i64)| r.1.capacity();
    let one = |v: &Variable| {
        let relocations = v.relocations.iter().map(relocation).sum::<usize>() + v.relocations.capacity() * 40;
        v.name.capacity() + v.initial.capacity() + relocations
    };
    variables.iter().map(one).sum::<usize>() + variables.capacity() * size_of::<Variable>()
}

fn instruction_weight(i: &Instruction) -> usize {
    let words = i.opcode.capacity() * 24 + i.opcode.iter().map(String::capacity).sum::<usize>();
    let guard = i.guard.as_ref().map_or(0, |(name, _)| name.capacity());
    words + guard + operands_weight(&i.operands)
}

fn operands_weight(operands: &Vec<Operand>) -> usize {
    operands.capacity() * size_of::<Operand>() + operands.iter().map(operand_weight).sum::<usize>()
}

fn operand_weight(operand: &Operand) -> usize {
    match operand {
        Operand::Name(name) | Operand::Not(name) | Operand::Negative(name) | Operand::Offset(name, _) => {
            name.capacity()
        }
        Operand::Integer(_) | Operand::F32(_) | Operand::F64(_) => 0,
        Operand::Address { base, coordinates, .. } => base.capacity() + operands_weight(coordinates),
        Operand::Vector(operands) | Operand::List(operands) => operands_weight(operands),
        Operand::Pair(a, b) => size_of_val(&**a) + size_of_val(&**b) + operand_weight(a) + operand_weight(b),
    }
}

/// Parses a text that may be anything; true if it is a module.
fn check(text: &str) -> bool {
    let module = match text.parse::<Module>() {
        Ok(module) => module,
        Err(error) => {
            let lines = 1 + text.bytes().filter(|&b| b == b'\n').count();
            assert!((1..=lines).contains(&(error.line as usize)), "{error}:\n{text}");
            assert!(!error.message.is_empty() && error.message.len() < 300, "{error}:\n{text}");
            return false;
        }
    };
    // The worst form is `a;`: an instruction of 88 bytes in a vector that may be half empty, and a word of 25 bytes,
    // so about 100 bytes for each byte of text. What a module may declare beside its text is 65,536 registers of at
    // most 2 * 32 + 8 bytes.
    assert!(weight(&module) <= 128 * text.len() + (8 << 20), "{} bytes:\n{text}", weight(&module));
    for function in &module.functions {
        assert!(function.labels.iter().all(|(_, at)| *at <= function.body.len()), "{text}");
        // What is printed reads back as the same.
        let printed: Vec<String> = function.body.iter().map(Instruction::to_string).collect();
        let again = kernel(&printed.join("\n")).unwrap_or_else(|error| panic!("{printed:?}: {error}:\n{text}"));
        let mut expected = function.body.clone();
        for (line, instruction) in (5..).zip(&mut expected) {
            instruction.line = line;
        }
        assert_eq!(again.body, expected, "{text}");
    }
    true
}

/// How many of `count` mutated texts are modules.
fn fuzz(seed: u64, count: usize) -> usize {
    let mut random = Random(seed);
    let mut accepted = 0;
    for _ in 0..count {
        let origin = match random.below(64) {
            0 => CALLS,
            1 => TENSOR,
            2 => HOPPER,
            3..6 => DEBUG,
            _ => FORMS,
        };
        // Most of a long text is left out, so that most of the time goes into what was changed.
        let mut text = origin.as_bytes().to_vec();
        if let Some(kernel) = origin.find(".visible .entry").filter(|_| random.below(4) > 0) {
            let from = origin.find(".address_size 64").map_or(0, |at| at + 16);
            text.drain(from..kernel);
        }
        for _ in 0..1 + random.below(3) / 2 {
            mutate(&mut text, &mut random);
        }
        accepted += usize::from(check(&String::from_utf8_lossy(&text)));
    }
    accepted
}

#[test]
fn a_hundred_thousand_mutated_texts() {
    let accepted = fuzz(1, 100_000);
    // Neither half of the check is idle.
    assert!((5_000..95_000).contains(&accepted), "{accepted}");
}

#[test]
#[ignore = "a minute"]
fn a_million_mutated_texts() {
    let accepted = fuzz(2, 1_000_000);
    assert!((50_000..950_000).contains(&accepted), "{accepted}");
}

#[test]
fn texts_of_shards_alone() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        let mut text = String::from(".version 9.0 .target sm_80\n");
        if random.below(2) == 0 {
            text.push_str(".entry k { ");
        }
        for _ in 0..random.below(40) {
            text.push_str(SHARDS[random.below(SHARDS.len())]);
            text.push_str(["", " ", " x ", "\n"][random.below(4)]);
        }
        check(&text);
    }
}

#[test]
fn noise_alone() {
    let mut random = Random(4);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(100)).map(|_| random.below(256) as u8).collect();
        assert!(!check(&String::from_utf8_lossy(&bytes)));
    }
}

#[test]
fn the_dense_forms_stay_in_proportion() {
    let repeated = |head: &str, unit: &dyn Fn(usize) -> String, tail: &str| {
        let units: String = (0..20_000).map(unit).collect();
        let text = format!(".version 9.0 .target sm_80 .entry k {{ {head}{units}{tail} }}");
        assert!(check(&text), "{head}");
    };
    repeated("", &|_| "a;".into(), "");
    repeated("", &|_| "a.b.c;".into(), "");
    repeated("", &|_| "{}".into(), "");
    repeated("", &|i| format!("{{L{i}:}}"), "");
    repeated("", &|i| format!("L{i}:"), "");
    repeated("", &|_| "{.reg .b8 a;a:a;}".replace("a:", ""), "");
    repeated(".reg .b32 x0", &|i| format!(",r{i}"), ";");
    repeated(".local .b8 x0", &|i| format!(",r{i}"), ";");
    repeated("t: .branchtargets a", &|_| ",a".into(), ";");
    let text = format!(".version 9.0 .target sm_80 .global .u64 a[] = {{a{}}};", ",a".repeat(20_000));
    assert!(check(&text));
    for unit in [",_", ",0", ",[0]", ",{}", ",a|b", ",{_,_}"] {
        let text = format!(".version 9.0 .target sm_80 .entry k {{ a _{}; }}", unit.repeat(20_000));
        assert!(check(&text), "{unit}");
    }
}
