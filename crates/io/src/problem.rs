//! Problems to anneal: dimod's JSON and coordinate text, and plain JSON of couplings or of a QUBO.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use yuragi_energy::{Problem, Vartype};

use crate::read::ReadError;

/// A problem and what its file calls the variables.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The problem.
    pub problem: Problem,
    /// The name of each variable; empty if they are only counted, from 0.
    pub names: Vec<String>,
    /// What a variable is in the file; inside, value 1 is always the spin +1 or the bit 1.
    pub vartype: Vartype,
}

/// Reads a problem's file; see [`parse`].
///
/// # Errors
/// [`ReadError`], naming the file.
pub fn open(path: impl AsRef<Path>, default: Vartype) -> Result<Named, ReadError> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).map_err(|source| ReadError::Read { path: path.to_owned(), source })?;
    parse(&text, default).map_err(|reason| ReadError::Format { path: path.to_owned(), reason })
}

/// Reads a problem from one of these texts:
///
/// * dimod's JSON, which `json.dump(model.to_serializable(), file)` writes for a binary quadratic model;
/// * dimod's coordinate text, lines `k l bias`; its variables are `default` unless `# vartype=` says what they are;
/// * `{"J": [[k, l, J_kl], …], "h": [h_0, …]}` for E = −Σ J_kl x_k x_l − Σ h_k x_k, x = ±1; `h` may be absent;
/// * `{"Q": [[k, l, Q_kl], …], "offset": c}` for E = c + Σ Q_kl b_k b_l, b = 0 or 1; `offset` may be absent.
///
/// # Errors
/// What is wrong, and where.
///
/// ```
/// use yuragi_energy::Vartype;
/// use yuragi_io::problem::parse;
/// let pair = parse(r#"{"J": [[0, 1, 2.0]], "h": [0.5, 0.0]}"#, Vartype::Spin)?;
/// assert_eq!(pair.problem.energy(&[1, 1]).unwrap(), -2.5);
/// # Ok::<(), String>(())
/// ```
pub fn parse(text: &str, default: Vartype) -> Result<Named, String> {
    if !text.trim_start().starts_with('{') {
        let read = Problem::from_coo_with_vartype(text, default);
        let (problem, vartype) = read.map_err(|error| error.to_string())?;
        return Ok(Named { problem, names: Vec::new(), vartype });
    }
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if json.get("linear_biases").is_some() {
        typed::<Model>(json)?.named()
    } else if json.get("J").is_some() {
        let Ising { couplings, fields } = typed(json)?;
        let variables = count(&couplings)?.max(fields.len());
        let fields = if fields.is_empty() { vec![0.0; variables] } else { fields };
        let problem = Problem::ising(variables, couplings, &fields).map_err(|error| error.to_string())?;
        Ok(Named { problem, names: Vec::new(), vartype: Vartype::Spin })
    } else if json.get("Q").is_some() {
        let Qubo { terms, offset } = typed(json)?;
        let problem = Problem::qubo(count(&terms)?, terms, offset).map_err(|error| error.to_string())?;
        Ok(Named { problem, names: Vec::new(), vartype: Vartype::Binary })
    } else {
        Err("it must hold `J`, `Q` or dimod's `linear_biases`".to_owned())
    }
}

fn typed<T: for<'a> Deserialize<'a>>(json: Value) -> Result<T, String> {
    serde_json::from_value(json).map_err(|error| error.to_string())
}

type Term = (usize, usize, f64);

/// Each variable takes memory: a short text must not ask for too much of it.
const LARGEST: usize = 1 << 26;

/// One more than the largest variable.
fn count(terms: &[Term]) -> Result<usize, String> {
    match terms.iter().map(|&(k, l, _)| k.max(l)).max() {
        Some(largest) if largest >= LARGEST => Err(format!("variable {largest} is beyond {}, the last", LARGEST - 1)),
        largest => Ok(largest.map_or(0, |largest| largest + 1)),
    }
}

#[derive(Deserialize)]
struct Ising {
    #[serde(rename = "J")]
    couplings: Vec<Term>,
    #[serde(rename = "h", default)]
    fields: Vec<f64>,
}

#[derive(Deserialize)]
struct Qubo {
    #[serde(rename = "Q")]
    terms: Vec<Term>,
    #[serde(default)]
    offset: f64,
}

/// A binary quadratic model in the schema 3 of dimod.
#[derive(Deserialize)]
struct Model {
    variable_type: String,
    #[serde(default)]
    use_bytes: bool,
    offset: f64,
    variable_labels: Vec<Value>,
    linear_biases: Vec<f64>,
    quadratic_biases: Vec<f64>,
    quadratic_head: Vec<usize>,
    quadratic_tail: Vec<usize>,
}

