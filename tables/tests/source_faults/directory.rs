// SPDX-License-Identifier: MIT OR Apache-2.0
//! The top of the document, data centres and servers.

use serde_json::{Value, json};

use super::{changed, faults};

#[test]
fn the_top_of_the_document() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("/version", json!(2), &["version"]),
        ("/version", json!(1.0), &["version"]),
        ("/version", json!("1"), &["version"]),
        ("/version", json!("REMOVE"), &[""]),
        ("/datacenters", json!([]), &["datacenters"]),
        ("/generation", json!(0), &[]),
        ("/generation", json!(9_223_372_036_854_775_807_u64), &[]),
        ("/generation", json!(9_223_372_036_854_775_808_u64), &["generation"]),
        ("/generation", json!(-1), &["generation"]),
        ("/generation", json!(1e3), &["generation"]),
        ("/generation", json!(1e300), &["generation"]),
        ("/generation", json!("42"), &["generation"]),
        ("/generation", Value::Null, &["generation"]),
        ("/generation", json!("REMOVE"), &[]),
        ("/comment", json!({"deep": [1, {"er": null}]}), &["comment"]),
        ("/egress", json!({}), &["egress"]),
        ("/egress", json!("REMOVE"), &[""]),
        ("/egress", json!([]), &[]),
        ("/egress/0", json!(7), &["egress[0]"]),
        ("/egress/1", Value::Null, &["egress[1]"]),
    ];
    for (pointer, value, paths) in cases {
        changed(&[(pointer, value.clone())], paths);
    }
    for document in ["[]", "null", "3", "\"x\"", "true", "{}"] {
        let paths: Vec<String> = faults(document).into_iter().map(|fault| fault.path).collect();
        let missing = if document == "{}" { 4 } else { 1 };
        assert_eq!(paths, vec![""; missing], "{document}");
    }
}

#[test]
fn data_centres_and_servers() {
    let lhr_1 = "/servers/lhr-1";
    let odd = json!({ "datacenter": "LHR", "address": "10.0.0" });
    let cases: &[(&str, Value, &[&str])] = &[
        ("/datacenters/LHR", json!([]), &["datacenters.LHR"]),
        ("/datacenters/LHR/forwarders", json!("10.0.0.1"), &["datacenters.LHR.forwarders"]),
        ("/datacenters/LHR/forwarders/1", json!("10.0.0.256"), &["datacenters.LHR.forwarders[1]"]),
        ("/datacenters/LHR/forwarders/1", json!("10.0.0.1"), &["datacenters.LHR.forwarders[1]"]),
        ("/datacenters/LHR/forwarders/1", json!(1), &["datacenters.LHR.forwarders[1]"]),
        ("/datacenters/LHR/forwarders", json!([]), &["datacenters.LHR.forwarders"]),
        ("/datacenters/LHR/forwarders", json!("REMOVE"), &["datacenters.LHR.forwarders"]),
        ("/datacenters/LHR/mtu", json!(1400), &[]),
        ("/datacenters/LHR/mtu", json!(67), &["datacenters.LHR.mtu"]),
        ("/datacenters/LHR/mtu", json!(65_536), &["datacenters.LHR.mtu"]),
        ("/datacenters/LHR/mtu", json!("1500"), &["datacenters.LHR.mtu"]),
        ("/datacenters/LHR/forwarder", json!([]), &["datacenters.LHR.forwarder"]),
        // Without entries a data centre needs nobody who takes packets.
        ("/datacenters/MAN", json!({}), &[]),
        ("/datacenters/", json!({}), &[r#"datacenters[""]"#]),
        ("/servers/lhr 1", odd.clone(), &[r#"servers["lhr 1"].address"#]),
        ("/servers/a.b", odd.clone(), &[r#"servers["a.b"].address"#]),
        ("/servers/\"", odd, &[r#"servers["\""].address"#]),
        (lhr_1, json!({}), &["servers.lhr-1", "servers.lhr-1"]),
        ("/servers/lhr-1/datacenter", json!("LGW"), &["servers.lhr-1.datacenter"]),
        ("/servers/lhr-1/datacenter", json!(null), &["servers.lhr-1.datacenter"]),
        ("/servers/lhr-1/address", json!("::ffff:10.0.0.1"), &["servers.lhr-1.address"]),
        ("/servers/lhr-1/address", json!("224.0.0.1"), &["servers.lhr-1.address"]),
        ("/servers/lhr-1/address", json!("lhr-1.example"), &["servers.lhr-1.address"]),
        ("/servers/lhr-1/mtu", json!(67), &["servers.lhr-1.mtu"]),
        ("/servers/lhr-1/mtu", json!(68), &[]),
        ("/servers/lhr-2/mtu", json!(1279), &["servers.lhr-2.mtu"]),
        ("/servers/lhr-2/mtu", json!(1280), &[]),
        ("/servers/lhr-1/adress", json!("10.0.0.1"), &["servers.lhr-1.adress"]),
    ];
    for (pointer, value, paths) in cases {
        changed(&[(pointer, value.clone())], paths);
    }
    // A single data centre has nobody to forward to.
    let alone = [
        ("/datacenters", json!({ "LHR": {} })),
        ("/servers", json!({ "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" } })),
        ("/egress", json!([{ "prefix": "192.0.2.1/32", "datacenter": "LHR", "server": "lhr-1" }])),
    ];
    changed(&alone, &[]);
}
