// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets of ports, as lists of runs.

use tables::Ports;

/// The ports of `ports` from `lowest` on.
pub fn above(ports: Ports, lowest: u16) -> Option<Ports> {
    Ports::new(ports.first().max(lowest), ports.last())
}

/// In order, and those that touch or overlap as one.
pub fn merged(mut ports: Vec<Ports>) -> Vec<Ports> {
    ports.sort_unstable();
    let mut all: Vec<Ports> = Vec::with_capacity(ports.len());
    for next in ports {
        let before = all.last().filter(|last| u32::from(next.first()) <= u32::from(last.last()) + 1).copied();
        let joined = before.and_then(|before| Ports::new(before.first(), before.last().max(next.last())));
        if joined.is_some() {
            all.pop();
        }
        all.push(joined.unwrap_or(next));
    }
    all
}

/// The ports that are in both; each in order.
pub fn intersection(a: &[Ports], b: &[Ports]) -> Vec<Ports> {
    let both = |a: &Ports, b: &Ports| Ports::new(a.first().max(b.first()), a.last().min(b.last()));
    a.iter().flat_map(|a| b.iter().filter_map(move |b| both(a, b))).collect()
}

/// The ports between two runs that do not touch.
pub fn gap(before: &Ports, after: &Ports) -> Option<Ports> {
    Ports::new(before.last().checked_add(1)?, after.first().checked_sub(1)?)
}

/// The ports of `a` that are not in `b`; both in order.
pub fn without(a: &[Ports], b: &[Ports]) -> Vec<Ports> {
    let mut rest = a.to_vec();
    for taken in b {
        rest = rest
            .iter()
            .flat_map(|ports| {
                let before =
                    taken.first().checked_sub(1).and_then(|last| Ports::new(ports.first(), last.min(ports.last())));
                let after =
                    taken.last().checked_add(1).and_then(|first| Ports::new(first.max(ports.first()), ports.last()));
                before.into_iter().chain(after)
            })
            .collect();
    }
    rest
}

/// Whether `b` has all ports of `a`.
pub fn subset(a: &[Ports], b: &[Ports]) -> bool {
    without(a, b).is_empty()
}

/// As the kernel writes them: `1-2,7`.
pub fn list(ports: &[Ports]) -> String {
    let one = |ports: &Ports| if ports.count() == 1 { ports.first().to_string() } else { ports.to_string() };
    ports.iter().map(one).collect::<Vec<_>>().join(",")
}

/// What [`list`] writes; what is no list of ports is left out.
pub fn parse(text: &str) -> Vec<Ports> {
    let one = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ports::new(first.parse().ok()?, last.parse().ok()?)
    };
    merged(text.split(',').filter_map(|text| one(text.trim())).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some() -> impl Strategy<Value = Vec<Ports>> {
        let run = (0_u16..40, 0_u16..6).prop_map(|(first, more)| Ports::new(first, first + more).unwrap());
        prop::collection::vec(run, 0..6).prop_map(merged)
    }

    fn has(ports: &[Ports], port: u16) -> bool {
        ports.iter().any(|run| (run.first()..=run.last()).contains(&port))
    }

    proptest! {
        #[test]
        fn they_are_sets(a in some(), b in some()) {
            for port in 0..50 {
                prop_assert_eq!(has(&intersection(&a, &b), port), has(&a, port) && has(&b, port));
                prop_assert_eq!(has(&without(&a, &b), port), has(&a, port) && !has(&b, port));
            }
            prop_assert_eq!(subset(&a, &b), (0..50).all(|port| !has(&a, port) || has(&b, port)));
            prop_assert!(a.windows(2).all(|two| gap(&two[0], &two[1]).is_some()), "{:?} touch", a);
            prop_assert_eq!(parse(&list(&a)), a);
        }
    }
}
