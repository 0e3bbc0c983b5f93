// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stops at each step that is done to a file, as a power cut would or as a full disk does.
//!
//! After a power cut what was synced is there; of what was not, a part. Not tried: names that were not synced and go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forwarder::control::generations::{Generations, Loaded, Options};
use forwarder::control::kept::disk::{Disk, DiskFile, System};
use forwarder::control::kept::{Accepted, How, Kept};
use forwarder::control::load::{Document, PatchDocument};
use tables::Source;

use crate::control_support::{Place, table};

struct Steps {
    /// Those that are done before all fail; a write that fails is half done.
    left: usize,
    /// What a sync takes.
    pause: Duration,
    /// Files with bytes that were not synced, and how many were.
    unsynced: Vec<(PathBuf, u64)>,
}

/// The system's files, until a step goes wrong.
#[derive(Clone)]
struct Faulty(Arc<Mutex<Steps>>);

impl Faulty {
    fn new(left: usize) -> Self {
        Self(Arc::new(Mutex::new(Steps { left, pause: Duration::ZERO, unsynced: Vec::new() })))
    }

    fn step(&self) -> io::Result<()> {
        let mut steps = self.0.lock().unwrap();
        steps.left = steps.left.checked_sub(1).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        Ok(())
    }

    /// Steps that were not used up.
    fn left(&self) -> usize {
        self.0.lock().unwrap().left
    }

    fn lift(&self) {
        self.0.lock().unwrap().left = usize::MAX;
    }

    /// Loses of every file a part of what was not synced.
    fn cut_power(&self) {
        for (path, synced) in self.0.lock().unwrap().unsynced.drain(..) {
            let Ok(file) = fs::OpenOptions::new().write(true).open(path) else { continue };
            let length = file.metadata().unwrap().len();
            file.set_len(synced + length.saturating_sub(synced) / 2).unwrap();
        }
    }

    fn wrap(&self, file: Box<dyn DiskFile>, path: &Path, length: u64) -> Box<dyn DiskFile> {
        Box::new(FaultyFile { file, path: path.to_owned(), disk: self.clone(), synced: length })
    }
}

