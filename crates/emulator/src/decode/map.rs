//! Functions of numbers as functions of all lanes.

use super::{Operands, decoder::Decoder};
use crate::program::{Function, Op, lane_by_lane, lanewise};

impl Decoder<'_> {
    pub(super) fn map(&mut self, o: &Operands<'_>, count: usize, f: Function) -> Result<Op, String> {
        if o.len() != count + 1 {
            return Err(format!("a destination and {count} operands are expected"));
        }
        let mut a = [0; 4];
        for (place, slot) in a.iter_mut().enumerate().take(count) {
            *slot = self.source(o, place + 1)?;
        }
        Ok(Op::Map { f, d: self.destination(o, 0)?, a })
    }

    pub(super) fn map1(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(o, 1, lanewise(move |[a]| f(a)))
    }

    pub(super) fn map2(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(o, 2, lanewise(move |[a, b]| f(a, b)))
    }

    pub(super) fn map3(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(o, 3, lanewise(move |[a, b, c]| f(a, b, c)))
    }

    /// The same for what is rare.
    pub(super) fn rare1(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(o, 1, lane_by_lane(move |[a]| f(a)))
    }

    pub(super) fn rare2(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(o, 2, lane_by_lane(move |[a, b]| f(a, b)))
    }

    pub(super) fn rare3(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(o, 3, lane_by_lane(move |[a, b, c]| f(a, b, c)))
    }

    pub(super) fn rare4(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64, u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(o, 4, lane_by_lane(move |[a, b, c, e]| f(a, b, c, e)))
    }
}
