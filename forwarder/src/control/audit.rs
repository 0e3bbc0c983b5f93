// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who has changed what, and what came of it: a line in the log for every attempt, with the target `audit`.

use std::time::Duration;

use serde_json::Value;

use super::limited::Limited;
use super::peer::Peer;
use super::rpc::{RpcError, WRONG_BASE};

/// Longest result in a line; those of changes are shorter.
const RESULT_MAX: usize = 1_000;

/// Whoever may not change anything can try as often as he likes.
static DENIED: Limited = Limited::new(20, Duration::from_secs(5));

/// User, group and process; none of a signal, whose sender is not known.
fn ids(peer: &Peer) -> (Option<u32>, Option<u32>, Option<i32>) {
    match peer {
        Peer::Process { uid, gid, pid } => (Some(*uid), Some(*gid), Some(*pid)),
        Peer::Signal => (None, None, None),
    }
}

/// `peer` has called `method`, which changes what runs.
pub fn record(peer: &Peer, method: &str, params: &str, result: &Result<Value, RpcError>) {
    let (uid, gid, pid) = ids(peer);
    match result {
        Ok(value) => {
            let result = shortened(value.to_string());
            tracing::info!(target: "audit", uid, gid, pid, method, %params, %result, "done");
        }
        // Whoever patches by a base reckons with others who do.
        Err(RpcError { code: code @ WRONG_BASE, message, .. }) => {
            tracing::info!(target: "audit", uid, gid, pid, method, %params, code, "not done: {message}");
        }
        Err(RpcError { code, message, .. }) => {
            tracing::warn!(target: "audit", uid, gid, pid, method, %params, code, "failed: {message}");
        }
    }
}

/// `peer` has called `method` and has no right to it.
pub fn denied(peer: &Peer, method: &str) {
    if let Some(unlogged) = DENIED.pass() {
        let (uid, gid, pid) = ids(peer);
        tracing::warn!(target: "audit", uid, gid, pid, method, unlogged, "denied");
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > RESULT_MAX {
        text.truncate(text.floor_char_boundary(RESULT_MAX));
        text.push('…');
    }
    text
}
