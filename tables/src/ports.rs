// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inclusive ranges of ports as the documents spell them: `LO-HI`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Consecutive ports, both ends included; `first` is never above `last`. Written `LO-HI`, also in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// Why a text is no range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// It is not two decimal numbers with a dash between them.
    #[error("{0:?} is not a range of ports: write it as \"LO-HI\", such as \"2048-4095\"")]
    Form(String),
    /// A number is above 65535.
    #[error("{0:?} goes above 65535, the last port")]
    TooHigh(String),
    /// The first port is above the last.
    #[error("{0:?} runs backwards: the lower port comes first")]
    Reversed(String),
}

impl Ports {
    /// Every port: what belongs to the owner of a whole address.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// The ports from `first` to `last`; none if they run backwards.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports: 1 to 65536.
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        let form = || PortsError::Form(shorten(text));
        let (first, last) = text.split_once('-').ok_or_else(form)?;
        if !is_decimal(first) || !is_decimal(last) {
            return Err(form());
        }
        let high = |_| PortsError::TooHigh(shorten(text));
        let (first, last) = (first.parse().map_err(high)?, last.parse().map_err(high)?);
        Self::new(first, last).ok_or_else(|| PortsError::Reversed(shorten(text)))
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Digits only, and no leading zero, which some programs take for octal.
fn is_decimal(number: &str) -> bool {
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && (number == "0" || !number.starts_with('0'))
}

/// As much of a text as a message can bear.
fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read_as_written() {
        for (text, first, last) in [("0-0", 0, 0), ("2048-4095", 2048, 4095), ("0-65535", 0, 65535)] {
            let ports: Ports = text.parse().unwrap();
            assert_eq!((ports.first(), ports.last()), (first, last));
            assert_eq!(ports.to_string(), text);
            assert_eq!(ports.count(), u32::from(last - first) + 1);
        }
    }

    #[test]
    fn other_texts_say_what_is_wrong() {
        for text in ["", "-", "1", "1-", "-1", "1-2-3", "a-b", " 1-2", "1 - 2", "+1-2", "01-2", "1-02", "0x1-2", "1–2"]
        {
            assert!(matches!(text.parse::<Ports>(), Err(PortsError::Form(_))), "{text:?}");
        }
        for text in ["0-65536", "65536-65537", "1-99999999999999999999"] {
            assert!(matches!(text.parse::<Ports>(), Err(PortsError::TooHigh(_))), "{text:?}");
        }
        assert!(matches!("2-1".parse::<Ports>(), Err(PortsError::Reversed(_))));
    }
}
