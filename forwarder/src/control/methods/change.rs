// SPDX-License-Identifier: MIT OR Apache-2.0
//! Methods that change what runs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Call, DOCUMENT_MAX, Method, to_json};
use crate::control::audit;
use crate::control::forwarder::Forwarder;
use crate::control::generations::{Options, PatchError, ReloadError, Reloaded};
use crate::control::load::{Document, PatchDocument};
use crate::control::params::{Named, Param};
use crate::control::peer::{Peer, Right};
use crate::control::report::{self, PatchReport, ReloadReport};
use crate::control::rpc::{self, RpcError};

/// Where a document is.
pub const PATH: Param = Param::new("path", "a string");
/// A table as the document that it is.
pub const TABLE: Param = Param::new("table", "an object");
const DRY_RUN: Param = Param::new("dry_run", "true or false");
pub(super) const FORCE: Param = Param::new("force", "true or false");

pub(super) const RELOAD: Method = Method {
    name: "reload",
    right: Right::Change,
    is_audited: true,
    params: &[PATH, TABLE, DRY_RUN, FORCE],
    run: reload,
};

pub(super) const PATCH: Method = Method {
    name: "patch",
    right: Right::Change,
    is_audited: true,
    params: &[
        PATH,
        Param::new("base", "an array"),
        Param::new("set", "an object"),
        Param::new("remove", "an object"),
        Param::new("ports", "an array"),
        DRY_RUN,
        FORCE,
    ],
    run: patch,
};

pub(super) const ROLLBACK: Method = Method {
    name: "rollback",
    right: Right::Change,
    is_audited: true,
    params: &[Param::new("generation", "a number from 0 to 9223372036854775807"), DRY_RUN, FORCE],
    run: rollback,
};

/// The parameters that are the members of a patch.
const MEMBERS: [&str; 4] = ["base", "set", "remove", "ports"];

fn reload(call: &Call<'_>) -> Result<Value, RpcError> {
    let options = options(&call.params)?;
    let path = path(&call.params)?;
    let document = document(&call.params, path.as_deref())?;
    reloaded(call.forwarder.reload(call.peer, document, options), options.dry_run)
}

/// The table that is meant: at `path`, or among the parameters.
pub fn document<'a>(params: &Named<'a>, path: Option<&'a Path>) -> Result<Document<'a>, RpcError> {
    match (path, params.text("table")) {
        (Some(path), None) => Ok(Document::File(path)),
        (None, Some(table)) if table.get().len() > DOCUMENT_MAX => {
            let message = format!("the table has more than {DOCUMENT_MAX} bytes; give it by path");
            Err(RpcError::invalid_params(message))
        }
        (None, Some(table)) => Ok(Document::Text(table.get())),
        _ => Err(RpcError::invalid_params("give either path or table")),
    }
}

fn rollback(call: &Call<'_>) -> Result<Value, RpcError> {
    let options = options(&call.params)?;
    let generation = call.params.get("generation")?;
    reloaded(call.forwarder.rollback(call.peer, generation, options), options.dry_run)
}

fn options(params: &Named<'_>) -> Result<Options, RpcError> {
    Ok(Options { dry_run: params.flag("dry_run")?, force: params.flag("force")? })
}

/// What SIGHUP does. The log has the outcome.
pub(in crate::control) fn hang_up(forwarder: &Forwarder) {
    let params = json!({ "path": forwarder.config().table }).to_string();
    audit::record(&Peer::Signal, RELOAD.name, &params, &reloaded(forwarder.reload_configured(), false));
}

pub(super) fn reloaded(result: Result<Reloaded, ReloadError>, dry_run: bool) -> Result<Value, RpcError> {
    let error = match result {
        Ok(reloaded) => return to_json(ReloadReport::new(&reloaded, dry_run)),
        Err(error) => error,
    };
    let code = match error {
        ReloadError::Refused { .. } => rpc::REFUSED,
        ReloadError::Guarded { .. } => rpc::GUARDED,
        ReloadError::NotKept { .. } => rpc::NOT_KEPT,
        ReloadError::Late { .. } => rpc::LATE,
    };
    Err(RpcError::with_data(code, error.to_string(), report::reload_error(&error)))
}

fn patch(call: &Call<'_>) -> Result<Value, RpcError> {
    let params = &call.params;
    let path = path(params)?;
    let options = options(params)?;
    let document = match &path {
        Some(_) if MEMBERS.iter().any(|member| params.text(member).is_some()) => {
            return Err(RpcError::invalid_params("give either path or the members of a patch"));
        }
        Some(path) => PatchDocument::File(path),
        None => PatchDocument::Text(params.object(&MEMBERS)),
    };
    if let PatchDocument::Text(text) = &document
        && text.len() > DOCUMENT_MAX
    {
        let message = format!("the patch has more than {DOCUMENT_MAX} bytes; make several of it, or reload the table");
        return Err(RpcError::invalid_params(message));
    }
    match call.forwarder.patch(call.peer, document, options) {
        Ok(patched) => to_json(PatchReport::new(&patched, options.dry_run)),
        Err(error) => {
            let code = match error {
                PatchError::Refused { .. } => rpc::REFUSED,
                PatchError::WrongBase { .. } => rpc::WRONG_BASE,
                PatchError::Guarded { .. } => rpc::GUARDED,
                PatchError::NotKept { .. } => rpc::NOT_KEPT,
                PatchError::Late { .. } => rpc::LATE,
            };
            Err(RpcError::with_data(code, error.to_string(), report::patch_error(&error)))
        }
    }
}

/// A file's place, if it is given.
pub fn path(params: &Named<'_>) -> Result<Option<PathBuf>, RpcError> {
    let path = params.get::<PathBuf>("path")?;
    match &path {
        Some(path) if !path.is_absolute() => Err(RpcError::invalid_params(format!(
            "path {} is not absolute; the daemon stands in another directory",
            path.display()
        ))),
        _ => Ok(path),
    }
}
