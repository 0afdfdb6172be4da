//! JSON: plain couplings or a QUBO, dimod's models, bqpjson.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use yuragi_energy::Vartype;

use super::matrix;
use super::terms::{Term, Terms, count, counted};

/// Keys that may stand beside any others and say nothing of the energy.
const REMARKS: [&str; 3] = ["name", "comment", "description"];

pub(super) fn read(text: &str, vartype: Option<Vartype>) -> Result<Terms, String> {
    let Strict(json) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let object = match json {
        Value::Object(object) => object,
        other => {
            let rows = matrix::of_json("it", &other)?.ok_or("a list must be a square matrix, a list of its rows")?;
            return matrix::terms("a matrix in JSON", rows, vartype);
        }
    };
    let has = |key: &str| object.contains_key(key);
    let kind = object.get("type").and_then(Value::as_str);
    if has("linear_biases") || kind == Some("BinaryQuadraticModel") {
        if !has("linear_biases") {
            return Err(
                "it is a dimod model of an older schema than 3; write it again with dimod 0.9 or later".to_owned()
            );
        }
        typed::<Model>(object)?.terms()
    } else if has("variable_domain") || has("variable_ids") {
        typed::<Program>(object)?.terms()
    } else if has("J") || has("Q") || has("h") {
        plain(object)
    } else {
        let keys = object.keys().take(8).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let has = if keys.is_empty() { "nothing".to_owned() } else { keys };
        Err(format!("it must hold `J`, `Q`, dimod's `linear_biases` or bqpjson's `variable_ids`; it has {has}"))
    }
}

/// JSON whose objects have no key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Strict(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, _>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` stands there twice")));
            }
            object.insert(key, value);
        }
        Ok(Strict(Value::Object(object)))
    }
}

fn typed<T: for<'a> Deserialize<'a>>(object: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())
}

/// `J` with `h`, or `Q`.
fn plain(object: Map<String, Value>) -> Result<Terms, String> {
    let qubo = object.contains_key("Q");
    for other in ["J", "h"] {
        if qubo && object.contains_key(other) {
            return Err(format!("it holds both `Q`, of bits, and `{other}`, of spins; it must hold one of them"));
        }
    }
    let known: &[&str] = if qubo { &["Q"] } else { &["J", "h"] };
    let legal = |key: &str| known.contains(&key) || ["offset", "vartype"].contains(&key) || REMARKS.contains(&key);
    if let Some(key) = object.keys().find(|key| !legal(key)) {
        let known = known.iter().chain(&["offset", "vartype"]).chain(&REMARKS).copied().collect::<Vec<_>>().join(", ");
        return Err(format!("the key `{key}` is not known; there may be {known}"));
    }
    let (vartype, name) = if qubo { (Vartype::Binary, "BINARY") } else { (Vartype::Spin, "SPIN") };
    if let Some(said) = object.get("vartype")
        && said.as_str().and_then(Vartype::from_name) != Some(vartype)
    {
        return Err(format!("`vartype` is {said}; beside `{}` it must be {name}", known[0]));
    }
    let offset = object.get("offset").map_or(Ok(0.0), |value| number("`offset`", value))?;
    let (couplings, least, mut notes) = if qubo { couplings("Q", &object)? } else { couplings("J", &object)? };
    let (fields, length) = object.get("h").map_or(Ok((Vec::new(), 0)), fields)?;
    let variables = count(&couplings)?.max(least).max(length);
    if length > 0 && length < variables {
        return Err(format!("`h` has {length} values; there are {variables} variables"));
    }
    let format = if qubo { "`Q` in JSON" } else { "`J` and `h` in JSON" };
    let mut terms = Terms::new(format, vartype, variables);
    terms.offset = offset;
    terms.notes.append(&mut notes);
    if qubo {
        couplings.into_iter().for_each(|term| terms.add(term));
    } else {
        if let Some(&(k, ..)) = couplings.iter().find(|&&(k, l, _)| k == l) {
            return Err(format!(
                "variable {k} is coupled with itself in `J`; only two different variables can be coupled"
            ));
        }
        // E = −Σ J x x − Σ h x
        terms.quadratic = couplings.into_iter().map(|(k, l, weight)| (k, l, -weight)).collect();
        terms.linear = fields.into_iter().map(|(k, field)| (k, -field)).collect();
    }
    Ok(terms)
}

