//! What NVRTC writes, and every form by hand.

use yuragi_emulator::ptx::{Instruction, Module, Operand, Register, Space, Type};

use super::{CALLS, DEBUG, FORMS, HEAD, HOPPER, TENSOR, declare, kernel, printed};

fn name(name: &str) -> Operand {
    Operand::Name(name.into())
}

fn address(base: &str, offset: i64) -> Operand {
    Operand::Address { base: base.into(), offset, coordinates: vec![] }
}

/// The instruction on a line of the text.
fn on_line<'a>(module: &'a Module, text: &str, words: &str) -> &'a Instruction {
    let line = 1 + text.lines().position(|line| line.contains(words)).unwrap() as u32;
    module.functions.iter().flat_map(|f| &f.body).find(|i| i.line == line).unwrap()
}

#[test]
fn kernels_with_calls_globals_and_local_arrays() {
    let module: Module = CALLS.parse().unwrap();
    assert_eq!((module.version, module.target.as_str(), module.address_bytes), ((9, 0), "sm_80", 8));

    let names: Vec<_> = module.functions.iter().map(|f| (f.name.as_str(), f.entry, f.declared_only)).collect();
    let expected = [
        ("_Z7half_off", false, false),
        ("_Z6squaref", false, false),
        ("_Z4swap4Pairi", false, false),
        ("calls", true, false),
        ("gather", true, false),
    ];
    assert_eq!(names, expected, "a definition takes its declaration's place");

    let [maps, counts, second, weights, scratch] = module.variables.as_slice() else { panic!("{module:?}") };
    let maps_at = [(0, "_Z7half_off".to_string(), 0), (8, "_Z6squaref".to_string(), 0)];
    assert_eq!((maps.of, maps.count, &maps.initial, &maps.relocations[..]), (Type::U64, 2, &vec![0; 16], &maps_at[..]));
    assert_eq!((counts.count, counts.initial.len(), counts.initial[4]), (16, 9, 254));
    assert_eq!((second.count, &second.relocations[..]), (1, &[(0, "counts".to_string(), 4)][..]));
    assert_eq!((weights.space, weights.count, weights.initial[3]), (Space::Constant, 24, 63));
    assert_eq!((scratch.space, scratch.external, scratch.count, scratch.align), (Space::Shared, true, 0, 16));

    let swap = &module.functions[2];
    assert_eq!((swap.returns[0].of, swap.returns[0].count, swap.returns[0].align), (Type::B8, 8, 4));
    assert_eq!((swap.params.len(), swap.params[1].name.as_str()), (2, "_Z4swap4Pairi_param_1"));

    let calls = &module.functions[3];
    assert_eq!((calls.max_threads, calls.required_threads, calls.cluster), (Some([128, 1, 1]), None, None));
    assert_eq!(calls.line as usize, 1 + CALLS.lines().position(|line| line == ".visible .entry calls(").unwrap());
    let call: Vec<_> = calls.body.iter().filter(|i| i.opcode[0] == "call").collect();
    assert_eq!(call[0].to_string(), "call.uni (retval0$1), _Z4swap4Pairi, (param0$1, param1$1);");
    assert_eq!(call[1].to_string(), "call (retval0$2), %rd7, (param0$2), prototype_1;");

    let gather = &module.functions[4];
    let depot = &gather.variables[0];
    assert_eq!((depot.name.as_str(), depot.space, depot.count, depot.align), ("__local_depot4", Space::Local, 12, 4));
    assert_eq!(gather.registers[0], Register { name: "%SP".into(), of: Type::B64 });
    assert_eq!(gather.labels.len(), 2);
    let back = gather.body.iter().rposition(|i| i.opcode[0] == "bra").unwrap();
    let branch = &gather.body[back];
    assert_eq!((&branch.guard, &branch.operands), (&Some(("%p2".into(), false)), &vec![name("$L__BB4_2")]));
    let (_, target) = gather.labels.iter().find(|(label, _)| label == "$L__BB4_2").unwrap();
    assert!(*target < back && gather.body[*target].to_string() == "mul.lo.s32 %r8, %r25, 5;");
}

