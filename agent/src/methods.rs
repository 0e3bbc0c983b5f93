// SPDX-License-Identifier: MIT OR Apache-2.0
//! The methods of the control socket: parameters in, what `sluice-agent --json` prints out.

use forwarder::control::audit;
use forwarder::control::methods::{PATH, TABLE, document, path};
use forwarder::control::params::{Named, Param};
use forwarder::control::peer::{Peer, Right};
use forwarder::control::rpc::{self, Params, RpcError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::agent::{Agent, Refused};
use crate::exec::{Family, Filter};
use crate::metrics;

/// The process can't be held to what the server owns.
pub const NO_EXEC: i32 = -32009;

/// A method, as `docs/agent.md` has it.
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

/// All methods.
pub const METHODS: &[Method] = &[
    look("status", |call| to_json(call.agent.status())),
    look("slices", |call| to_json(call.agent.slices())),
    look("health", |call| to_json(call.agent.health())),
    look("metrics", |call| {
        let text = metrics::page(call.agent).map_err(|error| RpcError::internal(error.to_string()))?;
        Ok(json!({ "text": text }))
    }),
    Method {
        name: "exec",
        right: Right::Change,
        is_audited: true,
        params: &[Param::new("tags", "a list of KEY=VALUE"), Param::new("family", "4 or 6")],
        run: exec,
    },
    Method { name: "reload", right: Right::Change, is_audited: true, params: &[PATH, TABLE], run: reload },
];

/// A method without parameters that only tells.
const fn look(name: &'static str, run: fn(&Call<'_>) -> Result<Value, RpcError>) -> Method {
    Method { name, right: Right::Look, is_audited: false, params: &[], run }
}

/// One call of a method.
struct Call<'a> {
    peer: Peer,
    agent: &'a Agent,
    params: Named<'a>,
}

/// Calls the method `name` for `peer`, who has the right to do so or not.
pub fn call(agent: &Agent, peer: Peer, right: Right, name: &str, params: Params<'_>) -> Result<Value, RpcError> {
    let method = METHODS.iter().find(|method| method.name == name).ok_or_else(|| RpcError::unknown_method(name))?;
    if method.right > right {
        audit::denied(&peer, name);
        let message = format!("{peer} may look, but not change what runs; see control.change_uids and change_gids");
        return Err(RpcError::new(rpc::FORBIDDEN, message));
    }
    let call = Call { peer, agent, params: Named::read(params, name, method.params)? };
    let result = (method.run)(&call);
    if method.is_audited {
        audit::record(&peer, name, &call.params.to_string(), &result);
    }
    result
}

/// Without a parameter, the configured table.
fn reload(call: &Call<'_>) -> Result<Value, RpcError> {
    let path = path(&call.params)?;
    let has_document = path.is_some() || call.params.text("table").is_some();
    let document = has_document.then(|| document(&call.params, path.as_deref())).transpose()?;
    call.agent.reload(document).map_err(refused).and_then(to_json)
}

/// Of the process that asks, which connects only from what the server owns from then on, and so does whatever it starts.
fn exec(call: &Call<'_>) -> Result<Value, RpcError> {
    let tags: Vec<String> = call.params.get("tags")?.unwrap_or_default();
    let family = match call.params.get::<u8>("family")? {
        None => None,
        Some(4) => Some(Family::V4),
        Some(6) => Some(Family::V6),
        Some(_) => return Err(call.params.wrong("family")),
    };
    let filter = Filter::new(tags.iter().map(String::as_str), family);
    let filter = filter.map_err(|error| RpcError::invalid_params(error.to_string()))?;
    let Peer::Process { pid, .. } = call.peer else { return Err(RpcError::internal("whose process it is")) };
    // The kernel's word for a process that it can't name here is 0, which to cgroups would be this one.
    let pid = u32::try_from(pid)
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or_else(|| RpcError::internal("the process is of another namespace"))?;
    call.agent.admit(pid, &filter).map_err(|message| RpcError::new(NO_EXEC, message))?;
    Ok(json!({ "pid": pid, "filter": filter.to_string() }))
}

fn refused(refused: Refused) -> RpcError {
    let data = json!({ "faults": refused.faults, "generation": refused.running });
    RpcError::with_data(rpc::REFUSED, refused.to_string(), data)
}

/// Documents are made of strings, numbers and lists: there is always a value for them.
fn to_json(document: impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(document).map_err(|error| RpcError::internal(error.to_string()))
}
