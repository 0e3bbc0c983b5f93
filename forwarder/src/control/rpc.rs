// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON-RPC 2.0, one message a line: the bytes of a request in, the bytes of its answer out. No sockets and no methods
//! in here, so any input can be tried on it.
//!
//! Values are kept as text ([`RawValue`]) until a method asks for them: a table document is read once, by the table's own
//! reader, which sees duplicate keys too; and nesting costs no stack, however deep.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize as DeserializeMacro, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Most requests in one batch: a bound for the answer, which may be longer than the request.
pub const BATCH_MAX: usize = 100;

/// The table or the patch was refused; `data` is `{"faults": […]}`.
pub const REFUSED: i32 = -32000;
/// The patch is for something else than what runs; `data` is what runs.
pub const WRONG_BASE: i32 = -32001;
/// The peer has no right to the method.
pub const FORBIDDEN: i32 = -32003;
/// The change is published, but some workers have not been seen on it; `data` names them.
pub const LATE: i32 = -32004;
/// Too many connections.
pub const BUSY: i32 = -32005;

const PARSE: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const UNKNOWN_METHOD: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL: i32 = -32603;

/// An error object of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeserializeMacro)]
pub struct RpcError {
    /// One of the standard's codes or of this module's.
    pub code: i32,
    /// One line for people.
    pub message: String,
    /// Details for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without details.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// An error with details.
    pub fn with_data(code: i32, message: impl Into<String>, data: Value) -> Self {
        Self { code, message: message.into(), data: Some(data) }
    }

    /// What was sent is JSON, but no request.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    /// The parameters are not those of the method.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// A mistake of the daemon's.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL, message)
    }

    /// There is no such method.
    pub fn unknown_method(method: &str) -> Self {
        Self::new(UNKNOWN_METHOD, format!("there is no method {method:?}"))
    }
}

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
        Err(error) => return Some(failure(None, &RpcError::new(PARSE, format!("not JSON: {error}")))),
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
    let answers: Vec<_> = requests.into_iter().filter_map(|request| answer_one(request, &mut call)).collect();
    if answers.is_empty() { None } else { Some([&b"["[..], &answers.join(&b","[..]), b"]"].concat()) }
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

/// What serde says, without its position: that is one in the middle of a line.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
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

struct Request<'a> {
    method: String,
    params: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// The request, or what is wrong with the id to say it under.
    fn read(raw: &'a RawValue) -> Result<Self, (Option<&'a RawValue>, RpcError)> {
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
struct Batch<'a>(Vec<&'a RawValue>);

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

