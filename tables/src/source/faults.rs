// SPDX-License-Identifier: MIT OR Apache-2.0
//! Collecting faults while a document streams by, to be told in the order of the document.

use super::path::Path;
use crate::fault::{Fault, Faults};

/// More faults than this are counted, not listed: a table of a million addresses whose servers are all missing must
/// not take the memory of the forwarder that is asked to load it.
const LISTED: usize = 100_000;
/// The same for their texts, since a name can be as long as a document.
const LISTED_BYTES: usize = 32 << 20;

/// Which member of the document a fault is in: the rank of the top-level key, and the element or member within.
pub(super) type Position = (u8, u32);

/// The faults so far.
#[derive(Debug, Default)]
pub(super) struct FaultList {
    faults: Vec<(Position, Fault)>,
    unlisted: usize,
    /// Bytes of the texts in `faults`.
    bytes: usize,
    /// Where the faults to come are; what is found late (an unknown name) still sorts under its entry.
    pub(super) position: Position,
}

impl FaultList {
    /// Adds a fault.
    pub(super) fn add(&mut self, path: &Path<'_>, message: impl Into<String>) {
        if self.faults.len() < LISTED && self.bytes < LISTED_BYTES {
            let fault = Fault { path: path.to_string(), message: message.into() };
            self.bytes += fault.path.len() + fault.message.len();
            self.faults.push((self.position, fault));
        } else {
            self.unlisted += 1;
        }
    }

    /// Whether no more are listed: whatever else is wrong need not be read.
    pub(super) fn is_full(&self) -> bool {
        self.unlisted > 0
    }

    /// How many were found.
    pub(super) fn count(&self) -> usize {
        self.faults.len() + self.unlisted
    }

    /// Forgets all but the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        let listed = count.min(self.faults.len());
        let gone = self.faults.drain(listed..);
        self.bytes -= gone.map(|(_, fault)| fault.path.len() + fault.message.len()).sum::<usize>();
        self.unlisted = count - listed;
    }

    /// All of them in the order of the document, or nothing if there were none.
    pub(super) fn finish(mut self) -> Result<(), Faults> {
        if self.faults.is_empty() {
            return Ok(());
        }
        self.faults.sort_by_key(|&(position, _)| position);
        let mut faults: Vec<Fault> = self.faults.into_iter().map(|(_, fault)| fault).collect();
        if self.unlisted > 0 {
            let message = format!(
                "and at least {} more faults; correct the first {} and check again",
                self.unlisted,
                faults.len()
            );
            faults.push(Fault { path: String::new(), message });
        }
        Err(Faults(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_the_order_of_the_document() {
        let mut list = FaultList::default();
        for (position, key) in [((1, 0), "c"), ((0, 7), "b"), ((1, 0), "d"), ((0, 1), "a")] {
            list.position = position;
            list.add(&Path::Root.key(key), "");
        }
        let Faults(faults) = list.finish().unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.path.as_str()).collect::<String>(), "abcd");
    }

    #[test]
    fn endless_faults_are_counted() {
        let mut list = FaultList::default();
        for _ in 0..LISTED + 5 {
            list.add(&Path::Root, "x");
        }
        assert_eq!(list.count(), LISTED + 5);
        let Faults(faults) = list.finish().unwrap_err();
        assert_eq!(faults.len(), LISTED + 1);
        assert!(faults[LISTED].message.contains("5 more"));
    }

    #[test]
    fn endless_names_are_counted() {
        let mut list = FaultList::default();
        let name = "x".repeat(LISTED_BYTES / 4);
        for _ in 0..100 {
            list.add(&Path::Root.key(&name), "");
        }
        let Faults(faults) = list.finish().unwrap_err();
        assert_eq!(faults.len(), 4 + 1);
        assert!(faults[4].message.contains("96 more"));
    }
}
