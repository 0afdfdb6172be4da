//! Textures and surfaces.

use super::{Found, Operands, decoder::Decoder, words::Words};
use crate::{
    counters::Class,
    program::{Fetch, Op, Outside, Query, Slot, SurfaceAccess},
    ptx::{Operand, Type},
};

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    let op = match name {
        "tex" => fetch(d, w, o)?,
        "suld" | "sust" => surface(d, name == "sust", w, o)?,
        "txq" | "suq" => query(d, w, o)?,
        "tld4" => return Err("gathers of textures are not supported".into()),
        "sured" => return Err("reductions on surfaces are not supported".into()),
        "istypep" => return Err("types of texture references are not supported; texture objects have none".into()),
        _ => return Ok(None),
    };
    Ok(Some((op, Class::Memory)))
}

/// The number of dimensions; forms that are not known are told by name.
fn dimensions(w: &mut Words<'_>) -> Result<usize, String> {
    for (word, what) in [
        ("a1d", "layered textures and surfaces"),
        ("a2d", "layered textures and surfaces"),
        ("cube", "cube maps"),
        ("acube", "cube maps"),
        ("2dms", "textures of several samples"),
        ("a2dms", "textures of several samples"),
        ("level", "mipmaps"),
        ("grad", "mipmaps"),
    ] {
        if w.take(word) {
            return Err(format!("{what} (`.{word}`) are not supported"));
        }
    }
    // The first level, of which there is no other here.
    w.ignore(&["base"]);
    w.choose(&[("1d", 1), ("2d", 2), ("3d", 3)]).ok_or_else(|| "`.1d`, `.2d` or `.3d` is missing".into())
}

impl Decoder<'_> {
    /// A texture or surface and coordinates of so many dimensions.
    fn object(&mut self, o: &Operands<'_>, place: usize, dimensions: usize) -> Result<(Slot, Vec<Slot>), String> {
        let Some(Operand::Address { base, offset: 0, coordinates }) = o.get(place) else {
            return Err("an object and coordinates are expected".into());
        };
        if !self.is_register(base) {
            return Err(format!(
                "`{base}` is no register: references to textures and surfaces are not supported, objects are"
            ));
        }
        // Three coordinates stand in a vector of four.
        let legal = if dimensions == 3 { 3..=4 } else { dimensions..=dimensions };
        if !legal.contains(&coordinates.len()) {
            return Err(format!("{dimensions} coordinates are expected, {} stand there", coordinates.len()));
        }
        let object = self.source_of(&Operand::Name(base.clone()))?;
        let slots = coordinates.iter().take(dimensions).map(|one| self.source_of(one)).collect::<Result<_, _>>()?;
        Ok((object, slots))
    }
}

fn fetch(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let by_integers = match w.last_type()? {
        Type::S32 => true,
        Type::F32 => false,
        other => return Err(format!("coordinates of `.{other}` are not supported")),
    };
    let integers = match w.last_type()? {
        Type::U32 | Type::S32 => true,
        Type::F32 => false,
        other => return Err(format!("channels of `.{other}` are not supported")),
    };
    let dimensions = dimensions(w)?;
    if !w.take("v4") {
        return Err("`.v4` is missing".into());
    }
    let list = match o.first() {
        Some(Operand::Vector(list)) if list.len() == 4 => list,
        _ => return Err("4 registers are expected".into()),
    };
    let d_ = list.iter().map(|one| d.destination_or_sink(one)).collect::<Result<_, _>>()?;
    let (object, coordinates) = d.object(o, 1, dimensions)?;
    if o.len() > 2 {
        return Err("offsets and comparisons of depths are not supported".into());
    }
    Ok(Op::Fetch(Box::new(Fetch { object, coordinates, by_integers, d: d_, integers })))
}

fn surface(d: &mut Decoder<'_>, store: bool, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    if w.take("p") {
        return Err("formatted accesses to surfaces (`.p`) are not supported".into());
    }
    if !w.take("b") {
        return Err("`.b` is missing".into());
    }
    w.ignore(&["ca", "cg", "cs", "cv", "wb", "wt"]);
    let outside = w.choose(&[("trap", Outside::Trap), ("clamp", Outside::Clamp), ("zero", Outside::Zero)]);
    let outside = outside.unwrap_or(Outside::Trap);
    let dimensions = dimensions(w)?;
    let bytes = w.last_type()?.bits() as usize / 8;
    let count = w.choose(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
    if !matches!(bytes, 1..=8) || bytes * count > 16 {
        return Err("is not supported for this type".into());
    }
    let (values, at) = if store { (1, 0) } else { (0, 1) };
    let list = match o.get(values) {
        Some(Operand::Vector(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => return Err("an operand is missing".into()),
    };
    if list.len() != count {
        return Err(format!("{count} registers are expected, {} stand there", list.len()));
    }
    let registers = list
        .iter()
        .map(|one| if store { d.source_of(one).map(Some) } else { d.destination_or_sink(one) })
        .collect::<Result<_, _>>()?;
    let (object, coordinates) = d.object(o, at, dimensions)?;
    Ok(Op::Surface(Box::new(SurfaceAccess { object, coordinates, registers, bytes, store, outside })))
}

fn query(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    w.last_type()?;
    let axis = w.choose(&[("width", 0), ("height", 1), ("depth", 2)]);
    let axis = axis.ok_or("only `.width`, `.height` and `.depth` are supported")?;
    let object = match o.get(1) {
        Some(Operand::Address { base, offset: 0, coordinates }) if coordinates.is_empty() && d.is_register(base) => {
            d.source_of(&Operand::Name(base.clone()))?
        }
        _ => return Err("an object in a register is expected".into()),
    };
    Ok(Op::Query(Box::new(Query { object, d: d.destination(o, 0)?, axis })))
}
