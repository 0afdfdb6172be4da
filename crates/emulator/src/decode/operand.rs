//! Operands: where an instruction reads and writes.

use std::sync::Arc;

use super::{
    Operands,
    decoder::{Decoder, Home},
    place::{Place, special},
};
use crate::{
    arithmetic::ones,
    program::{Address, Combine, Op, RESERVED_SHARED, Slot, Special, map_address},
    ptx::{Operand, Space},
};

impl Decoder<'_> {
    pub(super) fn source(&mut self, o: &Operands<'_>, place: usize) -> Result<Slot, String> {
        self.source_of(o.get(place).ok_or("an operand is missing")?)
    }

    /// The same where a number must have no more than so many bits.
    pub(super) fn source_bits(&mut self, o: &Operands<'_>, place: usize, bits: u32) -> Result<Slot, String> {
        match o.get(place) {
            Some(Operand::Integer(value)) => Ok(self.constant(value & ones(bits))),
            _ => self.source(o, place),
        }
    }

    pub(super) fn source_of(&mut self, operand: &Operand) -> Result<Slot, String> {
        match operand {
            Operand::Integer(value) => Ok(self.constant(*value)),
            Operand::F32(bits) => Ok(self.constant((*bits).into())),
            Operand::F64(bits) => Ok(self.constant(*bits)),
            Operand::Offset(name, offset) => {
                let address = self.address_of(name)?;
                Ok(self.address_slot(self.is_shared(name), address.wrapping_add_signed(*offset)))
            }
            Operand::Name(name) => {
                if let Some(home) = self.current.registers.get(name) {
                    return match *home {
                        Home::General { slot, .. } => Ok(slot),
                        Home::Predicate(_) => Err(format!("`{name}` is a predicate")),
                    };
                }
                if let Some(special) = special(name) {
                    return Ok(self.special(special));
                }
                match name.as_str() {
                    "WARP_SZ" => Ok(self.constant(32)),
                    "%dynamic_smem_size" => Ok(self.special(Special::DynamicSharedBytes)),
                    "%total_smem_size" => Ok(self.special(Special::TotalSharedBytes)),
                    "%reserved_smem_offset_begin" => Ok(self.reserved(0)),
                    "%reserved_smem_offset_cap" | "%reserved_smem_offset_end" => {
                        Ok(self.reserved(RESERVED_SHARED as u32))
                    }
                    // Two places in it, for what CUDA puts there.
                    "%reserved_smem_offset_0" => Ok(self.reserved(0)),
                    "%reserved_smem_offset_1" => Ok(self.reserved(RESERVED_SHARED as u32 / 2)),
                    _ if name.starts_with('%') => Err(format!("the register `{name}` is not known")),
                    _ => {
                        let address = self.address_of(name)?;
                        Ok(self.address_slot(self.is_shared(name), address))
                    }
                }
            }
            _ => Err("a register or a number is expected".into()),
        }
    }

    fn reserved(&mut self, offset: u32) -> Slot {
        self.program.reserved = true;
        self.special(Special::Reserved(offset))
    }

    /// The place of a variable, of this function or the module.
    pub(super) fn place_of(&self, name: &str) -> Option<Place> {
        let shared = || {
            let (_, variable) = self.index.shared.get(name)?;
            self.shared.get(&std::ptr::from_ref(*variable)).copied().map(Place::Shared)
        };
        self.current.places.get(name).copied().or_else(|| self.linked.global_place(name)).or_else(shared)
    }

    fn is_shared(&self, name: &str) -> bool {
        matches!(self.place_of(name), Some(Place::Shared(_)))
    }

    /// The address of a variable or function in its own space.
    pub(super) fn address_of(&self, name: &str) -> Result<u64, String> {
        if let Some(place) = self.place_of(name) {
            return Ok(place.address());
        }
        self.linked.function(name).ok_or_else(|| format!("`{name}` is not declared"))
    }

    pub(super) fn destination(&mut self, o: &Operands<'_>, place: usize) -> Result<Slot, String> {
        self.destination_of(o.get(place).ok_or("a destination is missing")?)
    }

    pub(super) fn destination_of(&mut self, operand: &Operand) -> Result<Slot, String> {
        self.destination_or_sink(operand)?.map_or_else(|| Ok(self.new_slot()), Ok)
    }

    pub(super) fn destination_or_sink(&mut self, operand: &Operand) -> Result<Option<Slot>, String> {
        let Operand::Name(name) = operand else { return Err("a register is expected".into()) };
        match self.current.registers.get(name) {
            Some(Home::General { slot, .. }) => Ok(Some(*slot)),
            None if name == "_" => Ok(None),
            _ => Err(format!("`{name}` is no general register")),
        }
    }

    /// The bits of a destination.
    pub(super) fn width(&self, o: &Operands<'_>, place: usize) -> Result<u32, String> {
        o.get(place).map(|one| self.register_bits(one)).ok_or_else(|| "a destination is missing".into())
    }

    pub(super) fn register_bits(&self, operand: &Operand) -> u32 {
        match operand {
            Operand::Name(name) => match self.current.registers.get(name) {
                Some(Home::General { bits, .. }) => *bits,
                _ => 64,
            },
            _ => 64,
        }
    }

    /// Whether an operand is a register of 64 bits.
    pub(super) fn is_wide(&self, operand: &Operand) -> bool {
        let Operand::Name(name) = operand else { return false };
        matches!(self.current.registers.get(name), Some(Home::General { bits: 64, .. }))
    }

    pub(super) fn predicate_named(&self, name: &str) -> Result<Slot, String> {
        match self.current.registers.get(name) {
            Some(Home::Predicate(slot)) => Ok(*slot),
            _ => Err(format!("`{name}` is no predicate")),
        }
    }

    pub(super) fn predicate_or_sink(&mut self, operand: &Operand) -> Result<Option<Slot>, String> {
        match operand {
            Operand::Name(name) if name == "_" => Ok(None),
            Operand::Name(name) => self.predicate_named(name).map(Some),
            _ => Err("a predicate is expected".into()),
        }
    }

    pub(super) fn predicate_of(&mut self, o: &Operands<'_>, place: usize) -> Result<Slot, String> {
        let operand = o.get(place).ok_or("a predicate is missing")?;
        self.predicate_or_sink(operand)?.ok_or_else(|| "a predicate is expected".into())
    }

    /// A predicate that is read, and whether it is negated.
    pub(super) fn predicate_source(&mut self, o: &Operands<'_>, place: usize) -> Result<(Slot, bool), String> {
        match o.get(place) {
            Some(Operand::Not(name)) => Ok((self.predicate_named(name)?, true)),
            Some(Operand::Integer(value)) => {
                // A constant predicate: the one that is never written, which is false.
                self.program.predicates += 1;
                Ok((self.program.predicates as Slot - 1, *value != 0))
            }
            _ => Ok((self.predicate_of(o, place)?, false)),
        }
    }

    pub(super) fn predicate2(&mut self, o: &Operands<'_>, f: fn(u32, u32) -> u32) -> Result<Op, String> {
        if o.len() != 3 {
            return Err("a destination and 2 operands are expected".into());
        }
        let (p, a, b) = (self.predicate_of(o, 0)?, self.predicate_of(o, 1)?, self.predicate_of(o, 2)?);
        Ok(Op::Predicate { f, p, a, b })
    }

    pub(super) fn combine(
        &mut self,
        o: &Operands<'_>,
        place: usize,
        join: Option<fn(u32, u32) -> u32>,
    ) -> Result<Option<Combine>, String> {
        let Some(f) = join else {
            return if o.len() > place { Err("an operand too many".into()) } else { Ok(None) };
        };
        let (with, negated) = self.predicate_source(o, place)?;
        Ok(Some(Combine { f, with, negated }))
    }

    pub(super) fn address(&mut self, o: &Operands<'_>, place: usize, space: Space) -> Result<Address, String> {
        let Some(Operand::Address { base, offset, coordinates }) = o.get(place) else {
            return Err("an address is expected".into());
        };
        if !coordinates.is_empty() {
            return Err("tensor coordinates are not supported".into());
        }
        if base.is_empty() {
            return Ok(Address { space, base: 0, offset: *offset });
        }
        if let Some(Home::General { slot, .. }) = self.current.registers.get(base) {
            return Ok(Address { space, base: *slot, offset: *offset });
        }
        let place = self.place_of(base).ok_or_else(|| format!("`{base}` is not declared"))?;
        // A device function's parameters and a call's arguments are laid in local memory.
        let space = match place {
            Place::Local(..) => Space::Local,
            Place::Param(_) => Space::Param,
            _ => space,
        };
        let base = if space == Space::Generic { place.generic() } else { place.address() };
        let is_shared = matches!(place, Place::Shared(_));
        Ok(Address { space, base: self.address_slot(is_shared, base), offset: *offset })
    }

    /// A tensor's description and the coordinates in it: `[map, {x, y}]`.
    pub(super) fn tensor(&mut self, o: &Operands<'_>, place: usize) -> Result<(Address, Vec<Slot>), String> {
        let Some(Operand::Address { base, offset, coordinates }) = o.get(place) else {
            return Err("a tensor's address is expected".into());
        };
        let slots = coordinates.iter().map(|one| self.source_of(one)).collect::<Result<_, _>>()?;
        let base = match self.current.registers.get(base) {
            Some(Home::General { slot, .. }) => *slot,
            _ => {
                let place = self.place_of(base).ok_or_else(|| format!("`{base}` is not declared"))?;
                if matches!(place, Place::Param(_) | Place::Local(..)) {
                    return Err(format!(
                        "`{base}` lies in another state space: its generic address is meant, by `cvta`"
                    ));
                }
                self.constant(place.generic())
            }
        };
        Ok((map_address(base, *offset), slots))
    }

    pub(super) fn label(&self, o: &Operands<'_>, place: usize) -> Result<usize, String> {
        match o.get(place) {
            Some(Operand::Name(name)) => self.label_named(name),
            _ => Err("a label is expected".into()),
        }
    }

    pub(super) fn label_named(&self, name: &str) -> Result<usize, String> {
        self.current.labels.get(name).copied().ok_or_else(|| format!("the label `{name}` is not declared"))
    }

    pub(super) fn table(&mut self, o: &Operands<'_>, place: usize) -> Result<Arc<[usize]>, String> {
        let Some(Operand::Name(name)) = o.get(place) else { return Err("a branch table is expected".into()) };
        if let Some(known) = self.tables.get(name.as_str()) {
            return Ok(known.clone());
        }
        let (table, labels) = self
            .function
            .tables
            .iter()
            .find(|(table, _)| table == name)
            .ok_or_else(|| format!("the branch table `{name}` is not declared"))?;
        let places: Arc<[usize]> = labels.iter().map(|label| self.label_named(label)).collect::<Result<_, _>>()?;
        self.tables.insert(table, places.clone());
        Ok(places)
    }

    pub(super) fn is_predicate(&self, name: &str) -> bool {
        matches!(self.current.registers.get(name), Some(Home::Predicate(_)))
    }

    pub(super) fn is_register(&self, name: &str) -> bool {
        self.current.registers.contains_key(name)
    }
}
