// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parameters of a method, taken one by one, so that what is wrong with them is said in the words of the protocol.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::rpc::{Params, RpcError};

/// A wrong value of more bytes is not repeated.
const SHOWN: usize = 40;

/// The parameters that a request has, by name; each at most once.
#[derive(Debug)]
pub(super) struct Named<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> Named<'a> {
    /// Reads the parameters of `method`, which takes those that are `known`.
    pub(super) fn read(params: Params<'a>, method: &str, known: &[&'static str]) -> Result<Self, RpcError> {
        params.read(Names { method, known }).map(Self)
    }

    /// The text of a parameter. `null` is as good as none.
    pub(super) fn text(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(given, value)| *given == name && value.get() != "null").map(|(_, value)| *value)
    }

    /// Those of these parameters that are given, as the text of an object, in the order in which they came.
    pub(super) fn object(&self, names: &[&str]) -> String {
        let given = self.0.iter().filter(|(name, value)| names.contains(name) && value.get() != "null");
        let mut text = String::from("{");
        for (name, value) in given {
            if text.len() > 1 {
                text.push(',');
            }
            text.extend(["\"", *name, "\":", value.get()]);
        }
        text.push('}');
        text
    }

    /// A parameter that has to be `what`, which is what a `T` can be read from.
    pub(super) fn get<T: Deserialize<'a>>(&self, name: &str, what: &str) -> Result<Option<T>, RpcError> {
        let Some(text) = self.text(name).map(RawValue::get) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| wrong(name, what, text))
    }
}

/// The parameter `name` has to be `what`, and is something else.
pub(super) fn wrong(name: &str, what: &str, text: &str) -> RpcError {
    let is = if text.len() <= SHOWN { format!(", and is {text}") } else { String::new() };
    RpcError::invalid_params(format!("{name} has to be {what}{is}"))
}

/// Reads an object with no keys but the known ones; gives up at the first other one, however many follow.
struct Names<'k> {
    method: &'k str,
    known: &'k [&'static str],
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = Vec<(&'static str, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = Vec<(&'static str, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { method, known } = self;
        let mut named: Self::Value = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            let Some(name) = known.iter().find(|name| **name == key) else {
                let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(A::Error::custom(format!("{method} has no parameter {key:?}; it takes {takes}")));
            };
            if named.iter().any(|(given, _)| given == name) {
                return Err(A::Error::custom(format!("{name} is given twice")));
            }
            named.push((name, value));
        }
        Ok(named)
    }
}
