//! Descriptions of tensors that kernels change and copy (`tensormap`).

use super::{
    block::Block,
    engine::Engine,
    lanes::each,
    span::{part, spans},
};
use crate::{
    finding::Kind,
    memory::shadow::Manner,
    program::{Inst, Op},
    tensor_map::{Field, TENSOR_MAP_BYTES},
};

impl Block {
    /// Replaces a field of a description; lanes that do the same do it once.
    pub(super) fn change_map(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::ChangeMap { address, field, value } = &inst.op else { return };
        self.events += 1;
        let (warp, mut reach) = self.reach(engine, number, at);
        let (whole, values) = (spans(warp, address, TENSOR_MAP_BYTES), *warp.get(*value));
        let mut done = Vec::new();
        each(active, |lane| {
            let what = (whole[lane].address, values[lane]);
            if done.contains(&what) || !reach.may_touch(warp, lane, whole[lane], true) {
                return;
            }
            done.push(what);
            let mut change = |field: Field, value: u64| {
                let word = part(whole[lane], field.word(), 8);
                let [old, ..] = reach.read(warp, lane, word, Manner::Weak);
                match field.changed(old, value) {
                    Ok(new) => reach.write(warp, lane, word, &[new, 0, 0, 0], Manner::Weak),
                    Err(note) => reach.report(Kind::Illegal, lane, word, true, None, |_| note),
                }
            };
            change(Field::Mark, 0);
            change(*field, values[lane]);
        });
    }

    /// Copies a description from shared to global memory, by one lane for all.
    pub(super) fn copy_map(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::CopyMap { to, from } = &inst.op else { return };
        self.events += 1;
        let (warp, mut reach) = self.reach(engine, number, at);
        let [to, from] = [to, from].map(|address| spans(warp, address, TENSOR_MAP_BYTES));
        let lane = active.trailing_zeros() as usize & 31;
        if reach.may_touch(warp, lane, from[lane], false) && reach.may_touch(warp, lane, to[lane], true) {
            for place in 0..TENSOR_MAP_BYTES / 16 {
                let words = reach.read(warp, lane, part(from[lane], place, 16), Manner::Weak);
                reach.write(warp, lane, part(to[lane], place, 16), &words, Manner::Weak);
            }
        }
    }
}
