use super::{Couplings, Problem, Variables};
use crate::error::{Error, counter, index, length, range};
use alloc::vec::Vec;

/// The largest sum of |J| and |h| about one variable: a local field must stay finite in f32.
const LARGEST: f64 = 1e37;

/// The two kinds of variables of a binary quadratic model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vartype {
    /// s ∈ {−1, +1}.
    Spin,
    /// b ∈ {0, 1}; value 0 stays 0 and becomes the spin −1.
    Binary,
}

impl Vartype {
    /// The kind that dimod calls `SPIN` or `BINARY`, in large or small letters.
    pub fn from_name(name: &str) -> Option<Self> {
        let is = |word: &str| name.eq_ignore_ascii_case(word);
        if is("SPIN") { Some(Self::Spin) } else { is("BINARY").then_some(Self::Binary) }
    }
}

impl Problem {
    /// Spins with sparse couplings (k, l, J_kl), in any order; those of the same pair are summed.
    /// `fields` has `variables` values, or none for h = 0.
    ///
    /// # Errors
    /// No variable, an index out of range, a self-coupling, a number that is NaN, infinite or too
    /// large for f32, or a wrong number of fields.
    pub fn ising(
        variables: usize,
        couplings: impl IntoIterator<Item = (usize, usize, f64)>,
        fields: &[f64],
    ) -> Result<Self, Error> {
        let table = sparse(variables, couplings)?;
        Self::assemble(Variables::Spin, table, fields.to_vec(), 0.0)
    }

