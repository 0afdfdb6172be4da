use super::{Problem, Vartype};
use crate::error::Error;
use alloc::vec::Vec;

/// Every variable up to the largest takes memory: a short text must not ask for too much of it.
const LARGEST: usize = 1 << 26;

impl Problem {
    /// Reads dimod's coordinate text: lines `k l bias`, with k = l for a linear bias. Empty lines are
    /// skipped; a line that begins with `#` and holds `vartype=SPIN` or `vartype: BINARY` anywhere sets the
    /// kind of the variables, other such lines say nothing. Without one they are `default`. The variables are
    /// 0 … the largest index; equal pairs are summed. Signs are dimod's, see [`Problem::quadratic`].
    ///
    /// # Errors
    /// A line that is not of this form, two kinds that differ, no variable, or what [`Problem::quadratic`] refuses.
    ///
    /// ```
    /// use yuragi_energy::{Problem, Vartype};
    /// let problem = Problem::from_coo("# vartype=SPIN\n0 0 0.5\n0 1 -1\n", Vartype::Binary)?;
    /// assert_eq!(problem.energy(&[1, 1])?, -0.5);
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn from_coo(text: &str, default: Vartype) -> Result<Self, Error> {
        Ok(Self::from_coo_with_vartype(text, default)?.0)
    }

    /// The same, with the kind of the variables that the text says, if it says one.
    ///
    /// # Errors
    /// Those of [`Problem::from_coo`].
    pub fn from_coo_with_vartype(text: &str, default: Vartype) -> Result<(Self, Option<Vartype>), Error> {
        let mut said: Option<Vartype> = None;
        let mut linear: Vec<(usize, f64)> = Vec::new();
        let mut quadratic: Vec<(usize, usize, f64)> = Vec::new();
        let mut variables = 0;
        for (number, line) in text.lines().enumerate() {
            let error = |what| Error::Text { line: number + 1, what };
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(name) = vartype_in(comment) {
                    let vartype = Vartype::from_name(name).ok_or(error("the vartype must be SPIN or BINARY"))?;
                    if said.is_some_and(|said| said != vartype) {
                        return Err(error("the vartype is another one than in a line before"));
                    }
                    said = Some(vartype);
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
            variables = variables.max(k + 1).max(l + 1);
            if k == l { linear.push((k, bias)) } else { quadratic.push((k, l, bias)) }
        }
        let mut biases = alloc::vec![0.0; variables];
        for (k, bias) in linear {
            biases[k] += bias;
        }
        Ok((Self::quadratic(said.unwrap_or(default), &biases, quadratic, 0.0)?, said))
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
