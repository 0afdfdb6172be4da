use super::{Problem, Vartype};
use crate::error::Error;
use alloc::vec::Vec;

/// Every variable up to the largest takes memory: a short text must not ask for too much of it.
const LARGEST: usize = 1 << 26;

/// dimod's coordinate text, read and not yet made a problem: it takes memory in proportion to the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coordinates {
    /// The kind of the variables, if the text says one.
    pub vartype: Option<Vartype>,
    /// One more than the largest variable.
    pub variables: usize,
    /// Linear biases (k, a_k), in their order.
    pub linear: Vec<(usize, f64)>,
    /// Quadratic ones (k, l, b_kl) with k ≠ l, in their order.
    pub quadratic: Vec<(usize, usize, f64)>,
}

impl Coordinates {
    /// Reads lines `k l bias`, with k = l for a linear bias. Empty lines are skipped; a line that begins with `#` and holds
    /// `vartype=SPIN` or `vartype: BINARY` anywhere sets the kind of the variables, other such lines say nothing. The
    /// variables are 0 … the largest index, which is at most 67,108,863.
    ///
    /// # Errors
    /// [`Error::Text`]: a line that is not of this form, or two kinds that differ.
    pub fn read(text: &str) -> Result<Self, Error> {
        let mut read = Self::default();
        for (number, line) in text.lines().enumerate() {
            let error = |what| Error::Text { line: number + 1, what };
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(name) = vartype_in(comment) {
                    let vartype = Vartype::from_name(name).ok_or(error("the vartype must be SPIN or BINARY"))?;
                    if read.vartype.is_some_and(|said| said != vartype) {
                        return Err(error("the vartype is another one than in a line before"));
                    }
                    read.vartype = Some(vartype);
                }
                continue;
            }
            let mut words = line.split_whitespace();
            let Some(first) = words.next() else { continue };
            let [second, third] = [words.next(), words.next()];
            let (Some(second), Some(third), None) = (second, third, words.next()) else {
                return Err(error("must hold two variables and a bias"));
            };
            let variable = |word: &str| {
                let index = word.parse::<usize>().ok().filter(|&index| index < LARGEST);
                index.ok_or(error("a variable must be a whole number from 0 to 67108863"))
            };
            let (k, l) = (variable(first)?, variable(second)?);
            let bias = third.parse::<f64>().map_err(|_| error("the bias must be a number"))?;
            if !bias.is_finite() {
                return Err(error("the bias must be finite"));
            }
            read.variables = read.variables.max(k + 1).max(l + 1);
            if k == l { read.linear.push((k, bias)) } else { read.quadratic.push((k, l, bias)) }
        }
        Ok(read)
    }
}

impl Problem {
    /// Reads dimod's coordinate text, see [`Coordinates::read`]. Without a kind of the variables they are `default`; equal
    /// pairs are summed. Signs are dimod's, see [`Problem::quadratic`].
    ///
    /// # Errors
    /// Those of [`Coordinates::read`], no variable, or what [`Problem::quadratic`] refuses.
    ///
    /// ```
    /// use yuragi_energy::{Problem, Vartype};
    /// let problem = Problem::from_coo("# vartype=SPIN\n0 0 0.5\n0 1 -1\n", Vartype::Binary)?;
    /// assert_eq!(problem.energy(&[1, 1])?, -0.5);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn from_coo(text: &str, default: Vartype) -> Result<Self, Error> {
        let Coordinates { vartype, variables, linear, quadratic } = Coordinates::read(text)?;
        let mut biases = alloc::vec![0.0; variables];
        linear.into_iter().for_each(|(k, bias)| biases[k] += bias);
        Self::quadratic(vartype.unwrap_or(default), &biases, quadratic, 0.0)
    }
}

/// The word after `vartype=` or `vartype:` in a comment, however it is spaced and written.
fn vartype_in(comment: &str) -> Option<&str> {
    const KEY: &str = "vartype";
    let starts = comment.char_indices().map(|(at, _)| at);
    let mut keys =
        starts.filter(|&at| comment.get(at..at + KEY.len()).is_some_and(|word| word.eq_ignore_ascii_case(KEY)));
    keys.find_map(|at| {
        let value = comment[at + KEY.len()..].trim_start().strip_prefix(['=', ':'])?.trim_start();
        let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(value.len());
        Some(&value[..end])
    })
}
