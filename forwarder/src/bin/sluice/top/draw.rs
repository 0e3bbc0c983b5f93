// SPDX-License-Identifier: MIT OR Apache-2.0
//! The screen. At 80 × 24 everything has its place; a larger one shows more of each list.

use std::time::SystemTime;

use forwarder::control::report::{Health, ReloadStatus, timestamp};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::rates::{Rate, Rates};
use crate::output::span;

const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// Lines of the head.
const HEAD: u16 = 5;
/// Lines of cores and devices at most, borders and heading included.
const CORES: u16 = 11;
/// Lines of the reloads, border included.
const RELOADS: u16 = 4;
/// Narrower than this the lists stand alone.
const NARROW: u16 = 60;

/// Draws everything. `trouble` is why the daemon does not answer.
pub(super) fn draw(frame: &mut Frame<'_>, rates: &Rates, trouble: Option<&str>) {
    let rows = rates.workers.len().max(rates.devices.len());
    let cores = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2).min(CORES);
    let areas = Layout::vertical([
        Constraint::Length(HEAD),
        Constraint::Length(cores),
        Constraint::Min(3),
        Constraint::Length(RELOADS),
    ]);
    let [head, middle, lists, reloads] = areas.areas(frame.area());
    frame.render_widget(Paragraph::new(head_lines(rates, trouble)), head);
    let wide = frame.area().width >= NARROW;
    let (left, right) = if wide { halves(middle) } else { (middle, Rect::ZERO) };
    frame.render_widget(cores_table(rates), left);
    frame.render_widget(devices_table(rates), right);
    let (left, right) = if wide { halves(lists) } else { (lists, Rect::ZERO) };
    frame.render_widget(targets_table(rates), left);
    frame.render_widget(drops_table(rates), right);
    frame.render_widget(Paragraph::new(reload_lines(&rates.top.reloads)).block(block("last reloads")), reloads);
}

fn halves(area: Rect) -> (Rect, Rect) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(1).areas(area);
    (left, right)
}

fn block(title: &'static str) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(FAINT).title(Span::styled(title, STRONG))
}

fn head_lines<'a>(rates: &'a Rates, trouble: Option<&'a str>) -> Vec<Line<'a>> {
    let top = &rates.top;
    let ready = top.health.state == Health::READY;
    let mut state = vec![
        Span::styled("sluice  ", STRONG),
        Span::styled(&*top.health.state, if ready { GOOD } else { BAD }),
        Span::raw("  generation "),
        Span::styled(top.generation.to_string(), STRONG),
    ];
    if top.revision > 0 {
        state.push(Span::raw(format!(" revision {}", top.revision)));
    }
    let over = if rates.is_live { format!("{:.1} s", rates.seconds) } else { "since the start".to_owned() };
    state.push(Span::raw(format!("  up {}", span(top.uptime_ms / 1000))));
    state.push(Span::styled(format!("  rates: {over}  q quits"), FAINT));
    let rate = |name: &'static str, Rate { packets, bits }| {
        format!("{name} {:>8}pps {:>8}b/s   ", quantity(packets), quantity(bits))
    };
    let traffic = Line::from(vec![
        Span::raw(rate("rx", rates.rx)),
        Span::raw(rate("tx", rates.tx)),
        Span::raw(format!("drops {:>6}/s", quantity(rates.dropped))),
    ]);
    let latency = rates.latency.map_or_else(
        || "burst   no bursts".to_owned(),
        |latency| {
            let [p50, p99, p999, max] = [latency.p50, latency.p99, latency.p999, latency.max].map(time);
            format!("burst   p50 {p50}  p99 {p99}  p99.9 {p999}  max {max}")
        },
    );
    let [to, from, lost] = [rates.exception, rates.kernel_tx, rates.kernel_drops].map(quantity);
    let kernel = format!("kernel  to it {to}/s  from it {from}/s, lost {lost}/s   held {}", top.counters.held);
    let last = match (trouble, top.health.reasons.first()) {
        (Some(trouble), _) => Line::styled(format!("no answer: {trouble}"), BAD),
        (None, Some(reason)) => {
            let more = top.health.reasons.len() - 1;
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            Line::styled(format!("{}{more}", reason.message), BAD)
        }
        (None, None) => Line::styled("every packet is accounted for", FAINT),
    };
    vec![Line::from(state), traffic, Line::from(latency), Line::from(kernel), last]
}

