// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places in a JSON document, as faults name them.

use std::fmt;

/// A place, as a chain from the innermost step outwards: it lives on the stack of the parser, costs nothing while all
/// is well, and becomes a text only for a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'a> {
    /// The whole document.
    Root,
    /// A member of an object.
    Key(&'a Path<'a>, &'a str),
    /// An element of an array.
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The member `key` of this object.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    /// The element `index` of this array.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    /// `egress[0].slices.owners[3]`; keys with odd characters are quoted as JSON does: `servers["lhr 1"].address`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) if is_plain(key) => match parent {
                Self::Root => f.write_str(key),
                parent => write!(f, "{parent}.{key}"),
            },
            Self::Key(parent, key) => {
                let quoted = serde_json::to_string(key).map_err(|_| fmt::Error)?;
                write!(f, "{parent}[{quoted}]")
            }
        }
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_the_contract_spells_them() {
        let egress = Path::Root.key("egress");
        let entry = egress.index(0);
        let slices = entry.key("slices");
        let owners = slices.key("owners");
        assert_eq!(owners.index(3).to_string(), "egress[0].slices.owners[3]");

        let servers = Path::Root.key("servers");
        assert_eq!(servers.key("lhr-1").key("mtu").to_string(), "servers.lhr-1.mtu");
        assert_eq!(servers.key("lhr 1").to_string(), r#"servers["lhr 1"]"#);
        assert_eq!(servers.key("lhr.1").key("mtu").to_string(), r#"servers["lhr.1"].mtu"#);
        assert_eq!(servers.key("a\"b\\c\n").to_string(), r#"servers["a\"b\\c\n"]"#);
        assert_eq!(servers.key("").to_string(), r#"servers[""]"#);
        assert_eq!(servers.key("é").to_string(), r#"servers["é"]"#);
        assert_eq!(Path::Root.key("a b").to_string(), r#"["a b"]"#);
        assert_eq!(Path::Root.to_string(), "");
    }
}
