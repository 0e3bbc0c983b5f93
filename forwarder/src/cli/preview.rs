// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a change would do, in words.

use crate::control::report::{MoveRow, Preview, TargetRow};

use super::output::{Output, Tone, columns};

/// A summary, and under it who loses what to whom.
pub fn describe(preview: &Preview, output: &Output) -> String {
    let mut lines = lines(preview);
    if let Some(first) = lines.first_mut() {
        *first = output.tone(Tone::Strong, &first);
    }
    lines.join("\n")
}

/// The same, in plain lines.
pub fn lines(preview: &Preview) -> Vec<String> {
    let Preview { addresses, ports, entering, leaving, moves, more_moves, targets, more_targets, .. } = preview;
    let mut lines = vec![format!("{ports} ports on {addresses} addresses change hands")];
    let kinds = [
        ("from one owner to another", preview.moved),
        ("newly served", preview.newly_served),
        ("newly dropped", preview.newly_dropped),
        ("newly across the backbone", preview.newly_remote),
        ("newly served here", preview.newly_local),
    ];
    let kinds = kinds.iter().filter(|(_, ports)| *ports > 0);
    lines.extend(kinds.map(|(kind, ports)| format!("  {ports} ports {kind}")));
    let changes = [("enter", *entering), ("leave", *leaving)].into_iter().filter(|(_, addresses)| *addresses > 0);
    lines.extend(changes.map(|(what, addresses)| format!("  {addresses} addresses {what} the table")));
    if !moves.is_empty() {
        let who = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
        let row = |MoveRow { from, to, addresses, ports }: &MoveRow| {
            vec![who(from), "→".to_owned(), who(to), format!("{ports} ports"), format!("{addresses} addresses")]
        };
        let rows: Vec<_> = moves.iter().map(row).collect();
        lines.extend(columns(&rows, |column| column > 2).lines().map(|line| format!("  {line}")));
    }
    if *more_moves > 0 {
        lines.push(format!("  … and {more_moves} more pairs of owners"));
    }
    lines.extend(targets.iter().map(|TargetRow { kind, name, what, from, to }| {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        format!("  {kind} {name}: {what} {} → {}", value(from), value(to))
    }));
    if *more_targets > 0 {
        lines.push(format!("  … and {more_targets} more of servers and data centres"));
    }
    lines
}
