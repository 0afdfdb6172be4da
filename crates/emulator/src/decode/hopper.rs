//! Instructions that sm_90 brought: barriers in memory, bulk copies, products of warp groups.

use super::{
    Found, Operands,
    control::{element, registers},
    decoder::Decoder,
    memory::{atomic, quiet, space},
    words::Words,
};
use crate::{
    counters::Class,
    memory::{RANK_BIT, RANKS},
    program::{Bulk, Element, GroupProduct, MBarrier, Op, Side, Signalled},
    ptx::{Operand, Space, Type},
    tensor_map::Field,
};

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    match name {
        "mbarrier" => Ok(Some((mbarrier(d, w, o)?, Class::Synchronization))),
        "wgmma" => wgmma(d, w, o).map(Some),
        "tensormap" => Ok(Some((tensor_map(d, w, o)?, Class::Memory))),
        "fence" if w.take("proxy") => {
            if w.take("tensormap::generic") {
                w.ignore(&["acquire", "release", "cta", "cluster", "gpu", "sys"]);
                return Ok(Some((Op::Fence, Class::Synchronization)));
            }
            w.ignore(&["async", "alias", "global", "shared", "shared::cta", "shared::cluster"]);
            Ok(Some((Op::ProxyFence, Class::Synchronization)))
        }
        "fence" if w.take("mbarrier_init") => {
            w.ignore(&["release", "cluster"]);
            Ok(Some((Op::Fence, Class::Synchronization)))
        }
        "barrier" if w.take("cluster") => {
            let (aligned, relaxed) = (w.take("aligned"), w.take("relaxed"));
            w.ignore(&["release", "acquire"]);
            let arrives = w.take("arrive");
            if !arrives && !w.take("wait") {
                return Err("`.arrive` or `.wait` is missing".into());
            }
            Ok(Some((Op::ClusterBarrier { arrives, relaxed, aligned }, Class::Synchronization)))
        }
        // The rank of a block stands in the same bits of addresses of its shared memory, generic or not.
        "mapa" => {
            w.ignore(&["shared::cluster"]);
            w.last_type()?;
            let op = d.map2(o, |address, rank| {
                // No cluster has a block of the greatest rank that an address can tell, which stands for all above it.
                address & !RANKS | u64::from(rank as u32).min(RANKS >> RANK_BIT) << RANK_BIT
            })?;
            Ok(Some((op, Class::Integer)))
        }
        "getctarank" => {
            w.ignore(&["shared::cluster"]);
            w.last_type()?;
            Ok(Some((d.map1(o, |address| (address & RANKS) >> RANK_BIT)?, Class::Integer)))
        }
        "st" | "red" if w.has("async") => Ok(Some((signalled(d, name, w, o)?, Class::Memory))),
        "cp" => {
            if w.take("mbarrier") {
                w.ignore(&["async", "arrive", "shared", "shared::cta", "b64"]);
                let (address, counted) = (d.address(o, 0, Space::Shared)?, !w.take("noinc"));
                let op = Op::MBarrier { kind: MBarrier::ArriveAfterCopies { counted }, address, d: None };
                return Ok(Some((op, Class::Synchronization)));
            }
            if w.take("bulk") {
                w.take("async");
                return bulk(d, w, o).map(Some);
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn tensor_map(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    if w.take("cp_fenceproxy") {
        w.ignore(&[
            "global",
            "shared::cta",
            "tensormap::generic",
            "release",
            "cta",
            "cluster",
            "gpu",
            "sys",
            "sync",
            "aligned",
        ]);
        let (to, from) = (d.address(o, 0, Space::Global)?, d.address(o, 1, Space::Shared)?);
        return Ok(Op::CopyMap { to, from });
    }
    if !w.take("replace") || !w.take("tile") {
        return Err("this form is not supported".into());
    }
    w.ignore(&["b1024", "b32", "b64"]);
    let space = space(w);
    let axis = |most: u64| match o.get(1) {
        Some(Operand::Integer(axis)) if o.len() == 3 && *axis <= most => Ok(*axis as usize),
        _ => Err(format!("a dimension of 0 to {most} and a value are expected")),
    };
    let fields = [
        "global_address",
        "rank",
        "box_dim",
        "global_dim",
        "global_stride",
        "element_stride",
        "elemtype",
        "interleave_layout",
        "swizzle_mode",
        "swizzle_atomicity",
        "fill_mode",
    ];
    let named = fields.into_iter().find(|field| w.take(field)).ok_or("the field is missing")?;
    let (field, value) = match named {
        "global_address" => (Field::Address, 1),
        "rank" => (Field::Rank, 1),
        "box_dim" => (Field::Box(axis(4)?), 2),
        "global_dim" => (Field::Extent(axis(4)?), 2),
        "global_stride" => (Field::Stride(axis(3)?), 2),
        "element_stride" => {
            axis(4)?;
            (Field::Fixed(1), 2)
        }
        "elemtype" => (Field::Element, 1),
        "swizzle_mode" => (Field::Swizzle, 1),
        _ => (Field::Fixed(0), 1),
    };
    Ok(Op::ChangeMap { address: d.address(o, 0, space)?, field, value: d.source(o, value)? })
}

fn mbarrier(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let relaxed = w.take("relaxed");
    w.ignore(&["acquire", "release", "cta", "cluster", "b64", "noComplete"]);
    let space = space(w);
    let own = || match space {
        Space::Cluster => Err("this is done by the barrier's own block: `.shared::cta`".to_owned()),
        _ => Ok(space),
    };
    let parity = w.take("parity");
    if w.take("init") {
        let count = d.source(o, 1)?;
        return Ok(Op::MBarrier { kind: MBarrier::Init { count }, address: d.address(o, 0, own()?)?, d: None });
    }
    if w.take("inval") {
        return Ok(Op::MBarrier { kind: MBarrier::Invalidate, address: d.address(o, 0, own()?)?, d: None });
    }
    if w.take("test_wait") || w.take("try_wait") {
        let (p, state) = (d.predicate_of(o, 0)?, d.source(o, 2)?);
        let kind = MBarrier::Wait { p, state, parity, relaxed };
        return Ok(Op::MBarrier { kind, address: d.address(o, 1, own()?)?, d: None });
    }
    let arrive = w.take("arrive");
    let dropped = w.take("arrive_drop");
    let expect = w.take("expect_tx");
    if arrive || dropped {
        // The state may be left out by a sink, or altogether.
        let first = usize::from(!matches!(o.first(), Some(Operand::Address { .. })));
        let state = match first {
            1 => d.destination_or_sink(o.first().ok_or("an operand is missing")?)?,
            _ => None,
        };
        let operand = if o.len() > first + 1 { Some(d.source(o, first + 1)?) } else { None };
        let (count, bytes) = if expect { (None, operand) } else { (operand, None) };
        let kind = MBarrier::Arrive { count, bytes, dropped, relaxed };
        return Ok(Op::MBarrier { kind, address: d.address(o, first, space)?, d: state });
    }
    if expect || w.take("complete_tx") {
        let bytes = d.source(o, 1)?;
        let kind = if expect { MBarrier::Expect { bytes } } else { MBarrier::Complete { bytes } };
        return Ok(Op::MBarrier { kind, address: d.address(o, 0, space)?, d: None });
    }
    Err("this form is not supported".into())
}

/// `st.async` and `red.async`.
fn signalled(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    w.ignore(&["async", "weak", "relaxed", "cluster", "shared::cluster"]);
    if !w.take("mbarrier::complete_tx::bytes") {
        return Err("this form is not supported".into());
    }
    let of = w.last_type()?;
    let count = w.choose(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
    let bytes = of.bits() as usize / 8;
    if !matches!(bytes, 4 | 8) || bytes * count > 16 {
        return Err("is not supported for this type".into());
    }
    let f = match name {
        "red" => Some(atomic(w, of)?.0),
        _ => None,
    };
    let a = registers(d, o, 1, count, false)?;
    let (address, barrier) = (d.address(o, 0, Space::Cluster)?, d.address(o, 2, Space::Cluster)?);
    Ok(Op::Signalled(Box::new(Signalled { address, a, bytes, f, barrier })))
}

fn bulk(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<(Op, Class), String> {
    if w.take("commit_group") {
        return Ok((Op::Nothing, Class::Synchronization));
    }
    if w.take("wait_group") {
        w.take("read");
        return Ok((Op::Nothing, Class::Synchronization));
    }
    let (several, _) = (w.take("multicast::cluster"), w.take("L2::cache_hint"));
    let load = w.take("mbarrier::complete_tx::bytes");
    if !load && !w.take("bulk_group") {
        return Err("this form is not supported".into());
    }
    quiet(w);
    let (cluster, global) = (w.take("shared::cluster"), w.take("global"));
    let own = w.take("shared::cta") | w.take("shared");
    let near = if load && cluster { Space::Cluster } else { Space::Shared };
    let far = if global || !(cluster && own) { Space::Global } else { Space::Shared };
    w.ignore(&["tile"]);
    let tensor = w.take("tensor");
    let rank = w.choose(&[("1d", 1), ("2d", 2), ("3d", 3), ("4d", 4), ("5d", 5)]);
    let (to, from) = (0, 1);
    let shared = d.address(o, if load { to } else { from }, near)?;
    let (side, next) = match (tensor, rank) {
        (true, Some(rank)) => {
            let (map, coordinates) = d.tensor(o, if load { from } else { to })?;
            if coordinates.len() != rank {
                return Err(format!("{rank} coordinates are expected, {} stand there", coordinates.len()));
            }
            (Side::Tensor { map, coordinates }, 2)
        }
        (false, None) => {
            let address = d.address(o, if load { from } else { to }, far)?;
            (Side::Linear { address, bytes: d.source(o, 2)? }, 3)
        }
        _ => return Err("the number of dimensions is missing".into()),
    };
    let barrier = if load { Some(d.address(o, next, near)?) } else { None };
    let blocks = match several {
        true if !load || far != Space::Global => {
            return Err("only a copy from global memory goes to several blocks".into());
        }
        true => Some(d.source(o, next + 1)?),
        false => None,
    };
    let op = Op::Bulk(Box::new(Bulk { shared, far: side, barrier, blocks }));
    Ok((op, Class::Memory))
}

fn wgmma(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<(Op, Class), String> {
    w.ignore(&["sync", "aligned"]);
    if w.take("wait_group") {
        return Ok((Op::GroupWait, Class::Synchronization));
    }
    if w.take("fence") || w.take("commit_group") {
        return Ok((Op::Nothing, Class::Synchronization));
    }
    if !w.take("mma_async") {
        return Err("this form is not supported".into());
    }
    let b_of = element(w.last_type()?)?;
    let a_of = element(w.last_type()?)?;
    let half_sum = w.last_type()? == Type::F16;
    let shape = w.take_prefixed("m64n").ok_or("the shape is missing")?;
    let extents: Vec<usize> = shape.split(['m', 'n', 'k']).filter_map(|part| part.parse().ok()).collect();
    let bytes = match a_of {
        Element::F16 | Element::BF16 => 2,
        Element::TF32 => 4,
        Element::E4M3 | Element::E5M2 => 1,
        _ => return Err("matrices of this type are not supported".into()),
    };
    let [64, n, k] = extents[..] else { return Err(format!("`.{shape}` is no shape")) };
    if !(8..=256).contains(&n) || n % 8 != 0 || k * bytes != 32 {
        return Err(format!("the shape `.{shape}` is not supported for these types"));
    }
    let Some(Operand::Vector(sums)) = o.first() else { return Err("the registers of D are missing".into()) };
    if sums.len() != n / if half_sum { 4 } else { 2 } {
        return Err(format!("{} registers are not those of D", sums.len()));
    }
    let sums = sums.iter().map(|one| d.destination_of(one)).collect::<Result<_, _>>()?;
    let a_registers = match o.get(1) {
        Some(Operand::Vector(list)) if list.len() == 4 => {
            Some(list.iter().map(|one| d.source_of(one)).collect::<Result<_, _>>()?)
        }
        Some(Operand::Vector(_)) => return Err("4 registers of A are expected".into()),
        _ => None,
    };
    let a = if a_registers.is_some() { 0 } else { d.source(o, 1)? };
    let b = d.source(o, 2)?;
    let keep = match o.get(3) {
        Some(Operand::Integer(value)) => Err(*value != 0),
        _ => Ok(d.predicate_source(o, 3)?),
    };
    let number = |place: usize, or: u64| match o.get(place) {
        Some(Operand::Integer(value)) => *value,
        _ => or,
    };
    // The signs of A and B, then which of them lie along their rows or columns instead of along k.
    let negative = (number(4, 1) as i64 == -1) != (number(5, 1) as i64 == -1);
    let (a_across, b_across) = match a_registers {
        None => (number(6, 0) == 1, number(7, 0) == 1),
        Some(_) => (false, number(6, 0) == 1),
    };
    if (a_across || b_across) && bytes != 2 {
        return Err("only matrices of 16-bit elements lie across".into());
    }
    let product = GroupProduct {
        n,
        k,
        bytes,
        a_of,
        b_of,
        half_sum,
        sums,
        a_registers,
        a,
        b,
        keep,
        negative,
        across: [a_across, b_across],
    };
    Ok((Op::GroupProduct(Box::new(product)), Class::Matrix))
}
