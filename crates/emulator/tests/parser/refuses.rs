//! Errors: what, and on which line.

use yuragi_emulator::ptx::{MAX_NESTING, MAX_REGISTERS, Module};

use super::{FORMS, HEAD, declare, kernel};

#[test]
fn statements() {
    for (text, message) in [
        ("mov.u32 %r1, %r2", "expected `;` after an instruction, found `}`"),
        ("mov.u32 %r1 %r2;", "expected `;` after an instruction, found `%r2`"),
        ("mov.u32 %r1,;", "expected an operand, found `;`"),
        (";", "expected a statement, found `;`"),
        ("@%p1;", "expected an instruction after its guard"),
        ("@ mov.b32 x, y;", "expected an instruction after its guard, found `.b32`"),
        ("ld.b32 x, [y;", "expected `]`"),
        ("ld.b32 x, [];", "expected an address"),
        ("ld.b32 x, [y-4];", "a negative offset is written `[name+-4]`"),
        ("ld.b32 x, [y+z];", "expected an offset"),
        ("ld.b32 x, [y+0xFFFFFFFFFFFFFFFF];", "exceeds 63 bits"),
        ("ld.b32 x, y[2];", "array elements are not supported"),
        ("mov.b64 x, y-4;", "a negative offset is written `name+-4`"),
        ("mov.b64 {x, y, z;", "expected `}`"),
        ("mov.b32 x, y|;", "expected a second destination"),
        ("mov.b32 x, 18446744073709551616;", "integer of more than 64 bits"),
        ("mov.b32 x, 089;", "`089` is no number"),
        ("mov.b32 x, 0x;", "`0x` is no number"),
        ("mov.b32 x, 12ab;", "`12ab` is no number"),
        ("mov.b32 x, 5u;", "`5u` is no number"),
        ("mov.b32 x, 0f3F8;", "`0f` takes 8 hexadecimal digits"),
        ("mov.b32 x, 0d3F800000;", "`0d` takes 16 hexadecimal digits"),
        ("mov.b32 x, 1.5x;", "`1.5x` is no number"),
        ("mov.b32 x, 1e999;", "`1e999` exceeds the range of f64"),
        ("mov.b32 x, 1/0;", "a division by zero"),
        ("mov.b32 x, 1%0U;", "`%0U`"),
        ("mov.b32 x, 1 % 0U;", "a division by zero"),
        ("mov.b32 x, 1.5+1;", "an integer is needed here"),
        ("mov.b32 x, (1;", "expected `)`"),
        ("mov.b32 x, 1 ? 2;", "expected `:`"),
        ("mov.b32 x, \"y\";", "found a string"),
        ("mov.b32 é, x;", "unexpected character 'é'"),
        ("mov.b32 x, %;", "expected an operand, found `%`"),
        ("mov.b32 x, \0;", "unexpected character '\\0'"),
        ("mov. x;", "a dot without a word"),
        ("ld.shared: x;", "found `:`"),
        ("#line 5", "preprocessor lines"),
        (".frobnicate 5;", "unknown directive `.frobnicate` in a function"),
        (".global .b32 g;", "`.global` inside of a function"),
        (".callprototype _ (.param .b32 _);", "`.callprototype` without its label"),
        ("p: .callprototype _ (.param .b32 _)", "expected `;` after a prototype"),
        ("t: .branchtargets a b;", "expected `;` after targets"),
        ("_: ret;", "a label of the name `_`"),
        (".reg x;", "expected a type after `.reg`"),
        (".reg .b33 x;", "unknown type `.b33`"),
        (".reg .v4 .f32 x;", "vector registers are not supported"),
        (".reg .b32 _;", "expected the name of a register"),
        (".reg .b32 x<3;", "expected `>`"),
        (".local .align 3 .b8 x[2];", "an alignment of 3; powers of two"),
        (".local .align 4294967296 .b8 x[2];", "an alignment of 4294967296"),
        (".shared .texref x;", "unknown type `.texref`"),
        (".shared .pred x;", "which only registers hold"),
        (".shared .v4 .b64 x;", "a vector of 32 bytes"),
        (".shared .b32 x[0];", "an extent of 0"),
        (".shared .b32 x[2][];", "only the first extent may be left out"),
        (".shared .b32 x[-1];", "expected an extent"),
        (".local .b32 x = 5;", "`local` has no initial value"),
        (".pragma nounroll;", "expected a string"),
        (".pragma \"nounroll;\n\"", "a string without its closing quote"),
        (".loc 1 2, 3", "expected a column"),
        (".loc 1 2 3, elsewhere", "unknown attribute `elsewhere`"),
    ] {
        let error = kernel(text).unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
        // What is missing, or wrong with the last word, is noticed at the next, which may stand on the next line.
        assert!((5..=6).contains(&error.line), "{text}: {error}");
    }
}