#[test]
fn matrix_instructions_and_pairs() {
    let module: Module = TENSOR.parse().unwrap();
    let tensor = &module.functions[0];
    assert_eq!((tensor.variables[0].count, tensor.variables[0].align), (2048, 128));
    assert_eq!(
        on_line(&module, TENSOR, "ldmatrix.sync.aligned.m8n8.x2").operands,
        [Operand::Vector(vec![name("%r7"), name("%r8")]), address("%r9", 512)]
    );
    let mma = on_line(&module, TENSOR, "mma.sync");
    assert_eq!(mma.opcode.join(" "), "mma sync aligned m16n8k16 row col f32 bf16 bf16 f32");
    assert_eq!(mma.operands.len(), 4);
    assert_eq!(
        on_line(&module, TENSOR, "match.all").operands,
        [Operand::Pair(Box::new(name("%r25")), Box::new(name("%p2"))), name("%r24"), name("%r22")]
    );
    assert_eq!(on_line(&module, TENSOR, "mov.u32 \t%r22, -1;").operands[1], Operand::Integer(u64::MAX));
}

#[test]
fn hopper_copies_barriers_and_wgmma() {
    let module: Module = HOPPER.parse().unwrap();
    let hopper = &module.functions[0];
    assert_eq!(hopper.cluster, Some([2, 1, 1]));
    assert_eq!((hopper.params[0].count, hopper.params[0].align), (128, 64));
    let copy = on_line(&module, HOPPER, "cp.async.bulk.tensor.2d.shared::cluster.global");
    assert_eq!(copy.opcode[5..], ["shared::cluster", "global", "mbarrier::complete_tx::bytes"]);
    let tile = Operand::Address { base: "%rd4".into(), offset: 0, coordinates: vec![name("%r9"), name("%r5")] };
    assert_eq!(copy.operands, [address("%r11", 0), tile, address("%r12", 0)]);
    assert_eq!(
        on_line(&module, HOPPER, "wgmma.mma_async").operands[3..],
        [name("p$2"), Operand::Integer(1), Operand::Integer(u64::MAX), Operand::Integer(0), Operand::Integer(1)]
    );
    // The two waits have the same label, each in its scope.
    let waits: Vec<_> = hopper.labels.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(waits, ["WAIT$1", "DONE$1", "WAIT$3"]);
    let branches = hopper.body.iter().filter(|i| i.opcode[0] == "bra").map(|i| i.to_string());
    assert_eq!(branches.collect::<Vec<_>>(), ["@p$1 bra DONE$1;", "bra WAIT$1;", "@!p$3 bra WAIT$3;"]);
    let predicates = hopper.registers.iter().filter(|r| r.of == Type::Pred).map(|r| r.name.as_str());
    assert_eq!(predicates.collect::<Vec<_>>(), ["p$1", "p$2", "p$3"]);
}

#[test]
fn debug_directives_are_skipped() {
    let module: Module = DEBUG.parse().unwrap();
    let debug = &module.functions[0];
    assert_eq!(debug.body.len(), 9);
    assert_eq!(on_line(&module, DEBUG, "add.f32").to_string(), "add.f32 %f2, %f1, %f1;");
}