impl Model {
    fn named(self) -> Result<Named, String> {
        if self.use_bytes {
            return Err("its biases are stored as bytes; write it without `use_bytes`".to_owned());
        }
        let unknown = || format!("the vartype is {:?}; it must be SPIN or BINARY", self.variable_type);
        let vartype = Vartype::from_name(&self.variable_type).ok_or_else(unknown)?;
        let (linear, quadratic) = (self.linear_biases.len(), self.quadratic_biases.len());
        let lengths = [
            ("variable_labels", self.variable_labels.len(), linear),
            ("quadratic_head", self.quadratic_head.len(), quadratic),
            ("quadratic_tail", self.quadratic_tail.len(), quadratic),
        ];
        for (what, have, want) in lengths {
            if have != want {
                return Err(format!("`{what}` has {have} entries; it must have {want}"));
            }
        }
        let pairs = self.quadratic_head.iter().zip(&self.quadratic_tail).zip(&self.quadratic_biases);
        let pairs = pairs.map(|((&k, &l), &bias)| (k, l, bias));
        let problem = Problem::quadratic(vartype, &self.linear_biases, pairs, self.offset);
        let counted = (0..linear).zip(&self.variable_labels).all(|(k, label)| label.as_u64() == Some(k as u64));
        let name = |label: &Value| label.as_str().map_or_else(|| label.to_string(), str::to_owned);
        let names = if counted { Vec::new() } else { self.variable_labels.iter().map(name).collect() };
        Ok(Named { problem: problem.map_err(|error| error.to_string())?, names, vartype })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    /// As dimod 0.12 writes E = 2 + a − b + ½ab.
    fn model(vartype: &str, labels: &str) -> String {
        format!(
            r#"{{"type": "BinaryQuadraticModel", "version": {{"bqm_schema": "3.0.0"}}, "use_bytes": false,
            "index_type": "int32", "bias_type": "float64", "num_variables": 2, "num_interactions": 1,
            "variable_labels": {labels}, "variable_type": "{vartype}", "offset": 2.0, "info": {{}},
            "linear_biases": [1.0, -1.0], "quadratic_biases": [0.5], "quadratic_head": [0], "quadratic_tail": [1]}}"#
        )
    }

    fn energies(named: &Named) -> [f64; 4] {
        [[0, 0], [0, 1], [1, 0], [1, 1]].map(|values| named.problem.energy(&values).unwrap())
    }

    #[test]
    fn dimods_models() {
        let spins = parse(&model("SPIN", r#"["a", "b"]"#), Vartype::Binary).unwrap();
        assert_eq!((energies(&spins), spins.vartype), ([2.5, -0.5, 3.5, 2.5], Vartype::Spin));
        assert_eq!(spins.names, ["a", "b"]);
        let bits = parse(&model("BINARY", "[[0, 1], [1, 1]]"), Vartype::Spin).unwrap();
        assert_eq!((energies(&bits), bits.vartype), ([2.0, 1.0, 3.0, 2.5], Vartype::Binary));
        assert_eq!(bits.names, ["[0,1]", "[1,1]"]);
        assert!(parse(&model("SPIN", "[0, 1]"), Vartype::Spin).unwrap().names.is_empty());
    }

    #[test]
    fn coordinates_and_plain_json() {
        let text = "0 0 1.0\n0 1 0.5\n1 1 -1.0\n";
        let spins = parse(text, Vartype::Spin).unwrap();
        assert_eq!(energies(&spins), [0.5, -2.5, 1.5, 0.5]);
        let bits = parse(&format!("# vartype=BINARY\n{text}"), Vartype::Spin).unwrap();
        assert_eq!((energies(&bits), bits.vartype), ([0.0, -1.0, 1.0, 0.5], Vartype::Binary));
        let qubo = parse(r#"{"Q": [[0, 0, 1], [0, 1, 0.5], [1, 1, -1]], "offset": 3}"#, Vartype::Spin).unwrap();
        assert_eq!(energies(&qubo), [3.0, 2.0, 4.0, 3.5]);
        let ising = parse(r#"{"J": [[0, 1, 0.5]]}"#, Vartype::Spin).unwrap();
        assert_eq!(energies(&ising), [-0.5, 0.5, 0.5, -0.5]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refuse = |text: &str, words: &str| {
            let reason = parse(text, Vartype::Spin).unwrap_err();
            assert!(reason.contains(words), "{reason}");
        };
        refuse("", "variables");
        refuse("0 1\n", "line 1");
        refuse("0 1 x\n", "line 1");
        refuse("{", "line 1");
        refuse("{}", "`J`, `Q`");
        refuse(r#"{"J": [[0, 1]]}"#, "invalid length 2");
        refuse(r#"{"J": [[0, 0, 1]]}"#, "coupled with itself");
        refuse(r#"{"J": []}"#, "variables");
        refuse(r#"{"J": [[0, 18446744073709551615, 1]]}"#, "beyond 67108863");
        refuse(r#"{"Q": [[0, -1, 1]]}"#, "integer `-1`");
        refuse(r#"{"J": [[0, 1, 1]], "h": [1, 2, 3, 1e300]}"#, "1e37");
        refuse(&model("DISCRETE", "[0, 1]"), "SPIN or BINARY");
        refuse(&model("SPIN", "[0]"), "`variable_labels` has 1 entries");
        refuse(&model("SPIN", "[0, 1]").replace("\"use_bytes\": false", "\"use_bytes\": true"), "use_bytes");
        refuse(&model("SPIN", "[0, 1]").replace("_tail\": [1]", "_tail\": [2]"), "variable 2 does not exist");
    }

    #[test]
    fn files_are_named() {
        let scratch = Scratch::new();
        let missing = open(scratch.join("none.json"), Vartype::Spin).unwrap_err().to_string();
        assert!(missing.contains("cannot read") && missing.contains("none.json"), "{missing}");
        std::fs::write(scratch.join("bad.coo"), "0 1 nan").unwrap();
        let bad = open(scratch.join("bad.coo"), Vartype::Spin).unwrap_err().to_string();
        assert!(bad.contains("bad.coo: line 1"), "{bad}");
    }
}
