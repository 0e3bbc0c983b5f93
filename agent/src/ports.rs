// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ports that the kernel chooses from by itself: `ip_local_port_range` without `ip_local_reserved_ports`, of this
//! network namespace. There is one range for all addresses; so what is chosen from is what is owned on all of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tables::{Ports, Prefix};

use crate::sets::{above, gap, intersection, list, merged, parse, subset, without};
use crate::view::View;

/// What there is to be chosen from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Choice {
    /// First and last port of the range.
    pub range: (u16, u16),
    /// Ports of it that are left out, as the kernel writes them: `1-2,7`.
    pub reserved: String,
}

/// What should be chosen from by a view, and what that can't express.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Ports owned on every address; if there are none, those owned on any. Empty if nothing is owned.
    pub ports: Vec<Ports>,
    /// What an operator should know, a line each.
    pub warnings: Vec<String>,
}

/// What should be chosen from, `lowest` being the first port that programs without rights may have.
pub fn plan(view: &View, lowest: u16) -> Plan {
    let owned: Vec<(Prefix, Vec<Ports>)> = view
        .held
        .iter()
        .filter_map(|held| {
            let own = held.runs.iter().filter(|run| run.keeper.own).filter_map(|run| above(run.ports, lowest));
            let own = merged(own.collect());
            (!own.is_empty()).then_some((held.prefix, own))
        })
        .collect();
    let mut all = owned.iter().map(|(_, ports)| ports);
    let first = all.next().cloned().unwrap_or_default();
    let common = all.fold(first, |common, ports| intersection(&common, ports));
    // Of a whole address nothing is lost that matters.
    let is_whole = |ports: &[Ports]| ports == above(Ports::ALL, lowest).as_slice();
    let mut others = owned.iter().filter(|(_, ports)| *ports != common && !is_whole(ports));
    let example = others.next();
    let more = match others.count() {
        0 => String::new(),
        more => format!(" (and of {more} more prefixes)"),
    };
    let Some((prefix, ports)) = example else { return Plan { ports: common, warnings: Vec::new() } };
    let ports = list(ports);
    if common.is_empty() {
        let union = merged(owned.iter().flat_map(|(_, ports)| ports.clone()).collect());
        let warning = format!(
            "no port is owned on every address here, as {ports} of {prefix}{more} shows: the kernel's own choice of a \
             port suits one address and not another, and the guard drops what leaves from a wrong one; run programs by \
             sluice-agent exec, which chooses address and port together"
        );
        return Plan { ports: union, warnings: vec![warning] };
    }
    let warning = format!(
        "what is owned differs by address: of {ports} of {prefix}{more} the kernel by itself chooses only {}, which is \
         owned on every address; sluice-agent exec chooses the rest, too",
        list(&common)
    );
    Plan { ports: common, warnings: vec![warning] }
}

impl Plan {
    /// What to tell the kernel; none if nothing is owned. What an administrator has `reserved` stays so.
    fn choice(&self, reserved: &[Ports]) -> Option<Choice> {
        let (first, last) = (self.ports.first()?.first(), self.ports.last()?.last());
        let mut left_out: Vec<Ports> = self.ports.windows(2).filter_map(|two| gap(two.first()?, two.last()?)).collect();
        left_out.extend(reserved);
        Some(Choice { range: (first, last), reserved: list(&merged(left_out)) })
    }

    /// What of the choice that the kernel has is not owned here, and what is owned and out of its range, in a line each.
    fn compare(&self, now: &Choice) -> Vec<String> {
        if self.ports.is_empty() {
            return Vec::new();
        }
        let (first, last) = now.range;
        let range: Vec<Ports> = Ports::new(first, last).into_iter().collect();
        let mut warnings = Vec::new();
        if !subset(&without(&range, &parse(&now.reserved)), &self.ports) {
            warnings.push(format!(
                "net.ipv4.ip_local_port_range is {first}-{last}, which is more than what is owned ({}): programs that leave \
                 the choice to the kernel send from what others own; set ports.range = \"set\", or run them by \
                 sluice-agent exec",
                list(&self.ports)
            ));
        }
        if !subset(&self.ports, &range) {
            warnings.push(format!(
                "net.ipv4.ip_local_port_range is {first}-{last}, and not all of what is owned ({}) is in it: \
                 IP_LOCAL_PORT_RANGE has no effect outside, without an error",
                list(&self.ports)
            ));
        }
        warnings
    }
}

