// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of a server's addresses a program wants.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::str::FromStr;

/// An IP version.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Addresses of one family or any, all of whose tags are as named. It names its cgroup, so that whoever lists the cgroups,
/// the agent after a restart too, knows who is in them.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Filter {
    tags: BTreeMap<String, String>,
    family: Option<Family>,
}

/// Why words are no filter.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// No `=`.
    #[error("{0:?} is no tag: write KEY=VALUE, such as country=GB")]
    Form(String),
    /// Two values for one tag.
    #[error("the tag {0:?} is given twice, and no address has both")]
    Twice(String),
    /// The kernel takes no longer names.
    #[error("the tags are {0} bytes too long together")]
    Long(usize),
    /// The name of no filter's cgroup.
    #[error("{0:?} names no filter")]
    Name(String),
}

const ANY: &str = "any";
const MAX_NAME: usize = 255;

impl Filter {
    /// From `KEY=VALUE` words; a value may hold more `=`.
    ///
    /// # Errors
    ///
    /// Words of another form, one tag twice, more than fits into the name of a cgroup.
    pub fn new<'w>(tags: impl IntoIterator<Item = &'w str>, family: Option<Family>) -> Result<Self, FilterError> {
        let mut filter = Self { tags: BTreeMap::new(), family };
        for word in tags {
            let tag = word.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) = tag.ok_or_else(|| FilterError::Form(word.to_owned()))?;
            if filter.tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(FilterError::Twice(key.to_owned()));
            }
        }
        match filter.name().len().checked_sub(MAX_NAME) {
            Some(more @ 1..) => Err(FilterError::Long(more)),
            _ => Ok(filter),
        }
    }

    /// Whether an address with `tags` will do.
    pub(super) fn takes(&self, address: IpAddr, tags: &[(String, String)]) -> bool {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        self.family.is_none_or(|wanted| wanted == family)
            && self.tags.iter().all(|(key, value)| tags.iter().any(|(k, v)| k == key && v == value))
    }

    /// The name of its cgroup.
    pub(super) fn name(&self) -> String {
        let tags = self.tags.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value)));
        let family = self.family.map(|family| family.to_string());
        let parts: Vec<String> = tags.chain(family).collect();
        if parts.is_empty() { ANY.to_owned() } else { parts.join(",") }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// The filter of a cgroup's name.
    fn from_str(name: &str) -> Result<Self, FilterError> {
        let none = || FilterError::Name(name.to_owned());
        let mut filter = Self::default();
        for part in name.split(',').filter(|_| name != ANY) {
            match part {
                "IPv4" => filter.family = Some(Family::V4),
                "IPv6" => filter.family = Some(Family::V6),
                part => {
                    let (key, value) = part.split_once('=').ok_or_else(none)?;
                    filter.tags.insert(unescape(key).ok_or_else(none)?, unescape(value).ok_or_else(none)?);
                }
            }
        }
        if filter.name() == name { Ok(filter) } else { Err(none()) }
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => escaped.push(char::from(byte)),
            byte => write!(escaped, "%{byte:02x}").unwrap_or_default(),
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(tags: &[&str], family: Option<Family>) -> Filter {
        Filter::new(tags.iter().copied(), family).unwrap()
    }

    #[test]
    fn a_name_says_all() {
        for (filter, name) in [
            (filter(&[], None), "any"),
            (filter(&[], Some(Family::V6)), "IPv6"),
            (filter(&["trust=high", "country=GB"], Some(Family::V4)), "country=GB,trust=high,IPv4"),
            (filter(&["a/b,c=d=%é", "any="], None), "a%2fb%2cc=d%3d%25%c3%a9,any="),
        ] {
            assert_eq!(filter.name(), name);
            assert_eq!(name.parse(), Ok(filter));
        }
    }

    #[test]
    fn other_folders_are_no_filters() {
        for name in ["", "init.scope", "a=b,a=c", "b=1,a=1", "a=%", "a=%zz", "a=%ff", "any,IPv4", "a=%41"] {
            assert_eq!(name.parse::<Filter>(), Err(FilterError::Name(name.to_owned())));
        }
    }

    #[test]
    fn words_are_tags_once_each_and_fit() {
        assert_eq!(Filter::new(["country"], None), Err(FilterError::Form("country".to_owned())));
        assert_eq!(Filter::new(["=GB"], None), Err(FilterError::Form("=GB".to_owned())));
        assert_eq!(Filter::new(["a=b", "a=b"], None), Err(FilterError::Twice("a".to_owned())));
        assert_eq!(Filter::new([format!("a={}", "b".repeat(254)).as_str()], None), Err(FilterError::Long(1)));
        assert!(Filter::new([format!("a={}", "b".repeat(253)).as_str()], None).is_ok());
    }

    #[test]
    fn all_tags_and_the_family_must_match() {
        let tags = [("country".to_owned(), "GB".to_owned()), ("trust".to_owned(), "high".to_owned())];
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(filter(&[], None).takes(v4, &[]));
        assert!(filter(&["country=GB"], None).takes(v6, &tags));
        assert!(!filter(&["country=GB"], None).takes(v6, &[]));
        assert!(!filter(&["country=GB", "trust=low"], None).takes(v4, &tags));
        assert!(!filter(&["country=GB"], Some(Family::V6)).takes(v4, &tags));
    }
}
