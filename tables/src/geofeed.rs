// SPDX-License-Identifier: MIT OR Apache-2.0
//! The RFC 8805 geofeed of a table: prefixes and the country their traffic should be taken for.
//!
//! Readers of a geofeed go by the longest prefix, as the table does, so its nesting is kept: a country line may hold
//! lines of other countries, or of none, inside. What can be said shorter is.

use std::fmt;

use serde::Serialize;

use crate::prefix::Prefix;
use crate::source::Source;

/// One line of a geofeed. As text it is RFC 8805 CSV: prefix, country, region, city, postal code, the last three empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Line<'a> {
    /// The addresses, but for those in a line with a longer prefix.
    pub prefix: Prefix,
    /// Their country, an ISO 3166-1 alpha-2 code; none says that a country around them does not count here.
    pub country: Option<&'a str>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},,,", self.prefix, self.country.unwrap_or_default())
    }
}

/// The lines of `source`, in the order of their prefixes.
pub fn geofeed(source: &Source) -> Vec<Line<'_>> {
    let country = |index| source.tags(index).find(|&(key, _)| key == "country").map(|(_, country)| country);
    let lines = source.entries_by_prefix().map(|(index, entry)| Line { prefix: entry.prefix, country: country(index) });
    drop_repeated(merge_siblings(lines.collect()))
}

/// Two halves of one country become their whole, whatever was said of that: no address was left to it. Lines without
/// a country stay as they are.
fn merge_siblings(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let mut by_length: Vec<Vec<Line<'_>>> = vec![Vec::new(); 129];
    for line in lines {
        by_length.get_mut(usize::from(line.prefix.length())).into_iter().for_each(|lines| lines.push(line));
    }
    let mut merged = Vec::new();
    let mut wholes = Vec::new();
    // From the longest prefixes to the shortest, so that wholes can be halves in turn.
    for mut lines in by_length.into_iter().rev() {
        // Wholes come first among equals, and stay.
        wholes.append(&mut lines);
        wholes.sort_by_key(|line| line.prefix);
        wholes.dedup_by_key(|line| line.prefix);
        let mut halves = std::mem::take(&mut wholes).into_iter().peekable();
        while let Some(line) = halves.next() {
            let whole = line.prefix.parent().filter(|_| line.country.is_some());
            let other = |next: &Line<'_>| next.country == line.country && next.prefix.parent() == whole;
            match whole.filter(|_| halves.next_if(other).is_some()) {
                Some(prefix) => wholes.push(Line { prefix, ..line }),
                None => merged.push(line),
            }
        }
    }
    merged.sort_unstable_by_key(|line| line.prefix);
    merged
}