fn cores_table(rates: &Rates) -> Table<'static> {
    let line = |worker: &super::rates::WorkerRate| {
        let busy = worker.busy.map_or_else(|| "stuck".to_owned(), |busy| format!("{:.0} %", busy * 100.0));
        let style = if worker.busy.is_none_or(|busy| busy > 0.9) { BAD } else { Style::new() };
        let rx = format!("{}/s", quantity(worker.rx));
        let (fill, hits) = (format!("{:.1}", worker.fill), format!("{:.0} %", worker.hit * 100.0));
        row(format!("{} on {}", worker.worker, worker.core), [busy, rx, fill, hits]).style(style)
    };
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(5),
        Constraint::Length(9),
        Constraint::Length(5),
        Constraint::Length(5),
    ];
    let head = row("worker", ["busy", "rx", "fill", "hits"].map(str::to_owned)).style(FAINT);
    Table::new(rates.workers.iter().map(line), widths).header(head).block(block("cores"))
}

fn devices_table(rates: &Rates) -> Table<'static> {
    let line = |device: &super::rates::DeviceRate| {
        let down = device.link == Some(false);
        let name = if down { format!("{} down", device.name) } else { device.name.clone() };
        let numbers = [device.rx.packets, device.tx.packets, device.missed];
        row(name, numbers.map(|number| format!("{}/s", quantity(number)))).style(if down || device.missed > 0.0 {
            BAD
        } else {
            Style::new()
        })
    };
    let widths = [Constraint::Fill(1), Constraint::Length(9), Constraint::Length(9), Constraint::Length(9)];
    let head = row("device", ["rx", "tx", "missed"].map(str::to_owned)).style(FAINT);
    Table::new(rates.devices.iter().map(line), widths).header(head).block(block("devices"))
}

fn targets_table(rates: &Rates) -> Table<'static> {
    let line = |(name, rate): &(String, Rate)| {
        row(name.clone(), [format!("{}pps", quantity(rate.packets)), format!("{}b/s", quantity(rate.bits))])
    };
    let widths = [Constraint::Fill(1), Constraint::Length(11), Constraint::Length(11)];
    Table::new(rates.targets.iter().map(line), widths).block(block("targets by traffic"))
}

fn drops_table(rates: &Rates) -> Table<'static> {
    let line = |(reason, rate, count): &(String, f64, u64)| {
        row(reason.clone(), [format!("{}/s", quantity(*rate)), quantity(*count as f64)])
    };
    let widths = [Constraint::Fill(1), Constraint::Length(9), Constraint::Length(9)];
    Table::new(rates.drops.iter().map(line), widths).block(block("drops a second, and in all"))
}

fn reload_lines(reloads: &[ReloadStatus]) -> Vec<Line<'static>> {
    let now = timestamp(SystemTime::now());
    let line = |reload: &ReloadStatus| {
        let ago = span(now.saturating_sub(reload.at));
        let (outcome, style) = match &reload.error {
            None => (format!("generation {}", reload.generation), GOOD),
            Some(error) => (error.clone(), BAD),
        };
        Line::from(vec![
            Span::raw(format!("{ago} ago  ")),
            Span::styled(outcome, style),
            Span::raw(format!("  {}", reload.from)),
        ])
    };
    if reloads.is_empty() {
        return vec![Line::styled("none since the start", FAINT)];
    }
    reloads.iter().map(line).collect()
}