#[test]
fn every_form() {
    let module: Module = FORMS.parse().unwrap();
    assert_eq!((module.version, module.target.as_str()), ((8, 7), "sm_90"));
    let variable = |name: &str| module.variables.iter().find(|v| v.name == name).unwrap();
    assert_eq!((variable("quad").count, variable("quad").align), (4, 16));
    assert_eq!(variable("name").count, 3);
    assert_eq!(variable("links").relocations, [(0, "word".into(), 0), (8, "bytes".into(), 4)]);
    assert_eq!(variable("links").initial[16..], 7u64.to_le_bytes());
    assert_eq!(variable("loose").line, 11);

    let function = |name: &str| module.functions.iter().find(|f| f.name == name).unwrap();
    assert!(function("outside").declared_only && function("later").declared_only);
    let twice = function("twice");
    assert_eq!((twice.returns[0].name.as_str(), twice.params[0].space), ("y", Space::Generic));
    let names: Vec<_> = twice.registers.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["y", "x"]);

    let forms = function("forms");
    assert_eq!((forms.line, forms.required_threads, forms.cluster), (30, Some([32, 2, 1]), Some([2, 1, 1])));
    let params: Vec<_> = forms.params.iter().map(|p| (p.name.as_str(), p.of, p.count, p.align)).collect();
    assert_eq!(params, [("in", Type::U64, 1, 8), ("out", Type::U64, 1, 8), ("pack", Type::B8, 24, 8)]);
    assert_eq!(forms.tables, [("table".to_string(), vec!["$L__end".to_string(), "$L__loop".to_string()])]);
    let all: Vec<_> = forms.variables.iter().map(|v| (v.name.as_str(), v.space)).collect();
    let expected = [("spill", Space::Local), ("a$3", Space::Param), ("c$3", Space::Param), ("c$4", Space::Param)];
    assert_eq!(all, expected);
    assert_eq!(forms.body.last().map(|i| i.to_string()).as_deref(), Some("ret;"));
}

