// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a peer asks for, as text: nothing is looked at before a method wants it.

use std::fmt;

use serde::Deserialize as DeserializeMacro;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{BATCH_MAX, RpcError};

/// The members of a request, none of them looked at; others are ignored.
#[derive(DeserializeMacro)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// Tells `null` from absent, which matters for `id`: only a request without one is a notification.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

pub(super) struct Request<'a> {
    pub(super) method: String,
    pub(super) params: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// The request, or what is wrong with the id to say it under.
    pub(super) fn read(raw: &'a RawValue) -> Result<Self, (Option<&'a RawValue>, RpcError)> {
        if !raw.get().starts_with('{') {
            return Err((None, RpcError::invalid_request("a request is an object")));
        }
        let members: Members<'_> =
            serde_json::from_str(raw.get()).map_err(|error| (None, RpcError::invalid_request(reason(&error))))?;
        if members.id.is_some_and(|id| id.get().starts_with(['{', '[', 't', 'f'])) {
            return Err((None, RpcError::invalid_request("id is a string, a number or null")));
        }
        let invalid = |message| (members.id, RpcError::invalid_request(message));
        let text = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        if text(members.jsonrpc).as_deref() != Some("2.0") {
            return Err(invalid("jsonrpc is \"2.0\""));
        }
        let method = text(members.method).ok_or_else(|| invalid("method is a string"))?;
        if members.params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
            return Err(invalid("params is an object"));
        }
        Ok(Self { method, params: members.params, id: members.id })
    }
}

/// At most [`BATCH_MAX`] members; an error if there are more.
pub(super) struct Batch<'a>(pub(super) Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Batch<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Batch<'de>, A::Error> {
                let mut members = Vec::new();
                while members.len() < BATCH_MAX {
                    let Some(member) = seq.next_element()? else { return Ok(Batch(members)) };
                    members.push(member);
                }
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Batch(members)),
                    Some(_) => Err(serde::de::Error::custom("too many requests")),
                }
            }
        }
        deserializer.deserialize_seq(Members)
    }
}

/// What serde says, without its position: that is one in the middle of a line.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}
