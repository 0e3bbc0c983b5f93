// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors, as JSON-RPC tells them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The table or the patch was refused; `data` is `{"faults": […]}`.
pub const REFUSED: i32 = -32000;
/// The patch is for something else than what runs; `data` is what runs.
pub const WRONG_BASE: i32 = -32001;
/// A guard objects to the change; `data` has its figures.
pub const GUARDED: i32 = -32002;
/// The peer has no right to the method.
pub const FORBIDDEN: i32 = -32003;
/// The change is published, but some workers have not been seen on it; `data` names them.
pub const LATE: i32 = -32004;
/// No room: too many connections, too many long messages, or too long an answer.
pub const BUSY: i32 = -32005;
/// Somebody captures already.
pub const CAPTURING: i32 = -32006;
/// The state folder can't take the change; `data` says whether it is published all the same.
pub const NOT_KEPT: i32 = -32007;
/// There is a shadow already, or none.
pub const SHADOW: i32 = -32008;

const PARSE: i32 = -32700;
/// JSON, but no request, or one that is too long.
pub const INVALID_REQUEST: i32 = -32600;
const UNKNOWN_METHOD: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL: i32 = -32603;

/// An error object of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

    /// What was sent is no JSON.
    pub fn parse(error: &serde_json::Error) -> Self {
        Self::new(PARSE, format!("not JSON: {error}"))
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