#[test]
fn declarations() {
    for (text, message) in [
        ("x", "expected a directive, found `x`"),
        (".alias f, g;", "`.alias` is not supported"),
        (".frobnicate", "unknown directive `.frobnicate`"),
        (".version 9.0", "`.version` a second time"),
        (".local .b32 x;", "`.local` outside of a function"),
        (".address_size 48", "an address size of 48"),
        (".visible .visible .global .b32 x;", "expected `.entry`, `.func`"),
        (".global .b32;", "expected the name of a variable"),
        (".global .b32 x", "expected `;` after a variable, found the end of the text"),
        (".global .b32 x; .global .b32 x;", "`x` is already declared on line 4"),
        (".extern .global .b32 x; .const .b32 x;", "`x` is already declared on line 4"),
        (".global .b32 f; .func f();", "`f` is already declared on line 4"),
        (".func f(); .global .b32 f;", "`f` is already declared on line 4"),
        (".func f() { } .func f() { }", "`f` is already declared on line 4"),
        (".entry (.param .b32 x) f();", "expected the name of a function"),
        (".entry f(.reg .b32 x) { }", "expected a parameter"),
        (".entry f(.param .b32 x,) { }", "expected a parameter"),
        (".entry f(.param .b32 x = 4) { }", "`param` has no initial value"),
        (".entry f .maxntid 0 { }", "`.maxntid 0`; 1 to 4294967295"),
        (".entry f .maxntid 4294967296 { }", "`.maxntid 4294967296`"),
        (".func f .maxntid 32 { }", "it is for kernels"),
        (".entry f .frobnicate { }", "unknown directive `.frobnicate` of a function"),
        (".entry f x { }", "expected the body of `f`"),
        (".entry f {", "the body of `f` has no end"),
        (".entry f { {", "the body of `f` has no end"),
        (".global .b8 x[1099511627777];", "a variable of more than 1099511627776 bytes"),
        (".global .b64 x[4294967296][4294967296];", "a variable of more than"),
        (".global .v4 .b32 x[18446744073709551615];", "a variable of more than"),
        (".section .debug { { }", "a section without its closing `}`"),
        ("/* ", "a comment `/*` without its end"),
        ("\u{feff}", "unexpected character '\\u{feff}'"),
    ] {
        let error = declare(text).unwrap_err();
        assert!(error.line == 4 && error.message.contains(message), "{text}: {error}");
    }
    for (text, message) in [
        ("", "expected `.version`"),
        (".target sm_80", "expected `.version`"),
        (".version 9", "expected a version"),
        (".version 9.x", "expected a version"),
        (".version 99999999999.0", "expected a version"),
        (".version 9.0 .global .b32 x;", "expected `.target`"),
        (".version 9.0 .target 80", "expected a target"),
    ] {
        let error = text.parse::<Module>().unwrap_err();
        assert!(error.line == 1 && error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn too_many_registers() {
    for text in [
        ".reg .b32 %r<4000000000>;".to_string(),
        ".reg .b32 %r<18446744073709551615>;".to_string(),
        format!(".reg .b32 %r<{}>;", MAX_REGISTERS + 1),
        // Within a function's limit, but not justified by the text.
        ".reg .b32 %r<70000>;".to_string(),
        ".reg .b32 %r<40000>;\n{ .reg .b32 %r<40000>; }".to_string(),
    ] {
        let error = kernel(&text).unwrap_err();
        assert!(error.message.starts_with("more registers than 1000000 in a function"), "{error}");
        assert_eq!(error.line as usize, 4 + text.lines().count());
    }
    assert_eq!(kernel(".reg .b32 %r<60000>;").unwrap().registers.len(), 60_000);
    // A text that is long enough, as one that uses its registers is.
    let long = format!(".reg .b32 %r<100000>;\n//{}\n", " ".repeat(400_000));
    assert_eq!(kernel(&long).unwrap().registers.len(), 100_000);
    let longer = format!(".reg .b32 %r<{}>;\n//{}\n", MAX_REGISTERS + 1, " ".repeat(4_100_000));
    assert!(kernel(&longer).is_err());
}

#[test]
fn nesting_is_limited() {
    let most = MAX_NESTING as usize;
    let deep = |open: &str, inner: &str, close: &str, depth: usize| {
        kernel(&format!("mov.b32 x, {}{inner}{};", open.repeat(depth), close.repeat(depth)))
    };
    for (open, inner, close) in [("(", "1", ")"), ("-", "1", ""), ("!", "1", ""), ("{", "y", "}"), ("1?", "2", ":3")] {
        assert!(deep(open, inner, close, most / 2).is_ok(), "{open}");
        for depth in [most + 2, 100_000] {
            let error = deep(open, inner, close, depth).unwrap_err();
            assert!(error.message.contains("nested deeper than"), "{open}: {error}");
        }
    }
    assert!(deep("[y, ", "z", "]", 100_000).is_err());
    assert!(declare(&format!(".global .b8 x{};", "[1]".repeat(100_000))).is_err());
    assert!(declare(&format!(".global .b8 x[] = {}", "{".repeat(100_000))).is_err());
    assert!(declare(&format!(".global .attribute{} .b8 x;", "(".repeat(100_000))).is_err());
    assert!(declare(&format!(".section .x {}", "{".repeat(100_000))).is_err());
    let sums = kernel(&format!("mov.b32 x, {}1;", "1+".repeat(100_000))).unwrap();
    assert_eq!(sums.body[0].to_string(), "mov.b32 x, 100001;");
}

#[test]
fn messages_stay_short() {
    let long = "x".repeat(1 << 20);
    for text in [format!("mov y {long};"), format!(".{long}"), format!(".reg .{long} y;"), format!("{long}: {long}:")] {
        assert!(kernel(&text).unwrap_err().message.len() < 200);
    }
}

#[test]
fn a_text_that_ends_early() {
    assert!(FORMS.parse::<Module>().is_ok());
    let lines = FORMS.lines().count();
    let mut refused = 0;
    for (end, _) in FORMS.char_indices() {
        if let Err(error) = FORMS[..end].parse::<Module>() {
            assert!((1..=lines).contains(&(error.line as usize)), "{error}");
            refused += 1;
        }
    }
    // A text may end between two declarations; the two kernels are most of it.
    assert!(refused > FORMS.len() * 3 / 4, "{refused}");
}

#[test]
fn the_end_of_a_line_does_not_matter() {
    let text = FORMS.replace('\n', "\r\n");
    let (windows, unix): (Module, Module) = (text.parse().unwrap(), FORMS.parse().unwrap());
    assert_eq!(format!("{windows:?}"), format!("{unix:?}"));
    assert!(format!("{HEAD}\r.global .b32 x;").parse::<Module>().is_ok());
}
