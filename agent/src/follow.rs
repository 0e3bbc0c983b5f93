// SPDX-License-Identifier: MIT OR Apache-2.0
//! Follows a file: another one in its place by rename, or this one written anew.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The file is another, or was written.
    Changed,
    /// Somebody has called [`Poke::poke`].
    Poked,
    /// Time has passed.
    Nothing,
}

/// Ends a wait from another thread.
#[derive(Clone, Debug)]
pub struct Poke(Arc<OwnedFd>);

impl Poke {
    /// Ends this wait, or the next one if nobody waits.
    pub fn poke(&self) {
        // Fails only when it has been poked 2^64 times.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// What tells one state of a file from another.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// Follows one file.
#[derive(Debug)]
pub struct Follower {
    inotify: OwnedFd,
    poked: Poke,
    path: PathBuf,
    folder: PathBuf,
    name: OsString,
    /// Of the file as it was told last; none while there is none.
    told: Option<Stamp>,
    /// As it was seen last without word of the kernel, which does not tell of what a link leads to.
    seen: Option<Stamp>,
}

impl Follower {
    /// Follows `path` from now on, whether or not there is a file.
    pub fn new(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let stamp = stamp(path);
        let follower = Self {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            poked: Poke(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)),
            path: path.to_owned(),
            folder: folder.to_owned(),
            name: path.file_name().unwrap_or_default().to_owned(),
            told: stamp,
            seen: stamp,
        };
        follower.watch()?;
        Ok(follower)
    }

    /// What ends a wait.
    pub fn poke(&self) -> Poke {
        self.poked.clone()
    }

    /// Waits until the file has changed or somebody pokes, for `timeout` at most.
    pub fn wait(&mut self, timeout: Duration) -> Cause {
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let mut ready = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&*self.poked.0, PollFlags::IN)];
        // An error is an early end, and both are looked at anyway.
        let _ = poll(&mut ready, Some(&timeout));
        if rustix::io::read(&*self.poked.0, &mut [0; 8]).is_ok() {
            self.told = stamp(&self.path);
            return Cause::Poked;
        }
        let is_told = self.read_events();
        let now = stamp(&self.path);
        // Half a file that is being written has a stamp, too: only one that stays counts without the kernel's word.
        let has_settled = self.seen == now;
        self.seen = now;
        if now.is_some() && (is_told || (has_settled && now != self.told)) {
            self.told = now;
            return Cause::Changed;
        }
        // The folder may be another than it was; where it is the same, nothing comes of it.
        let _ = self.watch();
        Cause::Nothing
    }

    fn watch(&self) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.inotify, &self.folder, flags)?;
        Ok(())
    }

    /// Takes what the kernel has told; whether the file was written, or is another.
    fn read_events(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut is_told = false;
        while let Ok(event) = reader.next() {
            let is_ours = event.file_name().is_some_and(|name| name.to_bytes() == self.name.as_bytes());
            // A file that is made is written later, but a link is not.
            let is_done = event.events().intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO)
                || fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_symlink());
            is_told |= is_ours && is_done || event.events().contains(ReadFlags::QUEUE_OVERFLOW);
        }
        is_told
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let of = |file: Metadata| {
        (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec())
    };
    fs::metadata(path).ok().map(of)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_rename_a_write_and_a_poke_end_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["table.json", "other"].map(|name| folder.path().join(name));
        fs::write(&path, "1").unwrap();
        let mut follower = Follower::new(&path).unwrap();
        assert_eq!(follower.wait(SOON), Cause::Nothing);
        fs::write(&other, "2").unwrap();
        assert_eq!(follower.wait(SOON), Cause::Nothing);
        fs::rename(&other, &path).unwrap();
        assert_eq!((follower.wait(LONG), follower.wait(SOON)), (Cause::Changed, Cause::Nothing));
        fs::write(&path, "3").unwrap();
        assert_eq!((follower.wait(LONG), follower.wait(SOON)), (Cause::Changed, Cause::Nothing));
        let poke = follower.poke();
        let start = Instant::now();
        let thread = std::thread::spawn(move || poke.poke());
        assert_eq!((follower.wait(LONG), follower.wait(SOON)), (Cause::Poked, Cause::Nothing));
        assert!(start.elapsed() < LONG);
        thread.join().unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(follower.wait(SOON), Cause::Nothing);
    }

    #[test]
    fn what_a_link_leads_to_is_seen_when_it_stays() {
        let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [path, target] = [folder.path().join("table.json"), elsewhere.path().join("table.json")];
        fs::write(&target, "1").unwrap();
        symlink(&target, &path).unwrap();
        let mut follower = Follower::new(&path).unwrap();
        fs::write(&target, "22").unwrap();
        assert_eq!([(); 3].map(|()| follower.wait(SOON)), [Cause::Nothing, Cause::Changed, Cause::Nothing]);
    }
}