/// The range of this namespace, and what it was before.
#[derive(Debug)]
pub struct PortRange {
    folder: PathBuf,
    /// Where the choice that was found is kept, for an agent after a kill.
    file: PathBuf,
    found: Option<Choice>,
}

/// What is kept: what was found, and what was made of it.
#[derive(Deserialize, Serialize)]
struct Kept {
    found: Choice,
    /// Before and after the change that it is kept for: a kill may leave either, or one half of each.
    set: [Choice; 2],
}

impl Kept {
    fn made(&self, now: &Choice) -> bool {
        self.set.iter().any(|set| set.range == now.range) && self.set.iter().any(|set| set.reserved == now.reserved)
    }
}

impl PortRange {
    /// Of the namespace of this thread; `file` is where to keep what is found.
    pub fn new(file: PathBuf) -> Self {
        Self { folder: PathBuf::from("/proc/sys/net/ipv4"), file, found: None }
    }

    /// The first port that programs without rights may have.
    pub fn lowest(&self) -> u16 {
        let text = fs::read_to_string(self.folder.join("ip_unprivileged_port_start")).unwrap_or_default();
        text.trim().parse().unwrap_or(1024).max(1)
    }

    /// What the kernel chooses from now.
    pub fn now(&self) -> io::Result<Choice> {
        let range = fs::read_to_string(self.folder.join("ip_local_port_range"))?;
        let mut numbers = range.split_whitespace().map(str::parse);
        let (Some(Ok(first)), Some(Ok(last))) = (numbers.next(), numbers.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{range:?} is no range")));
        };
        let reserved = fs::read_to_string(self.folder.join("ip_local_reserved_ports"))?;
        Ok(Choice { range: (first, last), reserved: reserved.trim().to_owned() })
    }

    /// Warnings about what the kernel chooses from now.
    pub fn check(&self, plan: &Plan) -> io::Result<Vec<String>> {
        Ok(plan.compare(&self.now()?))
    }

