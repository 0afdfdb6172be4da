//! The bytes of initial values.

use yuragi_emulator::ptx::Variable;

use super::declare;

fn variable(text: &str) -> Variable {
    declare(text).unwrap_or_else(|error| panic!("{text}: {error}")).variables.remove(0)
}

#[test]
fn literals_become_little_endian_bytes() {
    for (text, bytes) in [
        (".global .u8 a = 255;", &[255][..]),
        (".global .s8 a = -1;", &[255]),
        (".global .b8 a = 256;", &[0]),
        (".global .u16 a = 0x1234;", &[0x34, 0x12]),
        (".global .s32 a = -2;", &[254, 255, 255, 255]),
        (".global .b32 a = 0f3F800000;", &[0, 0, 128, 63]),
        (".global .f32 a = 1.5;", &[0, 0, 192, 63]),
        (".global .f32 a = 0d3FF8000000000000;", &[0, 0, 192, 63]),
        (".global .f64 a = 0f3FC00000;", &[0, 0, 0, 0, 0, 0, 248, 63]),
        (".const .b64 a = 0d3FF0000000000000;", &[0, 0, 0, 0, 0, 0, 240, 63]),
        (".const .u32 a = (1 << 8) | WARP_SZ;", &[32, 1, 0, 0]),
        (".global .b8 a[4] = {1, 2};", &[1, 2]),
        (".global .b8 a[4] = {};", &[]),
        // An H100 does not fill up inner rows that are too short.
        (".global .b8 a[2][3] = {{1}, {2, 3}};", &[1, 2, 3]),
        (".global .b8 a[2][2][2] = {{{1, 2}}, {{3}, {4}}};", &[1, 2, 3, 4]),
        (".global .v2 .b8 a[2] = {{1, 2}, {3}};", &[1, 2, 3]),
    ] {
        assert_eq!(variable(text).initial, bytes, "{text}");
    }
}

#[test]
fn an_unsized_array_has_the_extent_of_its_values() {
    assert_eq!(variable(".global .b8 a[] = {1, 2, 3};").count, 3);
    assert_eq!(variable(".global .b16 a[][4] = {{1}, {2}, {3}};").count, 12);
    assert_eq!(variable(".global .v4 .f32 a[] = {{1.0}, {2.0}};").count, 8);
}

#[test]
fn addresses_stand_as_relocations() {
    let a = variable(".global .u64 a[4] = {5, b, generic(c)+8, d+-4};");
    assert_eq!(a.relocations, [(8, "b".into(), 0), (16, "c".into(), 8), (24, "d".into(), -4)]);
    assert_eq!(a.initial, [&[5u8][..], &[0; 31]].concat());
}

#[test]
fn several_variables_share_a_type() {
    let module = declare(".global .align 8 .b16 a, b[3], c = 7;").unwrap();
    let all: Vec<_> = module.variables.iter().map(|v| (v.name.as_str(), v.count, v.align, v.initial.len())).collect();
    assert_eq!(all, [("a", 1, 8, 0), ("b", 3, 8, 0), ("c", 1, 8, 2)]);
}

#[test]
fn what_fits_no_type_or_extent_is_refused() {
    for (text, message) in [
        (".global .b8 a[2] = {1, 2, 3};", "more initial values than 2"),
        (".global .b8 a[2][2] = {1, 2};", "expected `{`"),
        (".global .b8 a[2] = 1;", "expected `{`"),
        (".global .b32 a = {1};", "expected an initial value"),
        (".global .b8 a[3] = {1, 2,};", "expected an initial value"),
        (".global .u32 a = 0f3F800000;", "does not fit `.u32`"),
        (".global .f64 a = -2;", "does not fit `.f64`"),
        (".global .f32 a = 1;", "does not fit `.f32`"),
        (".global .f16 a = 1.5;", "does not fit `.f16`"),
        (".global .b128 a = 1;", "does not fit `.b128`"),
        (".global .u32 a = b;", "it takes `.u64`"),
        (".global .b8 a[2] = {0xff(b), 0xff00(b)};", "a mask of an address"),
        (".shared .b32 a = 1;", "`shared` has no initial value"),
        (".extern .global .b32 a = 1;", "`.extern` has no initial value"),
        (".global .b8 a[];", "neither a size nor initial values"),
        (".global .b8 a[] = {};", "neither a size nor initial values"),
    ] {
        let error = declare(text).unwrap_err();
        assert!(error.line == 4 && error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn values_take_no_more_memory_than_the_text_justifies() {
    let rows = declare(".global .b8 a[2][1073741824] = {{1}, {2}};").unwrap();
    assert_eq!((rows.variables[0].count, rows.variables[0].initial.as_slice()), (1 << 31, &[1, 2][..]));
}
