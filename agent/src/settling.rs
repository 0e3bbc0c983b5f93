// SPDX-License-Identifier: MIT OR Apache-2.0
//! What new connections may begin from: what this server owns, and has owned for long enough that all others know.
//!
//! A table does not reach everybody at the same moment. A server that began at once from ports that it has just gained would have
//! its answers sent to their old owner by a forwarder that has not heard, and refused by that owner if it has not heard either.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tables::{Ports, Prefix};

use crate::nest::Nest;
use crate::view::{Held, Keeper, Run, View};

/// What new connections may begin from. Its views name nothing but what is owned.
pub(crate) struct Settling {
    owned: View,
    /// The part of it that has waited.
    begin: View,
    /// How long what was gained waits.
    wait: Duration,
    /// What may begin when that is over; what was gained since then waits once more.
    next: View,
    /// When that is; none if nothing waits.
    until: Option<Instant>,
}

impl Settling {
    /// All that `view` owns: at a start nobody has it from a change just now, as far as this server can know.
    pub(crate) fn new(view: &View, wait: Duration) -> Self {
        let owned = owned(view);
        Self { begin: owned.clone(), next: owned.clone(), owned, wait, until: None }
    }

    /// Another view: what it takes away is gone at once, what it gives waits.
    pub(crate) fn change(&mut self, view: &View, now: Instant) {
        self.owned = owned(view);
        if self.wait.is_zero() {
            self.begin = self.owned.clone();
            return;
        }
        self.begin = kept(&self.owned, &self.begin);
        self.next = kept(&self.owned, &self.next);
        if self.begin.held == self.owned.held {
            self.until = None;
        } else if self.until.is_none() {
            self.wait_for_rest(now);
        }
    }

    /// What is gained while others wait, waits for them and then for itself: however often tables come, each port is
    /// chosen from within two waits.
    fn wait_for_rest(&mut self, now: Instant) {
        self.next = self.owned.clone();
        self.until = (self.begin.held != self.owned.held).then(|| now + self.wait);
    }

    /// Takes in what has waited for long enough, and says whether there was any.
    pub(crate) fn settle(&mut self, now: Instant) -> bool {
        if self.until.is_none_or(|until| now < until) {
            return false;
        }
        self.begin = self.next.clone();
        self.wait_for_rest(now);
        true
    }

    /// From what connections may begin.
    pub(crate) fn view(&self) -> &View {
        &self.begin
    }

