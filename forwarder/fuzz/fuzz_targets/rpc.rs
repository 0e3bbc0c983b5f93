// SPDX-License-Identifier: MIT OR Apache-2.0
//! A message to the control socket of any bytes: answered by the daemon's own methods, in one line of JSON, or not at all.
#![no_main]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use forwarder::control::forwarder::Forwarder;
use forwarder::control::generations::Loaded;
use forwarder::control::methods;
use forwarder::control::peer::{Peer, Right};
use forwarder::control::rpc::{self, Params};
use fuzz::{config, source};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

thread_local!(static FORWARDER: RefCell<Option<Forwarder>> = const { RefCell::new(None) });

fuzz_target!(|message: &[u8]| {
    FORWARDER.with_borrow_mut(|forwarder| {
        let forwarder = forwarder.get_or_insert_with(idle);
        let call = |method: &str, params: Params<'_>| {
            // what is in files is not up to the input
            let names_a_file = params.read(PhantomData::<Value>).is_ok_and(|params| params.get("path").is_some());
            let right = if names_a_file { Right::Look } else { Right::Change };
            methods::call(forwarder, Peer::Signal, right, method, params)
        };
        if let Some(answer) = rpc::answer(message, call) {
            assert!(!answer.contains(&b'\n'));
            let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
            let one = |answer: &Value| {
                assert_eq!(answer["jsonrpc"], "2.0");
                assert!(answer.get("result").is_some() ^ answer.get("error").is_some());
            };
            match &answer {
                Value::Array(answers) => answers.iter().for_each(one),
                answer => one(answer),
            }
        }
    });
});

/// A forwarder without workers: there is nobody to wait for.
fn idle() -> Forwarder {
    let mut config = config();
    config.workers.cores.clear();
    let (settings, source) = (Arc::new(config.settings(&[])), source());
    let loaded = Loaded::new(source, 42, &config.viewpoint(), &settings).expect("the vectors' table");
    Forwarder::new(config, settings, loaded, None, None).0
}