#[test]
fn operands() {
    for (text, expected) in [
        ("bar.sync 0;", "bar.sync 0;"),
        ("mov .u32 %r1 , %tid .x;", "mov.u32 %r1, %tid.x;"),
        ("mov/* */.u32 %r1, // %r2\n %r3;", "mov.u32 %r1, %r3;"),
        ("@ ! p ld.global.f32 %f1, [%rd1 + 4];", "@!p ld.global.f32 %f1, [%rd1+4];"),
        ("ld.global.f32 %f1, [%rd1+-0x8];", "ld.global.f32 %f1, [%rd1+-8];"),
        ("ld.global.f32 %f1, [%rd1+4*(2+1)];", "ld.global.f32 %f1, [%rd1+12];"),
        ("ld.global.f32 %f1, [%rd1+0];", "ld.global.f32 %f1, [%rd1];"),
        ("ld.global.f32 %f1, [4096];", "ld.global.f32 %f1, [4096];"),
        ("mov.b64 {_, %r1}, %rd1;", "mov.b64 {_, %r1}, %rd1;"),
        ("elect.sync _|p, -1;", "elect.sync _|p, -1;"),
        ("add.f32 %f1, -%f2, %f3;", "add.f32 %f1, -%f2, %f3;"),
        ("mov.f32 %f1, 0f3F800000;", "mov.f32 %f1, 0f3F800000;"),
        ("mov.f32 %f1, -1.5;", "mov.f32 %f1, 0dBFF8000000000000;"),
        ("mov.f32 %f1, 1e-3;", "mov.f32 %f1, 0d3F50624DD2F1A9FC;"),
        ("tex.2d.v4.f32.f32 {a, b, c, d}, [%rd1, {x, y}];", "tex.2d.v4.f32.f32 {a, b, c, d}, [%rd1, {x, y}];"),
        ("call.uni f;", "call.uni f;"),
        ("call.uni f, ();", "call.uni f, ();"),
        ("call.uni (r), f, (a, 1+2), t;", "call.uni (r), f, (a, 3), t;"),
        ("try.acquire.shared::cta.b64 p, [%r1], 0x989680;", "try.acquire.shared::cta.b64 p, [%r1], 10000000;"),
        ("tcgen05.cp.cta_group::1.128x256b [%r1], x;", "tcgen05.cp.cta_group::1.128x256b [%r1], x;"),
        ("cp.4d.global.im2col [a], [b, {1, -2}], [c], {5};", "cp.4d.global.im2col [a], [b, {1, -2}], [c], {5};"),
    ] {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn integers_and_constant_expressions() {
    for (text, value) in [
        ("0", 0i64),
        ("0U", 0),
        ("42", 42),
        ("0x1F", 31),
        ("0XfU", 15),
        ("077", 63),
        ("0b101U", 5),
        ("18446744073709551615", -1),
        ("-0xFFFFFFFFFFFFFFFF", 1),
        ("-9223372036854775808", i64::MIN),
        ("- -7", 7),
        ("+7", 7),
        ("~5", -6),
        ("!5", 0),
        ("!0 + 1", 2),
        ("WARP_SZ", 32),
        ("WARP_SZ*2-1", 63),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("1 << 4 | 1", 17),
        ("1 << 64", 0),
        ("-1 >> 70", -1),
        ("0xFFFFFFFFFFFFFFFF >> 63", 1),
        ("-7 / 2", -3),
        ("-7 % 4", -3),
        // The decimal 2^63 is unsigned, and so is what is computed with it.
        ("-9223372036854775808 / -1", 0),
        ("-1 < 0", 1),
        ("-1 < 0U", 0),
        ("6 & 3 ^ 1", 3),
        ("1 == 1 && 2 != 2 || 0", 0),
        ("1 ? 2 : 3", 2),
        ("0 ? 2 : 0 ? 3 : 4", 4),
        ("(.s64) -1 < 0", 1),
        ("(.u64) -1 < 0", 0),
    ] {
        let kernel = kernel(&format!("mov.u64 %rd1, {text};")).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(kernel.body[0].operands[1], Operand::Integer(value as u64), "{text}");
    }
}

#[test]
fn lines_are_those_of_the_text() {
    let module: Module =
        format!("{HEAD}/* \n\n */ .global .b32\r\n g;\n.func f\n()\n{{\n mov.b32\n x,\n y; ret;\n}}").parse().unwrap();
    assert_eq!(module.variables[0].line, 7);
    assert_eq!(module.functions[0].line, 8);
    let lines: Vec<_> = module.functions[0].body.iter().map(|i| i.line).collect();
    assert_eq!(lines, [11, 13]);
}

#[test]
fn a_definition_replaces_a_declaration_in_any_order() {
    for text in [".extern .global .b32 g;\n.func f();\n", ""] {
        let after = if text.is_empty() { ".extern .global .b32 g;\n.func f();\n" } else { "" };
        let module = declare(&format!("{text}.global .b32 g = 5;\n.func f() {{ ret; }}\n{after}")).unwrap();
        assert_eq!((module.variables.len(), module.functions.len()), (1, 1));
        assert!(!module.variables[0].external && module.variables[0].initial == [5, 0, 0, 0]);
        assert!(!module.functions[0].declared_only && module.functions[0].body.len() == 1);
    }
}

#[test]
fn a_size_takes_no_memory() {
    let module = declare(".global .b8 all[1024][1073741824];").unwrap();
    assert_eq!((module.variables[0].count, module.variables[0].initial.capacity()), (1 << 40, 0));
}

#[test]
fn types_and_spaces_have_their_names() {
    for of in Type::ALL {
        assert_eq!(Type::parse(of.name()), Some(of));
    }
    let bytes: u64 = Type::ALL.iter().map(|of| of.bytes()).sum();
    assert_eq!(bytes, (1 + 2 + 4 + 8 + 16) + 2 * (1 + 2 + 4 + 8) + 2 * (2 + 4) + 2 * 4 + 8 + 2 + 2 * 2 + 1);
    for space in [Space::Global, Space::Shared, Space::Local, Space::Constant, Space::Param] {
        assert_eq!(Space::parse(space.name()), Some(space));
    }
    assert_eq!(Space::parse("generic"), None);
}
