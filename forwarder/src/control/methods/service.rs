// SPDX-License-Identifier: MIT OR Apache-2.0
//! Out of service and back: `drain` and `undrain`.

use serde_json::{Value, json};

use super::{Call, Method};
use crate::control::peer::Right;
use crate::control::rpc::RpcError;

pub(super) const DRAIN: Method =
    Method { name: "drain", right: Right::Change, is_audited: true, params: &[], run: drain };

pub(super) const UNDRAIN: Method =
    Method { name: "undrain", right: Right::Change, is_audited: true, params: &[], run: undrain };

fn drain(call: &Call<'_>) -> Result<Value, RpcError> {
    let readiness = call.forwarder.readiness();
    let changed = readiness.drain(call.peer.to_string());
    match readiness.problem() {
        Some(problem) => Err(RpcError::internal(problem)),
        None => Ok(json!({ "changed": changed, "draining": true })),
    }
}

fn undrain(call: &Call<'_>) -> Result<Value, RpcError> {
    let changed = call.forwarder.readiness().undrain();
    Ok(json!({ "changed": changed, "draining": false }))
}
