// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the configurations of all our daemons have in common.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::section::{Findings, Kind, Section};
use super::{Control, Problem, values};
use crate::control::log::{Destination, Format, Log};

/// UDP port of GUE that everybody uses (draft-ietf-intarea-gue).
pub const DEFAULT_GUE_PORT: u16 = 6080;

/// Reads a whole document by `top`, which is given its top table.
pub fn document<T>(content: &[u8], top: impl FnOnce(Section<'_>) -> Option<T>) -> Result<T, Vec<Problem>> {
    let whole = |line, message: String| vec![Problem { line, place: String::new(), message }];
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = content.iter().take(error.valid_up_to());
        whole(1 + before.filter(|byte| **byte == b'\n').count(), "is not UTF-8 text".to_owned())
    })?;
    let (document, errors) = DeTable::parse_recoverable(text);
    let findings = Findings::new(text);
    for error in &errors {
        let message = error.message().replace('\n', ", ");
        findings.add(Kind::Wrong, error.span().unwrap_or(0..0), String::new(), message);
    }
    let config = if errors.is_empty() { top(Section::top(&findings, &document)) } else { None };
    match (config, findings.into_problems()) {
        (Some(config), problems) if problems.is_empty() => Ok(config),
        (_, problems) if problems.is_empty() => Err(whole(1, "the configuration is incomplete".to_owned())),
        (_, problems) => Err(problems),
    }
}

/// The table `control`, whose socket is relative to `directory`.
pub fn control(mut section: Section<'_>, directory: &Path, default: &str) -> Control {
    let socket = section.text("socket").map_or_else(|| PathBuf::from(default), |path| directory.join(path));
    if let Err(error) = values::socket_length(&socket) {
        section.complain("socket", error);
    }
    let ids = 0..=i64::from(u32::MAX) - 1;
    let control = Control {
        socket,
        change_uids: section.integers("change_uids", ids.clone()).unwrap_or_default(),
        change_gids: section.integers("change_gids", ids.clone()).unwrap_or_default(),
        look_uids: section.integers("look_uids", ids.clone()),
        look_gids: section.integers("look_gids", ids),
    };
    section.finish();
    control
}

/// The table `log`.
pub fn log(mut section: Section<'_>) -> Log {
    let to = section.parse("to", "\"auto\", \"journal\" or \"stderr\"", |text| match text {
        "auto" => Ok(Destination::Auto),
        "journal" => Ok(Destination::Journal),
        "stderr" => Ok(Destination::Stderr),
        _ => Err(format!("{text:?} is neither \"auto\" nor \"journal\" nor \"stderr\"")),
    });
    let format = section.parse("format", "\"text\" or \"json\"", |text| match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(format!("{text:?} is neither \"text\" nor \"json\"")),
    });
    section.finish();
    Log { to: to.unwrap_or_default(), format: format.unwrap_or_default() }
}
