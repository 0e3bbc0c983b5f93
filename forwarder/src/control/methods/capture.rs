// SPDX-License-Identifier: MIT OR Apache-2.0
//! The methods that capture: `capture` begins one, `capture_read` reads it on, `capture_stop` ends it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, Method, to_json};
use crate::capture::filter::{Filter, Instruction};
use crate::capture::{Options, Reasons, SNAP_LENGTH, Wanted};
use crate::control::capture::{CaptureError, Part, Request, Session};
use crate::control::params::Param;
use crate::control::peer::Right;
use crate::control::rpc::{self, RpcError};
use crate::counters::DropReason;

/// Bytes of a frame that must be kept at least: all outer headers.
const SNAP_MIN: u16 = 96;

/// What `capture_read` answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct CapturePart {
    /// The next bytes of the file, in Base64.
    pub pcapng: String,
    /// Packets so far; one that came and left counts once.
    pub packets: u64,
    /// Packets lost so far because something could not keep up.
    pub lost: u64,
    /// Whether there will be more.
    pub running: bool,
}

impl CapturePart {
    /// The bytes of the file; none if they are no Base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.pcapng).ok()
    }
}

impl From<Part> for CapturePart {
    fn from(Part { bytes, packets, lost, is_running }: Part) -> Self {
        Self { pcapng: STANDARD.encode(bytes), packets, lost, running: is_running }
    }
}

pub(super) const CAPTURE: Method = Method {
    name: "capture",
    right: Right::Change,
    is_audited: true,
    params: &[
        Param::new("filter", "a list of [code, jump if true, jump if false, operand]"),
        Param::new("drops", "a list of drop reasons, or [\"any\"]"),
        Param::new("sample", "a number from 1"),
        Param::new("count", "a number from 1"),
        Param::new("snap_length", "a number of bytes from 96 to 65535"),
    ],
    run: begin,
};

const NUMBER: Param = Param::new("capture", "the number that capture gave");

pub(super) const CAPTURE_READ: Method =
    Method { name: "capture_read", right: Right::Change, is_audited: false, params: &[NUMBER], run: read };

pub(super) const CAPTURE_STOP: Method =
    Method { name: "capture_stop", right: Right::Change, is_audited: true, params: &[NUMBER], run: stop };

fn begin(call: &Call<'_>) -> Result<Value, RpcError> {
    let params = &call.params;
    let filter = params.get::<Vec<Instruction>>("filter")?.map(|instructions| Filter::new(&instructions)).transpose();
    let drops = params.get::<Vec<String>>("drops")?;
    let positive = |name| match params.get::<u64>(name)? {
        Some(0) => Err(params.wrong(name)),
        number => Ok(number),
    };
    let snap_length = params.get::<u16>("snap_length")?.unwrap_or(SNAP_LENGTH);
    if snap_length < SNAP_MIN {
        return Err(params.wrong("snap_length"));
    }
    let request = Request {
        options: Options {
            wanted: drops.map_or(Ok(Wanted::All), |drops| reasons(&drops).map(Wanted::Drops))?,
            every: positive("sample")?.unwrap_or(1),
            snap_length,
        },
        filter: filter.map_err(|refused| RpcError::invalid_params(refused.to_string()))?,
        count: positive("count")?,
    };
    match call.forwarder.capture(call.peer, request) {
        Ok(session) => Ok(json!({ "capture": session.number() })),
        Err(error @ CaptureError::Busy(_)) => Err(RpcError::new(rpc::CAPTURING, error.to_string())),
        Err(error) => Err(RpcError::internal(error.to_string())),
    }
}

fn read(call: &Call<'_>) -> Result<Value, RpcError> {
    to_json(CapturePart::from(find(call)?.read()))
}

fn stop(call: &Call<'_>) -> Result<Value, RpcError> {
    let session = find(call)?;
    session.stop();
    Ok(json!({ "capture": session.number() }))
}

fn reasons(names: &[String]) -> Result<Reasons, RpcError> {
    names.iter().try_fold(Reasons::default(), |reasons, name| {
        if name == "any" {
            return Ok(Reasons::ANY);
        }
        let reason = DropReason::ALL.into_iter().find(|reason| reason.name() == name);
        reason.map(|reason| reasons.with(reason)).ok_or_else(|| {
            let all = DropReason::ALL.iter().map(|reason| reason.name());
            let nearest = all.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or_default();
            RpcError::invalid_params(format!("there is no drop reason {name:?}; the nearest is {nearest:?}"))
        })
    })
}

/// The capture that is meant.
fn find(call: &Call<'_>) -> Result<Arc<Session>, RpcError> {
    let number = call.params.get::<u64>(NUMBER.name)?.ok_or_else(|| call.params.wrong(NUMBER.name))?;
    let session = call.forwarder.captures().find(number);
    session.ok_or_else(|| RpcError::invalid_params(format!("there is no capture {number}; it was not read in time")))
}