fn number(what: &str, value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{what} is {value}; it must be a number"))
}

/// The terms of `J` or `Q`, the least number of variables, and remarks.
fn couplings(key: &str, object: &Map<String, Value>) -> Result<(Vec<Term>, usize, Vec<String>), String> {
    let Some(value) = object.get(key) else { return Ok((Vec::new(), 0, Vec::new())) };
    let what = format!("`{key}`");
    if let Value::Object(pairs) = value {
        let term = |(name, value): (&String, &Value)| {
            let inner = name.trim().trim_start_matches(['(', '[']).trim_end_matches([')', ']']);
            let pair = inner.split_once(',').and_then(|(k, l)| Some((k.trim().parse().ok()?, l.trim().parse().ok()?)));
            let (k, l): (usize, usize) =
                pair.ok_or_else(|| format!("the key `{name}` in {what} must be two variables, such as \"0,1\""))?;
            Ok((k, l, number(&format!("{what} of {name}"), value)?))
        };
        return Ok((pairs.iter().map(term).collect::<Result<_, String>>()?, 0, Vec::new()));
    }
    let rows = value.as_array().ok_or_else(|| format!("{what} must be a list of terms [k, l, value] or of rows"))?;
    let listed = || rows.iter().enumerate().map(|(i, row)| term(&what, i, row)).collect::<Result<Vec<Term>, String>>();
    let matrix = matrix::of_json(&what, value)?;
    match (matrix, listed()) {
        (Some(matrix), Ok(terms)) if matrix.side == 3 => {
            // Three terms are three rows of three numbers, too.
            if !matrix.is_likely() || matrix.is_in_order() {
                return Ok((terms, 0, Vec::new()));
            }
            Err(format!(
                "{what} may be a matrix of 3 rows or three terms [k, l, value]; a further term [0, 0, 0] makes it terms, a \
                 .npy or .csv file holds a matrix"
            ))
        }
        (Some(matrix), _) => {
            let side = matrix.side;
            let notes = vec![format!("{what} is read as a matrix of {side} rows")];
            let terms = if key == "J" { matrix.pairs(&what)? } else { matrix.entries() };
            Ok((terms, side, notes))
        }
        (None, terms) => Ok((terms?, 0, Vec::new())),
    }
}

fn term(what: &str, index: usize, row: &Value) -> Result<Term, String> {
    let place = || format!("entry {} of {what}", index + 1);
    let row = row.as_array().ok_or_else(|| format!("{} must be a list [k, l, value]", place()))?;
    let [k, l, value] = row.as_slice() else {
        return Err(format!("{} has {} numbers; a term has three: [k, l, value]", place(), row.len()));
    };
    let variable = |value: &Value| {
        let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
        index.ok_or_else(|| format!("{} names the variable {value}; it must be a whole number from 0", place()))
    };
    Ok((variable(k)?, variable(l)?, number(&place(), value)?))
}

/// The fields h_k with their variables, and how many variables `h` tells of.
fn fields(value: &Value) -> Result<(Vec<(usize, f64)>, usize), String> {
    let field = |value| number("an entry of `h`", value);
    match value {
        Value::Array(list) => {
            let fields = list.iter().enumerate().map(|(k, value)| Ok((k, field(value)?)));
            Ok((fields.collect::<Result<_, String>>()?, list.len()))
        }
        Value::Object(named) => {
            let (mut fields, mut length) = (Vec::new(), 0);
            for (name, value) in named {
                let k: usize = name
                    .trim()
                    .parse()
                    .map_err(|_| format!("the key `{name}` in `h` must be a variable, such as \"0\""))?;
                length = length.max(counted(k.saturating_add(1))?);
                fields.push((k, field(value)?));
            }
            Ok((fields, length))
        }
        _ => Err("`h` must be a list of numbers".to_owned()),
    }
}

/// A binary quadratic model in the schema 3 of dimod.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "version")]
    _version: Option<Value>,
    variable_type: String,
    #[serde(default)]
    use_bytes: bool,
    #[serde(rename = "index_type")]
    _index_type: Option<Value>,
    #[serde(rename = "bias_type")]
    _bias_type: Option<Value>,
    num_variables: Option<usize>,
    num_interactions: Option<usize>,
    offset: f64,
    variable_labels: Vec<Value>,
    linear_biases: Vec<f64>,
    quadratic_biases: Vec<f64>,
    quadratic_head: Vec<usize>,
    quadratic_tail: Vec<usize>,
    #[serde(rename = "info")]
    _info: Option<Value>,
}