/// A row of a name and numbers.
fn row<const N: usize>(name: impl Into<Text<'static>>, numbers: [String; N]) -> Row<'static> {
    let numbers = numbers.map(|number| Text::from(number).right_aligned());
    Row::new([name.into()].into_iter().chain(numbers))
}

/// A number of three or more digits with a unit's prefix.
fn quantity(number: f64) -> String {
    let mut rest = number;
    for prefix in ["", "k", "M", "G"] {
        if rest < 999.5 {
            return match prefix {
                "" if rest.fract() == 0.0 || rest >= 99.95 => format!("{rest:.0} "),
                _ if rest >= 99.95 => format!("{rest:.0} {prefix}"),
                _ => format!("{rest:.1} {prefix}"),
            };
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} T")
}

/// A time of three or so digits.
fn time(nanos: u64) -> String {
    let nanos = nanos as f64;
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        1e3..1e6 => format!("{:.1} µs", nanos / 1e3),
        1e6..1e9 => format!("{:.1} ms", nanos / 1e6),
        _ => format!("{:.1} s", nanos / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::rates::tests::top;
    use super::*;

    fn screen(width: u16, height: u16, rates: &Rates, trouble: Option<&str>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, rates, trouble)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_has_its_place_at_80_by_24() {
        let rates = Rates::new(top(10)).next(top(12));
        let screen = screen(80, 24, &rates, None);
        for words in [
            "sluice  ready  generation 42 revision 3  up 12 s",
            "rx    1.0 kpps    800 kb/s",
            "drops    10 /s",
            "burst   p50 1.0 µs  p99 8.0 µs  p99.9 8.0 µs  max 8.0 µs",
            "kernel  to it 0 /s  from it 20 /s, lost 3 /s   held 0",
            "0 on 5",
            "25 %",
            "wan0",
            "a                    900 pps    720 kb/s",
            "→ CDG",
            "unallocated_port",
            "generation 42  /etc/sluice/table.json",
            "every packet is accounted for",
        ] {
            assert!(screen.contains(words), "{words}:\n{screen}");
        }
    }

    #[test]
    fn what_is_wrong_shows() {
        let mut bad = top(12);
        bad.health.state = Health::DEGRADED.to_owned();
        bad.health.reasons = ["one thing", "another"].map(reason).into();
        bad.workers[0].stalled = true;
        bad.devices[0].health.as_mut().unwrap().link_up = false;
        bad.reloads[0].error = Some("it was refused".to_owned());
        let rates = Rates::new(bad);
        let shown = screen(80, 24, &rates, None);
        for words in ["degraded", "one thing (and 1 more)", "stuck", "wan0 down", "it was refused", "since the start"] {
            assert!(shown.contains(words), "{words}:\n{shown}");
        }
        let shown = screen(80, 24, &rates, Some("it hung up"));
        assert!(shown.contains("no answer: it hung up"), "{shown}");
    }

    fn reason(message: &str) -> forwarder::control::report::Reason {
        forwarder::control::report::Reason { code: "code".to_owned(), message: message.to_owned() }
    }

    #[test]
    fn no_size_is_too_small_or_too_large() {
        let rates = Rates::new(top(10));
        for (width, height) in [(1, 1), (10, 3), (40, 10), (80, 24), (300, 100)] {
            screen(width, height, &rates, None);
        }
    }

    #[test]
    fn amounts_read_well() {
        let numbers = [0.0, 7.0, 0.5, 999.0, 1_000.0, 12_345.0, 123_456.0, 9.99e6, 1e9, 5e15];
        let shown = ["0 ", "7 ", "0.5 ", "999 ", "1.0 k", "12.3 k", "123 k", "10.0 M", "1.0 G", "5000.0 T"];
        assert_eq!(numbers.map(quantity), shown);
        assert_eq!([999, 1_500, 2_000_000, 3_000_000_000].map(time), ["999 ns", "1.5 µs", "2.0 ms", "3.0 s"]);
    }
}
