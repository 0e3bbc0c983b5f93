// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who sent how much to whom, as a picture (SVG): what came from the Internet, over which forwarder it went, and to whom.

use std::fmt::Write as _;

use crate::forwarder::Counts;
use crate::plan::{self, Place, SITES, Site};

/// Where something is, in pixels.
type Point = (f64, f64);

const SIZE: Point = (960.0, 600.0);
const INTERNET: Point = (480.0, 110.0);

/// Draws it from what the forwarders have counted, in their order.
pub(crate) fn draw(counts: &[Counts]) -> String {
    let mut svg = Svg(String::new());
    let all: Vec<_> = plan::forwarders().zip(counts).collect();
    let sum = |from: Site, count: &dyn Fn(&Counts) -> u64| -> u64 {
        all.iter().filter(|(place, _)| place.site == from).map(|(_, counts)| count(counts)).sum()
    };
    let total: u64 = counts.iter().map(sent).sum();
    svg.edge((480.0, 40.0), INTERNET, None, total);
    SITES.into_iter().for_each(|site| svg.area(site));
    for site in SITES {
        let detour = sum(site.other(), &|counts| counts.to(site.name));
        let arrived = sum(site, &|counts| sent(counts)).saturating_sub(detour);
        svg.edge(INTERNET, router(site), Some((arrived, 0.5)), total);
        for (place, counts) in all.iter().filter(|(place, _)| place.site == site) {
            svg.edge(router(site), forwarder(*place), Some((sent(counts), 0.4)), total);
            let label = 0.55 + 0.17 * f64::from(place.number - 1);
            for server in plan::servers().filter(|server| server.site == site) {
                svg.edge(forwarder(*place), self::server(server), Some((counts.to(&server.server()), label)), total);
            }
        }
    }
    for (place, counts) in &all {
        svg.detour(*place, counts.to(place.site.other().name), total);
    }
    svg.node((480.0, 40.0), "origin", &format!("{} {}", plan::ORIGIN4, plan::ORIGIN6));
    svg.node(INTERNET, "internet", "to either data centre");
    for site in SITES {
        svg.node(router(site), site.short, "router");
    }
    for (place, _) in &all {
        svg.node(forwarder(*place), &place.forwarder(), &place.site.underlay4(place.number).to_string());
    }
    for place in plan::servers() {
        let first = u32::from(place.number) * plan::SLICE;
        let ports = format!("{first}–{}", first + plan::SLICE - 1);
        svg.node(server(place), &place.server(), &ports);
    }
    svg.text(
        (20.0, 580.0),
        "start",
        "Packets from the origin to servers, as the forwarders counted them. Dashed: by the wrong data centre.",
    );
    svg.end()
}

/// All that a forwarder has sent.
fn sent(counts: &Counts) -> u64 {
    counts.targets.values().sum()
}

fn centre(site: Site) -> f64 {
    240.0 + 480.0 * f64::from(site.number)
}

fn router(site: Site) -> Point {
    (centre(site), 210.0)
}

fn forwarder(place: Place) -> Point {
    (centre(place.site) - 330.0 + 220.0 * f64::from(place.number), 330.0)
}

fn server(place: Place) -> Point {
    (centre(place.site) - 300.0 + 150.0 * f64::from(place.number), 500.0)
}

struct Svg(String);