/// Lines that say what the line around them says already are left out, and so are those without a country where there
/// is none around.
fn drop_repeated(mut lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let mut around: Vec<Line<'_>> = Vec::new();
    lines.retain(|line| {
        while around.pop_if(|outer| !outer.prefix.covers(line.prefix)).is_some() {}
        let new = around.last().and_then(|outer| outer.country) != line.country;
        if new {
            around.push(*line);
        }
        new
    });
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn feed(entries: &[(&str, Option<&str>)]) -> Vec<String> {
        let entry = |&(prefix, country): &(&str, Option<&str>)| {
            let tags = country.map(|country| format!(r#","tags":{{"country":"{country}","trust":"low"}}"#));
            format!(r#"{{"prefix":"{prefix}","datacenter":"LHR","server":"a"{}}}"#, tags.unwrap_or_default())
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        let document = format!(
            r#"{{"version":1,"datacenters":{{"LHR":{{}}}},"servers":{{"a":{{"datacenter":"LHR","address":"10.0.0.1"}}}},
            "egress":[{}]}}"#,
            entries.join(",")
        );
        let source = Source::from_slice(document.as_bytes()).unwrap();
        geofeed(&source).iter().map(Line::to_string).collect()
    }

    const GB: Option<&str> = Some("GB");
    const FR: Option<&str> = Some("FR");

    #[test]
    fn adjacent_prefixes_of_one_country_are_one_line() {
        let quarters = [("192.0.2.128/26", GB), ("192.0.2.0/26", GB), ("192.0.2.192/26", GB), ("192.0.2.64/26", GB)];
        assert_eq!(feed(&quarters), ["192.0.2.0/24,GB,,,"]);
        // Neighbours that no prefix joins stay apart, and so do those of two countries.
        assert_eq!(feed(&[("192.0.2.1/32", GB), ("192.0.2.2/32", GB)]), ["192.0.2.1/32,GB,,,", "192.0.2.2/32,GB,,,"]);
        assert_eq!(feed(&[("192.0.2.2/32", GB), ("192.0.2.3/32", FR)]), ["192.0.2.2/32,GB,,,", "192.0.2.3/32,FR,,,"]);
        assert_eq!(feed(&[("::/1", GB), ("8000::/1", GB), ("0.0.0.0/0", GB)]), ["0.0.0.0/0,GB,,,", "::/0,GB,,,"]);
    }

    #[test]
    fn a_country_holds_lines_of_others_and_of_none() {
        let holes = [("192.0.2.0/24", GB), ("192.0.2.2/32", None), ("192.0.2.3/32", None), ("192.0.2.4/32", FR)];
        let wanted = ["192.0.2.0/24,GB,,,", "192.0.2.2/32,,,,", "192.0.2.3/32,,,,", "192.0.2.4/32,FR,,,"];
        assert_eq!(feed(&holes), wanted);
        assert_eq!(feed(&[("192.0.2.0/24", None), ("192.0.2.1/32", GB)]), ["192.0.2.1/32,GB,,,"]);
        assert_eq!(feed(&[("192.0.2.0/24", GB), ("192.0.2.1/32", GB)]), ["192.0.2.0/24,GB,,,"]);
        assert!(feed(&[("192.0.2.0/24", None)]).is_empty());
    }

    #[test]
    fn halves_overrule_the_whole_they_cover() {
        assert_eq!(feed(&[("192.0.2.0/24", FR), ("192.0.2.0/25", GB), ("192.0.2.128/25", GB)]), ["192.0.2.0/24,GB,,,"]);
    }

    /// The country of an address by the longest prefix around it, in a list of any order.
    fn longest(lines: &[(Prefix, Option<String>)], address: Ipv4Addr) -> Option<&str> {
        let around = lines.iter().filter(|(prefix, _)| prefix.contains(address.into()));
        around.max_by_key(|(prefix, _)| prefix.length()).and_then(|(_, country)| country.as_deref())
    }

    proptest! {
        #[test]
        fn every_address_keeps_its_country(
            entries in prop::collection::hash_map((0..32_u32, 0..=5_u8), 0..3_usize, 0..24),
        ) {
            let entries: HashMap<Prefix, Option<&str>> = entries
                .into_iter()
                .map(|((low, host), country)| {
                    let address = Ipv4Addr::from_bits(0xc000_0200 | low >> host << host);
                    (Prefix::new(address.into(), 32 - host).unwrap(), [GB, FR, None][country])
                })
                .collect();
            let texts: Vec<(String, Option<&str>)> = entries.iter().map(|(prefix, c)| (prefix.to_string(), *c)).collect();
            let lines = feed(&texts.iter().map(|(prefix, country)| (prefix.as_str(), *country)).collect::<Vec<_>>());
            let table: Vec<_> = entries.iter().map(|(prefix, country)| (*prefix, country.map(String::from))).collect();
            let feed: Vec<_> = lines
                .iter()
                .map(|line| {
                    let fields: Vec<&str> = line.split(',').collect();
                    assert_eq!((fields.len(), &fields[2..]), (5, &["", "", ""][..]));
                    (fields[0].parse::<Prefix>().unwrap(), Some(fields[1].to_string()).filter(|code| !code.is_empty()))
                })
                .collect();
            for low in 0..32 {
                let address = Ipv4Addr::from_bits(0xc000_0200 | low);
                prop_assert_eq!(longest(&feed, address), longest(&table, address), "{}", address);
            }
            prop_assert!(feed.is_sorted_by_key(|(prefix, _)| *prefix));
            // Nothing is left to merge.
            for (at, (prefix, country)) in feed.iter().enumerate() {
                let sibling = |(other, same): &(Prefix, _)| other.parent() == prefix.parent() && same == country;
                prop_assert!(country.is_none() || !feed[at + 1..].iter().any(sibling), "{:?}", lines);
            }
        }
    }
}
