//! What decoding a kernel knows: the program so far, and where the names of the current function lie.

use std::{collections::HashMap, sync::Arc};

use super::{index::Index, link::Linked, place::Place};
use crate::{
    program::{Program, Room, Slot, Special},
    ptx::{Function, Variable},
};

/// A register's place.
#[derive(Clone, Copy)]
pub(super) enum Home {
    General { slot: Slot, bits: u32 },
    Predicate(Slot),
}

/// A function of a program.
#[derive(Clone)]
pub(super) struct Part {
    pub begin: usize,
    pub registers: HashMap<String, Home>,
    pub places: HashMap<String, Place>,
    pub labels: HashMap<String, usize>,
    pub params: Vec<Place>,
    pub returns: Vec<Place>,
    pub room: Room,
}

/// Turns one kernel, and the functions that it calls, into a program.
pub(crate) struct Decoder<'a> {
    pub index: &'a Index<'a>,
    pub linked: &'a Linked,
    /// Offsets of shared variables.
    pub shared: HashMap<*const Variable, u64>,
    pub program: Program,
    pub constants: HashMap<u64, Slot>,
    /// Slots of addresses in shared memory.
    pub shared_slots: HashMap<u64, Slot>,
    pub parts: HashMap<&'a str, Part>,
    /// The function whose instructions are being decoded.
    pub current: Part,
    pub function: &'a Function,
    /// Its branch tables that were used.
    pub tables: HashMap<&'a str, Arc<[usize]>>,
    /// Pairs of a call through a register and a function that it may reach.
    pub indirect: usize,
    /// Lines of source files in words.
    pub sources: HashMap<(u64, u64), Arc<str>>,
}

impl Decoder<'_> {
    pub fn new_slot(&mut self) -> Slot {
        self.program.slots += 1;
        self.program.slots as Slot - 1
    }

    /// A slot that always holds a value.
    pub fn constant(&mut self, value: u64) -> Slot {
        if let Some(&slot) = self.constants.get(&value) {
            return slot;
        }
        let slot = self.new_slot();
        self.constants.insert(value, slot);
        self.program.constants.push((slot, value));
        slot
    }

    /// A slot that holds an address of a variable: of one in shared memory, that of its block.
    pub fn address_slot(&mut self, is_shared: bool, address: u64) -> Slot {
        if !is_shared {
            return self.constant(address);
        }
        if let Some(&slot) = self.shared_slots.get(&address) {
            return slot;
        }
        let slot = self.new_slot();
        self.shared_slots.insert(address, slot);
        self.program.specials.push((slot, Special::Shared(address)));
        slot
    }

    pub fn special(&mut self, special: Special) -> Slot {
        if let Some((slot, _)) = self.program.specials.iter().find(|(_, s)| *s == special) {
            return *slot;
        }
        let slot = self.new_slot();
        self.program.specials.push((slot, special));
        slot
    }
}
