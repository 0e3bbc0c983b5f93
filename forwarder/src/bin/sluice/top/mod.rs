// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice top`: what goes on, each second, on a terminal.

mod draw;
mod rates;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forwarder::control::report::Top;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGTERM};

use self::rates::Rates;
use crate::SLUICED;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output::Output;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// How soon a key or a signal is obeyed.
const ATTENTION: Duration = Duration::from_millis(100);
/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn top(socket: Option<&Path>, output: &Output) -> Result<ExitCode, Failure> {
    let mut client = Client::connect(&SLUICED, socket)?.impatient(PATIENCE)?;
    if output.json() {
        output.document(&client.call("top", &json!({}))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !output.terminal() || !io::stdin().is_terminal() {
        let text = "top needs a terminal; elsewhere use sluice top --json, or sluice stats --watch";
        return Err(Failure::new(text));
    }
    // The first answer before the screen changes: what is wrong from the start is told as by any other command.
    let first = look(&mut client)?;
    let stop = signals().map_err(|error| Failure::new(format!("cannot handle signals: {error}")))?;
    end_with_terminal().map_err(|error| screen(&error))?;
    let mut terminal = ratatui::try_init().map_err(|error| screen(&error))?;
    let ended =
        Watch { socket, client: Some(client), rates: Rates::new(first), trouble: None }.run(&mut terminal, &stop);
    let restored = ratatui::try_restore();
    ended.and(restored).map_err(|error| screen(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn screen(error: &io::Error) -> Failure {
    Failure::new(format!("cannot use the terminal: {error}; sluice stats --watch needs less of it"))
}

/// Set when somebody wants us to end: the terminal must be put right before.
fn signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::default();
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Ends the process when the terminal goes away: who waits for keys does not notice, and would try to read for ever.
fn end_with_terminal() -> io::Result<()> {
    let watch = || {
        let stdin = io::stdin();
        loop {
            // What is asked for is nothing; that the other side has hung up is told all the same.
            let mut terminal = [PollFd::new(&stdin, PollFlags::empty())];
            match poll(&mut terminal, None) {
                Err(rustix::io::Errno::INTR) | Ok(0) => {}
                _ => break,
            }
        }
        let _ = signal_hook::low_level::emulate_default_handler(SIGHUP);
    };
    thread::Builder::new().name("terminal".into()).spawn(watch).map(|_| ())
}

fn look(client: &mut Client) -> Result<Top, Failure> {
    client::read(client.call("top", &json!({}))?)
}

struct Watch<'a> {
    socket: Option<&'a Path>,
    /// None while the daemon does not answer.
    client: Option<Client>,
    rates: Rates,
    /// Why it does not.
    trouble: Option<String>,
}

impl Watch<'_> {
    fn run(mut self, terminal: &mut DefaultTerminal, stop: &AtomicBool) -> io::Result<()> {
        loop {
            terminal.draw(|frame| draw::draw(frame, &self.rates, self.trouble.as_deref()))?;
            let next = Instant::now() + INTERVAL;
            while Instant::now() < next {
                let left = next.saturating_duration_since(Instant::now());
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                if !event::poll(left.min(ATTENTION))? {
                    continue;
                }
                match event::read()? {
                    Event::Key(key) if ends(key) => return Ok(()),
                    Event::Resize(..) => {
                        terminal.draw(|frame| draw::draw(frame, &self.rates, self.trouble.as_deref()))?;
                    }
                    _ => {}
                }
            }
            self.update();
        }
    }

    /// Asks again. A daemon that restarts is found again.
    fn update(&mut self) {
        let asked = self.client().and_then(look);
        match asked {
            Ok(top) => {
                self.rates = self.rates.next(top);
                self.trouble = None;
            }
            Err(failure) => {
                self.client = None;
                self.trouble = Some(failure.to_string());
            }
        }
    }

    fn client(&mut self) -> Result<&mut Client, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&SLUICED, self.socket)?.impatient(PATIENCE)?,
        };
        Ok(self.client.insert(client))
    }
}

fn ends(key: KeyEvent) -> bool {
    let interrupted = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (interrupted || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}
