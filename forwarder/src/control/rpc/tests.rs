// SPDX-License-Identifier: MIT OR Apache-2.0
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
    assert_eq!(answer(b"\xff", call).map(|a| a.starts_with(br#"{"jsonrpc":"2.0","error":{"code":-32700"#)), Some(true));
}

#[test]
fn batches_are_answered_in_order_and_bounded() {
    let answers = ask(r#"[1, {"jsonrpc":"2.0","method":"echo"}, {"jsonrpc":"2.0","method":"echo","id":2}]"#).unwrap();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["error"]["code"], json!(-32600));
    assert_eq!(answers[1]["id"], json!(2));
    let full = format!("[{}1]", "1,".repeat(BATCH_MAX - 1));
    assert_eq!(ask(&full).unwrap().as_array().unwrap().len(), BATCH_MAX);
    assert_eq!(code(&format!("[{}1]", "1,".repeat(BATCH_MAX))).0, -32600);
}

#[test]
fn the_answer_to_a_batch_is_bounded() {
    let one = ANSWERS_MAX / 3;
    let echo = format!(r#"{{"jsonrpc":"2.0","method":"echo","params":{{"a":"{}"}},"id":1}}"#, "x".repeat(one));
    let mut calls = 0;
    let count = |method: &str, params: Params<'_>| {
        calls += 1;
        call(method, params)
    };
    let line = answer(format!("[{}]", vec![echo; 6].join(",")).as_bytes(), count).unwrap();
    assert_eq!(calls, 3);
    assert!(line.len() < ANSWERS_MAX + one);
    let answers: Value = serde_json::from_slice(&line).unwrap();
    let codes: Vec<_> = answers.as_array().unwrap().iter().map(|one| one["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [None, None, None, Some(-32005), Some(-32005), Some(-32005)]);
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
