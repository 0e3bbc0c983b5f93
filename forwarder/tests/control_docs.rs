// SPDX-License-Identifier: MIT OR Apache-2.0
//! `docs/control-socket.md` against the daemon: its methods, rights, parameters and results are all there are, and its
//! examples are sent and answered as it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::collections::{BTreeMap, BTreeSet};

use control_support::{Client, Running, table};
use forwarder::control::methods::METHODS;
use forwarder::control::peer::Right;
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/control-socket.md");

/// The section of each method, by its name.
fn sections() -> BTreeMap<&'static str, &'static str> {
    let methods = PAGE.split("\n## ").find(|section| section.starts_with("Methods\n")).unwrap();
    methods.split("\n### `").skip(1).map(|section| section.split_once("`\n").unwrap()).collect()
}

/// The first two cells of each row of the tables with that heading; a row that names several things counts for each.
fn rows<'a>(section: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let heading = format!("| {heading} | ");
    let mut rows = Vec::new();
    for table in section.split("\n\n").filter(|part| part.trim_start().starts_with(&heading)) {
        for line in table.lines().filter(|line| line.starts_with("| `")) {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let (names, is) = (cells.next().unwrap(), cells.next().unwrap());
            rows.extend(names.split(", ").map(|name| (name.trim_matches('`'), is)));
        }
    }
    rows
}

/// The blocks of the page that go to the daemon, each with what it should answer.
fn examples() -> Vec<(Value, Value)> {
    let parse = |text: &str| -> Value {
        let text = text.split_once("\n```").unwrap().0;
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let requests = PAGE.split("```json request\n").skip(1);
    let answers = requests.map(|rest| (parse(rest), parse(rest.split("```json answer\n").nth(1).unwrap())));
    answers.collect()
}

/// Whether the answer has every member that the page shows, with its value.
fn shows(shown: &Value, answer: &Value) -> bool {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => {
            shown.iter().all(|(key, value)| answer.get(key).is_some_and(|found| shows(value, found)))
        }
        (Value::Array(shown), Value::Array(answer)) => {
            shown.len() == answer.len() && shown.iter().zip(answer).all(|(shown, answer)| shows(shown, answer))
        }
        _ => shown == answer,
    }
}

/// What a value is, in the words of the page.
fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Compares a result with the rows of the page: each member is described, or its members are. What was met goes to `met`.
fn describe<'a>(rows: &BTreeMap<&'a str, &str>, place: &str, value: &Value, met: &mut BTreeSet<&'a str>) {
    let any = place.rsplit_once('.').map(|(parent, _)| format!("{parent}.*"));
    let row = rows.get_key_value(place).or_else(|| rows.get_key_value(any?.as_str()));
    if let Some((name, is)) = row {
        let what = word(value);
        assert!(*is == what || is.split(" or ").any(|one| one == what), "{place} is {value}, not {is}");
        met.insert(name);
    }
    let inside = |mark: &str| rows.keys().any(|row| row.starts_with(&format!("{place}{mark}")));
    match value {
        Value::Object(members) if place.is_empty() || inside(".") => {
            for (key, member) in members {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                describe(rows, &place, member, met);
            }
        }
        Value::Array(elements) if inside("[]") => {
            elements.iter().for_each(|element| describe(rows, &format!("{place}[]"), element, met));
        }
        _ => assert!(row.is_some(), "{place} is not on the page: {value}"),
    }
}

#[test]
fn every_method_is_described_and_no_other() {
    let sections = sections();
    assert_eq!(sections.keys().copied().collect::<BTreeSet<_>>(), METHODS.iter().map(|method| method.name).collect());
    for method in METHODS {
        let section = sections[method.name];
        let right = if method.right == Right::Change { "change" } else { "look" };
        assert!(section.contains(&format!("It takes the right to {right}.")), "{}: the right to {right}", method.name);
        let described: BTreeMap<_, _> = rows(section, "parameter").into_iter().collect();
        let known: BTreeMap<_, _> = method.params.iter().map(|param| (param.name, param.is)).collect();
        assert_eq!(described, known, "parameters of {}", method.name);
        assert!(!rows(section, "result").is_empty(), "results of {}", method.name);
    }
}

