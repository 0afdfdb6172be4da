//! Moves, branches, calls, barriers, votes, shuffles and matrices.

use super::{Found, Operands, decoder::Decoder, memory::space, words::Words};
use crate::{
    arithmetic::ones,
    counters::Class,
    program::{BarrierKind, Element, MatrixProduct, Op, Shuffle, Slot, Vote},
    ptx::{Operand, Space, Type},
};

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    let control = |op| Ok(Some((op, Class::Control)));
    let synchronization = |op| Ok(Some((op, Class::Synchronization)));
    match name {
        "mov" => movement(d, w, o).map(|op| Some((op, Class::Move))),
        "bra" => {
            w.ignore(&["uni"]);
            control(Op::Branch(d.label(o, 0)?))
        }
        "brx" => {
            w.ignore(&["idx", "uni"]);
            control(Op::BranchTable { index: d.source(o, 0)?, targets: d.table(o, 1)? })
        }
        "call" => {
            w.ignore(&["uni"]);
            control(call(d, o)?)
        }
        "ret" => {
            w.ignore(&["uni"]);
            control(Op::Return)
        }
        "exit" => control(Op::Exit),
        "trap" | "brkpt" => control(Op::Trap),
        "nanosleep" | "pmevent" | "setmaxnreg" => {
            w.ignore(&["u32", "mask", "inc", "dec", "sync", "aligned"]);
            control(Op::Nothing)
        }
        "griddepcontrol" => {
            let wait = w.choose(&[("wait", true), ("launch_dependents", false)]);
            let wait = wait.ok_or("`.wait` or `.launch_dependents` is missing")?;
            control(if wait { Op::AwaitLaunch } else { Op::Nothing })
        }
        "bar" | "barrier" => {
            w.ignore(&["cta"]);
            let aligned = w.take("aligned") || name == "bar";
            if w.take("warp") {
                w.ignore(&["sync"]);
                return synchronization(Op::WarpBarrier { mask: d.source(o, 0)? });
            }
            synchronization(barrier(d, w, o, aligned)?)
        }
        "activemask" => {
            w.last_type()?;
            synchronization(Op::ActiveMask { d: d.destination(o, 0)? })
        }
        "vote" => {
            w.ignore(&["sync"]);
            w.last_type()?;
            let kinds = [("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uniform), ("ballot", Vote::Ballot)];
            let kind = w.choose(&kinds).ok_or("the kind of vote is missing")?;
            let (a, negated) = d.predicate_source(o, 1)?;
            let mask = if o.len() > 2 { d.source(o, 2)? } else { d.constant(0xffff_ffff) };
            let (d_, p) = match kind {
                Vote::Ballot => (Some(d.destination(o, 0)?), None),
                _ => (None, Some(d.predicate_of(o, 0)?)),
            };
            synchronization(Op::Vote { kind, d: d_, p, a, negated, mask })
        }
        "shfl" => {
            w.ignore(&["sync", "b32"]);
            let kinds =
                [("up", Shuffle::Up), ("down", Shuffle::Down), ("bfly", Shuffle::Butterfly), ("idx", Shuffle::Index)];
            let kind = w.choose(&kinds).ok_or("the kind of shuffle is missing")?;
            let (first, p) = pair(d, o)?;
            let mask = if o.len() > 4 { d.source(o, 4)? } else { d.constant(0xffff_ffff) };
            let (a, b, c) = (d.source_bits(o, 1, 32)?, d.source(o, 2)?, d.source(o, 3)?);
            synchronization(Op::Shuffle { kind, d: first, p, a, b, c, mask })
        }
        "match" => {
            w.ignore(&["sync"]);
            let bits = w.choose(&[("b32", 32), ("b64", 64)]).ok_or("`.b32` or `.b64` is missing")?;
            let all = w.choose(&[("all", true), ("any", false)]).ok_or("`.any` or `.all` is missing")?;
            let (first, p) = pair(d, o)?;
            let (a, mask) = (d.source_bits(o, 1, bits)?, d.source(o, 2)?);
            synchronization(Op::Match { d: first, p, a, all, mask })
        }
        "redux" => {
            w.ignore(&["sync"]);
            let of = w.last_type()?;
            if !matches!(of, Type::U32 | Type::S32 | Type::B32) {
                return Err(format!("`.{of}` is not a type of this instruction"));
            }
            let sign = of.is_signed();
            let f: fn(u64, u64) -> u64 =
                match w.choose(&[("add", 0), ("min", 1), ("max", 2), ("and", 3), ("or", 4), ("xor", 5)]) {
                    Some(0) => |a, b| a.wrapping_add(b) & 0xffff_ffff,
                    Some(1) if sign => |a, b| u64::from((a as i32).min(b as i32) as u32),
                    Some(2) if sign => |a, b| u64::from((a as i32).max(b as i32) as u32),
                    Some(1) => |a, b| a.min(b),
                    Some(2) => |a, b| a.max(b),
                    Some(3) => |a, b| a & b,
                    Some(4) => |a, b| a | b,
                    Some(_) => |a, b| a ^ b,
                    None => return Err("this operation is not supported".into()),
                };
            synchronization(Op::Reduce {
                f,
                d: d.destination(o, 0)?,
                a: d.source_bits(o, 1, 32)?,
                mask: d.source(o, 2)?,
            })
        }
        "elect" => {
            w.ignore(&["sync"]);
            let (d_, p) = match o.first() {
                Some(Operand::Pair(d_, p)) => (d.destination_or_sink(d_)?, d.predicate_or_sink(p)?),
                _ => return Err("`d|p` is expected".into()),
            };
            let p = p.ok_or("the predicate is missing")?;
            synchronization(Op::Elect { d: d_, p, mask: d.source(o, 1)? })
        }
        "ldmatrix" | "stmatrix" => {
            w.ignore(&["sync", "aligned", "m8n8", "b16"]);
            let transposed = w.take("trans");
            let count = w.choose(&[("x1", 1), ("x2", 2), ("x4", 4)]).ok_or("`.x1`, `.x2` or `.x4` is missing")?;
            let space = match space(w) {
                Space::Generic => Space::Generic,
                _ => Space::Shared,
            };
            let load = name == "ldmatrix";
            let address = d.address(o, usize::from(load), space)?;
            let slots = registers(d, o, usize::from(!load), count, load)?;
            let op = match load {
                true => Op::LoadMatrix { address, d: slots, transposed },
                false => Op::StoreMatrix { address, a: slots, transposed },
            };
            Ok(Some((op, Class::Memory)))
        }
        "movmatrix" => {
            w.ignore(&["sync", "aligned", "m8n8", "b16"]);
            if !w.take("trans") {
                return Err("`.trans` is missing".into());
            }
            Ok(Some((Op::TransposeMatrix { d: d.destination(o, 0)?, a: d.source(o, 1)? }, Class::Move)))
        }
        "mma" => Ok(Some((product(d, w, o)?, Class::Matrix))),
        _ => Ok(None),
    }
}

/// A destination, perhaps with a predicate: `d|p`.
fn pair(d: &mut Decoder<'_>, o: &Operands<'_>) -> Result<(Slot, Option<Slot>), String> {
    match o.first() {
        Some(Operand::Pair(first, p)) => Ok((d.destination_of(first)?, d.predicate_or_sink(p)?)),
        _ => Ok((d.destination(o, 0)?, None)),
    }
}

/// The registers of a vector operand of a known length.
pub(super) fn registers(
    d: &mut Decoder<'_>,
    o: &Operands<'_>,
    place: usize,
    count: usize,
    written: bool,
) -> Result<Vec<Slot>, String> {
    let list = match o.get(place) {
        Some(Operand::Vector(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => return Err("an operand is missing".into()),
    };
    if list.len() != count {
        return Err(format!("{count} registers are expected, {} stand there", list.len()));
    }
    list.iter().map(|one| if written { d.destination_of(one) } else { d.source_of(one) }).collect()
}

fn movement(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let of = w.last_type()?;
    if of == Type::Pred {
        let p = d.predicate_of(o, 0)?;
        return match o.get(1) {
            Some(Operand::Integer(value)) => Ok(Op::PredicateFill { p, value: *value != 0 }),
            _ => {
                let a = d.predicate_of(o, 1)?;
                Ok(Op::Predicate { f: |a, _| a, p, a, b: a })
            }
        };
    }
    let part_bits = |parts: &[Operand]| match (of.bits(), parts.len()) {
        (whole @ (16 | 32 | 64), 2) | (whole @ (32 | 64), 4) => Ok(whole / parts.len() as u32),
        (whole, count) => Err(format!("{count} parts of {whole} bits are not supported")),
    };
    if of.bits() > 64 {
        return Err("is not supported for this type".into());
    }
    match (o.first(), o.get(1)) {
        (_, Some(Operand::Vector(parts))) => {
            let bits = part_bits(parts)?;
            let a = parts.iter().map(|part| d.source_of(part)).collect::<Result<_, _>>()?;
            Ok(Op::Pack { d: d.destination(o, 0)?, a, bits })
        }
        (Some(Operand::Vector(parts)), _) => {
            let bits = part_bits(parts)?;
            let list = parts.iter().map(|part| d.destination_or_sink(part)).collect::<Result<_, _>>()?;
            Ok(Op::Unpack { d: list, a: d.source(o, 1)?, bits })
        }
        (_, Some(Operand::Name(name)))
            if matches!(
                name.as_str(),
                "%clock" | "%clock_hi" | "%clock64" | "%globaltimer" | "%globaltimer_lo" | "%globaltimer_hi"
            ) =>
        {
            Ok(Op::Clock { d: d.destination(o, 0)?, bits: if name.ends_with("_hi") { 0 } else { of.bits() } })
        }
        _ => {
            let mask = ones(of.bits());
            d.map1(o, move |a| a & mask)
        }
    }
}

fn call(d: &mut Decoder<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let lists: Vec<&Operand> = o.iter().collect();
    let (results, name, arguments) = match lists.as_slice() {
        [Operand::List(results), name, Operand::List(arguments), ..] => {
            (results.as_slice(), *name, arguments.as_slice())
        }
        [Operand::List(results), name] | [Operand::List(results), name, Operand::Name(_)] => {
            (results.as_slice(), *name, &[][..])
        }
        [name, Operand::List(arguments), ..] => (&[][..], *name, arguments.as_slice()),
        [name] | [name, Operand::Name(_)] => (&[][..], *name, &[][..]),
        _ => return Err("the call is not understood".into()),
    };
    let Operand::Name(name) = name else { return Err("a function's name is expected".into()) };
    // What an assertion calls when it fails.
    if name == "__assertfail" {
        return Ok(d.local_places(arguments, 4).map_or(Op::Trap, |arguments| Op::Assert { arguments }));
    }
    if name == "vprintf" {
        let arguments = d.local_places(arguments, 8).ok_or("a format and its values are expected, in 8 bytes each")?;
        let result = d.local_places(results, 4).map(|[result]| result);
        return Ok(Op::Print { arguments, result });
    }
    if matches!(name.as_str(), "malloc" | "free") && !d.is_defined(name) {
        let [given] = d.local_places(arguments, 8).ok_or("one parameter of 8 bytes is expected")?;
        d.program.allocates = true;
        return Ok(match d.local_places(results, 8) {
            Some([result]) if name == "malloc" => Op::Allocate { bytes: given, result },
            None if name == "free" && results.is_empty() => Op::Free { address: given },
            _ => return Err("one result of `malloc`, of 8 bytes, is expected, and none of `free`".into()),
        });
    }
    let (index, targets) = match d.is_register(name) {
        true => (Some(d.source_of(&Operand::Name(name.clone()))?), d.targets(results, arguments)?),
        false => (None, vec![d.target(name, results, arguments)?]),
    };
    Ok(Op::Call { index, targets })
}

fn barrier(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>, aligned: bool) -> Result<Op, String> {
    if w.take("red") {
        let count = w.take("popc");
        w.last_type()?;
        let vote = match count {
            true => None,
            false => Some(w.choose(&[("and", Vote::All), ("or", Vote::Any)]).ok_or("the operation is missing")?),
        };
        let (d_, p) = match count {
            true => (Some(d.destination(o, 0)?), None),
            false => (None, Some(d.predicate_of(o, 0)?)),
        };
        let id = d.source(o, 1)?;
        let threads = if o.len() > 3 { Some(d.source(o, 2)?) } else { None };
        let (a, negated) = d.predicate_source(o, o.len() - 1)?;
        return Ok(Op::Barrier { id, threads, kind: BarrierKind::Reduce { vote, d: d_, p, a, negated }, aligned });
    }
    let kind = if w.take("arrive") { BarrierKind::Arrive } else { BarrierKind::Sync };
    w.ignore(&["sync"]);
    let threads = if o.len() > 1 { Some(d.source(o, 1)?) } else { None };
    if o.len() > 2 || matches!(kind, BarrierKind::Arrive) && threads.is_none() {
        return Err("a barrier and a number of threads are expected".into());
    }
    Ok(Op::Barrier { id: d.source(o, 0)?, threads, kind, aligned })
}

pub(super) fn element(of: Type) -> Result<Element, String> {
    Ok(match of {
        Type::F16 => Element::F16,
        Type::BF16 => Element::BF16,
        Type::TF32 => Element::TF32,
        Type::F64 => Element::F64,
        Type::S8 => Element::S8,
        Type::U8 => Element::U8,
        Type::E4M3 => Element::E4M3,
        Type::E5M2 => Element::E5M2,
        _ => return Err("matrices of this type are not supported".into()),
    })
}

fn product(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    w.ignore(&["sync", "aligned", "kind::f8f6f4"]);
    if !w.take("row") || !w.take("col") {
        return Err("A lies by rows and B by columns: `.row.col` is missing".into());
    }
    let saturate = w.take("satfinite");
    let sum_of = w.last_type()?;
    let b_of = element(w.last_type()?)?;
    let a_of = element(w.last_type()?)?;
    let into = w.last_type()?;
    let shape = w.take_prefixed("m").ok_or("the shape is missing")?;
    let extents: Vec<usize> = shape.split(['m', 'n', 'k']).filter_map(|part| part.parse().ok()).collect();
    let [m, n, k] = extents[..] else { return Err(format!("`.{shape}` is no shape")) };
    let eight = matches!(b_of, Element::E4M3 | Element::E5M2);
    let legal = match a_of {
        Element::F16 => b_of == a_of && matches!((m, n, k), (16, 8, 8 | 16)) && matches!(into, Type::F16 | Type::F32),
        Element::BF16 => b_of == a_of && matches!((m, n, k), (16, 8, 8 | 16)) && into == Type::F32,
        Element::TF32 => b_of == a_of && matches!((m, n, k), (16, 8, 4 | 8)) && into == Type::F32,
        Element::F64 => b_of == a_of && matches!((m, n, k), (8, 8, 4) | (16, 8, 4 | 8 | 16)) && into == Type::F64,
        Element::S8 | Element::U8 => {
            let integers = matches!(b_of, Element::S8 | Element::U8) && into == Type::S32;
            integers && matches!((m, n, k), (16, 8, 16 | 32) | (8, 8, 16))
        }
        Element::E4M3 | Element::E5M2 => {
            eight && matches!((m, n, k), (16, 8, 16 | 32)) && matches!(into, Type::F16 | Type::F32)
        }
    };
    if !legal {
        return Err(format!("the shape `.{shape}` is not supported for these types"));
    }
    let half_sum = into == Type::F16;
    if into != sum_of {
        return Err("C and D must have one type".into());
    }
    let bits = |of: Element| match of {
        Element::F16 | Element::BF16 => 16,
        Element::TF32 => 32,
        Element::F64 => 64,
        _ => 8,
    };
    // Elements of a lane in each register.
    let per = |of: Element| if of == Element::F64 { 1 } else { 32 / bits(of) };
    let sums = m * n / 32 / if half_sum { 2 } else { 1 };
    Ok(Op::MatrixProduct(Box::new(MatrixProduct {
        m,
        n,
        k,
        a_of,
        b_of,
        half_sum,
        d: registers(d, o, 0, sums, true)?,
        a: registers(d, o, 1, m * k / 32 / per(a_of), false)?,
        b: registers(d, o, 2, n * k / 32 / per(b_of), false)?,
        c: registers(d, o, 3, sums, false)?,
        saturate,
    })))
}
