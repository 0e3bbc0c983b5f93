// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's side of the devices, for Prometheus.

use std::fmt;

use prometheus_client::metrics::MetricType;

use super::{Label, Page, count};
use crate::control::metrics::Snapshot;
use crate::control::report::ClassReport;

impl Page<'_> {
    /// What passed between the devices and the kernel.
    pub(super) fn kernel(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let help = "Frames of the kernel that were lost";
        let lost = self.0.encode_descriptor("kernel_drops", help, None, MetricType::Counter)?;
        count(lost, snapshot.total().kernel_drops)?;
        if snapshot.kernel.is_empty() {
            return Ok(());
        }
        let help = "Frames between a device and the kernel, by what became of them";
        let mut family = self.0.encode_descriptor("kernel_path_packets", help, None, MetricType::Counter)?;
        for side in &snapshot.kernel {
            for (direction, classes) in [("to", &side.to), ("from", &side.from)] {
                for (class, ClassReport { passed, policed, full }) in classes {
                    for (fate, number) in [("passed", passed), ("policed", policed), ("full", full)] {
                        let labels: [Label<'_>; 4] =
                            [("device", &side.device), ("direction", direction), ("class", class), ("fate", fate)];
                        count(family.encode_family(&labels)?, *number)?;
                    }
                }
            }
        }
        let help = "Frames for the kernel that the interface did not take";
        let mut family = self.0.encode_descriptor("kernel_unwritten_packets", help, None, MetricType::Counter)?;
        for side in &snapshot.kernel {
            let label: [Label<'_>; 1] = [("device", &side.device)];
            count(family.encode_family(&label)?, side.unwritten)?;
        }
        Ok(())
    }
}
