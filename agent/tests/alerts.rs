// SPDX-License-Identifier: MIT OR Apache-2.0
//! The alert rules for agents, as Prometheus' own program sees them; they, and the pages, ask only for what there is, and the agent's page
//! says what to do.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

const RULES: &str = "../docs/dashboards/agent-alerts.yml";

#[test]
fn promtool_takes_the_rules() {
    if Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("skipped: no promtool here (Debian package prometheus)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agent-alerts.yml"), text(RULES)).unwrap();
    fs::write(folder.path().join("alerts_test.yml"), text("tests/alerts_test.yml")).unwrap();
    for words in [["check", "rules", "agent-alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let output = Command::new("promtool").args(words).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
}

#[test]
fn the_page_has_every_alert_and_every_metric_that_it_asks_for() {
    let (rules, page) = (text(RULES), text("../docs/agent.md"));
    let pages = ["../docs/deploying.md", "../docs/moving.md"].map(text);
    for asked in pages.iter().chain([&rules]) {
        let words = asked.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics: Vec<&str> = words.filter_map(|word| word.strip_prefix("sluice_agent_")).collect();
        assert!(!metrics.is_empty());
        for metric in metrics {
            assert!(page.contains(&format!("`{metric}`")), "docs/agent.md does not have {metric}");
        }
    }
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(page.contains(&format!("| `{alert}` |")), "docs/agent.md does not say what to do about {alert}");
    }
}