impl Svg {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{text}");
    }

    fn area(&mut self, site: Site) {
        let x = centre(site) - 230.0;
        self.put(format_args!(
            r##"<rect x="{x}" y="165" width="460" height="385" rx="10" fill="#f6f8fa" stroke="#d0d7de"/>"##
        ));
        let [four, six] = site.shared();
        self.text((x + 12.0, 186.0), "start", site.name);
        self.text((x + 448.0, 186.0), "end", &four.to_string());
        self.text((x + 448.0, 201.0), "end", &six.to_string());
    }

    /// A line as thick as there are packets, with their number at a part of its way.
    fn edge(&mut self, from: Point, to: Point, label: Option<(u64, f64)>, total: u64) {
        let count = label.map_or(total, |(count, _)| count);
        let width = thickness(count, total);
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            r##"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#0969da" stroke-opacity="0.5" stroke-width="{width:.1}"/>"##
        ));
        if let Some((count, part)) = label {
            self.number((x1 + (x2 - x1) * part, y1 + (y2 - y1) * part), count);
        }
    }

    /// What a forwarder sends to the other data centre: an arc to its router.
    fn detour(&mut self, place: Place, count: u64, total: u64) {
        let ((x1, y1), (x2, y2)) = (forwarder(place), router(place.site.other()));
        // The one that is further away goes higher.
        let far = (x1 - x2).abs() > 400.0;
        let (middle, low) = ((x1 + x2) / 2.0, if far { 225.0 } else { 300.0 });
        let width = thickness(count, total);
        self.put(format_args!(
            r##"<path d="M {x1} {y1} Q {middle} {low} {x2} {y2}" fill="none" stroke="#bc4c00" stroke-opacity="0.6" stroke-dasharray="7 5" stroke-width="{width:.1}"/>"##
        ));
        // A point of the curve that no box hides.
        let t = if far { 0.2 } else { 0.28 };
        let at = |a: f64, b: f64, c: f64| (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * b + t * t * c;
        self.number((at(x1, middle, x2), at(y1, low, y2)), count);
    }

    fn node(&mut self, (x, y): Point, name: &str, more: &str) {
        let (left, top) = (x - 70.0, y - 19.0);
        self.put(format_args!(
            r##"<rect x="{left}" y="{top}" width="140" height="38" rx="6" fill="#ffffff" stroke="#57606a"/>"##
        ));
        self.put(format_args!(
            r##"<text x="{x}" y="{}" text-anchor="middle" font-weight="bold">{name}</text>"##,
            y - 3.0
        ));
        self.put(format_args!(r##"<text x="{x}" y="{}" text-anchor="middle" font-size="9">{more}</text>"##, y + 12.0));
    }

    /// A number on a light ground.
    fn number(&mut self, (x, y): Point, count: u64) {
        let y = y + 4.0;
        let place = format!(r#"x="{x:.0}" y="{y:.0}" text-anchor="middle""#);
        self.put(format_args!(r##"<text {place} stroke="#ffffff" stroke-width="3">{count}</text>"##));
        self.put(format_args!("<text {place}>{count}</text>"));
    }

    fn text(&mut self, (x, y): Point, anchor: &str, words: &str) {
        self.put(format_args!(r#"<text x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>"#));
    }

    fn end(self) -> String {
        let (width, height) = SIZE;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
             <title>Who talked to whom in the lab</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.0
        )
    }
}

fn thickness(count: u64, total: u64) -> f64 {
    if count == 0 { 0.0 } else { 1.0 + 13.0 * count as f64 / total.max(1) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_in_the_picture_and_the_detours_are_dashed() {
        let counts: Vec<_> = plan::forwarders()
            .zip(1..)
            .map(|(place, number)| {
                let servers = plan::servers().filter(|server| server.site == place.site);
                let mut targets: std::collections::HashMap<_, _> =
                    servers.map(|server| (server.server(), number * 1000 + u64::from(server.number))).collect();
                targets.insert(place.site.other().name.to_owned(), number * 1000 + 9);
                Counts { targets, ..Counts::default() }
            })
            .collect();
        let svg = draw(&counts);
        for count in counts.iter().flat_map(|counts| counts.targets.values()) {
            assert!(svg.contains(&format!(">{count}</text>")), "{count}");
        }
        assert_eq!(svg.matches("stroke-dasharray").count(), 4);
        // From the Internet to LHR: what its forwarders sent, less what CDG's had sent there.
        assert!(
            svg.contains(&format!(">{}</text>", 1001 + 1002 + 1003 + 1009 + 2001 + 2002 + 2003 + 2009 - 3009 - 4009))
        );
    }
}
