// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts the capture through `sluice replay`, which runs the same pipeline without DPDK, beside what the daemon sent.

use std::process::{Command, Stdio};

use crate::daemon::Places;
use crate::pcap::Reader;

/// Number of the first frame that the replay and the daemon's first round did not send alike, if there is one.
pub(crate) fn first_difference(places: &Places) -> Result<Option<u64>, String> {
    let output = Command::new(places.programs.join("sluice"))
        .args(["replay", "--config", "config.toml", "--in", "in.pcap", "--out", "replay.pcap"])
        .current_dir(&places.folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("sluice replay: {error}"))?;
    if !output.status.success() {
        return Err(format!("sluice replay: {}", String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    let open = |name: &str| Reader::open(&places.folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let (mut replayed, mut sent) = (open("replay.pcap")?, open("out.pcap")?);
    let mut number = 0;
    while let Some(frame) = replayed.next().map_err(|error| format!("replay.pcap: {error}"))? {
        number += 1;
        if sent.next().map_err(|error| format!("out.pcap: {error}"))? != Some(frame) {
            return Ok(Some(number));
        }
    }
    // A replay that sends nothing agrees with everything.
    Ok((number == 0).then_some(0))
}
