// SPDX-License-Identifier: MIT OR Apache-2.0
//! The example of the contract.

use serde_json::{Value, json};

/// The document of the contract, section 3.
pub(crate) fn example() -> Value {
    json!({
      "version": 1,
      "generation": 42,
      "datacenters": {
        "LHR": { "forwarders": ["10.0.0.1", "2001:db8:a::1"] },
        "CDG": { "forwarders": ["10.1.0.1", "2001:db8:b::1"] }
      },
      "servers": {
        "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" },
        "lhr-2": { "datacenter": "LHR", "address": "2001:db8:a:1::2" },
        "cdg-1": { "datacenter": "CDG", "address": "10.1.1.1" }
      },
      "egress": [
        { "prefix": "198.51.100.1/32", "datacenter": "LHR",
          "slices": { "ports": 2048, "owners": [null, "lhr-1", "lhr-2"] },
          "tags": { "country": "GB", "trust": "untrusted" } },
        { "prefix": "198.51.100.2/32", "datacenter": "LHR",
          "ranges": [ { "ports": "2048-4095", "server": "lhr-1" },
                      { "ports": "4096-6143", "server": "lhr-2", "previous": "lhr-1" } ],
          "portless": "lhr-1" },
        { "prefix": "198.51.100.3/32", "datacenter": "CDG", "server": "cdg-1" },
        { "prefix": "198.51.100.0/24", "unassigned": true },
        { "prefix": "2001:db8:e::/64", "datacenter": "LHR", "server": "lhr-1" }
      ]
    })
}
