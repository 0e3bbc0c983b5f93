// SPDX-License-Identifier: MIT OR Apache-2.0
//! From JSON to a draft, as a stream.

mod document;
mod egress;
mod object;
pub(super) mod ownership;
pub(super) mod patch;
mod scalar;
mod tags;
mod want;

use serde::de::DeserializeSeed;
use serde_json::de::{Read, SliceRead};
use serde_json::{Deserializer, Error};

use self::document::Document;
use self::object::{Members, Object};
use self::patch::PatchDraft;
use self::want::{At, Place};
use super::draft::Draft;
use super::path::Path;

/// Reads a whole document. Everything wrong with it is in the draft's list of faults; false if it could not be read to
/// its end, so that what is missing may only not have been seen.
pub(super) fn parse<'de>(read: impl Read<'de>) -> (Draft, bool) {
    parse_members(read, &mut Document::default())
}

/// Reads a whole patch, likewise.
pub(super) fn parse_patch(json: &[u8]) -> (Draft, PatchDraft, bool) {
    let mut patch = PatchDraft::default();
    let (draft, complete) = parse_members(SliceRead::new(json), &mut patch);
    (draft, patch, complete)
}

fn parse_members<'de>(read: impl Read<'de>, members: &mut impl Members) -> (Draft, bool) {
    let mut draft = Draft::default();
    let mut json = Deserializer::new(read);
    let place = Place::new(At { draft: &mut draft, path: &Path::Root }, Object(members));
    let outcome = place.deserialize(&mut json).and_then(|_| json.end());
    if let Err(error) = &outcome {
        draft.faults.position = (u8::MAX, 0);
        draft.faults.add(&Path::Root, describe(error));
    }
    (draft, outcome.is_ok())
}

fn describe(error: &Error) -> String {
    if error.is_io() {
        format!("the table cannot be read: {error}")
    } else if error.is_eof() {
        format!("the document ends too early, is the file complete? {error}")
    } else {
        format!("not valid JSON: {error}")
    }
}
