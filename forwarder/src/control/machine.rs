// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says of the machine below /sys and /proc. They can be looked for below another folder: a copy of another
//! machine's, or a test's.

use std::fs;
use std::path::PathBuf;

/// More processors than a machine has, so that a list of them stays a list.
const MOST_CPUS: usize = 1 << 16;

/// A machine.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// Whose /sys and /proc are below `root`: `/` for this one.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether there is such a file or folder.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The content of a file, without space around it.
    pub fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok().map(|text| text.trim().to_owned())
    }

    /// The number in a file.
    pub fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// The processors that a file lists, such as `0-3,8`.
    pub fn cpus(&self, path: &str) -> Option<Vec<usize>> {
        cpus(&self.text(path)?)
    }

    /// What is in a folder, sorted; nothing if it is not there.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The name of what a symbolic link leads to.
    pub fn link(&self, path: &str) -> Option<String> {
        fs::read_link(self.path(path)).ok()?.file_name()?.to_str().map(str::to_owned)
    }

    /// The numbers of the memory nodes.
    pub fn nodes(&self) -> Vec<u32> {
        self.names("sys/devices/system/node").iter().filter_map(|name| node(name)).collect()
    }

    /// The memory node that a processor is on.
    pub fn node_of_cpu(&self, cpu: usize) -> Option<u32> {
        self.names(&format!("sys/devices/system/cpu/cpu{cpu}")).iter().find_map(|name| node(name))
    }

    /// The processors on a memory node.
    pub fn cpus_of_node(&self, node: u32) -> Vec<usize> {
        self.cpus(&format!("sys/devices/system/node/node{node}/cpulist")).unwrap_or_default()
    }

    /// Which of `cores` are on another memory node than `node`.
    pub fn elsewhere(&self, node: u32, cores: &[usize]) -> Vec<usize> {
        let is_elsewhere = |core: &usize| self.node_of_cpu(*core).is_some_and(|other| other != node);
        cores.iter().copied().filter(is_elsewhere).collect()
    }
}

fn node(name: &str) -> Option<u32> {
    name.strip_prefix("node")?.parse().ok()
}

/// Reads a list such as `0-3,8`; nothing is no processor.
fn cpus(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for run in text.split(',').filter(|run| !run.is_empty()) {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// Writes processors as the kernel and its tools read them.
pub fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(cpus("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpus(""), Some(vec![]));
        for text in ["(null)", "1-", "0-99999999999", "a"] {
            assert_eq!(cpus(text), None, "{text}");
        }
        assert_eq!(list(&[2, 3]), "2,3");
    }

    #[test]
    fn cores_on_another_node_are_told() {
        let root = tempfile::tempdir().unwrap();
        for cpu in 0..4 {
            std::fs::create_dir_all(root.path().join(format!("sys/devices/system/cpu/cpu{cpu}/node{}", cpu / 2)))
                .unwrap();
        }
        let machine = Machine::new(root.path());
        assert_eq!(machine.elsewhere(1, &[1, 2, 3]), [1]);
        // A machine that says nothing gives no reason to warn.
        assert_eq!(Machine::new("/nowhere").elsewhere(1, &[1, 2, 3]), [0; 0]);
    }
}
