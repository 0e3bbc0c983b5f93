// SPDX-License-Identifier: MIT OR Apache-2.0
//! Start, refusal to start, end.

use std::os::unix::fs::PermissionsExt;

use forwarder::control::config::Config;
use forwarder::control::daemon::{self, Daemon, DaemonError};
use forwarder::io::memory::{MemoryIo, VecBuf};
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketIo, Received};
use serde_json::json;

use super::control_support::{Memory, Place, Running, table};

fn refusal<Io: PacketIo + Send + 'static>(config: Config, queues: Vec<Io>) -> DaemonError {
    match Daemon::start(config, |_: &Config| Ok::<_, String>(Memory(queues))) {
        Ok(_) => panic!("the daemon has started"),
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            error
        }
    }
}

#[test]
fn it_starts_tells_its_state_and_stops() {
    let mut running = Running::new();
    let socket = running.place.socket();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o660);
    let status = running.client().result("status", json!({}));
    assert_eq!((&status["state"], &status["generation"]), (&json!("forwarding"), &json!(42)));
    assert_eq!((&status["pid"], &status["datacenter"]), (&json!(std::process::id()), &json!("LHR")));
    assert_eq!(status["table"]["path"], json!(running.place.path("table.json")));
    assert_eq!((&status["table"]["prefixes"], &status["table"]["servers"]), (&json!(5), &json!(3)));
    assert_eq!(status["devices"][0]["mac"], "02:00:00:00:00:01");
    assert_eq!(status["workers"].as_array().unwrap().len(), 1);
    running.stop().unwrap();
    assert!(!socket.exists());
}

#[test]
fn it_checks_without_starting() {
    let place = Place::new();
    let good = daemon::check(&place.config()).unwrap();
    assert!(good.starts_with("OK: ") && good.contains("generation 42"), "{good}");
    assert!(!place.socket().exists());
    place.write("table.json", &table(Some(42), false).replace("\"10.0.0.1\", ", "").replace("10.0.1.1", "10.0.1"));
    let faults = daemon::check(&place.config()).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("servers.lhr-1.address"), "{faults:?}");
    place.write("table.json", &table(Some(42), false).replace("\"10.0.0.1\", ", ""));
    let faults = daemon::check(&place.config()).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("datacenters.LHR.forwarders"), "{faults:?}");
}

#[test]
fn it_does_not_start_without_table_core_socket_or_devices() {
    let place = Place::new();
    let mut config = place.config();
    config.table = place.path("missing.json");
    let error = refusal(config.clone(), vec![MemoryIo::new(1)]);
    assert_eq!(error.to_string().matches("missing.json").count(), 1, "{error}");
    let faults = daemon::check(&config).unwrap_err();
    assert!(faults.len() == 1 && faults[0].matches("missing.json").count() == 1, "{faults:?}");

    let mut config = place.config();
    config.workers.cores = vec![1000];
    let error = refusal(config, vec![MemoryIo::new(1)]);
    assert!(error.to_string().contains("workers.cores: core 1000"), "{error}");

    let mut config = place.config();
    config.control.socket = place.write("file", "");
    let error = refusal(config, vec![MemoryIo::new(1)]);
    assert!(matches!(error, DaemonError::Socket(_)) && error.to_string().contains("file"), "{error}");

    assert!(matches!(refusal::<MemoryIo>(place.config(), Vec::new()), DaemonError::Worker(_)));
    let Err(error) = Daemon::<Memory<MemoryIo>>::start(place.config(), |_: &Config| Err("no such vdev")) else {
        panic!("the daemon has started")
    };
    assert_eq!(error.to_string(), "no such vdev");
    assert!(!place.socket().exists(), "a failed start leaves nothing behind");
}

#[test]
fn a_table_that_does_not_suit_is_told_whole_before_any_device_is_touched() {
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &config.replace("10.0.0.1", "10.0.0.2").replace("ipv6", "# ipv6"));
    let start = |_: &Config| -> Result<Memory<MemoryIo>, String> { panic!("a device is touched") };
    let Err(error) = Daemon::start(place.config(), start) else { panic!("the daemon has started") };
    let lines = error.lines();
    assert_eq!(lines.last(), Some(&error.to_string()));
    assert!(error.to_string().contains("(and 1 more fault)"), "{error}");
    for fault in ["table.json: datacenters.LHR.forwarders: ", "table.json: servers.lhr-2.address: "] {
        assert!(lines.iter().filter(|line| line.contains(fault)).count() == 1, "{fault}: {lines:?}");
    }
    assert!(lines.iter().all(|line| line.lines().count() == 1), "{lines:?}");
    assert!(!place.socket().exists());
}

#[test]
fn a_second_one_leaves_the_first_alone() {
    let running = Running::new();
    let error = refusal(running.place.config(), vec![MemoryIo::new(1)]);
    let socket = running.place.socket();
    assert!(error.to_string().contains(socket.to_str().unwrap()), "{error}");
    assert_eq!(running.client().result("status", json!({}))["state"], "forwarding");
}

#[test]
fn a_worker_that_fails_ends_the_daemon_with_an_error() {
    struct Failing;
    impl Allocator<VecBuf> for Failing {
        fn allocate(&mut self, _: usize) -> Option<VecBuf> {
            None
        }
    }
    impl PacketIo for Failing {
        type Buf = VecBuf;
        fn receive(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>, _: usize) -> Received {
            panic!("as the test wants")
        }
        fn transmit(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
        fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
        fn now(&self) -> Nanos {
            Nanos(0)
        }
    }
    let mut running = Running::with(Place::new(), Failing);
    let error = running.wait().unwrap_err();
    assert!(error.to_string().starts_with("worker 0 has panicked"), "{error}");
    assert!(!running.place.socket().exists());
}
