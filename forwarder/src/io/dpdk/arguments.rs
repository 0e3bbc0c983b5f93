// SPDX-License-Identifier: MIT OR Apache-2.0
//! The argument vector that EAL is started with: the user's `eal.args`, the devices, and defaults for what the user left
//! open.

use std::ffi::CString;

use super::{DeviceSpec, Error};

/// Builds the argument vector, the program's name first. `cpus` are those that this process may run on.
pub(super) fn arguments(user: &[String], devices: &[DeviceSpec], cpus: &[usize]) -> Result<Vec<CString>, Error> {
    for argument in user {
        if asks_for_help(argument) {
            let problem = "makes DPDK print its options and end the program: take it out";
            return Err(Error::Argument { argument: argument.clone(), problem });
        }
    }
    distinct(devices)?;
    let mut all = vec![super::PROGRAM.to_owned()];
    all.extend(defaults(user, devices, cpus)?);
    for device in devices {
        all.push(device.argument()?);
    }
    all.extend_from_slice(user);
    all.into_iter().map(c_string).collect()
}

fn c_string(argument: String) -> Result<CString, Error> {
    CString::new(argument).map_err(|error| Error::Argument {
        argument: String::from_utf8_lossy(&error.into_vec()).into_owned(),
        problem: "has a NUL byte in it, which no program can be given",
    })
}

/// What the user's arguments leave open. They come first, so that the user's own, parsed later, win where both count.
fn defaults(user: &[String], devices: &[DeviceSpec], cpus: &[usize]) -> Result<Vec<String>, Error> {
    let given = |options: &[&str]| user.iter().any(|argument| options.iter().any(|option| names(argument, option)));
    let mut defaults = Vec::new();
    if !given(&["--lcores", "-l", "-c"]) {
        // One EAL thread, this one, free to run where it may already: workers are the daemon's own threads.
        let cpus = cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        defaults.push(format!("--lcores=0@({cpus})"));
    }
    // Two daemons on one machine must not meet in DPDK's run-time folder, and an ordinary user may not write there. A user
    // who names a prefix wants to be found by secondary processes, and keeps the folder.
    if !given(&["--no-shconf", "--in-memory", "--file-prefix", "--proc-type", "--huge-dir"]) {
        // 22.11 rejects --in-memory together with --no-huge.
        defaults.push(if given(&["--no-huge"]) { "--no-shconf" } else { "--in-memory" }.to_owned());
    }
    if !given(&["--telemetry", "--no-telemetry"]) {
        defaults.push("--no-telemetry".to_owned());
    }
    if !given(&["--log-level"]) {
        defaults.push("--log-level=warning".to_owned());
    }
    match devices.iter().find(|device| device.is_pci()) {
        Some(device) if given(&["--no-pci"]) => return Err(Error::NoPci { device: device.name.clone() }),
        // Otherwise EAL takes every NIC that is bound to a user-space driver.
        None if !given(&["--no-pci", "--allow", "-a"]) => defaults.push("--no-pci".to_owned()),
        _ => {}
    }
    Ok(defaults)
}

/// Whether `argument` is `option`, as getopt reads it: with a value attached or not, long names cut short or not.
fn names(argument: &str, option: &str) -> bool {
    if !option.starts_with("--") {
        return argument.starts_with(option) && !argument.starts_with("--");
    }
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    name.len() > "--no-".len().min(option.len() - 1) && option.starts_with(name)
}

/// EAL answers these with its usage and exit(0), in the middle of our start.
fn asks_for_help(argument: &str) -> bool {
    let short = argument.strip_prefix('-').is_some_and(|letters| letters.trim_start_matches('v').starts_with('h'));
    short || (argument.len() > "--h".len() && "--help".starts_with(argument))
}

