// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clients that mean harm or come in masses.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::control_support::{Client, Running, table};
use super::stuck::Stuck;
use super::wait_for;

#[test]
fn bad_clients_harm_nobody() {
    let running = Running::new();
    let socket = running.place.socket();
    let mut stalled = UnixStream::connect(&socket).unwrap();
    stalled.write_all(b"{\"jsonrpc\":").unwrap();
    for half in [&b"{"[..], b"", b"{\"jsonrpc\":\"2.0\",\"method\":\"reload\",\"params\":{\"pa"] {
        UnixStream::connect(&socket).unwrap().write_all(half).unwrap();
    }
    // Hangs up on its answers.
    for _ in 0..50 {
        let mut rude = UnixStream::connect(&socket).unwrap();
        let _ = rude.write_all(&b"{\"jsonrpc\":\"2.0\",\"method\":\"status\",\"id\":1}\n".repeat(100));
    }
    let mut garbage = Client::new(&socket);
    garbage.send(b"\x00\xff\xfe garbage\n\n  \r\n[[[[\n{}\nnull\n");
    let codes: Vec<_> = (0..4).map(|_| garbage.receive().unwrap()["error"]["code"].clone()).collect();
    assert_eq!(codes, [-32700, -32700, -32600, -32600]);
    assert_eq!(garbage.result("status", json!({}))["generation"], 42);
    let mut notifying = Client::new(&socket);
    notifying.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\"}\n");
    assert_eq!(notifying.result("status", json!({}))["state"], "forwarding");
    assert_eq!(running.generation(), 42);
}

#[test]
fn a_hundred_connections_are_served_at_once() {
    let running = Running::new();
    let mut clients: Vec<_> = (0..100).map(|_| running.client()).collect();
    for client in clients.iter_mut().rev() {
        assert_eq!(client.result("status", json!({}))["generation"], 42);
    }
}

#[test]
fn idle_connections_keep_nobody_out() {
    let running = Running::new();
    let mut idle: Vec<_> = (0..300).map(|_| UnixStream::connect(running.place.socket()).unwrap()).collect();
    // They are let in one after the other: who is served now has come after all of them.
    assert_eq!(running.client().result("status", json!({}))["generation"], 42);
    for stream in &idle[..300 - 255] {
        assert_eq!((&*stream).read(&mut [0]).unwrap(), 0, "the longest idle have lost their places");
    }
    let mut last = idle.pop().unwrap();
    last.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\",\"id\":1}\n").unwrap();
    assert_ne!(last.read(&mut [0]).unwrap(), 0, "the others keep theirs");
}

#[test]
fn too_many_connections_are_sent_away_and_places_come_back() {
    let worker = Stuck::new();
    let running = worker.run();
    let path = running.place.write("next.json", &table(None, true));
    let reload = json!({"jsonrpc": "2.0", "method": "reload", "params": {"path": path}, "id": 1}).to_string() + "\n";
    // Whoever has asked for a reload keeps its place: they become more until none is left.
    let mut peers: Vec<UnixStream> = Vec::new();
    let refused = 'refused: loop {
        let mut peer = UnixStream::connect(running.place.socket()).unwrap();
        peer.set_nonblocking(true).unwrap();
        // The refusal may come before anything is sent.
        let _ = peer.write_all(reload.as_bytes());
        peers.push(peer);
        thread::sleep(Duration::from_millis(1));
        for peer in &mut peers {
            let mut answer = [0; 1024];
            if let Ok(length @ 1..) = peer.read(&mut answer) {
                let answer: Value = serde_json::from_slice(&answer[..length]).unwrap();
                if answer["error"]["code"] == -32005 {
                    break 'refused answer;
                }
            }
        }
        assert!(peers.len() < 10_000, "there is no bound");
    };
    assert!(refused["error"]["message"].as_str().unwrap().contains("try again later"), "{refused}");
    assert!(peers.len() > 256, "{}", peers.len());
    worker.stuck.store(false, Ordering::Relaxed);
    drop(peers);
    wait_for(|| {
        let mut client = running.client();
        client.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\",\"id\":1}\n");
        client.receive().is_some_and(|answer| answer.get("result").is_some())
    });
}
