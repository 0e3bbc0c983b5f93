// SPDX-License-Identifier: MIT OR Apache-2.0
//! The methods of the shadow: `shadow_begin` compiles one, `shadow` shows what was seen, `shadow_commit` and `shadow_discard` end
//! it.

use serde_json::Value;

use super::change::{FORCE, PATH, TABLE, document, path, reloaded};
use super::{Call, Method, to_json};
use crate::control::params::Param;
use crate::control::peer::Right;
use crate::control::report::{self, ShadowReport, ShadowStatus};
use crate::control::rpc::{self, RpcError};
use crate::control::shadow::{SAMPLE, ShadowError};

pub(super) const SHADOW: Method = Method {
    name: "shadow",
    right: Right::Look,
    is_audited: false,
    params: &[],
    run: |call| status(call.forwarder.shadows().report()),
};

pub(super) const SHADOW_BEGIN: Method = Method {
    name: "shadow_begin",
    right: Right::Change,
    is_audited: true,
    params: &[PATH, TABLE, Param::new("sample", "a number from 1")],
    run: begin,
};

pub(super) const SHADOW_COMMIT: Method =
    Method { name: "shadow_commit", right: Right::Change, is_audited: true, params: &[FORCE], run: commit };

pub(super) const SHADOW_DISCARD: Method =
    Method { name: "shadow_discard", right: Right::Change, is_audited: true, params: &[], run: discard };

fn status(shadow: Option<ShadowReport>) -> Result<Value, RpcError> {
    to_json(ShadowStatus { shadow })
}

fn begin(call: &Call<'_>) -> Result<Value, RpcError> {
    let params = &call.params;
    let path = path(params)?;
    let document = document(params, path.as_deref())?;
    let every = params.get("sample")?.unwrap_or(SAMPLE);
    if every == 0 {
        return Err(params.wrong("sample"));
    }
    status(Some(call.forwarder.shadow(call.peer, document, every).map_err(failed)?))
}

fn commit(call: &Call<'_>) -> Result<Value, RpcError> {
    match call.forwarder.commit(call.peer, call.params.flag("force")?) {
        Ok(done) => reloaded(Ok(done), false),
        Err(ShadowError::Reload(error)) => reloaded(Err(error), false),
        Err(error) => Err(failed(error)),
    }
}

fn discard(call: &Call<'_>) -> Result<Value, RpcError> {
    status(Some(call.forwarder.shadows().discard().map_err(failed)?))
}

fn failed(error: ShadowError) -> RpcError {
    match error {
        ShadowError::Taken { .. } | ShadowError::None => RpcError::new(rpc::SHADOW, error.to_string()),
        ShadowError::Reload(error) => {
            RpcError::with_data(rpc::REFUSED, error.to_string(), report::reload_error(&error))
        }
        ShadowError::Thread(_) => RpcError::internal(error.to_string()),
    }
}
