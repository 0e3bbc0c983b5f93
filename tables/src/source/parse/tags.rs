// SPDX-License-Identifier: MIT OR Apache-2.0
//! `tags`: pairs of texts.

use std::ops::Range;

use serde::de::MapAccess;

use super::object::each_member;
use super::want::{At, Want, quote};
use crate::source::tags;

/// The tags of one entry, their texts end to end so that the next entry can use the space again.
#[derive(Default)]
pub(super) struct TagDraft {
    text: String,
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

impl TagDraft {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
    }

    /// Writes the pairs by key.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        tags::encode(self.pairs.iter().map(|(key, value)| (self.at(key), self.at(value))), out);
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    fn at(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// Sorts the pairs; calls `twice` with every key that is there again.
    fn sort(&mut self, mut twice: impl FnMut(&str)) {
        let Self { text, pairs } = self;
        let at = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
        pairs.sort_by(|(a, _), (b, _)| at(a).cmp(at(b)));
        for (_, again) in pairs.iter().zip(pairs.iter().skip(1)).filter(|((a, _), (b, _))| at(a) == at(b)) {
            twice(at(&again.0));
        }
    }
}

/// Wants the tags.
pub(super) struct Tags<'a>(pub(super) &'a mut TagDraft);

impl<'de> Want<'de> for Tags<'_> {
    type Value = ();

    fn wanted(&self) -> String {
        "an object of texts".into()
    }

    fn object<A: MapAccess<'de>>(self, mut at: At<'_>, object: A) -> Result<Option<()>, A::Error> {
        each_member(&mut at, object, |name, mut value| {
            let key = self.0.push(name);
            let start = self.0.text.len();
            value.want(TagValue { country: name == "country", text: &mut self.0.text })?;
            self.0.pairs.push((key, start..self.0.text.len()));
            Ok(())
        })?;
        self.0.sort(|key| at.draft.faults.add(&at.path.key(key), "this tag stands here twice"));
        Ok(Some(()))
    }
}

/// A text that is appended to others.
struct TagValue<'a> {
    country: bool,
    text: &'a mut String,
}

impl Want<'_> for TagValue<'_> {
    type Value = ();

    fn wanted(&self) -> String {
        "a text".into()
    }

    fn text(self, mut at: At<'_>, value: &str) -> Option<()> {
        if self.country && !(value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_uppercase())) {
            at.fault(format!("{} is not an ISO 3166-1 alpha-2 code: two capital letters, such as GB", quote(value)));
        }
        self.text.push_str(value);
        Some(())
    }
}
