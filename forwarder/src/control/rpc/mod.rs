// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON-RPC 2.0, one message a line: the bytes of a request in, the bytes of its answer out. No sockets and no methods
//! in here, so any input can be tried on it.
//!
//! Values are kept as text ([`RawValue`]) until a method asks for them: a table document is read once, by the table's own
//! reader, which sees duplicate keys too; and nesting costs no stack, however deep.

mod error;
mod request;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use self::error::{
    BUSY, CAPTURING, FORBIDDEN, GUARDED, INVALID_REQUEST, LATE, NOT_KEPT, REFUSED, RpcError, SHADOW, WRONG_BASE,
};
use self::request::{Batch, Request, reason};

/// Most requests in one batch.
pub const BATCH_MAX: usize = 100;
/// Once its answers have more bytes, the rest of a batch is not done: an answer may be longer than its request, and
/// whoever asks need not read it.
pub const ANSWERS_MAX: usize = 4 << 20;

/// Parameters as they came; absent ones read as an empty object.
#[derive(Debug, Clone, Copy)]
pub struct Params<'a>(Option<&'a RawValue>);

impl<'a> Params<'a> {
    /// What `seed` makes of the parameters, an object.
    pub fn read<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, RpcError> {
        let text = self.0.map_or("{}", RawValue::get);
        if !text.starts_with('{') {
            return Err(RpcError::invalid_params("parameters go by name: give an object"));
        }
        let read = seed.deserialize(&mut serde_json::Deserializer::from_str(text));
        read.map_err(|error| RpcError::invalid_params(reason(&error)))
    }
}

/// Answers one message: a request or a batch. `None` if nothing in it wants an answer. The answer has no line break.
pub fn answer(message: &[u8], mut call: impl FnMut(&str, Params<'_>) -> Result<Value, RpcError>) -> Option<Vec<u8>> {
    let raw: &RawValue = match serde_json::from_slice(message) {
        Ok(raw) => raw,
        Err(error) => return Some(failure(None, &RpcError::parse(&error))),
    };
    if !raw.get().starts_with('[') {
        return answer_one(raw, &mut call);
    }
    let Ok(Batch(requests)) = serde_json::from_str(raw.get()) else {
        let error = RpcError::invalid_request(format!("a batch has at most {BATCH_MAX} requests"));
        return Some(failure(None, &error));
    };
    if requests.is_empty() {
        return Some(failure(None, &RpcError::invalid_request("the batch is empty")));
    }
    let mut answers = Vec::new();
    for request in requests {
        let answer = if answers.len() > ANSWERS_MAX {
            answer_one(request, &mut |_, _| {
                Err(RpcError::new(BUSY, "the batch's answer is too long; this is not done"))
            })
        } else {
            answer_one(request, &mut call)
        };
        if let Some(answer) = answer {
            answers.push(if answers.is_empty() { b'[' } else { b',' });
            answers.extend(answer);
        }
    }
    (!answers.is_empty()).then(|| {
        answers.push(b']');
        answers
    })
}

/// The answer to a message that can't be read at all.
pub fn failure_line(error: &RpcError) -> Vec<u8> {
    failure(None, error)
}

fn answer_one(raw: &RawValue, call: &mut impl FnMut(&str, Params<'_>) -> Result<Value, RpcError>) -> Option<Vec<u8>> {
    let request = match Request::read(raw) {
        Ok(request) => request,
        Err((id, error)) => return Some(failure(id, &error)),
    };
    let result = call(&request.method, Params(request.params));
    let id = request.id?;
    Some(match result {
        Ok(result) => encode(&Answer { jsonrpc: "2.0", result: Some(&result), error: None, id: Some(id) }),
        Err(error) => failure(Some(id), &error),
    })
}

fn failure(id: Option<&RawValue>, error: &RpcError) -> Vec<u8> {
    encode(&Answer { jsonrpc: "2.0", result: None, error: Some(error), id })
}

/// Serialising values, strings and numbers to memory has no way to fail; were there one, the peer gets an empty object.
fn encode(answer: &Answer<'_>) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_else(|_| b"{}".to_vec())
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
    id: Option<&'a RawValue>,
}

/// A request, as a client writes it.
pub fn request(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).to_string()
}
