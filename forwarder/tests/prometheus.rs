// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules and the dashboard of `docs/dashboards/`, as Prometheus' own programs see them, and a real Prometheus that scrapes
//! a daemon under traffic: what it finds adds up, and its alerts fire when something breaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;
mod metrics_support;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use metrics_support::{ask, free_address, get, serving_on_hardware, udp};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long Prometheus may take; generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dashboards")
}

fn rules() -> String {
    fs::read_to_string(dashboards().join("alerts.yml")).unwrap()
}

/// Whether the Debian package is here.
fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: no {program} here (Debian package prometheus)");
    }
    found
}

fn promtool(words: &[&str], folder: &Path) {
    let output = Command::new("promtool").args(words).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// Every expression of the dashboard.
fn expressions() -> Vec<String> {
    let text = fs::read_to_string(dashboards().join("sluice.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let of = |value: &Value| value["expr"].as_str().unwrap().to_owned();
    targets.chain(dashboard["annotations"]["list"].as_array().unwrap()).map(of).collect()
}

#[test]
fn promtool_takes_rules_and_dashboard() {
    if !installed("promtool") {
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("alerts.yml"), rules()).unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/alerts_test.yml");
    fs::copy(tests, folder.path().join("alerts_test.yml")).unwrap();
    promtool(&["check", "rules", "alerts.yml"], folder.path());
    promtool(&["test", "rules", "alerts_test.yml"], folder.path());

    // Grafana's variables, as it would fill them in.
    let filled = |expression: String| {
        expression.replace("$__rate_interval", "1m").replace("$job", "sluice").replace("$instance", ".*")
    };
    let rule = |(index, expression)| json!({ "record": format!("panel:{index}"), "expr": filled(expression) });
    let rules: Vec<_> = expressions().into_iter().enumerate().map(rule).collect();
    assert!(rules.len() > 20);
    let document = json!({"groups": [{"name": "panels", "rules": rules}]});
    fs::write(folder.path().join("panels.yml"), document.to_string()).unwrap();
    promtool(&["check", "rules", "panels.yml"], folder.path());
}

/// The words in `text` that look like metrics, histograms without their suffixes.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let base = |word: &str| {
        let suffix = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| word.strip_suffix(suffix));
        suffix.unwrap_or(word).to_owned()
    };
    words.filter(|word| word.starts_with("sluice_")).map(base).collect()
}

#[test]
fn every_metric_that_somebody_asks_for_exists() {
    let (_running, address, _hardware) = serving_on_hardware(&[udp(2100, 0)], "");
    let served = metrics(&get(address, "/metrics"));
    let page = fs::read_to_string(dashboards().join("../monitoring.md")).unwrap();
    for asked in [rules(), expressions().join("\n"), page.clone()] {
        let missing: Vec<_> = metrics(&asked).into_iter().filter(|metric| !served.contains(metric)).collect();
        assert_eq!(missing, Vec::<String>::new());
    }
    let told = metrics(&page);
    let untold: Vec<_> = served.difference(&told).collect();
    assert_eq!(untold, Vec::<&String>::new(), "docs/monitoring.md says nothing of these");
    for rule in rules().lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(page.contains(&format!("| `{rule}` |")), "docs/monitoring.md does not say what to do about {rule}");
    }
}

/// A Prometheus in a folder of its own.
struct Prometheus {
    address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Prometheus {
    /// Scrapes `target` each second, and evaluates the rules as often, without their waiting times: those are tested with made-up
    /// series.
    fn start(target: SocketAddr) -> Self {
        let (folder, address) = (TempDir::new().unwrap(), free_address());
        let at_once: Vec<_> =
            rules().lines().filter(|line| !line.trim().starts_with("for: ")).map(str::to_owned).collect();
        fs::write(folder.path().join("alerts.yml"), at_once.join("\n")).unwrap();
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{"job_name": "sluice", "static_configs": [{"targets": [target.to_string()]}]}],
        });
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { address, child, folder }
    }

    /// The data of an answer of its HTTP interface; none while it starts.
    fn api(&self, path: &str) -> Option<Value> {
        std::net::TcpStream::connect(self.address).ok()?;
        let answer = ask(self.address, &format!("GET /api/v1/{path} HTTP/1.0\r\n\r\n"));
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(serde_json::from_str::<Value>(body).ok()?["data"].clone())
    }

    /// The one number that `expression` gives.
    fn value(&self, expression: &str) -> Option<f64> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let data = self.api(&format!("query?query={encoded}"))?;
        data["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// The names of the alerts that fire.
    fn firing(&self) -> BTreeSet<String> {
        let data = self.api("alerts").unwrap_or_default();
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !is_so() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(Instant::now() < give_up, "waited for {what}; firing: {:?}\n{}", self.firing(), log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_and_alerts() {
    if !installed("prometheus") {
        return;
    }
    let (running, address, hardware) = serving_on_hardware(&[udp(2100, 72), udp(2101, 172), udp(80, 0)], "");
    let prometheus = Prometheus::start(address);
    prometheus.wait_for("a few scrapes", || prometheus.value("count_over_time(sluice_ready[1m])") >= Some(4.0));
    let drops = "sum(sluice_drops_total) / sum(sluice_rx_packets_total)";
    assert!(prometheus.value(drops).is_some_and(|share| (share - 1.0 / 3.0).abs() < 0.01), "of the traffic here");
    let sums = "sum(sluice_rx_packets_total) + sum(sluice_originated_packets_total) - sum(sluice_tx_packets_total) \
                - sum(sluice_exception_packets_total) - sum(sluice_drops_total) - sum(sluice_held_packets)";
    assert_eq!(prometheus.value(&format!("max_over_time(({sums})[1m:1s])")), Some(0.0));
    assert_eq!(prometheus.value(&format!("min_over_time(({sums})[1m:1s])")), Some(0.0));
    assert!(prometheus.value("histogram_quantile(0.5, rate(sluice_burst_residency_seconds_bucket[1m]))") > Some(0.0));
    // A third of all packets is dropped here. Nothing else is wrong, and on a busy machine bursts may stay long.
    let usual = BTreeSet::from(["SluiceManyDrops", "SluiceSlowBursts", "SluiceWorkerBusy"].map(str::to_owned));
    let unusual = || prometheus.firing().difference(&usual).cloned().collect::<BTreeSet<_>>();
    assert_eq!(unusual(), BTreeSet::new());

    running.client().error("reload", json!({"table": {"version": 7}}));
    hardware.lock().unwrap().devices[0].link_up = false;
    hardware.lock().unwrap().devices[0].rx_missed = 1_000;
    hardware.lock().unwrap().pools[0].in_use = 950;
    let expected = ["BuffersShort", "Degraded", "LinkDown", "PacketsMissed", "ReloadFailed"];
    let expected = BTreeSet::from(expected.map(|name| format!("Sluice{name}")));
    prometheus.wait_for("the alerts", || unusual() == expected);

    drop(running);
    prometheus.wait_for("the end", || prometheus.firing().contains("SluiceDown"));
}
