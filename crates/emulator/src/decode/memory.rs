//! Loads, stores, atomic operations, fences and asynchronous copies.

use half::{bf16, f16};

use super::{Found, Operands, decoder::Decoder, words::Words};
use crate::{
    arithmetic::{Rounding, bits_f32, ones, signed, sum_to_odd, to_bf16, to_f16},
    counters::Class,
    memory::Memory,
    program::{Atomic, Extend, Given, Op, Order},
    ptx::{Operand, Space, Type},
};

/// Words that say for whom, or through which cache, and so change nothing here.
const SCOPES: [&str; 6] = ["cta", "cluster", "gpu", "sys", "uni", "aligned"];
const CACHES: [&str; 9] = ["ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "unified"];

pub(super) fn space(w: &mut Words<'_>) -> Space {
    let spaces = [
        ("global", Space::Global),
        ("shared", Space::Shared),
        ("shared::cta", Space::Shared),
        ("shared::cluster", Space::Cluster),
        ("local", Space::Local),
        ("const", Space::Constant),
        ("param", Space::Param),
        ("param::entry", Space::Param),
        ("param::func", Space::Param),
    ];
    w.choose(&spaces).unwrap_or(Space::Generic)
}

fn order(w: &mut Words<'_>) -> Order {
    let (weak, acquire, release, both) = (w.take("weak"), w.take("acquire"), w.take("release"), w.take("acq_rel"));
    let (volatile, relaxed) = (w.take("volatile"), w.take("relaxed") | w.take("mmio"));
    let _ = weak;
    let strong = volatile || relaxed || acquire || release || both;
    Order { strong, volatile, acquire: acquire || both, release: release || both }
}

pub(super) fn quiet(w: &mut Words<'_>) {
    w.ignore(&SCOPES);
    w.ignore(&CACHES);
    w.ignore_prefixed(&["L1::", "L2::"]);
}

/// The elements of a vector operand, or a single one.
fn elements<'a>(o: &Operands<'a>, place: usize) -> Result<&'a [Operand], String> {
    match o.get(place) {
        Some(Operand::Vector(list)) => Ok(list),
        Some(one) => Ok(std::slice::from_ref(one)),
        None => Err("an operand is missing".into()),
    }
}

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    let op = match name {
        "ld" | "ldu" | "st" => {
            let space = space(w);
            let order = order(w);
            quiet(w);
            let of = w.last_type()?;
            let count = w.choose(&[("v2", 2), ("v4", 4), ("v8", 8)]).unwrap_or(1);
            let bytes = of.bits() as usize / 8;
            if bytes > 8 || of == Type::Pred || bytes * count > 32 {
                return Err("is not supported for this type".into());
            }
            if bytes * count > 16 && d.index.target < 100 {
                return Err("32 bytes at once need `.target sm_100`".into());
            }
            let (values, at) = if name == "st" { (1, 0) } else { (0, 1) };
            let list = elements(o, values)?;
            if list.len() != count {
                return Err(format!("{count} registers are expected, {} stand there", list.len()));
            }
            let address = d.address(o, at, space)?;
            match name {
                "st" => {
                    // A single precision number out of a wide register is the double one there, converted.
                    let narrow = of == Type::F32 && list.iter().any(|one| d.is_wide(one));
                    let a = list.iter().map(|one| d.source_of(one)).collect::<Result<_, _>>()?;
                    Op::Store { address, a, bytes, order, narrow }
                }
                _ => {
                    let registers = list.iter().filter(|one| !matches!(one, Operand::Name(name) if name == "_"));
                    let to = registers.map(|one| d.register_bits(one)).max().unwrap_or(64);
                    let extend = Extend { signed: of.is_signed(), to };
                    let d_ = list.iter().map(|one| d.destination_or_sink(one)).collect::<Result<_, _>>()?;
                    Op::Load { address, d: d_, bytes, extend, order }
                }
            }
        }
        "atom" | "red" => {
            let space = space(w);
            let order = Order { strong: true, ..order(w) };
            quiet(w);
            w.take("noftz");
            let of = w.last_type()?;
            let bytes = of.bits() as usize / 8;
            let count = w.choose(&[("v2", 2), ("v4", 4), ("v8", 8)]).unwrap_or(1);
            let is_sum = w.has("add");
            let (f, operands) = atomic(w, of)?;
            if count > 1 && (operands == 2 || !of.is_float() || bytes * count > 16) {
                return Err("is not supported for vectors of this type".into());
            }
            let first = usize::from(name == "atom");
            let address = d.address(o, first, space)?;
            let values = elements(o, first + 1)?;
            let d_ = if first == 1 { elements(o, 0)? } else { &[] };
            if values.len() != count || first == 1 && d_.len() != count {
                return Err(format!("{count} registers are expected"));
            }
            let d_ = d_.iter().map(|one| d.destination_or_sink(one)).collect::<Result<_, _>>()?;
            let b = values.iter().map(|one| d.source_of(one)).collect::<Result<_, _>>()?;
            let c = if operands == 2 { d.source(o, first + 2)? } else { 0 };
            if o.len() < first + 1 + operands {
                return Err("an operand is missing".into());
            }
            let flush = is_sum && of == Type::F32;
            Op::Atomic { f, address, d: d_, b, c, bytes, order, flush }
        }
        "membar" => {
            w.ignore(&["cta", "gl", "sys"]);
            return Ok(Some((Op::Fence, Class::Synchronization)));
        }
        "fence" => {
            w.ignore(&["sc", "acq_rel", "acquire", "release", "cta", "cluster", "gpu", "sys"]);
            return Ok(Some((Op::Fence, Class::Synchronization)));
        }
        "prefetch" | "prefetchu" | "applypriority" | "discard" => {
            w.ignore(&["global", "local", "L1", "L2", "const", "param", "tensormap"]);
            w.ignore_prefixed(&["L1::", "L2::"]);
            Op::Nothing
        }
        // A policy is a hint.
        "createpolicy" => {
            w.ignore(&["fractional", "range", "global"]);
            w.ignore_prefixed(&["L2::"]);
            w.last_type()?;
            d.map1(&&[o.first().cloned().ok_or("a destination is missing")?, Operand::Integer(0)][..], |_| 0)?
        }
        "cvta" => {
            let to = w.take("to");
            let space = space(w);
            w.last_type()?;
            Op::Convert { d: d.destination(o, 0)?, a: d.source(o, 1)?, space, to_generic: !to }
        }
        "isspacep" => {
            let space = space(w);
            let memory = match space {
                Space::Shared | Space::Cluster => Memory::Shared,
                Space::Local => Memory::Local,
                Space::Param => Memory::Param,
                _ => Memory::Global,
            };
            let (p, a) = (d.predicate_of(o, 0)?, d.source(o, 1)?);
            let (constant, cluster) = (space == Space::Constant, space == Space::Cluster);
            Op::IsSpace { p, a, memory, constant, cluster }
        }
        "cp" if w.take("async") => return asynchronous(d, w, o).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((op, Class::Memory)))
}

