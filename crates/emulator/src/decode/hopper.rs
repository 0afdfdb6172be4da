//! Instructions that sm_90 brought: barriers in memory, bulk copies, products of warp groups.

use super::{
    Found, Operands,
    control::element,
    decoder::Decoder,
    memory::{quiet, space},
    words::Words,
};
use crate::{
    counters::Class,
    program::{BarrierKind, Bulk, Element, GroupProduct, MBarrier, Op, Side},
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
            w.ignore(&["aligned", "release", "acquire", "relaxed"]);
            if w.take("arrive") {
                return Ok(Some((Op::Fence, Class::Synchronization)));
            }
            w.ignore(&["wait"]);
            let (id, aligned) = (d.constant(0), false);
            let op = Op::Barrier { id, threads: None, kind: BarrierKind::Cluster, aligned };
            Ok(Some((op, Class::Synchronization)))
        }
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
    w.ignore(&[
        "acquire",
        "release",
        "relaxed",
        "cta",
        "cluster",
        "shared",
        "shared::cta",
        "shared::cluster",
        "b64",
        "noComplete",
    ]);
    let parity = w.take("parity");
    if w.take("init") {
        let count = d.source(o, 1)?;
        return Ok(Op::MBarrier { kind: MBarrier::Init { count }, address: d.address(o, 0, Space::Shared)?, d: None });
    }
    if w.take("inval") {
        return Ok(Op::MBarrier { kind: MBarrier::Invalidate, address: d.address(o, 0, Space::Shared)?, d: None });
    }
    if w.take("test_wait") || w.take("try_wait") {
        let (p, state) = (d.predicate_of(o, 0)?, d.source(o, 2)?);
        let kind = MBarrier::Wait { p, state, parity };
        return Ok(Op::MBarrier { kind, address: d.address(o, 1, Space::Shared)?, d: None });
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
        let kind = MBarrier::Arrive { count, bytes, dropped };
        return Ok(Op::MBarrier { kind, address: d.address(o, first, Space::Shared)?, d: state });
    }
    if expect || w.take("complete_tx") {
        let bytes = d.source(o, 1)?;
        let kind = if expect { MBarrier::Expect { bytes } } else { MBarrier::Complete { bytes } };
        return Ok(Op::MBarrier { kind, address: d.address(o, 0, Space::Shared)?, d: None });
    }
    Err("this form is not supported".into())
}

fn bulk(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<(Op, Class), String> {
    if w.take("commit_group") {
        return Ok((Op::Nothing, Class::Synchronization));
    }
    if w.take("wait_group") {
        w.take("read");
        return Ok((Op::Nothing, Class::Synchronization));
    }
    if w.take("multicast::cluster") {
        return Err("copies to several blocks are not supported".into());
    }
    let load = w.take("mbarrier::complete_tx::bytes");
    if !load && !w.take("bulk_group") {
        return Err("this form is not supported".into());
    }
    quiet(w);
    w.ignore(&["shared::cluster", "shared::cta", "shared", "global", "tile"]);
    let tensor = w.take("tensor");
    let rank = w.choose(&[("1d", 1), ("2d", 2), ("3d", 3), ("4d", 4), ("5d", 5)]);
    let (to, from) = (0, 1);
    let op = match (tensor, rank) {
        (true, Some(rank)) => {
            let (map, coordinates) = d.tensor(o, if load { from } else { to })?;
            if coordinates.len() != rank {
                return Err(format!("{rank} coordinates are expected, {} stand there", coordinates.len()));
            }
            let shared = d.address(o, if load { to } else { from }, Space::Shared)?;
            let barrier = if load { Some(d.address(o, 2, Space::Shared)?) } else { None };
            Op::Bulk(Box::new(Bulk { shared, far: Side::Tensor { map, coordinates }, barrier }))
        }
        (false, None) => {
            let bytes = d.source(o, 2)?;
            let shared = d.address(o, if load { to } else { from }, Space::Shared)?;
            let address = d.address(o, if load { from } else { to }, Space::Global)?;
            let barrier = if load { Some(d.address(o, 3, Space::Shared)?) } else { None };
            Op::Bulk(Box::new(Bulk { shared, far: Side::Linear { address, bytes }, barrier }))
        }
        _ => return Err("the number of dimensions is missing".into()),
    };
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
