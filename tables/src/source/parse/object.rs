// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading objects: those whose keys the format names, and those whose keys are names.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::want::{At, Place, Want, quote};
use crate::source::path::Path;

/// An object whose keys the format names.
pub(super) trait Members {
    /// All keys, at most 32.
    const KEYS: &'static [&'static str];
    /// Those that must be there.
    const REQUIRED: &'static [&'static str];

    /// Takes the value of `key`, which is one of [`Self::KEYS`] and comes at most once.
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, value: Member<'_, A>) -> Result<(), A::Error>;

    /// All members were read: the place for what concerns several of them.
    fn end(&mut self, _at: At<'_>, _seen: &Seen) {}
}

/// The value of a member that is yet to be read.
pub(super) struct Member<'a, A> {
    pub(super) at: At<'a>,
    object: &'a mut A,
}

impl<'de, A: MapAccess<'de>> Member<'_, A> {
    /// Reads it, which must be done once: none if it was not as wanted.
    pub(super) fn want<W: Want<'de>>(&mut self, want: W) -> Result<Option<W::Value>, A::Error> {
        self.object.next_value_seed(Place::new(self.at.again(), want))
    }
}

/// Which keys of an object were there.
pub(super) struct Seen {
    keys: &'static [&'static str],
    bits: u32,
}

impl Seen {
    /// Whether `key` was.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().enumerate().any(|(bit, &known)| known == key && self.bits & (1 << bit) != 0)
    }

    /// Notes a key; false if it was there before.
    fn insert(&mut self, bit: usize) -> bool {
        let before = self.bits;
        self.bits |= 1 << bit;
        self.bits != before
    }
}

/// Wants an object with the members of `M`.
pub(super) struct Object<'a, M>(pub(super) &'a mut M);

impl<'de, M: Members> Want<'de> for Object<'_, M> {
    type Value = ();

    fn wanted(&self) -> String {
        "an object".into()
    }

    fn object<A: MapAccess<'de>>(self, mut at: At<'_>, mut object: A) -> Result<Option<()>, A::Error> {
        let mut seen = Seen { keys: M::KEYS, bits: 0 };
        while let Some(key) = object.next_key_seed(KeyOf(M::KEYS))? {
            match key {
                Key::Known(bit, key) if seen.insert(bit) => {
                    let at = At { draft: at.draft, path: &at.path.key(key) };
                    self.0.member(key, Member { at, object: &mut object })?;
                }
                Key::Known(_, key) => {
                    at.draft.faults.add(&at.path.key(key), "this key stands here twice");
                    object.next_value::<IgnoredAny>()?;
                    at.go_on()?;
                }
                Key::Unknown(key) => {
                    at.draft.faults.add(&at.path.key(&key), unknown_key(&key, M::KEYS));
                    object.next_value::<IgnoredAny>()?;
                    at.go_on()?;
                }
            }
        }
        for key in M::REQUIRED.iter().filter(|key| !seen.has(key)) {
            at.fault(format!("{key:?} is missing"));
        }
        self.0.end(at, &seen);
        Ok(Some(()))
    }
}

/// Reads the members of an object whose keys are names, in order. `f` gets each name and its unread value.
pub(super) fn each_member<'de, A, F>(at: &mut At<'_>, mut object: A, mut f: F) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    F: FnMut(&str, Member<'_, A>) -> Result<(), A::Error>,
{
    while let Some(name) = object.next_key::<String>()? {
        f(&name, Member { at: At { draft: at.draft, path: &at.path.key(&name) }, object: &mut object })?;
        at.go_on()?;
    }
    Ok(())
}

/// Reads the elements of an array, in order. `want` says what is wanted of one, `take` gets each that was so.
pub(super) fn each_element<'de, A, W>(
    at: &mut At<'_>,
    mut array: A,
    mut want: impl FnMut() -> W,
    mut take: impl FnMut(At<'_>, Option<W::Value>),
) -> Result<(), A::Error>
where
    A: SeqAccess<'de>,
    W: Want<'de>,
{
    for index in 0.. {
        let path: Path<'_> = at.path.index(index);
        let mut element = At { draft: at.draft, path: &path };
        let Some(value) = array.next_element_seed(Place::new(element.again(), want()))? else { break };
        take(element, value);
        at.go_on()?;
    }
    Ok(())
}

/// A key, told apart without keeping its text.
enum Key {
    Known(usize, &'static str),
    Unknown(String),
}

struct KeyOf(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KeyOf {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
        let known = self.0.iter().enumerate().find(|&(_, &key)| key == text);
        Ok(known.map_or_else(|| Key::Unknown(text.into()), |(bit, &key)| Key::Known(bit, key)))
    }
}

/// What to say of a key that the format doesn't know: the nearest one that it does, or all.
fn unknown_key(key: &str, keys: &[&str]) -> String {
    let slips = |known: &str| strsim::damerau_levenshtein(known, &key.to_lowercase());
    // Two slips in a word of six letters; what is longer than any key is nobody's misspelling, and costly to compare.
    let near = |&(slips, known): &(usize, &&str)| slips * 3 <= known.len().max(3);
    let nearest = keys.iter().filter(|_| key.len() < 32).map(|known| (slips(known), known)).min().filter(near);
    match nearest {
        Some((_, known)) => format!("unknown key {}; did you mean {known:?}?", quote(key)),
        None => format!("unknown key {}; known here: {}", quote(key), keys.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_get_the_nearest_known_one() {
        let keys = &["prefix", "datacenter", "slices", "mtu"];
        assert_eq!(unknown_key("prefxi", keys), r#"unknown key "prefxi"; did you mean "prefix"?"#);
        assert_eq!(unknown_key("data_center", keys), r#"unknown key "data_center"; did you mean "datacenter"?"#);
        assert_eq!(unknown_key("MTU", keys), r#"unknown key "MTU"; did you mean "mtu"?"#);
        assert_eq!(unknown_key("x", keys), r#"unknown key "x"; known here: prefix, datacenter, slices, mtu"#);
        assert!(unknown_key("comment", keys).contains("known here"));
    }
}