#[test]
fn examples_are_answered_as_shown_and_results_are_described() {
    let running = Running::new();
    running.place.write("next.json", &table(Some(43), true));
    let place = running.place.path("").display().to_string();
    let mut client = running.client();
    let mut met: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut ask = |client: &mut Client, request: &Value| {
        client.send(format!("{}\n", request.to_string().replace("/etc/sluice/", &place)).as_bytes());
        let answer = client.receive().unwrap();
        if let (Some(method), Some(result)) = (request["method"].as_str(), answer.get("result")) {
            let rows = rows(sections()[method], "result").into_iter().collect();
            describe(&rows, "", result, met.entry(method.to_owned()).or_default());
        }
        answer
    };
    let examples = examples();
    assert!(examples.len() > METHODS.len(), "an example of every method, and of errors");
    for (request, shown) in &examples {
        let answer = ask(&mut client, request);
        assert!(shows(shown, &answer), "{request}\nis answered\n{answer}\nand not\n{shown}");
    }
    // A status with every member: after a reload and a patch, one of which failed.
    client.result("reload", serde_json::json!({ "path": running.place.path("next.json") }));
    ask(&mut client, &examples[0].0);
    // The others that a change may have.
    for method in ["reload", "rollback", "patch"] {
        let params = match method {
            "reload" => serde_json::json!({ "path": running.place.path("table.json"), "force": true, "dry_run": true }),
            "rollback" => serde_json::json!({ "dry_run": true }),
            _ => serde_json::json!({ "dry_run": true }),
        };
        ask(&mut client, &serde_json::json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}));
    }
    // A shadow with packets' fates, and its end; with the answer of one.
    ask(
        &mut client,
        &serde_json::json!({"jsonrpc": "2.0", "method": "shadow_begin", "id": 1,
        "params": { "path": running.place.path("table.json") }}),
    );
    ask(&mut client, &serde_json::json!({"jsonrpc": "2.0", "method": "shadow", "id": 1}));
    ask(
        &mut client,
        examples.iter().map(|(request, _)| request).find(|request| request["method"] == "explain").unwrap(),
    );
    ask(
        &mut client,
        &serde_json::json!({"jsonrpc": "2.0", "method": "shadow_commit", "params": { "force": true }, "id": 1}),
    );
    // And one while a large table is read.
    running.place.write("large.json", &format!("{}{}", " ".repeat(64 << 20), table(Some(43), true)));
    std::thread::scope(|scope| {
        let path = running.place.path("large.json");
        let running = &running;
        scope.spawn(move || running.client().result("reload", serde_json::json!({ "path": path, "dry_run": true })));
        while ask(&mut client, &examples[0].0)["result"]["loading"].is_null() {}
    });
    for method in METHODS {
        let described: BTreeSet<_> =
            rows(sections()[method.name], "result").into_iter().map(|(name, _)| name).collect();
        assert_eq!(met.get(method.name), Some(&described), "{}: described, and met in results", method.name);
    }
}

#[test]
fn every_error_code_has_a_row() {
    let errors = PAGE.split("\n## ").find(|section| section.starts_with("Errors\n")).unwrap();
    let codes = errors.lines().filter_map(|line| line.strip_prefix("| −")?.split(' ').next()?.parse::<i64>().ok());
    let codes: BTreeSet<_> = codes.map(|code| -code).collect();
    let code = include_str!("../src/control/rpc/error.rs").lines().filter_map(|line| line.split_once(": i32 = "));
    assert_eq!(codes, code.map(|(_, value)| value.trim_end_matches(';').parse().unwrap()).collect());
}