impl Model {
    fn terms(self) -> Result<Terms, String> {
        if let Some(kind) = self.kind.filter(|kind| kind != "BinaryQuadraticModel") {
            return Err(format!("it is dimod's {kind}; it must be a BinaryQuadraticModel"));
        }
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
        let counts = [
            ("num_variables", self.num_variables, "linear_biases", linear),
            ("num_interactions", self.num_interactions, "quadratic_biases", quadratic),
        ];
        for (what, said, of, have) in counts {
            if let Some(said) = said.filter(|&said| said != have) {
                return Err(format!("`{what}` is {said}, and `{of}` has {have} entries"));
            }
        }
        let mut terms = Terms::new("dimod's JSON", vartype, linear);
        terms.names = names(&self.variable_labels);
        let pairs = self.quadratic_head.iter().zip(&self.quadratic_tail).zip(&self.quadratic_biases);
        terms.quadratic = pairs.map(|((&k, &l), &bias)| (k, l, bias)).collect();
        terms.linear = self.linear_biases.into_iter().enumerate().collect();
        terms.offset = self.offset;
        Ok(terms)
    }
}

/// What labels call the variables; nothing if they count from 0.
pub(super) fn names(labels: &[Value]) -> Vec<String> {
    let counted = labels.iter().enumerate().all(|(k, label)| label.as_u64() == Some(k as u64));
    let name = |label: &Value| label.as_str().map_or_else(|| label.to_string(), str::to_owned);
    if counted { Vec::new() } else { labels.iter().map(name).collect() }
}

/// A binary quadratic program of bqpjson: f = scale (offset + Σ a v + Σ b v v).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    #[serde(rename = "version")]
    _version: Option<Value>,
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "metadata")]
    _metadata: Option<Value>,
    #[serde(rename = "description")]
    _description: Option<Value>,
    #[serde(rename = "solutions")]
    _solutions: Option<Value>,
    variable_ids: Vec<u64>,
    variable_domain: String,
    #[serde(default = "one")]
    scale: f64,
    #[serde(default)]
    offset: f64,
    linear_terms: Vec<Linear>,
    quadratic_terms: Vec<Quadratic>,
}

fn one() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Linear {
    id: u64,
    coeff: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Quadratic {
    id_tail: u64,
    id_head: u64,
    coeff: f64,
}

impl Program {
    fn terms(self) -> Result<Terms, String> {
        let vartype = match self.variable_domain.as_str() {
            "spin" => Vartype::Spin,
            "boolean" => Vartype::Binary,
            other => return Err(format!("`variable_domain` is {other:?}; it must be \"spin\" or \"boolean\"")),
        };
        let mut places = HashMap::new();
        for (place, &id) in self.variable_ids.iter().enumerate() {
            if places.insert(id, place).is_some() {
                return Err(format!("`variable_ids` has {id} twice"));
            }
        }
        let place = |id: u64| {
            places
                .get(&id)
                .copied()
                .ok_or_else(|| format!("a term is of the variable {id}, which `variable_ids` lacks"))
        };
        let mut terms = Terms::new("bqpjson", vartype, self.variable_ids.len());
        let mut seen = HashMap::new();
        for Linear { id, coeff } in self.linear_terms {
            if seen.insert((id, id), ()).is_some() {
                return Err(format!("`linear_terms` has the variable {id} twice"));
            }
            terms.linear.push((place(id)?, self.scale * coeff));
        }
        for Quadratic { id_tail, id_head, coeff } in self.quadratic_terms {
            if id_tail == id_head || seen.insert((id_tail, id_head), ()).is_some() {
                let what = if id_tail == id_head { "the same variable" } else { "the same two variables" };
                return Err(format!("`quadratic_terms` has {what} twice: {id_tail}, {id_head}"));
            }
            terms.quadratic.push((place(id_tail)?, place(id_head)?, self.scale * coeff));
        }
        terms.offset = self.scale * self.offset;
        terms.names = names(&self.variable_ids.iter().map(|&id| id.into()).collect::<Vec<Value>>());
        Ok(terms)
    }
}
