// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passed between the devices and the kernel, for people.

use forwarder::control::report::{ClassReport, KernelReport};

use crate::output::columns;

/// A table for each device that has a kernel's side; what has not happened is left out.
pub(crate) fn table(sides: &[KernelReport]) -> String {
    sides.iter().map(one).collect()
}

fn one(side: &KernelReport) -> String {
    let head =
        [format!("{} ({})", side.device, side.interface).as_str(), "passed", "policed", "full"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for (way, classes) in [("to the kernel", &side.to), ("from the kernel", &side.from)] {
        for (class, &ClassReport { passed, policed, full }) in classes {
            if passed + policed + full > 0 {
                let numbers = [passed, policed, full].map(|number| number.to_string());
                rows.push([&[format!("{way}: {class}")][..], &numbers].concat());
            }
        }
    }
    if !side.open {
        rows.push(vec![format!("{} is gone", side.interface)]);
    }
    if side.unwritten > 0 {
        rows.push(vec![format!("not taken by {}", side.interface), side.unwritten.to_string()]);
    }
    format!("\n\n{}", columns(&rows, |column| column > 0))
}
