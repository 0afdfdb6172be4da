use yuragi_energy::{Problem, Vartype};

use super::{Asked, Named, Objective, Sense};

/// A coefficient of v_k v_l, or of v_k where k = l.
pub(super) type Term = (usize, usize, f64);

/// Each variable takes memory: a short text must not ask for too much of it.
const LARGEST: usize = 1 << 26;
/// A problem of more variables than this is stored with all its couplings where most exist.
const SMALL: usize = 32;

/// One more than the largest variable.
pub(super) fn count(terms: &[Term]) -> Result<usize, String> {
    counted(terms.iter().map(|&(k, l, _)| k.max(l)).max().map_or(0, |largest| largest.saturating_add(1)))
}

/// `Ok` for a number of variables that there may be.
pub(super) fn counted(variables: usize) -> Result<usize, String> {
    match variables {
        0..=LARGEST => Ok(variables),
        _ => Err(format!("variable {} is beyond {}, the last", variables - 1, LARGEST - 1)),
    }
}

/// f = offset + Σ a_k v_k + Σ b_kl v_k v_l, as a file has it.
#[derive(Debug)]
pub(super) struct Terms {
    pub format: &'static str,
    /// What v is.
    pub vartype: Vartype,
    /// What v is called: 0 and 1, or −1 and +1.
    pub shown: Vartype,
    pub variables: usize,
    /// Terms a_k v_k, which add up where a variable comes twice.
    pub linear: Vec<(usize, f64)>,
    pub quadratic: Vec<Term>,
    pub offset: f64,
    pub names: Vec<String>,
    /// Where variables without names are counted from.
    pub first: usize,
    /// What f is called.
    pub objective: &'static str,
    pub sense: Sense,
    pub notes: Vec<String>,
}

impl Terms {
    /// No terms yet, of so many variables.
    pub fn new(format: &'static str, vartype: Vartype, variables: usize) -> Self {
        Self {
            format,
            vartype,
            shown: vartype,
            variables,
            linear: Vec::new(),
            quadratic: Vec::new(),
            offset: 0.0,
            names: Vec::new(),
            first: 0,
            objective: "energy",
            sense: Sense::Minimize,
            notes: Vec::new(),
        }
    }

    /// Adds b v_k v_l; of one variable, what v² is.
    pub fn add(&mut self, (k, l, bias): Term) {
        match (k == l, self.vartype) {
            (false, _) => self.quadratic.push((k, l, bias)),
            (true, Vartype::Binary) => self.linear.push((k, bias)),
            (true, Vartype::Spin) => self.offset += bias,
        }
    }

    /// The bytes that [`named`](Self::named) takes at the most.
    pub fn memory(&self) -> usize {
        let (n, terms) = (self.variables, self.quadratic.len());
        let matrix = if self.is_dense(terms) { n.saturating_mul(n).saturating_mul(20) } else { 0 };
        Problem::memory_to_build(n, 1, terms).saturating_add(matrix)
    }

    /// Whether a problem of so many couplings is stored with all of them.
    fn is_dense(&self, couplings: usize) -> bool {
        let n = self.variables;
        n > SMALL && couplings >= n.saturating_mul(n - 1) / 4
    }

    /// The problem whose energy is f, or −f if f is to be large.
    pub fn named(self, asked: &Asked) -> Result<Named, String> {
        if self.variables == 0 {
            return Err("it has no variables".to_owned());
        }
        if asked.vartype.is_some_and(|asked| asked != self.shown) {
            let word = |vartype| if vartype == Vartype::Spin { "spins" } else { "bits" };
            let other = if self.shown == Vartype::Spin { Vartype::Binary } else { Vartype::Spin };
            return Err(format!("its variables are {}; they were asked for as {}", word(self.shown), word(other)));
        }
        let maximize = asked.sense.unwrap_or(self.sense) == Sense::Maximize;
        let sign = if maximize { -1.0 } else { 1.0 };
        let mut linear = vec![0.0; self.variables];
        self.linear.iter().for_each(|(k, bias)| linear[*k] += sign * bias);
        let quadratic = self.quadratic.iter().map(|&(k, l, bias)| (k, l, sign * bias));
        let problem = Problem::quadratic(self.vartype, &linear, quadratic, sign * self.offset);
        let problem = problem.map_err(|error| error.to_string())?;
        let dense = self.is_dense(problem.couplings().count());
        let problem = if dense { problem.to_dense().map_err(|error| error.to_string())? } else { problem };
        let name = if maximize && self.objective == "energy" { "value" } else { self.objective };
        Ok(Named {
            problem,
            names: self.names,
            first: self.first,
            vartype: self.shown,
            format: self.format,
            objective: Objective { name, maximize },
            notes: self.notes,
        })
    }
}
