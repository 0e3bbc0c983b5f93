// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the log goes: structured to the journal, or to standard error as text or JSON. Nothing on the hot path logs.

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::limited::Limited;

/// Longest line of a driver's, in bytes; what is longer comes in pieces.
const DRIVER_LINE: u64 = 1_000;
/// A packet may make a driver say something.
static DRIVERS: Limited = Limited::new(20, Duration::from_secs(1));

/// The table `log` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Log {
    /// Where it goes.
    pub to: Destination,
    /// What a line on standard error looks like.
    pub format: Format,
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Destination {
    /// To the journal if standard error leads there, as it does in a unit of systemd; else to standard error.
    #[default]
    Auto,
    /// To the journal.
    Journal,
    /// To standard error.
    Stderr,
}

/// What a line on standard error looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Starts the log of the whole process, which is called `name`, at the levels of `RUST_LOG` (info without it). What can't be done as wanted is
/// said in the log itself.
///
/// A full disk or a reader that has gone costs log lines, never the daemon: `log_internal_errors` and `from_env_lossy`
/// would complain with `eprintln!`, which panics on the very stderr that can't be written.
pub fn start(log: Log, name: &'static str) {
    let builder = || EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let (filter, ignored) = match builder().parse(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (builder().parse_lossy(""), Some(error)),
    };
    let to_journal = match log.to {
        Destination::Auto => leads_to_journal(),
        Destination::Journal => true,
        Destination::Stderr => false,
    };
    let (layer, missing) = match to_journal.then(|| journal(name)) {
        Some(Ok(layer)) => (layer, None),
        Some(Err(error)) => (stderr(log.format), Some(error)),
        None => (stderr(log.format), None),
    };
    // Fails only if the process has a log already.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    if let Some(error) = missing {
        tracing::warn!("the journal can't be reached: {error}; logging to standard error");
    }
    if let Some(error) = ignored {
        tracing::warn!("RUST_LOG={wanted:?} is ignored: {error}; give LEVEL or TARGET=LEVEL,…");
    }
}

type AnyLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Whether systemd has connected standard error to the journal, and nobody has turned it elsewhere since.
fn leads_to_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(found) = rustix::fs::fstat(io::stderr().as_fd()) else { return false };
    stream.to_str() == Some(&format!("{}:{}", found.st_dev, found.st_ino))
}

fn journal<S: tracing::Subscriber + for<'s> LookupSpan<'s>>(name: &str) -> io::Result<AnyLayer<S>> {
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let layer = tracing_journald::layer()?.with_field_prefix(Some("SLUICE".to_owned()));
    Ok(layer.with_syslog_identifier(name.to_owned()).with_priority_mappings(priorities).boxed())
}

fn stderr<S: tracing::Subscriber + for<'s> LookupSpan<'s>>(format: Format) -> AnyLayer<S> {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let layer = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    match format {
        Format::Text => layer.with_ansi(io::stderr().is_terminal() && !plain).boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    }
}

/// Logs what drivers say, until they are gone: so many lines at once and one each second, whatever packets make them say.
pub(super) fn repeat(said: impl Read) {
    let mut said = BufReader::new(said);
    let mut line = Vec::new();
    while said.by_ref().take(DRIVER_LINE).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(line.trim_ascii());
        if !text.is_empty()
            && let Some(unlogged) = DRIVERS.pass()
        {
            tracing::warn!(unlogged, "DPDK: {text}");
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_packets_make_drivers_say_is_bounded() {
        #[derive(Clone, Default)]
        struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl io::Write for Log {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let writer = log.clone();
        let subscriber = fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let said = [&"PMD: dropping packet\n".repeat(5_000), "x".repeat(100_000).as_str(), "\n"].concat();
        tracing::subscriber::with_default(subscriber, || repeat(said.as_bytes()));
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().count();
        assert!((20..25).contains(&lines), "{lines} lines");
        assert!(text.contains("DPDK: PMD: dropping packet unlogged=0"), "{text}");
    }
}
