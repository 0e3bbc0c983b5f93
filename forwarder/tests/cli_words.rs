// SPDX-License-Identifier: MIT OR Apache-2.0
//! Completions and manual pages say what the command line takes: bash completes by the one, groff reads the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use cli_support::{sluice, tool};
use tempfile::TempDir;

/// What bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> BTreeSet<String> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("sluice");
    fs::write(&file, script).unwrap();
    let program = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _sluice sluice "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash").args(["-c", program, "bash"]).arg(&file).args(words).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let run = sluice(&["completions", "bash"]);
    let script = run.good();
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(offered(script, &["sluice", "rel"]), set(&["reload"]));
    assert_eq!(offered(script, &["sluice", "table", "ch"]), set(&["check"]));
    assert!(offered(script, &["sluice", "reload", "--"]).is_superset(&set(&[
        "--dry-run",
        "--force",
        "--json",
        "--socket"
    ])));
}

#[test]
fn every_shell_knows_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = sluice(&["completions", shell]);
        for command in commands() {
            assert!(run.good().contains(&command), "{shell}: {command}");
        }
    }
    assert!(sluice(&["completions", "tcsh"]).failed(2).contains("possible values"));
}

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let run = sluice(&["--help"]);
    let list = run.good().split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> = names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(names.len() > 7, "{names:?}");
    names
}

#[test]
fn manual_pages_are_whole_and_groff_reads_them() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("new/man");
    sluice(&["man", pages.to_str().unwrap()]).good();
    let files = ["man1", "man8"].map(|section| fs::read_dir(pages.join(section)).unwrap());
    let files: Vec<_> = files.into_iter().flatten().map(|page| page.unwrap().path()).collect();
    for command in commands().iter().filter(|name| *name != "help") {
        assert!(pages.join(format!("man1/sluice-{command}.1")).exists(), "{command}: {files:?}");
    }
    let words =
        [("man1/sluice.1", "SLUICE_SOCKET"), ("man1/sluice-table-check.1", "--json"), ("man8/sluiced.8", "--config")];
    for (page, word) in words {
        // Where a hyphen is no minus.
        let text = fs::read_to_string(pages.join(page)).unwrap().replace("\\-", "-");
        assert!(text.contains(word), "{page}: {text}");
    }
    for file in &files {
        let Some(output) = tool(Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(file)) else { return };
        assert!(output.status.success() && output.stderr.is_empty(), "{file:?}: {output:?}");
    }
    let message = sluice(&["man", "/proc/nowhere"]);
    assert!(message.failed(1).contains("/proc/nowhere"));
}
