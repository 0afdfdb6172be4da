//! What a name means where it stands.

use yuragi_emulator::ptx::{Function, MAX_SCOPE_DEPTH};

use super::kernel;

fn printed(function: &Function) -> Vec<String> {
    function.body.iter().map(|instruction| instruction.to_string()).collect()
}

fn registers(function: &Function) -> Vec<&str> {
    function.registers.iter().map(|register| register.name.as_str()).collect()
}

#[test]
fn an_inner_name_shadows_an_outer_one_from_its_declaration_on() {
    let kernel = kernel(
        ".reg .b32 x, y; mov.b32 x, 0;
        { mov.b32 x, 1; .reg .b32 x; mov.b32 x, y;
            { .reg .pred x; @x mov.b32 y, 2; }
            mov.b32 x, 3; }
        { .reg .f32 x<2>; mov.f32 x0, x1; mov.b32 x, x2; }
        mov.b32 x, 4;",
    )
    .unwrap();
    assert_eq!(registers(&kernel), ["x", "y", "x$1", "x$2", "x0$3", "x1$3"]);
    assert_eq!(
        printed(&kernel),
        [
            "mov.b32 x, 0;",
            "mov.b32 x, 1;",
            "mov.b32 x$1, y;",
            "@x$2 mov.b32 y, 2;",
            "mov.b32 x$1, 3;",
            "mov.f32 x0$3, x1$3;",
            "mov.b32 x, x2;",
            "mov.b32 x, 4;"
        ]
    );
}

#[test]
fn a_label_is_seen_in_its_whole_scope_and_nowhere_else() {
    let kernel = kernel(
        "again: bra done;
        { bra again; bra done; { bra done; } done: }
        { again: bra again; }
        bra again; done:",
    )
    .unwrap();
    let branches = ["done", "again", "done$1", "done$1", "again$3", "again"];
    assert_eq!(printed(&kernel), branches.map(|label| format!("bra {label};")));
    let labels: Vec<_> = kernel.labels.iter().map(|(label, at)| (label.as_str(), *at)).collect();
    assert_eq!(labels, [("again", 0), ("done$1", 4), ("again$3", 4), ("done", 6)]);
}

#[test]
fn tables_variables_and_every_kind_of_operand_are_renamed() {
    let kernel = kernel(
        "{ .reg .b32 x<4>; .reg .pred p; .shared .align 8 .b8 s[16]; .local .b32 l;
        t: .branchtargets a, b;
        @!p brx.idx x0, t;
        a: mov.u32 x0, s+4; st.shared.u32 [s+8], x0;
        mov.b64 {x0, x1}, x2; setp.eq.b32 p|x3, x0, !p; neg.f32 x1, -x2;
        vadd.u32.u32.u32 x0, x1.b0, x2.h1;
        cp.tensor [x0], [x1, {x2, 3}];
        call (x0), f, (x1, l);
        b: }",
    )
    .unwrap();
    assert_eq!(kernel.tables, [("t$1".to_string(), vec!["a$1".to_string(), "b$1".to_string()])]);
    let variables: Vec<_> = kernel.variables.iter().map(|v| (v.name.as_str(), v.count, v.align)).collect();
    assert_eq!(variables, [("s$1", 16, 8), ("l$1", 1, 4)]);
    assert_eq!(
        printed(&kernel),
        [
            "@!p$1 brx.idx x0$1, t$1;",
            "mov.u32 x0$1, s$1+4;",
            "st.shared.u32 [s$1+8], x0$1;",
            "mov.b64 {x0$1, x1$1}, x2$1;",
            "setp.eq.b32 p$1|x3$1, x0$1, !p$1;",
            "neg.f32 x1$1, -x2$1;",
            "vadd.u32.u32.u32 x0$1, x1$1.b0, x2$1.h1;",
            "cp.tensor [x0$1], [x1$1, {x2$1, 3}];",
            "call (x0$1), f, (x1$1, l$1);"
        ]
    );
}

#[test]
fn a_made_name_never_equals_a_written_one() {
    // `x$1` is a register after the scopes, `y$1` a function that is only called, `z$1` one of a range.
    let kernel = kernel(
        "{ .reg .b32 w, x, y, z; mov.b32 x, y; call y$1; mov.b32 z, w; }
        { .reg .b32 x; mov.b32 x, 1; }
        .reg .b32 x$1, z$<2>; mov.b32 x$1, z$1;",
    )
    .unwrap();
    // There are two inner scopes, so numbers from 3 on name none.
    assert_eq!(registers(&kernel), ["w$1", "x$3", "y$4", "z$5", "x$2", "x$1", "z$0", "z$1"]);
    assert_eq!(
        printed(&kernel),
        ["mov.b32 x$3, y$4;", "call y$1;", "mov.b32 z$5, w$1;", "mov.b32 x$2, 1;", "mov.b32 x$1, z$1;"]
    );
}

#[test]
fn names_of_one_scope_are_distinct() {
    for (text, name, line) in [
        (".reg .b32 x;\n.reg .f32 x;", "x", 6),
        (".reg .b32 x<4>;\n\n.reg .b32 x3;", "x3", 7),
        (".reg .b32 x3;\n.reg .b32 x<4>;", "x3", 6),
        (".reg .b32 a;", "a", 5),
        ("{ .reg .b32 x;\nx: }", "x", 6),
        ("x:\nx:", "x", 6),
        (".local .b32 x,\nx;", "x", 6),
        ("t: .branchtargets x;\nt: ret;", "t", 6),
    ] {
        let error = kernel(text).unwrap_err();
        assert!(error.line == line && error.message.contains(&format!("`{name}` is already declared")), "{error}");
    }
}

#[test]
fn scopes_nest_to_their_limit() {
    let nested = |depth: usize| kernel(&("{".repeat(depth) + ".reg .b32 x; mov.b32 x, x;" + &"}".repeat(depth)));
    let deep = nested(MAX_SCOPE_DEPTH).unwrap();
    assert_eq!(printed(&deep), [format!("mov.b32 x${MAX_SCOPE_DEPTH}, x${MAX_SCOPE_DEPTH};")]);
    let error = nested(MAX_SCOPE_DEPTH + 1).unwrap_err();
    assert!(error.message.contains("nested deeper than"), "{error}");
}
