//! JSON: plain couplings or a QUBO, dimod's models, bqpjson.

use std::collections::HashMap;

use serde_json::{Map, Value};
use yuragi_energy::Vartype;

use super::matrix;
use super::terms::{Term, Terms, count, counted};
use crate::json::{self, Shown};

/// Keys that may stand beside any others and say nothing of the energy.
const REMARKS: [&str; 3] = ["name", "comment", "description"];

pub(super) fn read(text: &str, vartype: Option<Vartype>) -> Result<Terms, String> {
    let object = match json::parse(text.as_bytes())? {
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
        model(Fields(object))
    } else if has("variable_domain") || has("variable_ids") {
        program(Fields(object))
    } else if has("J") || has("Q") || has("h") {
        plain(object)
    } else {
        let keys = object.keys().take(8).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let has = if keys.is_empty() { "nothing".to_owned() } else { keys };
        Err(format!("it must hold `J`, `Q`, dimod's `linear_biases` or bqpjson's `variable_ids`; it has {has}"))
    }
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
        return Err(format!("`vartype` is {}; beside `{}` it must be {name}", Shown(said), known[0]));
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
    value.as_f64().ok_or_else(|| format!("{what} is {}; it must be a number", Shown(value)))
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
        index
            .ok_or_else(|| format!("{} names the variable {}; it must be a whole number from 0", place(), Shown(value)))
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

/// The fields of an object, which are taken one by one.
pub(super) struct Fields(pub Map<String, Value>);

impl Fields {
    /// A field that must be there, and what it holds if that is of the right kind.
    pub fn take<T>(&mut self, name: &str, kind: &str, of: impl FnOnce(&Value) -> Option<T>) -> Result<T, String> {
        let value = self.0.remove(name).ok_or_else(|| format!("the field `{name}` is missing"))?;
        of(&value).ok_or_else(|| format!("the field `{name}` is {}; it must be {kind}", Shown(&value)))
    }

    pub fn text(&mut self, name: &str) -> Result<String, String> {
        self.take(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// A number, or what it is if it is not there.
    fn number_or(&mut self, name: &str, otherwise: f64) -> Result<f64, String> {
        if self.0.contains_key(name) { self.take(name, "a number", Value::as_f64) } else { Ok(otherwise) }
    }

    fn numbers(&mut self, name: &str) -> Result<Vec<f64>, String> {
        self.take(name, "a list of numbers", |value| value.as_array()?.iter().map(Value::as_f64).collect())
    }

    /// Whole numbers from 0.
    fn counts(&mut self, name: &str) -> Result<Vec<u64>, String> {
        self.take(name, "a list of whole numbers from 0", |value| value.as_array()?.iter().map(Value::as_u64).collect())
    }

    /// `Ok` if nothing is left but fields that say nothing of the energy.
    fn end(self, remarks: &[&str]) -> Result<(), String> {
        match self.0.keys().find(|name| !remarks.contains(&name.as_str())) {
            Some(name) => Err(format!("the field `{name}` is not known")),
            None => Ok(()),
        }
    }
}

/// A binary quadratic model in the schema 3 of dimod.
fn model(mut fields: Fields) -> Result<Terms, String> {
    let kind = fields.0.remove("type");
    if let Some(kind) = kind.filter(|kind| !kind.is_null() && *kind != "BinaryQuadraticModel") {
        return Err(format!("it is dimod's {}; it must be a BinaryQuadraticModel", Shown(&kind)));
    }
    if fields.0.remove("use_bytes").is_some_and(|used| used != false) {
        return Err("its biases are stored as bytes; write it without `use_bytes`".to_owned());
    }
    let vartype = fields.text("variable_type")?;
    let vartype =
        Vartype::from_name(&vartype).ok_or_else(|| format!("the vartype is {vartype:?}; it must be SPIN or BINARY"))?;
    let offset = fields.take("offset", "a number", Value::as_f64)?;
    let labels = fields.take("variable_labels", "a list", |value| value.as_array().cloned())?;
    let (linear, quadratic) = (fields.numbers("linear_biases")?, fields.numbers("quadratic_biases")?);
    let [head, tail] = ["quadratic_head", "quadratic_tail"].map(|name| fields.counts(name));
    let (head, tail) = (head?, tail?);
    let lengths = [
        ("variable_labels", labels.len(), linear.len()),
        ("quadratic_head", head.len(), quadratic.len()),
        ("quadratic_tail", tail.len(), quadratic.len()),
    ];
    for (what, have, want) in lengths {
        if have != want {
            return Err(format!("`{what}` has {have} entries; it must have {want}"));
        }
    }
    for (what, of, have) in
        [("num_variables", "linear_biases", linear.len()), ("num_interactions", "quadratic_biases", quadratic.len())]
    {
        if let Some(said) = fields.0.remove(what).filter(|said| !said.is_null() && *said != have) {
            return Err(format!("`{what}` is {}, and `{of}` has {have} entries", Shown(&said)));
        }
    }
    fields.end(&["version", "index_type", "bias_type", "info"])?;
    let mut terms = Terms::new("dimod's JSON", vartype, linear.len());
    terms.names = names(&labels);
    let pairs = head.iter().zip(&tail).zip(&quadratic);
    terms.quadratic = pairs.map(|((&k, &l), &bias)| (variable(k), variable(l), bias)).collect();
    terms.linear = linear.into_iter().enumerate().collect();
    terms.offset = offset;
    Ok(terms)
}

/// A variable by its number; one that memory cannot hold is beyond the last.
fn variable(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What labels call the variables; nothing if they count from 0.
pub(super) fn names(labels: &[Value]) -> Vec<String> {
    let counted = labels.iter().enumerate().all(|(k, label)| label.as_u64() == Some(k as u64));
    let name = |label: &Value| label.as_str().map_or_else(|| Shown(label).to_string(), str::to_owned);
    if counted { Vec::new() } else { labels.iter().map(name).collect() }
}

/// A binary quadratic program of bqpjson: f = scale (offset + Σ a v + Σ b v v).
fn program(mut fields: Fields) -> Result<Terms, String> {
    let vartype = match fields.text("variable_domain")?.as_str() {
        "spin" => Vartype::Spin,
        "boolean" => Vartype::Binary,
        other => return Err(format!("`variable_domain` is {other:?}; it must be \"spin\" or \"boolean\"")),
    };
    let (scale, offset) = (fields.number_or("scale", 1.0)?, fields.number_or("offset", 0.0)?);
    let ids = fields.counts("variable_ids")?;
    let mut places = HashMap::new();
    for (place, &id) in ids.iter().enumerate() {
        if places.insert(id, place).is_some() {
            return Err(format!("`variable_ids` has {id} twice"));
        }
    }
    let place = |id: u64| {
        let place = places.get(&id).copied();
        place.ok_or_else(|| format!("a term is of the variable {id}, which `variable_ids` lacks"))
    };
    let mut terms = Terms::new("bqpjson", vartype, ids.len());
    let mut seen = HashMap::new();
    for ([id, _], coeff) in listed(&mut fields, "linear_terms", ["id", "id"])? {
        if seen.insert((id, id), ()).is_some() {
            return Err(format!("`linear_terms` has the variable {id} twice"));
        }
        terms.linear.push((place(id)?, scale * coeff));
    }
    for ([tail, head], coeff) in listed(&mut fields, "quadratic_terms", ["id_tail", "id_head"])? {
        if tail == head || seen.insert((tail, head), ()).is_some() {
            let what = if tail == head { "the same variable" } else { "the same two variables" };
            return Err(format!("`quadratic_terms` has {what} twice: {tail}, {head}"));
        }
        terms.quadratic.push((place(tail)?, place(head)?, scale * coeff));
    }
    fields.end(&["version", "id", "metadata", "description", "solutions"])?;
    terms.offset = scale * offset;
    terms.names = names(&ids.iter().map(|&id| id.into()).collect::<Vec<Value>>());
    Ok(terms)
}

/// Terms of bqpjson: the variables under these keys, which may be one, and the coefficient.
fn listed(fields: &mut Fields, name: &str, keys: [&str; 2]) -> Result<Vec<([u64; 2], f64)>, String> {
    let list = fields.take(name, "a list of terms", |value| value.as_array().cloned())?;
    let term = |term: &Value| {
        let object = term.as_object()?;
        let own = object.keys().all(|key| key == "coeff" || keys.contains(&key.as_str()));
        let [a, b] = keys.map(|key| object.get(key)?.as_u64());
        Some(([a?, b?], object.get("coeff")?.as_f64()?)).filter(|_| own)
    };
    let wrong = |at: usize| {
        let legal = if keys[0] == keys[1] { "`id`" } else { "`id_tail`, `id_head`" };
        format!("entry {} of `{name}` must hold {legal} and `coeff`, and nothing else", at + 1)
    };
    list.iter().enumerate().map(|(at, entry)| term(entry).ok_or_else(|| wrong(at))).collect()
}