fn asynchronous(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<(Op, Class), String> {
    if w.take("commit_group") {
        return Ok((Op::AsyncCommit, Class::Synchronization));
    }
    if w.take("wait_all") {
        return Ok((Op::AsyncWait(None), Class::Synchronization));
    }
    if w.take("wait_group") {
        let Some(Operand::Integer(left)) = o.first() else { return Err("the number of groups is missing".into()) };
        return Ok((Op::AsyncWait(Some(*left as u32)), Class::Synchronization));
    }
    let whole = w.take("cg");
    if !whole && !w.take("ca") {
        return Err("this form is not supported".into());
    }
    let cache_hint = w.take("L2::cache_hint");
    quiet(w);
    w.ignore(&["shared", "shared::cta", "global"]);
    let Some(Operand::Integer(bytes)) = o.get(2) else { return Err("the number of bytes is missing".into()) };
    if !matches!(bytes, 4 | 8 | 16) || whole && *bytes != 16 {
        let legal = if whole { "16 is" } else { "4, 8 and 16 are" };
        return Err(format!("{bytes} bytes; {legal} legal"));
    }
    let given = match o.get(3).filter(|_| o.len() > 3 + usize::from(cache_hint)) {
        None => Given::All,
        Some(Operand::Name(name)) if d.is_predicate(name) => Given::Unless(d.predicate_named(name)?, false),
        Some(Operand::Not(name)) => Given::Unless(d.predicate_named(name)?, true),
        Some(_) => Given::Bytes(d.source(o, 3)?),
    };
    let (to, from) = (d.address(o, 0, Space::Shared)?, d.address(o, 1, Space::Global)?);
    Ok((Op::AsyncCopy { to, from, bytes: *bytes as usize, given }, Class::Memory))
}

/// The function of an atomic operation, and how many operands it takes beside the old value.
pub(super) fn atomic(w: &mut Words<'_>, of: Type) -> Result<(Atomic, usize), String> {
    let (bits, sign) = (of.bits(), of.is_signed());
    if !matches!(bits, 16 | 32 | 64) || matches!(of, Type::TF32 | Type::E4M3x2 | Type::E5M2x2) {
        return Err("is not supported for this type".into());
    }
    let mask = ones(bits);
    if of.is_float() && !w.has("add") {
        return Err("is not supported for this type".into());
    }
    let f: Atomic = if w.take("add") {
        match of {
            Type::F32 => Box::new(|a, b, _| u64::from(bits_f32(f32::from_bits(a as u32) + f32::from_bits(b as u32)))),
            Type::F64 => Box::new(|a, b, _| (f64::from_bits(a) + f64::from_bits(b)).to_bits()),
            Type::F16 | Type::F16x2 | Type::BF16 | Type::BF16x2 => {
                let short = matches!(of, Type::F16 | Type::F16x2);
                let one = move |a: u64, b: u64| {
                    let read = |x: u64| match short {
                        true => f64::from(f16::from_bits(x as u16)),
                        false => f64::from(bf16::from_bits(x as u16)),
                    };
                    let sum = sum_to_odd(read(a), read(b));
                    u64::from(if short { to_f16(sum, Rounding::Nearest) } else { to_bf16(sum, Rounding::Nearest) })
                };
                let count = bits / 16;
                Box::new(move |a, b, _| (0..count).map(|i| one(a >> (16 * i), b >> (16 * i)) << (16 * i)).sum())
            }
            _ => Box::new(move |a, b, _| a.wrapping_add(b) & mask),
        }
    } else if w.take("exch") {
        Box::new(move |_, b, _| b & mask)
    } else if w.take("cas") {
        return Ok((Box::new(move |a, b, c| if a & mask == b & mask { c & mask } else { a }), 2));
    } else if w.take("and") {
        Box::new(move |a, b, _| a & b & mask)
    } else if w.take("or") {
        Box::new(move |a, b, _| (a | b) & mask)
    } else if w.take("xor") {
        Box::new(move |a, b, _| (a ^ b) & mask)
    } else if w.take("inc") {
        Box::new(move |a, b, _| if a & mask >= b & mask { 0 } else { a.wrapping_add(1) & mask })
    } else if w.take("dec") {
        Box::new(move |a, b, _| if a & mask == 0 || a & mask > b & mask { b & mask } else { (a & mask) - 1 })
    } else if let Some(least) = w.choose(&[("min", true), ("max", false)]) {
        match sign {
            true => Box::new(move |a, b, _| {
                let (a, b) = (signed(a, bits), signed(b, bits));
                (if least { a.min(b) } else { a.max(b) }) as u64 & mask
            }),
            false => Box::new(move |a, b, _| if (a & mask < b & mask) == least { a & mask } else { b & mask }),
        }
    } else {
        return Err("this operation is not supported".into());
    };
    Ok((f, 1))
}
