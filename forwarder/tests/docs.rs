// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documentation tells the truth: its tables and configurations are read by the real parsers, its fault list is what
//! the validator says, every drop reason is explained, and its links lead somewhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use forwarder::control::config::{Config, Purpose};
use forwarder::counters::DropReason;
use tables::patch::Patch;
use tables::{Source, Table};

/// Every page of the project that users read.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = ["docs", "docs/adr"].map(|folder| root.join(folder));
    let files = docs.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let pages: Vec<_> = files
        .chain([root.join("README.md")])
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(pages.len() >= 7, "pages are missing");
    pages
}

/// Fenced blocks whose opening line says `info`, with the page they are on.
fn blocks(info: &str) -> Vec<(PathBuf, String)> {
    let opening = format!("```{info}");
    let mut blocks = Vec::new();
    for (path, text) in pages() {
        let mut lines = text.lines();
        while lines.any(|line| line == opening) {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((path.clone(), block.join("\n")));
        }
    }
    assert!(!blocks.is_empty(), "no page has a block {opening}");
    blocks
}

fn config(path: &Path, text: &str) -> Config {
    let config = Config::parse(text.as_bytes(), path, Purpose::Daemon);
    config.unwrap_or_else(|error| panic!("{}: {}", path.display(), error.lines().join("; ")))
}

#[test]
fn table_examples_are_valid() {
    for (path, text) in blocks("json table") {
        if let Err(faults) = Source::from_slice(text.as_bytes()) {
            panic!("{}: {:?}", path.display(), faults.0);
        }
    }
}

#[test]
fn configuration_examples_are_valid_and_take_the_first_table() {
    let (page, table) = blocks("json table").into_iter().find(|(path, _)| path.ends_with("table-format.md")).unwrap();
    let source = Source::from_slice(table.as_bytes()).unwrap();
    for (path, text) in blocks("toml config") {
        let viewpoint = config(&path, &text).viewpoint();
        if let Err(faults) = Table::compile(&source, &viewpoint) {
            panic!("{} with {}: {:?}", path.display(), page.display(), faults.0);
        }
    }
}

/// A part that shows the defaults says what they are.
#[test]
fn parts_of_configurations_are_valid_and_show_the_defaults() {
    let (page, whole) = blocks("toml config").into_iter().find(|(path, _)| path.ends_with("operations.md")).unwrap();
    let page = page.with_file_name("sluice.toml");
    for (_, part) in blocks("toml part") {
        assert_eq!(config(&page, &format!("{whole}\n{part}")), config(&page, &whole), "{part}");
    }
}

#[test]
fn the_faulty_table_has_the_faults_listed() {
    let [(_, table)] = <[_; 1]>::try_from(blocks("json faulty")).unwrap();
    let [(_, listed)] = <[_; 1]>::try_from(blocks("text faults")).unwrap();
    let faults = Source::from_slice(table.as_bytes()).unwrap_err();
    let found: Vec<_> = faults.0.iter().map(ToString::to_string).collect();
    assert_eq!(found.join("\n"), listed);
}

#[test]
fn patch_examples_fit_the_first_table() {
    let (_, table) = blocks("json table").into_iter().find(|(path, _)| path.ends_with("table-format.md")).unwrap();
    for (path, text) in blocks("json patch") {
        let mut source = Source::from_slice(table.as_bytes()).unwrap();
        let outcome = Patch::from_slice(text.as_bytes()).and_then(|patch| source.apply(&patch));
        if let Err(faults) = outcome {
            panic!("{}: {:?}", path.display(), faults.0);
        }
    }
}

#[test]
fn every_drop_reason_is_explained_and_no_other() {
    let (_, page) = pages().into_iter().find(|(path, _)| path.ends_with("operations.md")).unwrap();
    let section = page.split("## Why packets are dropped").nth(1).unwrap();
    let explained: BTreeSet<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .filter(|(_, rest)| rest.split('|').filter(|cell| !cell.trim().is_empty()).count() == 2)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(explained, DropReason::ALL.iter().map(|reason| reason.name()).collect());
}

#[test]
fn explanations_are_what_is_printed() {
    let first = |info: &str, page: &str| {
        blocks(info).into_iter().find(|(path, _)| path.ends_with(page)).map(|(_, text)| text).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.json"), first("json table", "table-format.md")).unwrap();
    fs::write(folder.path().join("sluice.toml"), first("toml config", "README.md")).unwrap();
    blocks("console explain").iter().for_each(|(_, text)| assert_prints(text, folder.path()));
}

/// The tutorial's reader keeps its tables as one.json and two.json, and types what it says.
#[test]
fn the_tutorial_shows_what_is_printed() {
    let of_tutorial = |info| blocks(info).into_iter().filter(|(path, _)| path.ends_with("tutorial.md"));
    let folder = tempfile::tempdir().unwrap();
    for (name, (_, table)) in ["one.json", "two.json"].iter().zip(of_tutorial("json table")) {
        fs::write(folder.path().join(name), table).unwrap();
    }
    of_tutorial("console tutorial").for_each(|(_, text)| assert_prints(&text, folder.path()));
}

/// A block of commands, `$ sluice …`, each followed by all that it prints.
fn assert_prints(block: &str, folder: &Path) {
    for example in format!("\n{block}").split("\n$ sluice").skip(1) {
        let (command, expected) = example.split_once('\n').unwrap();
        let script = format!("{}{command}", env!("CARGO_BIN_EXE_sluice"));
        let output = Command::new("sh").current_dir(folder).args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), expected, "{command}");
    }
}

#[test]
fn links_lead_to_files_and_headings() {
    for (path, text) in pages() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target} leads nowhere", path.display());
            let text = || fs::read_to_string(&file).unwrap();
            let found =
                heading.is_empty() || text().lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(found, "{}: {target} has no such heading", path.display());
        }
    }
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}
