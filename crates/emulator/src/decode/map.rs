//! Functions of numbers as functions of all lanes.

use super::{Operands, decoder::Decoder};
use crate::program::{Function, Lanes, Op};

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
        self.map(
            o,
            1,
            Box::new(move |d: &mut Lanes, [a, ..]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i]);
                }
            }),
        )
    }

    pub(super) fn map2(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(
            o,
            2,
            Box::new(move |d: &mut Lanes, [a, b, ..]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i], b[i]);
                }
            }),
        )
    }

    pub(super) fn map3(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(
            o,
            3,
            Box::new(move |d: &mut Lanes, [a, b, c, _]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i], b[i], c[i]);
                }
            }),
        )
    }

    pub(super) fn map4(
        &mut self,
        o: &Operands<'_>,
        f: impl Fn(u64, u64, u64, u64) -> u64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        self.map(
            o,
            4,
            Box::new(move |d: &mut Lanes, [a, b, c, e]: [&Lanes; 4]| {
                for i in 0..32 {
                    d[i] = f(a[i], b[i], c[i], e[i]);
                }
            }),
        )
    }
}
