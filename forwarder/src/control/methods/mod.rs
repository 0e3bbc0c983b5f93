// SPDX-License-Identifier: MIT OR Apache-2.0
//! The methods of the control socket: parameters in, what `sluice --json` prints out.

pub mod capture;
mod change;
mod explain;
mod service;
mod shadow;

use serde::Serialize;
use serde_json::Value;

pub(super) use self::change::hang_up;
pub use self::change::{PATH, TABLE, document, path};
pub use self::explain::explain_params;
use super::audit;
use super::forwarder::Forwarder;
pub use super::load::DOCUMENT_MAX;
use super::params::{Named, Param};
use super::peer::{Peer, Right};
use super::rpc::{self, Params, RpcError};

/// A method, as `docs/control-socket.md` has it.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What a peer needs to call it.
    pub right: Right,
    /// Whether each call leaves a line in the audit.
    pub is_audited: bool,
    /// Its parameters.
    pub params: &'static [Param],
    run: fn(&Call<'_>) -> Result<Value, RpcError>,
}

/// All methods. Each has a section in `docs/control-socket.md`, which a test holds against this table and the results.
pub const METHODS: &[Method] = &[
    Method {
        name: "status",
        right: Right::Look,
        is_audited: false,
        params: &[],
        run: |call| to_json(call.forwarder.status()),
    },
    Method {
        name: "stats",
        right: Right::Look,
        is_audited: false,
        params: &[],
        run: |call| to_json(call.forwarder.stats()),
    },
    Method {
        name: "top",
        right: Right::Look,
        is_audited: false,
        params: &[],
        run: |call| to_json(call.forwarder.top()),
    },
    explain::EXPLAIN,
    change::RELOAD,
    change::PATCH,
    capture::CAPTURE,
    capture::CAPTURE_READ,
    capture::CAPTURE_STOP,
    change::ROLLBACK,
    service::DRAIN,
    service::UNDRAIN,
    shadow::SHADOW,
    shadow::SHADOW_BEGIN,
    shadow::SHADOW_COMMIT,
    shadow::SHADOW_DISCARD,
    Method {
        name: "generations",
        right: Right::Look,
        is_audited: false,
        params: &[],
        run: |call| to_json(call.forwarder.kept_generations()),
    },
];

/// One call of a method.
struct Call<'a> {
    forwarder: &'a Forwarder,
    peer: Peer,
    params: Named<'a>,
}

/// Calls the method `name` for `peer`, who has the right to do so or not.
pub fn call(
    forwarder: &Forwarder,
    peer: Peer,
    right: Right,
    name: &str,
    params: Params<'_>,
) -> Result<Value, RpcError> {
    let method = METHODS.iter().find(|method| method.name == name).ok_or_else(|| RpcError::unknown_method(name))?;
    if method.right > right {
        audit::denied(&peer, name);
        let message = format!("{peer} may look, but not change what runs; see control.change_uids and change_gids");
        return Err(RpcError::new(rpc::FORBIDDEN, message));
    }
    let call = Call { forwarder, peer, params: Named::read(params, name, method.params)? };
    let result = (method.run)(&call);
    if method.is_audited {
        audit::record(&peer, name, &call.params.to_string(), &result);
    }
    result
}

/// Documents are made of strings, numbers and lists: there is always a value for them.
fn to_json(document: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(document).map_err(|error| RpcError::internal(error.to_string()))
}
