// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads tables of a TOML document key by key, and remembers everything that is wrong with them.
//!
//! Asking a [`Section`] for a key is what makes the key known, so the list of known keys can't differ from what is
//! read. [`Section::finish`] complains about the rest.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// Which problems to tell first: a misspelt key explains that another is missing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Unknown,
    Wrong,
    Missing,
}

/// The document's text, to tell lines, and what was found wrong with it.
pub(super) struct Findings<'t> {
    text: &'t str,
    problems: RefCell<Vec<(Kind, Problem)>>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    pub(super) fn add(&self, kind: Kind, span: Range<usize>, place: String, message: impl Into<String>) {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        self.problems.borrow_mut().push((kind, Problem { line, place, message: message.into() }));
    }

    /// Everything found, by kind and line.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(kind, problem)| (*kind, problem.line));
        problems.into_iter().map(|(_, problem)| problem).collect()
    }
}

/// One table of the document; an absent one has no keys.
pub struct Section<'a> {
    findings: &'a Findings<'a>,
    place: String,
    span: Range<usize>,
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn top(findings: &'a Findings<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self { findings, place: String::new(), span: 0..0, table: Some(table.get_ref()), known: Vec::new() }
    }

    fn sub(&self, place: String, span: Range<usize>, table: Option<&'a DeTable<'a>>) -> Self {
        Self { findings: self.findings, place, span, table, known: Vec::new() }
    }

    fn place_of(&self, key: &str) -> String {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let key = if !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { format!("{key:?}") };
        if self.place.is_empty() { key } else { format!("{}.{key}", self.place) }
    }

    fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.find(key)
    }

    /// Says what is wrong with the value of `key`.
    pub fn complain(&self, key: &str, message: impl Into<String>) {
        let span = self.find(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.findings.add(Kind::Wrong, span, self.place_of(key), message);
    }

    /// Says that `key` is needed; `what` tells for what.
    pub fn missing(&self, key: &str, what: &str) {
        self.findings.add(Kind::Missing, self.span.clone(), self.place_of(key), format!("missing; {what}"));
    }

    /// Whether `key` is there, whatever it is.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn wrong_type(&self, key: &str, expected: &str, value: &DeValue<'_>) {
        let kind = value.type_str();
        let article = if matches!(kind, "integer" | "array") { "an" } else { "a" };
        self.complain(key, format!("is {article} {kind}; expected {expected}"));
    }

    /// A string, made into something by `parse`, whose error completes the complaint.
    pub fn parse<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.value(key)?.get_ref() {
            DeValue::String(text) => parse(text).map_err(|error| self.complain(key, error)).ok(),
            other => {
                self.wrong_type(key, expected, other);
                None
            }
        }
    }

    /// A string that isn't empty.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.parse(
            key,
            "a string",
            |text| {
                if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
            },
        )
    }

    /// True or false.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        match self.value(key)?.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                self.wrong_type(key, "true or false", other);
                None
            }
        }
    }

    /// An integer of `range`.
    pub fn integer<T: TryFrom<i64>>(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<T> {
        let value = self.value(key)?.get_ref();
        self.integer_of(key, value, &range)
    }

    /// Either a string or an integer: the part of [`Self::parse`] for keys that take both.
    pub fn text_or_integer<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        integer: impl FnOnce(u8) -> T,
        text: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.value(key)?.get_ref() {
            DeValue::String(value) => text(value).map_err(|error| self.complain(key, error)).ok(),
            value => self.integer_of(key, value, &range).map(integer),
        }
    }

    /// A list of integers of `range`.
    pub fn integers<T: TryFrom<i64>>(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<Vec<T>> {
        match self.value(key)?.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| self.integer_of(key, item.get_ref(), &range)).collect(),
            other => {
                self.wrong_type(key, "a list of integers", other);
                None
            }
        }
    }

    /// A list of strings.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let DeValue::Array(items) = self.value(key)?.get_ref() else {
            self.complain(key, "expected a list of strings");
            return None;
        };
        let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
        let texts: Option<Vec<_>> = items.iter().map(text).collect();
        if texts.is_none() {
            self.complain(key, "expected strings only");
        }
        texts
    }

    fn integer_of<T: TryFrom<i64>>(&self, key: &str, value: &DeValue<'_>, range: &RangeInclusive<i64>) -> Option<T> {
        let DeValue::Integer(integer) = value else {
            self.wrong_type(key, &format!("an integer from {} to {}", range.start(), range.end()), value);
            return None;
        };
        let number = i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok();
        let found = number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        if found.is_none() {
            self.complain(key, format!("{integer} is not from {} to {}", range.start(), range.end()));
        }
        found
    }

    /// The table under `key`; one without keys if it is absent.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let value = self.value(key);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.wrong_type(key, &format!("a table: [{}]", self.place_of(key)), value.get_ref());
        }
        let span = value.map_or_else(|| self.span.clone(), Spanned::span);
        self.sub(self.place_of(key), span, table)
    }

    /// The tables of the array of tables under `key`.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map(|items| items.iter().collect::<Vec<_>>());
        let tables: Option<Vec<_>> = items.and_then(|items| {
            let table = |item: &'a Spanned<DeValue<'a>>| Some((item.span(), item.get_ref().as_table()?));
            items.into_iter().map(table).collect()
        });
        if tables.is_none() {
            self.complain(key, format!("expected an array of tables: [[{}]]", self.place_of(key)));
        }
        let numbered = tables.unwrap_or_default().into_iter().enumerate();
        numbered.map(|(i, (span, table))| self.sub(format!("{}[{i}]", self.place_of(key)), span, Some(table))).collect()
    }

    /// Complains about every key that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref();
            if self.known.iter().any(|known| known == name) {
                continue;
            }
            let nearest = self.known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
            let hint = nearest.map(|known| format!("; the nearest known one is {known}")).unwrap_or_default();
            self.findings.add(Kind::Unknown, key.span(), self.place_of(name), format!("unknown key{hint}"));
        }
    }
}
