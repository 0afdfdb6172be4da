//! Which picture comes when: a pure function of the seed and the position.

use yuragi_numeric::philox;

/// Draws that belong to one position of the training, as words of a counter-based generator.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    key: [u32; 2],
    position: u64,
}

impl Draws {
    /// The draws of a position.
    pub fn new(seed: u64, position: u64) -> Draws {
        Draws { key: [seed as u32, (seed >> 32) as u32], position }
    }

    /// A uniform number in [0, 1) for a purpose.
    pub fn uniform(self, purpose: u32) -> f64 {
        f64::from(self.word(purpose)) / 4_294_967_296.0
    }

    /// A number below `count` (which is not 0) for a purpose.
    pub fn below(self, purpose: u32, count: usize) -> usize {
        ((u128::from(self.word(purpose)) * count as u128) >> 32) as usize
    }

    fn word(self, purpose: u32) -> u32 {
        let counter = [self.position as u32, (self.position >> 32) as u32, purpose, ORDER_STREAM];
        philox::block(counter, self.key)[0]
    }
}

/// Apart from the streams that graphs draw from.
const ORDER_STREAM: u32 = 0x6f72_6472;

/// Epochs in which every item comes once, each in an order of its own.
#[derive(Clone, Debug)]
pub struct Order {
    seed: u64,
    epoch: u64,
    items: Vec<u32>,
}

impl Order {
    /// An order of so many items (at least one).
    pub fn new(seed: u64, count: usize) -> Order {
        let mut order = Order { seed, epoch: 0, items: (0..count.max(1) as u32).collect() };
        order.shuffle(0);
        order
    }

    /// The item at a position, and the position's epoch.
    pub fn at(&mut self, position: u64) -> (usize, u64) {
        let count = self.items.len() as u64;
        let (epoch, place) = (position / count, position % count);
        if epoch != self.epoch {
            self.shuffle(epoch);
        }
        (self.items[place as usize] as usize, epoch)
    }

    fn shuffle(&mut self, epoch: u64) {
        self.epoch = epoch;
        for (i, item) in self.items.iter_mut().enumerate() {
            *item = i as u32;
        }
        let draws = Draws::new(self.seed, epoch);
        for i in (1..self.items.len()).rev() {
            self.items.swap(i, draws.below(0x8000_0000 | i as u32, i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_item_once_and_its_own_order() {
        let mut order = Order::new(7, 100);
        let mut epochs: Vec<Vec<usize>> = Vec::new();
        for epoch in 0..3 {
            epochs.push((0..100).map(|i| order.at(epoch * 100 + i).0).collect());
        }
        for items in &epochs {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        }
        assert_ne!(epochs[0], epochs[1]);
        assert_eq!(order.at(42).0, epochs[0][42]);
    }

    #[test]
    fn draws_are_uniform() {
        let mean = (0..10_000).map(|i| Draws::new(1, i).uniform(0)).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0f64 / 1e4).sqrt());
        assert!((0..1000).all(|i| Draws::new(1, i).below(1, 3) < 3));
    }
}
