// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which number a table gets.

use super::Running;

/// The largest generation (contract section 3).
const LAST_GENERATION: u64 = i64::MAX as u64;

/// What to do with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It runs already.
    Nothing,
    /// Publish it under this number.
    Publish(u64),
    /// Its number is wrong.
    Refuse(String),
}

/// The rule of generations (contract section 3). A document without a number is always published, under the next one.
/// Whether the content is the `same` counts only if the number is.
pub(super) fn next(running: &Running, given: Option<u64>, same: bool, force: bool) -> Step {
    let now = running.generation;
    match given {
        None if now == LAST_GENERATION => {
            Step::Refuse(format!("there is no number after {now}; give the document one and use --force"))
        }
        None => Step::Publish(now + 1),
        Some(given) if force || given > now => Step::Publish(given),
        Some(given) if given == now && same => Step::Nothing,
        Some(given) if given == now => Step::Refuse(format!(
            "{given} runs already, with other content{}; raise the generation, or use --force to replace it",
            patched(running.revision)
        )),
        Some(given) => Step::Refuse(format!(
            "{given} is lower than the running generation {now}; raise it, or use --force to go back"
        )),
    }
}

/// What patches have to do with it.
fn patched(revision: u64) -> String {
    match revision {
        0 => String::new(),
        1 => " (it was patched once since it was loaded)".to_owned(),
        n => format!(" (it was patched {n} times since it was loaded)"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn running(generation: u64) -> Running {
        Running {
            generation,
            revision: 0,
            since: SystemTime::UNIX_EPOCH,
            datacenters: 0,
            servers: 0,
            prefixes: 0,
            targets: 0,
            remotes: 0,
        }
    }

    #[test]
    fn a_greater_number_is_published() {
        assert_eq!(next(&running(42), Some(43), true, false), Step::Publish(43));
        assert_eq!(next(&running(42), Some(43), false, false), Step::Publish(43));
        assert_eq!(next(&running(0), Some(LAST_GENERATION), false, false), Step::Publish(LAST_GENERATION));
    }

    #[test]
    fn the_same_number_means_the_same_content() {
        assert_eq!(next(&running(42), Some(42), true, false), Step::Nothing);
        assert!(matches!(next(&running(42), Some(42), false, false), Step::Refuse(text) if text.contains("42")));
    }

    #[test]
    fn patches_are_told_when_the_content_is_other() {
        let patched = Running { revision: 3, ..running(42) };
        assert!(
            matches!(next(&patched, Some(42), false, false), Step::Refuse(text) if text.contains("patched 3 times"))
        );
    }

    #[test]
    fn a_lower_number_is_refused() {
        assert!(matches!(next(&running(42), Some(41), true, false), Step::Refuse(text) if text.contains("lower")));
    }

    #[test]
    fn force_takes_any_number() {
        for given in [0, 41, 42, 43] {
            assert_eq!(next(&running(42), Some(given), true, true), Step::Publish(given));
        }
    }

    #[test]
    fn without_a_number_the_forwarder_counts_on() {
        assert_eq!(next(&running(42), None, true, false), Step::Publish(43));
        assert_eq!(next(&running(42), None, false, true), Step::Publish(43));
        assert!(matches!(next(&running(LAST_GENERATION), None, false, false), Step::Refuse(_)));
    }
}