    /// Potts variables of `states` values with sparse couplings, as in [`Problem::ising`]. `fields` has
    /// h_k(s) at k·q + s, or nothing for h = 0.
    ///
    /// # Errors
    /// As [`Problem::ising`]; `states` below 2.
    ///
    /// ```
    /// use yuragi_energy::Problem;
    /// let pair = Problem::potts(2, 3, [(0, 1, 2.0)], &[])?;
    /// assert_eq!([pair.energy(&[2, 2])?, pair.energy(&[2, 0])?], [-2.0, 0.0]);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn potts(
        variables: usize,
        states: u8,
        couplings: impl IntoIterator<Item = (usize, usize, f64)>,
        fields: &[f64],
    ) -> Result<Self, Error> {
        range("the number of Potts states", f64::from(states), states >= 2, "from 2 to 255")?;
        let table = sparse(variables, couplings)?;
        Self::assemble(Variables::Potts(states), table, fields.to_vec(), 0.0)
    }

    /// Spins that are all coupled: `matrix` is the symmetric N×N matrix J, row by row, with a zero
    /// diagonal. Markov chains then keep the local fields up to date instead of summing them.
    ///
    /// # Errors
    /// As [`Problem::ising`], or a matrix that is not symmetric.
    ///
    /// ```
    /// use yuragi_energy::Problem;
    /// let pair = Problem::dense(2, &[0.0, 1.0, 1.0, 0.0], &[0.5, 0.0])?;
    /// assert_eq!(pair.energy(&[1, 1])?, -1.5);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn dense(variables: usize, matrix: &[f64], fields: &[f64]) -> Result<Self, Error> {
        counted(variables)?;
        let entries = variables.checked_mul(variables).ok_or(Error::Overflow { what: "the number of couplings" })?;
        length("the matrix of couplings", matrix.len(), entries)?;
        for k in 0..variables {
            for l in 0..k {
                let (lower, upper) = (matrix[k * variables + l], matrix[l * variables + k]);
                finite("a coupling", lower)?;
                finite("a coupling", upper)?;
                if lower != upper {
                    return Err(Error::Asymmetric { row: l, column: k });
                }
            }
            let own = matrix[k * variables + k];
            finite("a coupling", own)?;
            if own != 0.0 {
                return Err(Error::SelfCoupling { variable: k });
            }
        }
        Self::assemble(Variables::Spin, Couplings::from_dense(variables, matrix.to_vec()), fields.to_vec(), 0.0)
    }

    /// A quadratic unconstrained binary optimisation: E(b) = constant + Σ Q_kl b_k b_l over the given
    /// `terms` (k, l, Q_kl), b ∈ {0, 1}^N; k = l gives a linear term, equal pairs are summed. The
    /// energies stay the same, value 1 stands for b = 1.
    ///
    /// # Errors
    /// No variable, an index out of range, or a number that is NaN, infinite or too large for f32.
    ///
    /// ```
    /// use yuragi_energy::Problem;
    /// let qubo = Problem::qubo(2, [(0, 0, -1.0), (1, 1, -1.0), (0, 1, 3.0)], 7.0)?;
    /// assert_eq!([qubo.energy(&[0, 0])?, qubo.energy(&[0, 1])?, qubo.energy(&[1, 1])?], [7.0, 6.0, 8.0]);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn qubo(
        variables: usize,
        terms: impl IntoIterator<Item = (usize, usize, f64)>,
        constant: f64,
    ) -> Result<Self, Error> {
        counted(variables)?;
        let mut linear = alloc::vec![0.0; variables];
        let mut quadratic = Vec::new();
        for (k, l, weight) in terms {
            index("variable", k, variables)?;
            index("variable", l, variables)?;
            if k == l { linear[k] += weight } else { quadratic.push((k, l, weight)) }
        }
        Self::quadratic(Vartype::Binary, &linear, quadratic, constant)
    }

    /// A binary quadratic model as dimod writes it: E = offset + Σ a_k v_k + Σ b_kl v_k v_l, with plus
    /// signs, so that J = −b and h = −a for spins. `linear` has one bias a variable.
    ///
    /// # Errors
    /// No variable, an index out of range, a self-coupling, or a number that is NaN, infinite or too
    /// large for f32.
    pub fn quadratic(
        vartype: Vartype,
        linear: &[f64],
        quadratic: impl IntoIterator<Item = (usize, usize, f64)>,
        offset: f64,
    ) -> Result<Self, Error> {
        let variables = counted(linear.len())?;
        let mut fields: Vec<f64> = linear.iter().map(|bias| -bias).collect();
        let mut offset = offset;
        let mut couplings = Vec::new();
        match vartype {
            Vartype::Spin => couplings.extend(quadratic.into_iter().map(|(k, l, bias)| (k, l, -bias))),
            // b = (1 + x)/2
            Vartype::Binary => {
                for (field, bias) in fields.iter_mut().zip(linear) {
                    *field = -0.5 * bias;
                    offset += 0.5 * bias;
                }
                for (k, l, bias) in quadratic {
                    index("variable", k, variables)?;
                    index("variable", l, variables)?;
                    couplings.push((k, l, -0.25 * bias));
                    fields[k] -= 0.25 * bias;
                    fields[l] -= 0.25 * bias;
                    offset += 0.25 * bias;
                }
            }
        }
        Self::assemble(Variables::Spin, sparse(variables, couplings)?, fields, offset)
    }

    /// The bytes that building takes at the most, for so many variables of so many values and so many terms of two
    /// variables, each given once; the problem itself keeps less than half of them.
    ///
    /// ```
    /// use yuragi_energy::Problem;
    /// assert!(Problem::memory_to_build(1_000_000, 2, 2_000_000) < 500_000_000);
    /// ```
    #[must_use]
    pub fn memory_to_build(variables: usize, states: usize, terms: usize) -> usize {
        let variable = states.max(1).saturating_mul(28).saturating_add(32);
        // Terms in lists that grow, sorted, and then each one twice.
        variables.saturating_mul(variable).saturating_add(terms.saturating_mul(144)).saturating_add(1024)
    }

    /// The same energies plus a constant.
    ///
    /// # Errors
    /// A constant that is not finite.
    pub fn with_offset(mut self, offset: f64) -> Result<Self, Error> {
        finite("the offset", offset)?;
        self.offset = offset;
        Ok(self)
    }

    /// The same problem with every coupling stored, zeros too; see [`Problem::dense`].
    ///
    /// # Errors
    /// N² above the range of `usize`.
    pub fn to_dense(&self) -> Result<Self, Error> {
        let n = self.len();
        let entries = n.checked_mul(n).ok_or(Error::Overflow { what: "the number of couplings" })?;
        let mut matrix = alloc::vec![0.0; entries];
        for (k, l, weight) in self.couplings() {
            matrix[k * n + l] = weight;
            matrix[l * n + k] = weight;
        }
        Ok(Self { couplings: Couplings::from_dense(n, matrix), sides: Vec::new(), ..self.clone() })
    }

    pub(super) fn assemble(
        variables: Variables,
        couplings: Couplings,
        mut fields: Vec<f64>,
        offset: f64,
    ) -> Result<Self, Error> {
        let per_variable = match variables {
            Variables::Spin => 1,
            Variables::Potts(q) => usize::from(q),
        };
        let n = couplings.len();
        let wanted = n.checked_mul(per_variable).ok_or(Error::Overflow { what: "the number of fields" })?;
        if fields.is_empty() {
            fields.resize(wanted, 0.0);
        }
        length("the fields", fields.len(), wanted)?;
        fields.iter().try_for_each(|&field| finite("a field", field))?;
        finite("the offset", offset)?;
        for (k, fields) in fields.chunks(per_variable).enumerate() {
            let largest = fields.iter().fold(0.0, |largest: f64, field| largest.max(field.abs()));
            let sum = largest + couplings.row(k).map(|(_, weight)| weight.abs()).sum::<f64>();
            range("the sum of the couplings and the field of one variable", sum, sum <= LARGEST, "at most 1e37")?;
        }
        let rounded_fields = fields.iter().map(|&field| field as f32).collect();
        Ok(Self { variables, couplings, fields, rounded_fields, offset, sides: Vec::new() })
    }

    pub(super) fn with_sides(mut self, sides: &[usize]) -> Self {
        self.sides = sides.to_vec();
        self
    }
}

fn counted(variables: usize) -> Result<usize, Error> {
    range("the number of variables", 0.0, variables > 0, "at least 1")?;
    counter("the number of variables", variables)?;
    Ok(variables)
}

fn finite(what: &'static str, value: f64) -> Result<(), Error> {
    range(what, value, value.is_finite(), "finite")
}

/// Checked, each pair in order and once, zeros left out.
pub(super) fn sparse(
    variables: usize,
    terms: impl IntoIterator<Item = (usize, usize, f64)>,
) -> Result<Couplings, Error> {
    counted(variables)?;
    let mut pairs = Vec::new();
    for (k, l, weight) in terms {
        index("variable", k, variables)?;
        index("variable", l, variables)?;
        if k == l {
            return Err(Error::SelfCoupling { variable: k });
        }
        finite("a coupling", weight)?;
        pairs.push((k.min(l) as u32, k.max(l) as u32, weight));
    }
    pairs.sort_by_key(|&(k, l, _)| (k, l)); // stable: duplicates are summed in the order given
    pairs.dedup_by(|next, first| {
        let same = (next.0, next.1) == (first.0, first.1);
        if same {
            first.2 += next.2;
        }
        same
    });
    pairs.iter().try_for_each(|&(_, _, weight)| finite("the sum of the couplings of one pair", weight))?;
    pairs.retain(|&(_, _, weight)| weight != 0.0);
    Ok(Couplings::sparse(variables, &pairs))
}