/// A request, as a client writes it.
pub fn request(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `echo` gives back its parameters, `fail` fails, others don't exist.
    fn call(method: &str, params: Params<'_>) -> Result<Value, RpcError> {
        match method {
            "echo" => params.read(std::marker::PhantomData),
            "fail" => Err(RpcError::with_data(REFUSED, "no", json!({"faults": []}))),
            _ => Err(RpcError::unknown_method(method)),
        }
    }

    fn ask(message: &str) -> Option<Value> {
        answer(message.as_bytes(), call).map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    fn code(message: &str) -> (i64, Value) {
        let answer = ask(message).unwrap();
        (answer["error"]["code"].as_i64().unwrap(), answer["id"].clone())
    }

    #[test]
    fn requests_get_their_result_under_their_id() {
        for id in ["1", "\"a\"", "null", "1.5", "123456789012345678901234567890"] {
            let request = format!(r#"{{"jsonrpc":"2.0","method":"echo","params":{{"a":[1]}},"id":{id}}}"#);
            let expected = format!(r#"{{"jsonrpc":"2.0","result":{{"a":[1]}},"id":{id}}}"#);
            assert_eq!(answer(request.as_bytes(), call).unwrap(), expected.as_bytes());
        }
    }

    #[test]
    fn notifications_get_no_answer() {
        assert_eq!(ask(r#"{"jsonrpc":"2.0","method":"echo"}"#), None);
        assert_eq!(ask(r#"{"jsonrpc":"2.0","method":"fail"}"#), None);
        assert_eq!(ask(r#"[{"jsonrpc":"2.0","method":"echo"},{"jsonrpc":"2.0","method":"none"}]"#), None);
    }

    #[test]
    fn faulty_messages_get_the_standard_codes() {
        let null = Value::Null;
        assert_eq!(code(""), (-32700, null.clone()));
        assert_eq!(code("{"), (-32700, null.clone()));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"echo","id":1} {}"#), (-32700, null.clone()));
        assert_eq!(code("[]"), (-32600, null.clone()));
        assert_eq!(code("1"), (-32600, null.clone()));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"echo","id":{}}"#), (-32600, null.clone()));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"echo","id":1,"id":2}"#), (-32600, null));
        assert_eq!(code(r#"{"method":"echo","id":7}"#), (-32600, json!(7)));
        assert_eq!(code(r#"{"jsonrpc":"1.0","method":"echo","id":7}"#), (-32600, json!(7)));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":1,"id":7}"#), (-32600, json!(7)));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"echo","params":1,"id":7}"#), (-32600, json!(7)));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"none","id":7}"#), (-32601, json!(7)));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"echo","params":[1],"id":7}"#), (-32602, json!(7)));
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"fail","id":7}"#), (-32000, json!(7)));
        assert_eq!(
            answer(b"\xff", call).map(|a| a.starts_with(br#"{"jsonrpc":"2.0","error":{"code":-32700"#)),
            Some(true)
        );
    }

    #[test]
    fn batches_are_answered_in_order_and_bounded() {
        let answers =
            ask(r#"[1, {"jsonrpc":"2.0","method":"echo"}, {"jsonrpc":"2.0","method":"echo","id":2}]"#).unwrap();
        let answers = answers.as_array().unwrap();
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0]["error"]["code"], json!(-32600));
        assert_eq!(answers[1]["id"], json!(2));
        let full = format!("[{}1]", "1,".repeat(BATCH_MAX - 1));
        assert_eq!(ask(&full).unwrap().as_array().unwrap().len(), BATCH_MAX);
        assert_eq!(code(&format!("[{}1]", "1,".repeat(BATCH_MAX))).0, -32600);
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let deep = "[".repeat(200_000);
        assert_eq!(code(&deep).0, -32700);
        let closed = format!("{deep}{}", "]".repeat(200_000));
        assert_eq!(ask(&closed).unwrap()[0]["error"]["code"], json!(-32600));
        let params = format!(r#"{{"jsonrpc":"2.0","method":"echo","params":{{"a":{closed}}},"id":1}}"#);
        assert_eq!(code(&params).0, -32602);
    }

    /// A valid answer: one object, or an array of such.
    fn is_answer(value: &Value) -> bool {
        let one = |value: &Value| {
            let id = value.get("id").is_some_and(|id| id.is_null() || id.is_string() || id.is_number());
            id && value["jsonrpc"] == "2.0" && (value.get("result").is_some() ^ value.get("error").is_some())
        };
        match value {
            Value::Array(answers) => !answers.is_empty() && answers.iter().all(one),
            value => one(value),
        }
    }

    fn arbitrary_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("\"2.0\"".to_owned()),
            Just("\"echo\"".to_owned()),
            Just("\"\\ud83d\\ude00\"".to_owned()),
            any::<f32>().prop_map(|number| if number.is_finite() { number.to_string() } else { "0".to_owned() }),
        ];
        let key = prop_oneof![Just("jsonrpc"), Just("method"), Just("params"), Just("id"), Just("other")];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            let member = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("{key:?}:{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(member, 0..6).prop_map(|items| format!("{{{}}}", items.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_valid_answer(bytes: Vec<u8>) {
            if let Some(line) = answer(&bytes, call) {
                prop_assert!(is_answer(&serde_json::from_slice(&line).unwrap()));
                prop_assert!(!line.contains(&b'\n'));
            }
        }

        #[test]
        fn any_json_gets_a_valid_answer(text in arbitrary_json()) {
            if let Some(line) = answer(text.as_bytes(), call) {
                prop_assert!(is_answer(&serde_json::from_slice(&line).unwrap()), "{text}");
            }
        }
    }
}
