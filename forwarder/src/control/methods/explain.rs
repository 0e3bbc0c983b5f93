// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a packet would go.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Call, Method, to_json};
use crate::control::params::Param;
use crate::control::peer::Right;
use crate::control::rpc::RpcError;
use crate::explain::{self, Protocol, Query, Question};
use crate::wire::protocol;

pub(super) const EXPLAIN: Method = Method {
    name: "explain",
    right: Right::Look,
    is_audited: false,
    params: &[
        Param::new("address", "an IP address"),
        Param::new("port", "a number from 0 to 65535"),
        Param::new("protocol", "\"tcp\", \"udp\", \"icmp\" or a number from 0 to 255"),
        Param::new("frame", "a string of hexadecimal digits"),
        Param::new("device", "a device's name"),
        Param::new("at", "a number from 0 to 9223372036854775807"),
    ],
    run: explain,
};

/// Parameters of `explain`, as a client writes them.
pub fn explain_params(query: &Query) -> Value {
    let Query { address, port, protocol } = query;
    let protocol = match protocol {
        Protocol::Icmp => json!("icmp"),
        Protocol::Number(number) => json!(number),
    };
    json!({ "address": address, "port": port, "protocol": protocol })
}

fn explain(call: &Call<'_>) -> Result<Value, RpcError> {
    let params = &call.params;
    if let Some(frame) = params.get::<String>("frame")? {
        return explain_frame(call, &frame);
    }
    let address = params.get("address")?;
    let address = address.ok_or_else(|| RpcError::invalid_params("explain needs an address, or a frame"))?;
    if params.text("device").is_some() {
        return Err(RpcError::invalid_params("device goes with frame"));
    }
    let port = params.get("port")?;
    let protocol = match params.text("protocol") {
        Some(text) => protocol_of(text).ok_or_else(|| params.wrong("protocol"))?,
        None => Protocol::Number(protocol::TCP),
    };
    ask(call, Question::Flow(Query { address, port, protocol }))
}

fn ask(call: &Call<'_>, question: Question<'_>) -> Result<Value, RpcError> {
    let explained = call.forwarder.explain(question, call.params.get("at")?);
    to_json(explained.map_err(|error| RpcError::invalid_params(error.to_string()))?)
}

fn explain_frame(call: &Call<'_>, frame: &str) -> Result<Value, RpcError> {
    let Call { forwarder, params, .. } = call;
    if ["address", "port", "protocol"].iter().any(|name| params.text(name).is_some()) {
        return Err(RpcError::invalid_params("give either a frame or an address"));
    }
    let frame = explain::read_hex(frame).map_err(RpcError::invalid_params)?;
    let device = params.get::<String>("device")?;
    let device = forwarder.settings().find_device(device.as_deref()).map_err(RpcError::invalid_params)?;
    ask(call, Question::Frame(&frame, device))
}

/// A protocol by number or by name.
fn protocol_of(text: &RawValue) -> Option<Protocol> {
    let number = || serde_json::from_str(text.get()).ok().map(Protocol::Number);
    let name = || serde_json::from_str::<String>(text.get()).ok()?.parse().ok();
    number().or_else(name)
}