impl Disk for Faulty {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        System.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        Ok(self.wrap(System.create(path)?, path, 0))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        Ok(self.wrap(System.open(path)?, path, fs::metadata(path)?.len()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        System.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        System.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        System.sync_folder(path)
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    disk: Faulty,
    synced: u64,
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        let mut steps = self.disk.0.lock().unwrap();
        if !steps.unsynced.iter().any(|(path, _)| *path == self.path) {
            steps.unsynced.push((self.path.clone(), self.synced));
        }
        drop(steps);
        if let Err(error) = self.disk.step() {
            // A full disk takes a part as well.
            self.file.write_at(place, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_at(place, bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk.step()?;
        self.file.truncate(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step()?;
        let pause = self.disk.0.lock().unwrap().pause;
        std::thread::sleep(pause);
        self.file.sync()?;
        self.synced = fs::metadata(&self.path)?.len();
        self.disk.0.lock().unwrap().unsynced.retain(|(path, _)| *path != self.path);
        Ok(())
    }
}

/// Generations that are kept on `disk`, begun with what is there or with 42.
fn generations(place: &Place, disk: Arc<dyn Disk>) -> Generations {
    let config = place.config();
    let kept = Arc::new(Kept::open(disk, &place.path("kept"), 3));
    let newest = kept.numbers().first().map(|&number| kept.read(number).unwrap());
    let (viewpoint, settings) = (config.viewpoint(), Arc::new(config.settings(&[])));
    let loaded = match newest {
        Some(restored) => {
            let _ = kept.resume(&restored);
            let mut loaded = Loaded::new(restored.source, restored.generation, &viewpoint, &settings).unwrap();
            loaded.state.revision = restored.revision;
            loaded
        }
        None => {
            let source = Source::from_slice(table(Some(42), false).as_bytes()).unwrap();
            let (by, from) = (String::new(), String::new());
            let _ = kept.keep(&source, &Accepted { generation: 42, revision: 0, by, from, how: How::Newer });
            Loaded::new(source, 42, &viewpoint, &settings).unwrap()
        }
    };
    Generations::new(loaded, viewpoint, settings, 0, 0).0.with(config.guards, Some(kept))
}

/// What runs: generation, revision, digest would be too much: whose port 3000 is tells them apart.
fn runs(generations: &Generations) -> (u64, u64, bool) {
    let is = generations.running();
    let table = |state: &forwarder::state::ForwardingState| {
        let tables::table::Address::Sliced(plan) = state.table.address("198.51.100.1".parse().unwrap()) else {
            panic!("not sliced")
        };
        let target = state.table.port(plan, 3000).unwrap();
        &*state.table.targets().get(usize::from(target.0)).unwrap().name == "lhr-2"
    };
    (is.generation, is.revision, generations.look(table))
}

fn patch(generations: &Generations, moved: bool, force: bool) -> bool {
    let server = if moved { "lhr-2" } else { "lhr-1" };
    let text = format!(r#"{{"ports":[{{"prefix":"198.51.100.1/32","ports":"2048-4095","server":"{server}"}}]}}"#);
    let options = Options { force, ..Options::default() };
    generations.patch(PatchDocument::Text(text), options).is_ok_and(|done| done.kept)
}

fn reload(generations: &Generations, generation: u64, moved: bool) -> bool {
    let text = table(Some(generation), moved);
    generations.reload(Document::Text(&text), String::new(), Options::default()).is_ok_and(|done| done.kept)
}

/// A day's work: patches, reloads until old ones go, a rollback. Each change that is answered well is `accepted`.
fn work(generations: &Generations, mut accepted: impl FnMut(&Generations)) {
    let mut step = |done: bool| {
        if done {
            accepted(generations);
        }
    };
    step(patch(generations, true, false));
    step(patch(generations, false, false));
    step(reload(generations, 43, true));
    step(patch(generations, false, false));
    step(reload(generations, 44, false));
    step(reload(generations, 45, true));
    step(generations.rollback(None, String::new(), Options::default()).is_ok_and(|done| done.kept));
    step(patch(generations, true, false));
}

/// How many steps that takes.
fn steps() -> usize {
    let disk = Faulty::new(usize::MAX);
    let place = Place::new();
    let generations = generations(&place, Arc::new(disk.clone()));
    let mut answered = 0;
    work(&generations, |_| answered += 1);
    assert_eq!(answered, 8);
    usize::MAX - disk.left()
}

#[test]
fn what_was_accepted_survives_a_stop_at_every_step() {
    let steps = steps();
    assert!(steps > 40, "{steps}");
    for at in 0..=steps {
        for power_cut in [false, true] {
            let place = Place::new();
            let disk = Faulty::new(at);
            let before = generations(&place, Arc::new(disk.clone()));
            let mut last = Vec::new();
            work(&before, |generations| last.push(runs(generations)));
            // What was published and not answered may have lasted.
            let published = runs(&before);
            drop(before);
            if power_cut {
                disk.cut_power();
            }
            let after = generations(&place, Arc::new(System));
            let now = runs(&after);
            let expected = last.last().copied().unwrap_or((42, 0, false));
            let next = is_next(expected, now);
            assert!(now == expected || now == published || next, "stopped at {at}: {expected:?}, and then {now:?}");
            assert_eq!(after.kept().unwrap().problem(), None);
            // And it goes on.
            assert!(patch(&after, !now.2, false), "stopped at {at}");
        }
    }
}

/// Whether `now` is what the change after `last` leads to, which may have lasted although it was not answered.
fn is_next(last: (u64, u64, bool), now: (u64, u64, bool)) -> bool {
    let way = [
        (42, 0, false),
        (42, 1, true),
        (42, 2, false),
        (43, 0, true),
        (43, 1, false),
        (44, 0, false),
        (45, 0, true),
        (44, 0, false),
        (44, 1, true),
    ];
    way.windows(2).any(|two| two == [last, now])
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    for at in 0..steps() {
        let place = Place::new();
        let disk = Faulty::new(at);
        let full = generations(&place, Arc::new(disk.clone()));
        work(&full, |_| {});
        let before = runs(&full);
        if disk.left() == 0 {
            assert!(full.kept().unwrap().problem().is_some(), "full at {at}");
            assert!(!patch(&full, !before.2, false) && !reload(&full, 60, true));
            // It may have been published once, and not again.
            let now = runs(&full);
            assert!(now.0 == before.0 && now.1 <= before.1 + 1);
        }
        disk.lift();
        // By force or not, from now on everything is kept again, with what could not be kept before.
        let moved = !runs(&full).2;
        assert!(patch(&full, moved, true), "full at {at}");
        let now = runs(&full);
        assert_eq!(full.kept().unwrap().problem(), None);
        drop(full);
        assert_eq!(runs(&generations(&place, Arc::new(System))), now, "full at {at}");
    }
}

/// A journal of many megabytes gives way to a table with its patches.
#[test]
fn a_long_journal_is_shortened() {
    let place = Place::new();
    let generations = generations(&place, Arc::new(System));
    let kept = generations.kept().unwrap();
    let entry = |n: usize| {
        let tag = format!("{n}").repeat(1 << 20);
        format!(
            r#"{{"set":{{"egress":[{{"prefix":"198.51.100.9/32","datacenter":"LHR","server":"lhr-1","tags":{{"note":"{tag}"}}}}]}}}}"#
        )
    };
    let mut longest = 0;
    for n in 0..20 {
        let done = generations.patch(PatchDocument::Text(entry(n % 10)), Options::default()).unwrap();
        assert!(done.kept);
        longest = longest.max(kept.status().journal_bytes);
    }
    let status = kept.status();
    assert!(longest > 16 << 20 && status.journal_bytes < 4 << 20, "{longest}, {status:?}");
    assert_eq!((status.generations, kept.list()[0].revision), (1, 20));
    let expected = generations.look(|state| state.revision);
    drop(generations);
    let again = super::faults::generations(&place, Arc::new(System));
    assert_eq!((runs(&again).1, expected), (20, 20));
}

#[test]
fn patches_that_wait_together_are_synced_together() {
    const CLIENTS: usize = 8;
    const PATCHES: usize = 10;
    let place = Place::new();
    let disk = Faulty::new(usize::MAX);
    let generations = generations(&place, Arc::new(disk.clone()));
    disk.0.lock().unwrap().pause = Duration::from_millis(10);
    let before = disk.left();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let generations = &generations;
            scope.spawn(move || {
                for n in 0..PATCHES {
                    let (first, server) = (8192 + client * 1024, 1 + n % 2);
                    let text = format!(
                        r#"{{"ports":[{{"prefix":"198.51.100.1/32","ports":"{first}-{first}","server":"lhr-{server}"}}]}}"#
                    );
                    let done = generations.patch(PatchDocument::Text(text), Options::default()).unwrap();
                    assert!(done.kept && done.changed);
                }
            });
        }
    });
    // A write and a sync for a group.
    let groups = (before - disk.left()) / 2;
    assert!(groups < CLIENTS * PATCHES / 2, "{groups} groups");
    let now = generations.running();
    assert_eq!(now.revision as usize, CLIENTS * PATCHES);
    drop(generations);
    assert_eq!(runs(&super::faults::generations(&place, Arc::new(System))).1, now.revision);
}
