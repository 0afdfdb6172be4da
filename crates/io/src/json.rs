//! JSON that other programs wrote: objects have no key twice, and their fields are asked for by name.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What a text says.
///
/// # Errors
/// What is wrong with it and where, a key that stands twice among others.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice(text) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => Err(error.to_string()),
    }
}

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

/// A value as JSON, without blanks.
pub(crate) struct Shown<'a>(pub &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comma = |place| if place == 0 { "" } else { "," };
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(whole), ..) => write!(f, "{whole}"),
                (_, Some(whole), _) => write!(f, "{whole}"),
                (.., value) => write!(f, "{:?}", value.unwrap_or(f64::NAN)),
            },
            Value::String(text) => write!(f, "{text:?}"),
            Value::Array(list) => {
                f.write_str("[")?;
                list.iter().enumerate().try_for_each(|(place, item)| write!(f, "{}{}", comma(place), Shown(item)))?;
                f.write_str("]")
            }
            Value::Object(object) => {
                f.write_str("{")?;
                for (place, (key, value)) in object.iter().enumerate() {
                    write!(f, "{}{key:?}:{}", comma(place), Shown(value))?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_they_were_written() {
        for text in ["null", "[true,1,-2,0.5,1e300]", r#"{"a":{"b":["ゆ\"ら",""]},"c":[]}"#] {
            assert_eq!(Shown(&parse(text.as_bytes()).unwrap()).to_string(), text);
        }
        assert!(parse(br#"[{"a":1,"b":2,"a":3}]"#).unwrap_err().contains("the key `a` stands there twice"));
        assert!(parse(b"[1, \xff]").is_err() && parse(b"").is_err() && parse(b"1 2").is_err());
    }
}
