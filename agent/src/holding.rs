// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings addresses and the range of ports where a view wants them, and keeps them there.

use std::collections::BTreeSet;

use tables::Prefix;

use crate::addresses::{AddressError, Addresses, Object, all_objects, objects, prefixes};
use crate::config::{Config, PortsMode};
use crate::ports::{self, Choice, Plan, PortRange};
use crate::view::View;

/// What this server holds.
pub struct Holding {
    addresses: Addresses,
    /// What somebody else has put, and is wanted.
    foreign: BTreeSet<Object>,
    mode: PortsMode,
    range: PortRange,
    /// What the kernel refused, at the last attempt.
    problems: Vec<String>,
    /// And at the one before: what is in the log already.
    told: Vec<String>,
    forbidden: Option<AddressError>,
    warnings: Vec<String>,
    /// Nothing is put any more.
    is_over: bool,
}

impl Holding {
    /// On the device, and with the range, of the configuration.
    pub fn open(config: &Config) -> Result<Self, AddressError> {
        Ok(Self {
            addresses: Addresses::open(&config.address_device)?,
            foreign: BTreeSet::new(),
            mode: config.ports,
            range: PortRange::new(config.control.socket.with_extension("ports")),
            problems: Vec::new(),
            told: Vec::new(),
            forbidden: None,
            warnings: Vec::new(),
            is_over: false,
        })
    }

    /// The prefixes that the kernel has from this agent or one before.
    pub fn prefixes(&mut self) -> Result<Vec<Prefix>, AddressError> {
        self.addresses.ours().map(|ours| prefixes(&ours))
    }

    /// Puts what `view` holds, then takes back what it does not; then sees to it that the kernel chooses from ports of
    /// `begin`.
    pub fn follow(&mut self, view: &View, begin: &View) {
        if self.is_over {
            return;
        }
        self.told = std::mem::take(&mut self.problems);
        self.forbidden = None;
        if let Err(error) = self.follow_addresses(view) {
            self.complain(error);
        }
        let lowest = self.range.lowest();
        let mut plan = ports::plan(begin, lowest);
        if plan.ports.is_empty() {
            // The kernel always chooses from something: rather from what was gained just now than from what others own.
            plan = ports::plan(view, lowest);
        }
        self.follow_ports(plan);
    }

    fn follow_addresses(&mut self, view: &View) -> Result<(), AddressError> {
        let ours = self.addresses.ours()?;
        let wanted: BTreeSet<Object> = all_objects(view.held.iter().map(|held| held.prefix));
        let mut put = 0_usize;
        let mut foreign = BTreeSet::new();
        for &object in wanted.difference(&ours) {
            match self.addresses.add(object) {
                Ok(true) => put += 1,
                Ok(false) => drop(foreign.insert(object)),
                Err(error) => self.complain(error),
            }
        }
        for object in foreign.difference(&self.foreign) {
            tracing::info!("{object} is there from somebody else, and stays that");
        }
        self.foreign = foreign;
        let mut taken_back = 0_usize;
        for &object in ours.difference(&wanted) {
            match self.addresses.remove(object) {
                Ok(()) => taken_back += 1,
                Err(error) => self.complain(error),
            }
        }
        if put + taken_back > 0 {
            tracing::info!(put, taken_back, held = wanted.len(), "addresses");
        }
        Ok(())
    }

    fn follow_ports(&mut self, plan: Plan) {
        let told = match self.mode {
            PortsMode::Set => self.range.set(&plan).map(|()| plan.warnings),
            PortsMode::Check => self.range.check(&plan).map(|warnings| [plan.warnings, warnings].concat()),
            PortsMode::Leave => Ok(Vec::new()),
        };
        match told {
            Ok(warnings) => {
                warnings.iter().filter(|warning| !self.warnings.contains(warning)).for_each(|text| {
                    tracing::warn!("{text}");
                });
                self.warnings = warnings;
            }
            Err(error) => {
                self.keep(format!("the range of ports is not what is owned: {error}; see ports.range"));
            }
        }
    }

    fn complain(&mut self, error: AddressError) {
        self.keep(error.to_string());
        if matches!(&error, AddressError::System { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied)
        {
            self.forbidden = Some(error);
        }
    }

    fn keep(&mut self, problem: String) {
        if !self.told.contains(&problem) {
            tracing::warn!("{problem}");
        }
        self.problems.push(problem);
    }

    /// What this process may not do, if that was the trouble.
    pub fn forbidden(&mut self) -> Option<AddressError> {
        self.forbidden.take()
    }

    /// What the kernel refused at the last attempt, a line each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// What the range of ports can't express, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether somebody else has put what makes the addresses of `prefix` this machine's.
    pub fn is_foreign(&self, prefix: Prefix) -> bool {
        objects(prefix).any(|object| self.foreign.contains(&object))
    }

    /// What the kernel chooses ports from now.
    pub fn choice(&self) -> Option<Choice> {
        self.range.now().ok()
    }

    /// Takes back all that was put, for good.
    pub fn give_up(&mut self) {
        self.is_over = true;
        if self.mode == PortsMode::Set
            && let Err(error) = self.range.restore()
        {
            tracing::warn!("the range of ports does not come back: {error}");
        }
        if let Err(error) = self.follow_addresses(&View::default()) {
            tracing::warn!("addresses stay: {error}");
        }
    }
}
