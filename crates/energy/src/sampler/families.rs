use super::census::Weights;
use alloc::vec::Vec;

/// Blocks of founders whose spread gives the error.
const FINE: usize = 100;
/// Founders of such a block, at the least.
const FOUNDERS: usize = 10;
/// Blocks by which tails are judged.
const COARSE: usize = 20;
/// A small variance of their logarithms.
const SMALL: f64 = 0.3;

/// How well a population knows log Z: its founders in blocks, each an independent part.
///
/// A block is some neighbouring founders with all that descend from them. Leaving out its members at every temperature
/// gives another estimate of log Z, and the spread of these (the jackknife) its error. What resampling rounds, and members
/// that sweeps have made independent of each other, are then not counted as errors, as the families of single founders
/// count them.
///
/// Where few blocks have outgrown the others, that spread says little. The estimates Z_b = Π_k ⟨e^(−Δβ_k E)⟩_b of the blocks
/// alone are then taken for log-normal: of those that died out is known that they were less than one member.
#[derive(Clone, Debug)]
pub(super) struct Families {
    members: usize,
    /// log Z without each block, minus log Z.
    without: Vec<f64>,
    /// ln(Z_b/Z) of each block.
    alone: Vec<f64>,
}

impl Families {
    pub fn new(members: usize) -> Self {
        let coarse = COARSE.min(members);
        let fine = (members / FOUNDERS).clamp(coarse, FINE.max(coarse));
        Self { members, without: alloc::vec![0.0; fine], alone: alloc::vec![0.0; coarse] }
    }

    /// The fine and the coarse blocks of founders that it wants the weights of.
    pub fn divisions(&self) -> (usize, [usize; 2]) {
        (self.members, [self.without.len(), self.alone.len()])
    }

    /// One change of β, of these weights.
    pub fn weigh(&mut self, weights: &Weights) {
        let Weights { total, blocks: [fine, coarse] } = weights;
        let (members, mean) = (self.members, total / self.members as f64);
        for (log, &(sum, descendants)) in self.without.iter_mut().zip(fine) {
            let others = (members - descendants) as f64;
            let change = libm::log((total - sum) / others / mean);
            // Nothing is left without it: less than one member.
            *log = if change.is_finite() { *log + change } else { log.min(-libm::log(members as f64)) };
        }
        for (log, &(sum, descendants)) in self.alone.iter_mut().zip(coarse) {
            *log += if descendants > 0 { libm::log(sum / descendants as f64 / mean) } else { f64::NEG_INFINITY };
        }
    }

    /// Half of this is what the logarithm of the estimate lacks on average.
    pub fn variance(&self) -> f64 {
        libm::log1p(self.jackknife())
    }

    /// The variance of log Z by leaving out each block.
    fn jackknife(&self) -> f64 {
        let n = self.without.len() as f64;
        let mean = self.without.iter().sum::<f64>() / n;
        (n - 1.0) / n * self.without.iter().map(|log| (log - mean) * (log - mean)).sum::<f64>()
    }

    /// The standard error of log Z; infinite of a single member.
    pub fn error(&self) -> f64 {
        if self.members < 2 {
            return f64::INFINITY;
        }
        let (jackknife, (spread, tail)) = (self.jackknife(), self.tail());
        // Normal logarithms matter as far as their spread is beyond a small one, of which both say the same.
        libm::sqrt(jackknife.max(tail * spread / (spread + SMALL)))
    }

    /// The variance of the logarithms of the Z_b, and with it that of log Z.
    fn tail(&self) -> (f64, f64) {
        let n = self.alone.len() as f64;
        let mut logs: Vec<f64> = self.alone.iter().copied().filter(|log| log.is_finite()).collect();
        logs.sort_by(|a, b| b.total_cmp(a));
        let rank = |i: usize| quantile(1.0 - (i as f64 + 0.625) / (n + 0.25));
        let mut ranks: Vec<f64> = (0..logs.len()).map(rank).collect();
        let squares = |x: &[f64], y: &[f64]| {
            let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
            let (x_mean, y_mean) = (mean(x), mean(y));
            x.iter().zip(y).map(|(x, y)| (x - x_mean) * (y - y_mean)).sum::<f64>()
        };
        let spread = if logs.len() == self.alone.len() {
            squares(&logs, &logs) / (n - 1.0)
        } else {
            // The largest that died out: less than one member of those that it began with.
            let one = -libm::log(self.members as f64 / n);
            let least = logs.last().map_or(one, |&least| least.min(one));
            ranks.push(rank(logs.len()));
            logs.push(least);
            let slope = squares(&ranks, &logs) / squares(&ranks, &ranks);
            slope * slope
        };
        let log =
            if spread < 700.0 { libm::log1p(libm::expm1(spread) / (n - 1.0)) } else { spread - libm::log(n - 1.0) };
        (spread, log)
    }
}

/// The quantile of the normal distribution, to 0.01 (Joiner and Rosenblatt, *J. Am. Stat. Assoc.* 66, 394 (1971)).
fn quantile(share: f64) -> f64 {
    4.91 * (libm::pow(share, 0.14) - libm::pow(1.0 - share, 0.14))
}

#[cfg(test)]
mod tests {
    use super::*;
    use yuragi_graph::Alone;

    #[test]
    fn quantiles_are_normal() {
        for (share, value) in [(0.5, 0.0), (0.841_344_7, 1.0), (0.977_249_9, 2.0), (0.025, -1.959_964)] {
            assert!((quantile(share) - value).abs() < 0.01, "{share}");
        }
    }

    fn weigh(families: &mut Families, founders: &[u32], log_weights: &[f64]) {
        let weights: Vec<f64> = log_weights.iter().map(|x| libm::exp(*x)).collect();
        families.weigh(&Weights::take(&Alone, 0, &weights, founders, families.divisions()).unwrap());
    }

    #[test]
    fn equal_weights_are_certain_and_one_family_is_not() {
        let founders: Vec<u32> = (0..1000).collect();
        let mut families = Families::new(1000);
        assert_eq!((families.variance(), families.error()), (0.0, 0.0));
        weigh(&mut families, &founders, &[-3.0; 1000]);
        assert!(families.error() < 1e-7);
        // One family has outgrown all others.
        weigh(&mut families, &[7; 1000], &[0.0; 1000]);
        weigh(&mut families, &[7; 1000], &[0.0; 1000]);
        assert!(families.variance() > 1.0 && families.error() > 3.0, "{}", families.error());
        assert_eq!(Families::new(1).error(), f64::INFINITY);
        // Independent weights of relative variance v: an error of √(v/R).
        let mut families = Families::new(1000);
        let log_weights: Vec<f64> = (0..1000).map(|i| 0.1 * f64::from(i * 7919 % 1000) / 288.675).collect();
        weigh(&mut families, &founders, &log_weights);
        assert!((0.6..1.5).contains(&(families.error() / (0.1 / 1000f64.sqrt()))), "{}", families.error());
    }
}
