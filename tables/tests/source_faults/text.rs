// SPDX-License-Identifier: MIT OR Apache-2.0
//! Documents that are wrong as text.

use tables::Source;

use super::{example, faults};

#[test]
fn keys_that_stand_twice() {
    let text = example().to_string();
    let cases = [
        (r#""version":1"#, r#""version":1,"version":2"#, "version"),
        (r#""lhr-1":{"#, r#""lhr-1":{"datacenter":"LHR","address":"10.0.1.9"},"lhr-1":{"#, "servers.lhr-1"),
        (r#""LHR":{"#, r#""LHR":{"forwarders":[]},"LHR":{"#, "datacenters.LHR"),
        (r#""portless":"lhr-1""#, r#""portless":"lhr-1","portless":"lhr-2""#, "egress[1].portless"),
        (r#""ports":2048"#, r#""ports":2048,"ports":64"#, "egress[0].slices.ports"),
        (r#""ports":"2048-4095""#, r#""ports":"2048-4095","ports":"1-2""#, "egress[1].ranges[0].ports"),
        (r#""country":"GB""#, r#""country":"GB","b":"","country":"FR""#, "egress[0].tags.country"),
        (r#""address":"10.1.1.1""#, r#""address":"10.1.1.1","address":5"#, "servers.cdg-1.address"),
        // The same key in other letters.
        (r#""version":1"#, r#""version":1,"\u0076ersion":1"#, "version"),
    ];
    for (once, twice, path) in cases {
        assert!(text.contains(once), "{once}");
        let mut found = faults(&text.replacen(once, twice, 1));
        // The first LHR counts, and that one has no forwarder.
        found.retain(|fault| fault.path != "datacenters.LHR.forwarders");
        assert_eq!(found.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), [path], "{found:?}");
    }
}

#[test]
fn what_is_no_json_ends_the_list() {
    let text = example().to_string();
    let cut = |at: usize| text[..at].to_string();
    let documents = [
        String::new(),
        " \n".into(),
        cut(1),
        cut(text.len() / 2),
        cut(text.len() - 1),
        format!("{text}]"),
        format!("{text}{text}"),
        text.replacen(':', "=", 1),
        text.replacen("LHR", "\\ud800", 1),
        text.replacen("LHR", "\\x", 1),
        text.replacen("LHR", "a\nb", 1),
        text.replacen("42", "042", 1),
        text.replacen("42", "NaN", 1),
        text.replacen("42", "1e999", 1),
        text.replacen("[{", "[,{", 1),
        format!("\u{feff}{text}"),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"egress\":{}", "[".repeat(200)),
    ];
    for document in documents {
        let found = faults(&document);
        let last = found.last().unwrap();
        assert_eq!(last.path, "", "{found:?}");
        assert!(last.message.contains(" line ") && last.message.contains(" column "), "{}", last.message);
    }
    let mut bytes = text.clone().into_bytes();
    let at = text.find("LHR").unwrap();
    bytes[at] = 0xff;
    for found in [Source::from_slice(&bytes), Source::from_reader(bytes.as_slice())] {
        assert!(found.unwrap_err().0.last().unwrap().message.contains("line 1"));
    }
}

#[test]
fn faults_before_the_end_of_half_a_document_are_told() {
    let document = r#"{"version":2,"egress":[{"prefix":"192.0.2.1","datacenter":"LHR","server":"lhr-1"},"#;
    let found = faults(document);
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    // Whether lhr-1 exists would have been in the other half.
    assert_eq!(paths, ["version", "egress[0].prefix", ""]);
    assert!(found[2].message.contains("ends too early"), "{}", found[2].message);
}

#[test]
fn a_reader_that_fails_is_told() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is on fire"))
        }
    }
    let faults = Source::from_reader(Broken).unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert!(faults.0[0].message.contains("cannot be read: the disk is on fire"), "{faults:?}");
}
