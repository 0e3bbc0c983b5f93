// SPDX-License-Identifier: MIT OR Apache-2.0
//! From JSON to a draft, as a stream.

mod document;
mod egress;
mod object;
pub(super) mod ownership;
pub(super) mod patch;
mod scalar;
pub(super) mod shape;
mod tags;
mod want;
mod window;

use std::io;

use serde::de::DeserializeSeed;
use serde_json::de::{IoRead, Read, SliceRead};
use serde_json::{Deserializer, Error};

use self::document::Document;
use self::object::{Members, Object};
use self::patch::PatchDraft;
use self::shape::Shape;
use self::want::{At, Place};
use self::window::Window;
use super::draft::Draft;
use super::path::Path;

/// Reads a whole document. Everything wrong with it is in the draft's list of faults; false if it could not be read to
/// its end, so that what is missing may only not have been seen.
pub(super) fn parse(reader: &mut dyn io::Read) -> (Draft, bool) {
    const WINDOW: usize = 1 << 18;
    let window = Window::new(reader, WINDOW);
    parse_members(IoRead::new(&window), &mut Document::new(&window), Some(&window))
}

/// Reads a whole patch, likewise.
pub(super) fn parse_patch(json: &[u8]) -> (Draft, PatchDraft, bool) {
    let mut patch = PatchDraft::default();
    if let Some(draft) = shapeless(json) {
        return (draft, patch, false);
    }
    let (draft, complete) = parse_members(SliceRead::new(json), &mut patch, None);
    (draft, patch, complete)
}

/// A draft with the fault of a patch that a document would be given up for: what it says is kept as one.
fn shapeless(json: &[u8]) -> Option<Draft> {
    let error = Shape::default().pass(json).err()?;
    let mut draft = Draft::default();
    draft.faults.add(&Path::Root, format!("cannot be read: {error}"));
    Some(draft)
}

/// `window` is what `read` reads, if it is one.
fn parse_members<'de>(read: impl Read<'de>, members: &mut impl Members, window: Option<&Window<'_>>) -> (Draft, bool) {
    let mut draft = Draft::default();
    let mut json = Deserializer::new(read);
    let place = Place::new(At { draft: &mut draft, path: &Path::Root }, Object(members));
    let outcome = place.deserialize(&mut json).and_then(|_| json.end());
    if let Err(error) = &outcome {
        draft.faults.position = (u8::MAX, 0);
        draft.faults.add(&Path::Root, describe(error, window));
    }
    (draft, outcome.is_ok())
}

fn describe(error: &Error, window: Option<&Window<'_>>) -> String {
    let text = with_place(error, window);
    if error.is_io() {
        format!("the table cannot be read: {text}")
    } else if error.is_eof() {
        format!("the document ends too early, is the file complete? {text}")
    } else {
        format!("not valid JSON: {text}")
    }
}

/// The error with the place where it really is.
fn with_place(error: &Error, window: Option<&Window<'_>>) -> String {
    let text = error.to_string();
    let at = |(line, column)| format!(" at line {line} column {column}");
    let told = (error.line(), error.column());
    match (text.strip_suffix(&at(told)), window) {
        (Some(what), Some(window)) => format!("{what}{}", at(window.place(told.0, told.1))),
        _ => text,
    }
}