    /// How long it is until something has waited for long enough.
    pub(crate) fn rest(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}

/// The part of a view that is owned.
fn owned(view: &View) -> View {
    let own = |held: &Held| {
        let runs = held.runs.iter().filter(|run| run.keeper.own).map(|run| Run { ports: run.ports, keeper: OWN });
        Held { runs: runs.collect(), ..held.clone() }
    };
    View { held: view.held.iter().map(own).filter(|held| !held.runs.is_empty()).collect(), ..view.clone() }
}

const OWN: Keeper = Keeper { own: true, other: None };

/// What of `after` was in `before`, too; both name only what is owned. An address whose prefix has become longer keeps its
/// ports; a prefix that has swallowed another one waits.
fn kept(after: &View, before: &View) -> View {
    let left: HashSet<Prefix> = after.held.iter().map(|held| held.prefix).collect();
    let nest: Nest<&Held> = before.held.iter().map(|old| (old.prefix, old)).collect();
    let common = |held: &Held| {
        if nest.inside(held.prefix).any(|old| !left.contains(&old)) {
            return None;
        }
        let old = nest.around(held.prefix)?;
        let pairs = held.runs.iter().flat_map(|run| old.runs.iter().map(move |old| (run.ports, old.ports)));
        let both = |(a, b): (Ports, Ports)| Ports::new(a.first().max(b.first()), a.last().min(b.last()));
        let runs: Vec<Run> = pairs.filter_map(both).map(|ports| Run { ports, keeper: OWN }).collect();
        (!runs.is_empty()).then(|| Held { runs, ..held.clone() })
    };
    View { held: after.held.iter().filter_map(common).collect(), ..after.clone() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(2);

    fn view(held: &[(&str, &[(&str, bool)])]) -> View {
        let run =
            |&(ports, own): &(&str, bool)| Run { ports: ports.parse().unwrap(), keeper: Keeper { own, other: None } };
        let one = |(prefix, runs): &(&str, &[(&str, bool)])| Held {
            prefix: prefix.parse().unwrap(),
            runs: runs.iter().map(run).collect(),
            portless: Keeper::default(),
            tags: Vec::new(),
        };
        View { held: held.iter().map(one).collect(), ..View::default() }
    }

    fn begins(settling: &Settling) -> Vec<String> {
        let of = |held: &Held| held.runs.iter().map(|run| format!("{} {}", held.prefix, run.ports)).collect::<Vec<_>>();
        settling.view().held.iter().flat_map(of).collect()
    }

    #[test]
    fn what_is_gained_waits_and_what_is_lost_is_gone_at_once() {
        let start = Instant::now();
        let mut settling = Settling::new(&view(&[("198.51.100.1/32", &[("0-99", true), ("100-199", false)])]), WAIT);
        assert_eq!(begins(&settling), ["198.51.100.1/32 0-99"]);
        assert_eq!(settling.rest(start), None);

        let next = view(&[("198.51.100.1/32", &[("50-149", true)]), ("198.51.100.2/32", &[("0-9", true)])]);
        settling.change(&next, start);
        assert_eq!(begins(&settling), ["198.51.100.1/32 50-99"]);
        assert_eq!(settling.rest(start), Some(WAIT));
        assert!(!settling.settle(start + WAIT / 2));
        settling.change(&View { generation: 3, ..next }, start + WAIT / 2);
        assert!(settling.settle(start + WAIT), "a change that gives nothing does not make others wait longer");
        assert_eq!(begins(&settling), ["198.51.100.1/32 50-149", "198.51.100.2/32 0-9"]);
        assert!(!settling.settle(start + 2 * WAIT), "nothing more is to come");
    }

    #[test]
    fn a_gain_waits_though_others_wait_already_and_not_when_it_is_lost_again() {
        let start = Instant::now();
        let [small, large] = ["0-9", "0-19"].map(|ports| view(&[("198.51.100.1/32", &[(ports, true)])]));
        let mut settling = Settling::new(&small, WAIT);
        settling.change(&large, start);
        settling.change(&view(&[("198.51.100.1/32", &[("0-29", true)])]), start + WAIT / 2);
        assert!(settling.settle(start + WAIT));
        assert_eq!(begins(&settling), ["198.51.100.1/32 0-19"], "a change each second does not make all wait for ever");
        assert_eq!(settling.rest(start + WAIT), Some(WAIT));
        settling.change(&small, start + WAIT);
        assert_eq!(settling.rest(start), None);
        assert_eq!(begins(&settling), ["198.51.100.1/32 0-9"]);
    }

    #[test]
    fn what_is_lost_and_gained_again_waits_anew() {
        let start = Instant::now();
        let [none, some] = [View::default(), view(&[("198.51.100.1/32", &[("0-9", true)])])];
        let mut settling = Settling::new(&none, WAIT);
        settling.change(&some, start);
        settling.change(&view(&[("198.51.100.2/32", &[("0-9", true)])]), start + WAIT / 2);
        settling.change(&some, start + WAIT / 2);
        assert!(settling.settle(start + WAIT));
        assert_eq!(begins(&settling), Vec::<String>::new());
        assert!(settling.settle(start + WAIT * 2));
        assert_eq!(begins(&settling), ["198.51.100.1/32 0-9"]);
    }

    #[test]
    fn an_address_keeps_what_a_shorter_prefix_gave_it() {
        let start = Instant::now();
        let mut settling = Settling::new(&view(&[("198.51.100.0/24", &[("0-9", true)])]), WAIT);
        settling.change(&view(&[("198.51.100.1/32", &[("5-20", true)])]), start);
        assert_eq!(begins(&settling), ["198.51.100.1/32 5-9"]);
        settling.change(&view(&[("198.51.100.0/24", &[("0-9", true)])]), start);
        assert_eq!(begins(&settling), Vec::<String>::new());
    }

    #[test]
    fn nothing_waits_without_a_wait() {
        let mut settling = Settling::new(&View::default(), Duration::ZERO);
        settling.change(&view(&[("198.51.100.1/32", &[("0-9", true)])]), Instant::now());
        assert_eq!(begins(&settling), ["198.51.100.1/32 0-9"]);
    }
}
