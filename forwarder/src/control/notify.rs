// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the service manager is told (`sd_notify(3)`), if there is one: without NOTIFY_SOCKET in the environment nothing is
//! sent.

use std::time::Duration;

use sd_notify::NotifyState;

/// What a start or a stop takes besides the waiting that the configuration asks for.
const USUAL: Duration = Duration::from_secs(90);

/// The daemon starts, which may take `wait` and what is usual.
pub fn starting(wait: Duration) {
    if !wait.is_zero() {
        send(&[extension(wait)]);
    }
}

/// The daemon forwards.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The daemon stops, which may take `wait` and what is usual.
pub fn stopping(wait: Duration) {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping"), extension(wait)]);
}

/// Whatever the unit says, there is as much time from now on at least.
fn extension(wait: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from((wait + USUAL).as_micros()).unwrap_or(u32::MAX))
}

/// All is well, for the watchdog.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// A line for `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// How often the watchdog wants to hear [`alive`] at least, if there is one.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// A service manager that can't be told has worse troubles than this.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager can't be told: {error}");
    }
}
