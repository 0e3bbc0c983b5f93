// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading one JSON value where something definite is wanted.
//!
//! serde stops at the first error. Here only what ends all reading (broken JSON, a failing reader) is an error; a value
//! of the wrong kind is a fault with its path, is skipped, and reading goes on.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::source::draft::Draft;
use crate::source::path::Path;

/// A place in the document and what has been read so far.
pub(super) struct At<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) path: &'a Path<'a>,
}

impl At<'_> {
    /// The same place, lent.
    pub(super) fn again(&mut self) -> At<'_> {
        At { draft: self.draft, path: self.path }
    }

    /// The value here, if it could be read; else the reason is the fault.
    pub(super) fn take<T, E: fmt::Display>(&mut self, read: Result<T, E>) -> Option<T> {
        read.map_err(|error| self.fault(error.to_string())).ok()
    }

    /// An error if so much is wrong that the rest need not be read: what is wrong must not take memory without end either.
    pub(super) fn go_on<E: Error>(&self) -> Result<(), E> {
        if self.draft.faults.is_full() { Err(E::custom("there are too many faults")) } else { Ok(()) }
    }

    /// Something is wrong here.
    pub(super) fn fault(&mut self, message: impl Into<String>) {
        self.draft.faults.add(self.path, message);
    }
}

/// What is wanted at a place. Every kind of value that is not overridden is a fault.
pub(super) trait Want<'de>: Sized {
    /// What a right value turns into.
    type Value;

    /// What must stand here: "a server name".
    fn wanted(&self) -> String;

    /// `null` stands here.
    fn null(self, mut at: At<'_>) -> Option<Self::Value> {
        at.fault(format!("must be {}, not null", self.wanted()));
        None
    }

    /// `true` or `false` stands here.
    fn boolean(self, mut at: At<'_>, value: bool) -> Option<Self::Value> {
        at.fault(format!("must be {}, not {value}", self.wanted()));
        None
    }

    /// A whole number that is not negative stands here.
    fn integer(self, mut at: At<'_>, value: u64) -> Option<Self::Value> {
        at.fault(format!("must be {}, not the number {value}", self.wanted()));
        None
    }

    /// A string stands here.
    fn text(self, mut at: At<'_>, value: &str) -> Option<Self::Value> {
        at.fault(format!("must be {}, not the text {}", self.wanted(), quote(value)));
        None
    }

    /// An array stands here.
    fn array<A: SeqAccess<'de>>(self, mut at: At<'_>, mut array: A) -> Result<Option<Self::Value>, A::Error> {
        at.fault(format!("must be {}, not an array", self.wanted()));
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// An object stands here.
    fn object<A: MapAccess<'de>>(self, mut at: At<'_>, mut object: A) -> Result<Option<Self::Value>, A::Error> {
        at.fault(format!("must be {}, not an object", self.wanted()));
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Reads the value at a place: none if it was not as wanted, which is a fault by then.
pub(super) struct Place<'a, W> {
    at: At<'a>,
    want: W,
}

impl<'a, W> Place<'a, W> {
    pub(super) fn new(at: At<'a>, want: W) -> Self {
        Self { at, want }
    }
}

impl<'de, W: Want<'de>> DeserializeSeed<'de> for Place<'_, W> {
    type Value = Option<W::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, W: Want<'de>> Visitor<'de> for Place<'_, W> {
    type Value = Option<W::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.want.wanted())
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(self.want.null(self.at))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.want.boolean(self.at, value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(self.want.integer(self.at, value))
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<Self::Value, E> {
        // Only negative numbers come this way, and nothing in a table is negative.
        self.at.fault(format!("must be {}, not {value}", self.want.wanted()));
        Ok(None)
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Self::Value, E> {
        self.at.fault(format!("must be {}, not the number {value:?}", self.want.wanted()));
        Ok(None)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(self.want.text(self.at, value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Self::Value, A::Error> {
        self.want.array(self.at, array)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        self.want.object(self.at, object)
    }
}

/// A text in quotes, as much of it as a message can bear.
pub(super) fn quote(text: &str) -> String {
    const BEARABLE: usize = 60;
    match text.char_indices().nth(BEARABLE) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
