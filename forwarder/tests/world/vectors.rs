// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden vectors: what the contract says of a frame, and the bytes that leave. See `vectors/make.py`.

use std::collections::BTreeMap;
use std::path::Path;

use forwarder::counters::DropReason;

use super::Fate;

/// One case of a vector file.
pub(crate) struct Case {
    /// World, file and case.
    pub(crate) name: String,
    /// What arrives.
    pub(crate) frame: Vec<u8>,
    /// What becomes of it.
    pub(crate) fate: Fate,
    /// Why it is dropped, if it is.
    pub(crate) reason: Option<DropReason>,
}

impl Case {
    /// How many packets the forwarder adds: all that leave but one, or all if none of them is what came in.
    pub(crate) fn originated(&self) -> u64 {
        let Fate::Transmit(sent) = &self.fate else { return 0 };
        sent.len() as u64 - u64::from(self.reason.is_none())
    }
}

/// Reads a vector file: `case NAME`, then `in` and lines of hexadecimal bytes, then the fate: `kernel`, or `drop REASON`, or
/// `tx DEVICE` and the bytes that leave. There are several `tx` where the forwarder adds frames, also behind a `drop`.
fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("case ") {
            cases.push(Case { name: name.into(), frame: Vec::new(), fate: Fate::Kernel, reason: None });
            continue;
        }
        let case = cases.last_mut().expect("a vector file starts with a case");
        match line.split_once(' ').unwrap_or((line, "")) {
            ("in" | "kernel", "") => {}
            ("drop", reason) => (case.fate, case.reason) = (Fate::Drop, Some(reason_named(reason))),
            ("tx", device) => match &mut case.fate {
                Fate::Transmit(sent) => sent.push((device.into(), Vec::new())),
                fate => *fate = Fate::Transmit(vec![(device.into(), Vec::new())]),
            },
            _ => match &mut case.fate {
                Fate::Transmit(sent) => sent.last_mut().expect("has one").1.extend(bytes(line)),
                _ => case.frame.extend(bytes(line)),
            },
        }
    }
    cases
}

fn reason_named(name: &str) -> DropReason {
    *DropReason::ALL.iter().find(|reason| reason.name() == name).unwrap_or_else(|| panic!("no drop reason {name}"))
}

fn bytes(line: &str) -> Vec<u8> {
    let digits: String = line.split_whitespace().collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {line:?}");
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap_or_else(|_| panic!("no bytes: {line:?}")))
        .collect()
}

/// The cases of every vector file of a world.
pub(crate) fn cases_of(world: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(world);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
        .iter()
        .flat_map(|path| {
            let file = path.file_stem().unwrap().to_string_lossy().into_owned();
            let mut cases = cases(&std::fs::read_to_string(path).unwrap());
            cases.iter_mut().for_each(|case| case.name = format!("{world}/{file}: {}", case.name));
            cases
        })
        .collect()
}

/// What all cases together should send, in order, by `device` or by any.
pub(crate) fn sent_by(cases: &[Case], device: Option<&str>) -> Vec<Vec<u8>> {
    let sent = cases.iter().filter_map(|case| match &case.fate {
        Fate::Transmit(sent) => Some(sent),
        Fate::Kernel | Fate::Drop | Fate::Held => None,
    });
    sent.flatten().filter(|(by, _)| device.is_none_or(|device| by == device)).map(|(_, frame)| frame.clone()).collect()
}

/// How many cases are dropped for each reason, by its name.
pub(crate) fn drops(cases: &[Case]) -> BTreeMap<&'static str, u64> {
    let mut drops = BTreeMap::new();
    cases.iter().filter_map(|case| case.reason).for_each(|reason| *drops.entry(reason.name()).or_default() += 1);
    drops
}