fn distinct(devices: &[DeviceSpec]) -> Result<(), Error> {
    let mut seen: Vec<(String, &DeviceSpec)> = Vec::new();
    for device in devices {
        let address = device.dpdk_name()?;
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == address) {
            return Err(Error::SameAddress { first: first.name.clone(), second: device.name.clone(), address });
        }
        seen.push((address, device));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::DeviceAddress;
    use super::*;
    use crate::io::offload::Offloads;

    fn vdev(name: &str, vdev: &str) -> DeviceSpec {
        DeviceSpec {
            name: name.into(),
            address: DeviceAddress::Vdev(vdev.into()),
            mtu: 1500,
            link_wait: Duration::ZERO,
            offloads: Offloads::default(),
        }
    }

    fn pci(name: &str, address: &str) -> DeviceSpec {
        DeviceSpec {
            name: name.into(),
            address: DeviceAddress::Pci(address.into()),
            mtu: 1500,
            link_wait: Duration::ZERO,
            offloads: Offloads::default(),
        }
    }

    fn built(user: &[&str], devices: &[DeviceSpec]) -> Result<Vec<String>, Error> {
        let user: Vec<String> = user.iter().map(|argument| (*argument).to_owned()).collect();
        let built = arguments(&user, devices, &[0, 1])?;
        Ok(built.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn the_sample_configuration() {
        let built = built(&["--no-huge", "-m", "512", "--no-pci"], &[vdev("wan0", "net_null0,copy=1")]).unwrap();
        let expected = [
            "sluiced",
            "--lcores=0@(0,1)",
            "--no-shconf",
            "--no-telemetry",
            "--log-level=warning",
            "--vdev=net_null0,copy=1",
            "--no-huge",
            "-m",
            "512",
            "--no-pci",
        ];
        assert_eq!(built, expected);
    }

    #[test]
    fn nothing_given_is_huge_pages_in_memory_and_no_pci_but_for_a_pci_device() {
        let without = built(&[], &[vdev("wan0", "net_null0")]).unwrap();
        assert!(without.contains(&"--in-memory".to_owned()));
        assert!(without.contains(&"--no-pci".to_owned()));
        let with = built(&[], &[vdev("wan0", "net_null0"), pci("wan1", "3b:00.0")]).unwrap();
        assert!(with.contains(&"--allow=0000:3b:00.0".to_owned()));
        assert!(!with.contains(&"--no-pci".to_owned()));
    }

    #[test]
    fn what_the_user_says_is_left_alone() {
        let user = ["-l1", "--file-prefix=a", "--telemetry", "--log-level", "debug", "-a", "0000:01:00.0"];
        let built = built(&user, &[vdev("wan0", "net_null0")]).unwrap();
        let mut expected = vec!["sluiced", "--vdev=net_null0"];
        expected.extend(user);
        assert_eq!(built, expected);
    }

    #[test]
    fn refused_before_dpdk_sees_them() {
        for argument in ["-h", "-vh", "--help", "--hel"] {
            assert!(matches!(built(&[argument], &[]), Err(Error::Argument { .. })), "{argument}");
        }
        assert!(matches!(built(&["-m", "5\0"], &[]), Err(Error::Argument { .. })));
        let twice = [vdev("a", "net_null0"), vdev("b", "net_null0,copy=1")];
        assert!(matches!(built(&[], &twice), Err(Error::SameAddress { .. })));
        let device = pci("a", "3b:00.0");
        assert_eq!(built(&["--no-pci"], &[device]).unwrap_err(), Error::NoPci { device: "a".into() });
    }

    #[test]
    fn options_are_recognised_as_getopt_does() {
        for argument in ["--no-huge", "--no-hu"] {
            assert!(names(argument, "--no-huge"), "{argument}");
        }
        for argument in ["--no-", "--no-pci", "-n", "--no-hugepages", "512"] {
            assert!(!names(argument, "--no-huge"), "{argument}");
        }
        assert!(names("--log-level=8", "--log-level"));
        assert!(names("-l1", "-l") && names("-l", "-l") && !names("--lcores=1", "-l"));
    }
}
