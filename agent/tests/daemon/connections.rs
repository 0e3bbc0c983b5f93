// SPDX-License-Identifier: MIT OR Apache-2.0
//! No connection loses its address: not by a reload, not when its slice is another's, not when its address is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::rig::{INTERNET, Rig, sliced, table, whole};

const PORT: u16 = 7000;

/// Echoes one connection until it ends.
fn serve(rig: &Rig) -> JoinHandle<()> {
    let listener = rig.internet().inside(|| TcpListener::bind((INTERNET, PORT)).unwrap());
    rig.internet().spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).is_ok_and(|read| read > 0) {
            stream.write_all(&byte).unwrap();
        }
    })
}

/// A connection from the server by that address and port.
fn connection(rig: &Rig, from: &str) -> TcpStream {
    let from: std::net::SocketAddr = from.parse().unwrap();
    rig.server().inside(move || {
        // An agent that starts meanwhile is not to inherit it.
        let made = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&made, &from).unwrap();
        connect(&made, &std::net::SocketAddr::new(INTERNET.parse().unwrap(), PORT)).unwrap();
        TcpStream::from(made)
    })
}

#[track_caller]
fn works(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

fn address(rig: &Rig) -> (Value, Value) {
    let status = rig.status();
    let row = status["addresses"].as_array().unwrap().iter().find(|row| row["prefix"] == "198.51.100.1/32").cloned();
    row.map_or_else(Default::default, |row| (row["role"].clone(), row["sockets"].clone()))
}

#[test]
fn a_connection_outlives_its_slice_and_its_address() {
    let Some(mut rig) = Rig::new() else { return };
    let (ours, others) = (Some("lhr-1"), Some("lhr-2"));
    rig.write(&table(1, &json!([sliced("198.51.100.1/32", &[None, ours, others], &[])])));
    rig.start();
    let server = serve(&rig);
    let mut stream = connection(&rig, "198.51.100.1:2100");
    works(&mut stream);
    assert_eq!((address(&rig), rig.status()["draining"].clone()), ((json!("owned"), json!(1)), json!(0)));

    // The slice moves to another server, which this one is the previous owner of.
    rig.write(&table(2, &json!([sliced("198.51.100.1/32", &[None, others, others], &[None, ours])])));
    rig.wait_for_generation(2);
    works(&mut stream);
    assert_eq!((address(&rig), rig.status()["draining"].clone()), ((json!("draining"), json!(1)), json!(1)));

    // The address moves: nothing in the table leads here any more.
    rig.write(&table(3, &json!([whole("198.51.100.1/32", "lhr-2")])));
    rig.wait_for_generation(3);
    works(&mut stream);
    assert_eq!(address(&rig), (json!("lingering"), json!(1)));

    // And leaves the table, while the agent is killed and another one starts.
    rig.write(&table(4, &json!([])));
    rig.end(Signal::KILL);
    rig.start();
    works(&mut stream);
    assert_eq!((address(&rig), rig.held()), ((json!("lingering"), json!(1)), vec!["198.51.100.1".to_owned()]));

    drop(stream);
    server.join().unwrap();
    rig.wait_for("end of the address", |rig| rig.held().is_empty());
    assert_eq!((address(&rig), rig.status()["draining"].clone()), ((Value::Null, Value::Null), json!(0)));
}

#[test]
fn a_wide_prefix_keeps_its_connections_when_a_part_of_it_moves() {
    let Some(mut rig) = Rig::new() else { return };
    rig.write(&table(1, &json!([whole("198.51.100.0/24", "lhr-1")])));
    rig.start();
    let server = serve(&rig);
    let mut stream = connection(&rig, "198.51.100.77:2100");
    works(&mut stream);
    rig.write(&table(2, &json!([whole("198.51.100.0/24", "lhr-1"), whole("198.51.100.64/26", "lhr-2")])));
    rig.wait_for_generation(2);
    works(&mut stream);
    assert_eq!(rig.held(), ["198.51.100.0/26", "198.51.100.128/25", "198.51.100.64/26"]);
    drop(stream);
    server.join().unwrap();
    rig.wait_for("end of the part", |rig| rig.held() == ["198.51.100.0/26", "198.51.100.128/25"]);
}

#[test]
fn a_program_under_exec_connects_from_what_is_owned() {
    let Some(mut rig) = Rig::new() else { return };
    let tagged = |mut entry: Value, country: &str| {
        entry["tags"] = json!({ "country": country });
        entry
    };
    let ours = [None, Some("lhr-1")];
    let egress = json!([
        tagged(sliced("198.51.100.1/32", &ours, &[]), "GB"),
        tagged(sliced("198.51.100.2/32", &ours, &[]), "FR")
    ]);
    rig.write(&table(1, &egress));
    rig.start();
    let (listener, peer) = rig.internet().inside(|| {
        let listener = TcpListener::bind((INTERNET, PORT)).unwrap();
        (listener.try_clone().unwrap(), listener)
    });
    let program = "import socket; socket.create_connection(('10.9.0.2', 7000)).close()";
    let words = ["exec", "--tag", "country=FR", "--", "/usr/bin/python3", "-c", program];
    let socket = rig.path("agent.sock");
    let output = rig.server().inside(move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluice-agent"));
        command.arg("--socket").arg(socket).args(words).output().unwrap()
    });
    assert!(output.status.success(), "{output:?}");
    let from = peer.accept().unwrap().1;
    assert!(from.ip().to_string() == "198.51.100.2" && (2048..4096).contains(&from.port()), "{from}");
    drop(listener);
    let page = rig.json(&["metrics"])["text"].as_str().unwrap().to_owned();
    let line = "sluice_agent_exec_connects4_total{filter=\"country=FR\"} 1";
    assert!(page.lines().any(|told| told == line), "{page}");

    let nowhere = rig.call(&["exec", "--tag", "country=DE", "--", "true"]);
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(nowhere.status.code() == Some(1) && said.contains("this server owns no address for country=DE"), "{said}");
    assert_eq!(rig.call(&["exec", "--tag", "country", "--", "true"]).status.code(), Some(1));
}
