// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that is done to files, step by step, so that a test can stop at each step.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A place for files.
pub trait Disk: Send + Sync {
    /// Makes a folder, and those around it.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes an empty file, in the place of one that may be there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to change it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in the place of the file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder last.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that can be changed.
pub trait DiskFile: Send {
    /// Writes all of `bytes`, from this place on.
    fn write_at(&mut self, place: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts what is behind `length`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Makes its content last.
    fn sync(&mut self) -> io::Result<()>;
}

/// The system's files. What is made can be read by its owner alone: tables are nobody else's business.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Disk for System {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for File {
    fn write_at(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, place)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
