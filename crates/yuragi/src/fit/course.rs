use std::ops::Range;

use super::Rows;
use crate::train::order::Order;

/// A course of learning: batches of rows, epoch by epoch in an order of its own, and their rates.
pub(super) struct Course<'a> {
    rows: &'a Rows,
    order: Order,
    batch: u64,
    /// Batches of an epoch.
    batches: u64,
    /// Batches in all.
    pub(super) total: u64,
}

impl<'a> Course<'a> {
    pub(super) fn new(rows: &'a Rows, batch: usize, epochs: u32, seed: u64) -> Course<'a> {
        let batch = batch.clamp(1, rows.len());
        let batches = (rows.len() / batch) as u64;
        let total = batches * u64::from(epochs);
        Course { rows, order: Order::new(seed, rows.len()), batch: batch as u64, batches, total }
    }

    /// Rows of a batch.
    pub(super) fn rows(&self) -> usize {
        self.batch as usize
    }

    /// Leaves the rows at these places of a batch (counted from 0) in `values`, drawn anew in every epoch; gives the epoch.
    pub(super) fn batch(&mut self, number: u64, places: Range<usize>, values: &mut Vec<f32>) -> u32 {
        values.clear();
        let (epoch, within) = (number / self.batches, number % self.batches);
        for place in places {
            let place = place as u64;
            let (row, epoch) = self.order.at(epoch * self.rows.len() as u64 + within * self.batch + place);
            self.rows.push(row, epoch, values);
        }
        epoch as u32
    }

    /// The learning rate of a batch: `peak`, then falling linearly to 0 over the second half.
    pub(super) fn rate(&self, peak: f32, number: u64) -> f32 {
        let left = (self.total - number) as f32 / self.total as f32;
        peak * (2.0 * left).min(1.0)
    }
}