    /// Makes the kernel choose from the plan; from what was found where nothing is owned.
    pub fn set(&mut self, plan: &Plan) -> io::Result<()> {
        let now = self.now()?;
        let kept = fs::read(&self.file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let found = match (self.found.take(), kept) {
            (Some(found), _) => found,
            // Another agent set it, and could not take it back.
            (None, Some(kept)) if kept.made(&now) => kept.found,
            _ => now.clone(),
        };
        let set = plan.choice(&parse(&found.reserved)).unwrap_or_else(|| found.clone());
        self.found = Some(found.clone());
        if set == now {
            return Ok(());
        }
        let fresh = self.file.with_extension("ports-new");
        fs::write(&fresh, serde_json::to_vec(&Kept { found, set: [now, set.clone()] })?)?;
        fs::rename(&fresh, &self.file)?;
        self.write(&set)
    }

    /// What was found comes back.
    pub fn restore(&mut self) -> io::Result<()> {
        if let Some(found) = self.found.take() {
            self.write(&found)?;
            if let Err(error) = fs::remove_file(&self.file)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(&self, choice: &Choice) -> io::Result<()> {
        let (first, last) = choice.range;
        write(&self.folder.join("ip_local_reserved_ports"), &choice.reserved)?;
        write(&self.folder.join("ip_local_port_range"), &format!("{first} {last}"))
    }
}

/// An empty list is written as a line, since the kernel takes no write of nothing for one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let error = |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    fs::write(path, format!("{text}\n")).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Held, Keeper, Run};

    fn ports(texts: &[&str]) -> Vec<Ports> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Prefixes with the ports that are owned on them, and others between.
    fn view(held: &[(&str, &[&str])]) -> View {
        let run = |text: &&str, own| Run { ports: text.parse().unwrap(), keeper: Keeper { own, other: None } };
        let held = held.iter().map(|(prefix, own)| Held {
            prefix: prefix.parse().unwrap(),
            runs: own.iter().map(|text| run(text, true)).chain([run(&"65000-65535", false)]).collect(),
            portless: Keeper::default(),
            tags: Vec::new(),
        });
        View { held: held.collect(), ..View::default() }
    }

    #[test]
    fn what_is_owned_everywhere_is_chosen_from() {
        let plan = plan(&view(&[("192.0.2.1/32", &["0-1023", "2048-4095", "4096-6143", "8192-10239"])]), 1024);
        assert_eq!((&plan.ports, plan.warnings.len()), (&ports(&["2048-6143", "8192-10239"]), 0));
        let choice = |reserved| plan.choice(reserved).unwrap();
        assert_eq!(choice(&[]), Choice { range: (2048, 10239), reserved: "6144-8191".to_owned() });
        assert_eq!(choice(&ports(&["1-1", "5000-5000", "8000-8200"])).reserved, "1,5000,6144-8200");
        assert_eq!(super::plan(&view(&[]), 1024).choice(&[]), None);
    }

    #[test]
    fn what_differs_by_address_is_told() {
        let plan = |held: &[(&str, &[&str])]| plan(&view(held), 1024);
        let some = plan(&[
            ("192.0.2.1/32", &["2048-6143"]),
            ("192.0.2.2/32", &["4096-8191"]),
            ("2001:db8::/64", &["0-65535"]),
        ]);
        assert_eq!(some.ports, ports(&["4096-6143"]));
        let [warning] = some.warnings.as_slice() else { panic!("{some:?}") };
        assert!(warning.starts_with(
            "what is owned differs by address: of 2048-6143 of 192.0.2.1/32 (and of 1 more prefixes) the kernel by itself \
             chooses only 4096-6143"
        ), "{warning}");
        let none = plan(&[("192.0.2.1/32", &["2048-4095"]), ("192.0.2.2/32", &["4096-6143"])]);
        assert_eq!(none.ports, ports(&["2048-6143"]));
        assert!(none.warnings[0].starts_with("no port is owned on every address here"), "{none:?}");
    }

    #[test]
    fn a_range_that_does_not_fit_is_told() {
        let plan = plan(&view(&[("192.0.2.1/32", &["2048-4095", "6144-8191"])]), 1024);
        let compare = |first, last, reserved: &str| {
            plan.compare(&Choice { range: (first, last), reserved: reserved.to_owned() }).len()
        };
        assert_eq!(compare(32768, 60999, ""), 2, "all of it is another's, and nothing of ours is in it");
        assert_eq!(compare(2048, 8191, "4096-6143"), 0);
        assert_eq!(compare(2048, 8191, ""), 1, "what lies between");
        assert_eq!(compare(2048, 4095, ""), 1, "the second run is outside");
    }

    #[test]
    fn what_was_found_comes_back_after_a_kill_too() {
        let folder = tempfile::tempdir().unwrap();
        let sysctl = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap().trim().to_owned();
        fs::write(folder.path().join("ip_local_port_range"), "32768\t60999\n").unwrap();
        fs::write(folder.path().join("ip_local_reserved_ports"), "40000\n").unwrap();
        let open = || PortRange { folder: folder.path().to_owned(), file: folder.path().join("kept"), found: None };
        let plan = plan(&view(&[("192.0.2.1/32", &["2048-4095", "6144-8191"])]), 1024);
        let mut killed = open();
        killed.set(&plan).unwrap();
        assert_eq!(
            (sysctl("ip_local_port_range"), sysctl("ip_local_reserved_ports")),
            ("2048 8191".into(), "4096-6143,40000".into())
        );
        let mut next = open();
        next.set(&plan).unwrap();
        next.restore().unwrap();
        assert_eq!(
            (sysctl("ip_local_port_range"), sysctl("ip_local_reserved_ports")),
            ("32768 60999".into(), "40000".into())
        );
        assert!(!folder.path().join("kept").exists());
        // Killed amid a change: half of it was done, or none.
        let other = super::plan(&view(&[("192.0.2.1/32", &["4096-6143"])]), 1024);
        for before in ["ip_local_port_range", "ip_local_reserved_ports"] {
            let mut killed = open();
            killed.set(&plan).unwrap();
            let half = sysctl(before);
            killed.set(&other).unwrap();
            fs::write(folder.path().join(before), half).unwrap();
            let mut next = open();
            next.set(&plan).unwrap();
            next.restore().unwrap();
            assert_eq!(
                (sysctl("ip_local_port_range"), sysctl("ip_local_reserved_ports")),
                ("32768 60999".into(), "40000".into())
            );
        }
        // Somebody has changed it since: that is what is found.
        killed.set(&plan).unwrap();
        fs::write(folder.path().join("ip_local_port_range"), "1024 65535").unwrap();
        let mut next = open();
        next.set(&plan).unwrap();
        next.restore().unwrap();
        assert_eq!(sysctl("ip_local_port_range"), "1024 65535");
    }
}
