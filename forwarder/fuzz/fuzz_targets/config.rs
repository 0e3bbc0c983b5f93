// SPDX-License-Identifier: MIT OR Apache-2.0
//! A configuration of any bytes: refused in words, or turned into settings.
#![no_main]

use std::path::Path;

use forwarder::control::config::{Config, Purpose};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    for purpose in [Purpose::Daemon, Purpose::Replay] {
        match Config::parse(content, Path::new("/etc/sluice/config.toml"), purpose) {
            Ok(config) => {
                let settings = config.settings(&[]);
                assert_eq!(settings.devices.len(), config.devices.len());
                assert!(
                    !settings.devices.is_empty() && config.warnings().iter().all(|warning| !warning.contains('\n'))
                );
            }
            Err(error) => assert!(!error.to_string().is_empty(), "refused without a reason"),
        }
    }
});
