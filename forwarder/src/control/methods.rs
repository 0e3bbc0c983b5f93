// SPDX-License-Identifier: MIT OR Apache-2.0
//! The methods of the control socket: parameters in, what `sluice --json` prints out.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::forwarder::Forwarder;
use super::generations::{Options, PatchError, ReloadError};
pub use super::load::DOCUMENT_MAX;
use super::load::{Document, PatchDocument};
use super::params::{self, Named};
use super::peer::Peer;
use super::report::{self, PatchReport, ReloadReport};
use super::rpc::{self, Params, RpcError};
use crate::explain::{Protocol, Query};
use crate::wire::protocol;

/// The members of a patch.
const PATCH: [&str; 4] = ["base", "set", "remove", "ports"];

/// Calls `method` for `peer`, who may change what runs or not.
pub fn call(
    forwarder: &Forwarder,
    peer: Peer,
    may_change: bool,
    method: &str,
    params: Params<'_>,
) -> Result<Value, RpcError> {
    match method {
        "status" => Named::read(params, method, &[]).and_then(|_| to_json(forwarder.status())),
        "stats" => Named::read(params, method, &[]).and_then(|_| to_json(forwarder.stats())),
        "explain" => explain(forwarder, params),
        "reload" if may_change => reload(forwarder, peer, params),
        "patch" if may_change => patch(forwarder, peer, params),
        "reload" | "patch" => {
            tracing::warn!(%peer, method, "refused: no right to change what runs");
            let message = format!("{peer} may look, but not change what runs; see control.change_uids and change_gids");
            Err(RpcError::new(rpc::FORBIDDEN, message))
        }
        _ => Err(RpcError::unknown_method(method)),
    }
}

fn reload(forwarder: &Forwarder, peer: Peer, params: Params<'_>) -> Result<Value, RpcError> {
    let named = Named::read(params, "reload", &["path", "table", "dry_run", "force"])?;
    let path = path(&named)?;
    let options = Options { dry_run: flag(&named, "dry_run")?, force: flag(&named, "force")? };
    let document = match (&path, named.text("table")) {
        (Some(path), None) => Document::File(path),
        (None, Some(table)) if table.get().len() > DOCUMENT_MAX => {
            let message = format!("the table has more than {DOCUMENT_MAX} bytes; give it by path");
            return Err(RpcError::invalid_params(message));
        }
        (None, Some(table)) => Document::Text(table.get()),
        _ => return Err(RpcError::invalid_params("give either path or table")),
    };
    match forwarder.reload(peer, document, options) {
        Ok(reloaded) => to_json(ReloadReport::new(&reloaded, options.dry_run)),
        Err(error) => {
            let code = match error {
                ReloadError::Refused { .. } => rpc::REFUSED,
                ReloadError::Late { .. } => rpc::LATE,
            };
            Err(RpcError::with_data(code, error.to_string(), report::reload_error(&error)))
        }
    }
}

fn patch(forwarder: &Forwarder, peer: Peer, params: Params<'_>) -> Result<Value, RpcError> {
    let named = Named::read(params, "patch", &["base", "set", "remove", "ports", "path", "dry_run"])?;
    let path = path(&named)?;
    let dry_run = flag(&named, "dry_run")?;
    let document = match &path {
        Some(_) if PATCH.iter().any(|member| named.text(member).is_some()) => {
            return Err(RpcError::invalid_params("give either path or the members of a patch"));
        }
        Some(path) => PatchDocument::File(path),
        None => PatchDocument::Text(named.object(&PATCH)),
    };
    if let PatchDocument::Text(text) = &document
        && text.len() > DOCUMENT_MAX
    {
        let message = format!("the patch has more than {DOCUMENT_MAX} bytes; make several of it, or reload the table");
        return Err(RpcError::invalid_params(message));
    }
    match forwarder.patch(peer, document, dry_run) {
        Ok(patched) => to_json(PatchReport::new(&patched, dry_run)),
        Err(error) => {
            let code = match error {
                PatchError::Refused { .. } => rpc::REFUSED,
                PatchError::WrongBase { .. } => rpc::WRONG_BASE,
                PatchError::Late { .. } => rpc::LATE,
            };
            Err(RpcError::with_data(code, error.to_string(), report::patch_error(&error)))
        }
    }
}

/// A file's place, if it is given.
fn path(named: &Named<'_>) -> Result<Option<PathBuf>, RpcError> {
    let path = named.get::<PathBuf>("path", "a string")?;
    match &path {
        Some(path) if !path.is_absolute() => Err(RpcError::invalid_params(format!(
            "path {} is not absolute; the daemon stands in another directory",
            path.display()
        ))),
        _ => Ok(path),
    }
}

fn flag(named: &Named<'_>, name: &str) -> Result<bool, RpcError> {
    Ok(named.get(name, "true or false")?.unwrap_or(false))
}

/// Parameters of `explain`, as a client writes them.
pub fn explain_params(query: &Query) -> Value {
    let Query { address, port, protocol } = query;
    let protocol = match protocol {
        Protocol::Icmp => json!("icmp"),
        Protocol::Number(number) => json!(number),
    };
    json!({ "address": address, "port": port, "protocol": protocol })
}

fn explain(forwarder: &Forwarder, params: Params<'_>) -> Result<Value, RpcError> {
    let named = Named::read(params, "explain", &["address", "port", "protocol"])?;
    let address = named.get("address", "an IP address")?;
    let address = address.ok_or_else(|| RpcError::invalid_params("explain needs an address"))?;
    let port = named.get("port", "a number from 0 to 65535")?;
    let protocol = named.text("protocol").map_or(Ok(Protocol::Number(protocol::TCP)), protocol_of)?;
    let explained = forwarder.explain(Query { address, port, protocol });
    to_json(explained.map_err(|error| RpcError::invalid_params(error.to_string()))?)
}

/// A protocol by number or by name.
fn protocol_of(text: &RawValue) -> Result<Protocol, RpcError> {
    let number = || serde_json::from_str(text.get()).ok().map(Protocol::Number);
    let name = || serde_json::from_str::<String>(text.get()).ok()?.parse().ok();
    number()
        .or_else(name)
        .ok_or_else(|| params::wrong("protocol", "\"tcp\", \"udp\", \"icmp\" or a number from 0 to 255", text.get()))
}

/// Documents are made of strings, numbers and lists: there is always a value for them.
fn to_json(document: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(document).map_err(|error| RpcError::internal(error.to_string()))
}
