// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parameters of a method, taken one by one, so that what is wrong with them is said in the words of the protocol.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::rpc::{Params, RpcError};

/// A wrong value of more bytes is not repeated.
const SHOWN: usize = 40;
/// A value of more bytes is not logged.
const LOGGED: usize = 300;

/// A parameter that a method has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it has to be, in words.
    pub is: &'static str,
}

impl Param {
    /// A parameter.
    pub const fn new(name: &'static str, is: &'static str) -> Self {
        Self { name, is }
    }
}

/// The parameters that a request has, by name; each at most once.
#[derive(Debug)]
pub struct Named<'a>(Vec<(Param, &'a RawValue)>);

impl<'a> Named<'a> {
    /// Reads the parameters of `method`, which takes those that are `known`.
    pub fn read(params: Params<'a>, method: &str, known: &[Param]) -> Result<Self, RpcError> {
        params.read(Names { method, known }).map(Self)
    }

    fn find(&self, name: &str) -> Option<(Param, &'a RawValue)> {
        self.0.iter().find(|(given, value)| given.name == name && value.get() != "null").copied()
    }

    /// The text of a parameter. `null` is as good as none.
    pub fn text(&self, name: &str) -> Option<&'a RawValue> {
        self.find(name).map(|(_, value)| value)
    }

    /// Those of these parameters that are given, as the text of an object, in the order in which they came.
    pub fn object(&self, names: &[&str]) -> String {
        let given = self.0.iter().filter(|(given, value)| names.contains(&given.name) && value.get() != "null");
        object(given.map(|(given, value)| (given.name, value.get().into())))
    }

    /// A parameter that a `T` can be read from.
    pub fn get<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, RpcError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        serde_json::from_str(text.get()).map(Some).map_err(|_| self.wrong(name))
    }

    /// A parameter that is true or false, and false if it is not given.
    pub fn flag(&self, name: &str) -> Result<bool, RpcError> {
        Ok(self.get(name)?.unwrap_or(false))
    }

    /// What to say of a parameter that is not what it has to be.
    pub fn wrong(&self, name: &str) -> RpcError {
        let Some((Param { is, .. }, text)) = self.find(name) else {
            return RpcError::invalid_params(format!("{name} is missing"));
        };
        let text = text.get();
        let found = if text.len() <= SHOWN { format!(", and is {text}") } else { String::new() };
        RpcError::invalid_params(format!("{name} has to be {is}{found}"))
    }
}

/// In one line of bounded length, for the log.
impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(Param { name, .. }, value)| {
            let text = value.get();
            if text.len() > LOGGED || text.contains(char::is_control) {
                (*name, format!("({} bytes)", text.len()).into())
            } else {
                (*name, text.into())
            }
        });
        f.write_str(&object(shown))
    }
}

/// An object of members that are text already.
fn object<'a>(members: impl Iterator<Item = (&'a str, Cow<'a, str>)>) -> String {
    let members: Vec<_> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// Reads an object with no keys but the known ones; gives up at the first other one, however many follow.
struct Names<'k> {
    method: &'k str,
    known: &'k [Param],
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = Vec<(Param, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = Vec<(Param, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { method, known } = self;
        let mut named: Self::Value = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            let Some(param) = known.iter().find(|param| param.name == key) else {
                let names: Vec<_> = known.iter().map(|param| param.name).collect();
                let takes = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(A::Error::custom(format!("{method} has no parameter {key:?}; it takes {takes}")));
            };
            if named.iter().any(|(given, _)| given == param) {
                return Err(A::Error::custom(format!("{key} is given twice")));
            }
            named.push((*param, value));
        }
        Ok(named)
    }
}
