//! `wmma`: matrices in registers of a warp, whose places in them no program knows.

use super::{
    Found, Operands,
    control::{element, registers},
    decoder::Decoder,
    memory::space,
    words::Words,
};
use crate::{
    counters::Class,
    program::{Element, Fragment, FragmentProduct, Op},
    ptx::Type,
};

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    if name != "wmma" {
        return Ok(None);
    }
    w.ignore(&["sync", "aligned"]);
    if w.take("mma") {
        return Ok(Some((product(d, w, o)?, Class::Matrix)));
    }
    let load = w.take("load");
    if !load && !w.take("store") {
        return Err("this form is not supported".into());
    }
    let which = w.choose(&[("a", 'a'), ("b", 'b'), ("c", 'c'), ("d", 'c')]).ok_or("the matrix is missing")?;
    let space = space(w);
    let by_columns = w.choose(&[("row", false), ("col", true)]).ok_or("`.row` or `.col` is missing")?;
    let of = w.last_type()?;
    let [m, n, k] = shape(w)?;
    let (rows, columns) = match which {
        'a' => (m, k),
        'b' => (k, n),
        _ => (m, n),
    };
    let sums = which == 'c';
    if !is_legal([m, n, k], of, sums) {
        return Err("the shape is not supported for this type".into());
    }
    let (address, list) = if load { (1, 0) } else { (0, 1) };
    let registers = registers(d, o, list, fragment_registers(rows * columns, of, sums), load)?;
    let stride = if o.len() > 2 { Some(d.source(o, 2)?) } else { None };
    let address = d.address(o, address, space)?;
    let bytes = of.bits() as usize / 8;
    let fragment = Fragment { address, stride, registers, rows, columns, bytes, by_columns, store: !load };
    Ok(Some((Op::Fragment(Box::new(fragment)), Class::Memory)))
}

fn shape(w: &mut Words<'_>) -> Result<[usize; 3], String> {
    let shape = w.take_prefixed("m").ok_or("the shape is missing")?;
    let extents: Vec<usize> = shape.split(['m', 'n', 'k']).filter_map(|part| part.parse().ok()).collect();
    extents.try_into().map_err(|_| format!("`.{shape}` is no shape"))
}

/// Whether there is such a product with factors, or sums, of a type.
fn is_legal(shape: [usize; 3], of: Type, sums: bool) -> bool {
    let usual = matches!(shape, [16, 16, 16] | [32, 8, 16] | [8, 32, 16]);
    match (of, sums) {
        (Type::F16 | Type::BF16 | Type::S8 | Type::U8, false) | (Type::F16 | Type::S32, true) => usual,
        (Type::TF32, false) => shape == [16, 16, 8],
        (Type::F32, true) => usual || shape == [16, 16, 8],
        (Type::F64, _) => shape == [8, 8, 4],
        _ => false,
    }
}

/// The registers of a fragment of so many elements; a factor of f16 has always eight.
fn fragment_registers(elements: usize, of: Type, sums: bool) -> usize {
    match of {
        Type::F16 if !sums => 8,
        Type::F64 => elements / 32,
        of => elements * of.bits() as usize / 32 / 32,
    }
}

fn product(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    // How a fragment was loaded is not seen in it.
    w.ignore(&["row", "col", "rn"]);
    let saturate = w.take("satfinite");
    let shape = shape(w)?;
    let last = w.last_type()?;
    let before = w.last_type()?;
    // D and C alone are named where A and B are f16: `.f32.f16`; else all four: `.f32.bf16.bf16.f32`.
    let (into, a_of, b_of, from) = match w.peek_type() {
        None => (before, Type::F16, Type::F16, last),
        Some(_) => {
            let a_of = w.last_type()?;
            (w.last_type()?, a_of, before, last)
        }
    };
    let sum = |of| is_legal(shape, of, true);
    let alike = match a_of {
        Type::F16 => matches!((into, from), (Type::F16 | Type::F32, Type::F16 | Type::F32)),
        Type::BF16 | Type::TF32 => into == Type::F32 && from == into && b_of == a_of,
        Type::S8 | Type::U8 => into == Type::S32 && from == into && b_of == a_of,
        Type::F64 => into == Type::F64 && from == into && b_of == a_of,
        _ => false,
    };
    if !alike || !is_legal(shape, a_of, false) || !sum(into) || !sum(from) {
        return Err("the shape is not supported for these types".into());
    }
    let [m, n, k] = shape;
    let [d_, a, b, c] = [(m * n, into, true), (m * k, a_of, false), (k * n, b_of, false), (m * n, from, true)];
    let count = |(elements, of, sums): (usize, Type, bool)| fragment_registers(elements, of, sums);
    let of: Element = element(a_of)?;
    Ok(Op::FragmentProduct(Box::new(FragmentProduct {
        m,
        n,
        k,
        of,
        half_into: into == Type::F16,
        half_from: from == Type::F16,
        d: registers(d, o, 0, count(d_), true)?,
        a: registers(d, o, 1, count(a), false)?,
        b: registers(d, o, 2, count(b), false)?,
        c: registers(d, o, 3, count(c), false)?,
        saturate,
    })))
}
