// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generation swap on real threads: what the processor and the optimiser do, which the model check leaves out.
#![cfg(not(loom))]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tables::generation::{Late, Publisher};

const PUBLICATIONS: u64 = if cfg!(miri) { 40 } else { 10_000 };
const READERS: usize = 3;
const POISON: u64 = u64::MAX;
/// Long enough that only a lost wake-up or a dead lock reaches it.
const FOREVER: Duration = Duration::from_secs(600);

/// A value of several cache lines that all say the same number, until its destructor poisons them.
struct Canary {
    lines: [AtomicU64; 64],
    tally: Arc<Tally>,
}

/// What became of the canaries of one test.
#[derive(Default)]
struct Tally {
    dropped: AtomicUsize,
    droppers: Mutex<Vec<ThreadId>>,
}

impl Canary {
    fn boxed(number: u64, tally: &Arc<Tally>) -> Box<Self> {
        Box::new(Self { lines: std::array::from_fn(|_| AtomicU64::new(number)), tally: Arc::clone(tally) })
    }

    fn number(&self) -> u64 {
        let number = self.lines[0].load(Relaxed);
        assert!(number != POISON, "a freed value was read");
        for line in &self.lines {
            assert_eq!(line.load(Relaxed), number, "a value was torn");
        }
        number
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        for line in &self.lines {
            line.store(POISON, Relaxed);
        }
        self.tally.dropped.fetch_add(1, Relaxed);
        let dropper = thread::current().id();
        let mut droppers = self.tally.droppers.lock().unwrap_or_else(PoisonError::into_inner);
        if !droppers.contains(&dropper) {
            droppers.push(dropper);
        }
    }
}

#[test]
fn readers_never_see_a_freed_value_nor_go_back() {
    let tally = Arc::new(Tally::default());
    let (mut publisher, readers) = Publisher::new(Canary::boxed(0, &tally), READERS);
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut last = 0;
                while !stop.load(Relaxed) {
                    let value = reader.current();
                    let number = value.number();
                    assert!(number >= last, "went back from {last} to {number}");
                    last = number;
                    std::hint::black_box(value.number());
                }
                assert_eq!(reader.current().number(), PUBLICATIONS, "the last publication is seen");
            })
        })
        .collect();
    for number in 1..=PUBLICATIONS {
        let epoch = publisher.publish(Canary::boxed(number, &tally));
        assert_eq!(publisher.current().number(), number);
        // Mostly free-running, so that several old values wait at once; now and then in step.
        if number % 64 == 0 {
            publisher.wait(epoch, FOREVER).unwrap();
            assert_eq!(tally.dropped.load(Relaxed) as u64, number, "all but the newest are freed");
        } else {
            publisher.collect();
        }
    }
    stop.store(true, Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(publisher.collect(), 0);
    drop(publisher);
    assert_eq!(tally.dropped.load(Relaxed) as u64, PUBLICATIONS + 1);
    assert_eq!(*tally.droppers.lock().unwrap(), [thread::current().id()], "destructors ran on the publisher's thread");
}

#[test]
fn readers_may_leave_at_any_moment() {
    let rounds = if cfg!(miri) { 3 } else { 300 };
    for round in 0..rounds {
        let tally = Arc::new(Tally::default());
        let (mut publisher, readers) = Publisher::new(Canary::boxed(0, &tally), READERS);
        let start = Arc::new(Barrier::new(READERS + 1));
        let threads: Vec<_> = readers
            .into_iter()
            .enumerate()
            .map(|(stay, mut reader)| {
                let start = Arc::clone(&start);
                thread::spawn(move || {
                    start.wait();
                    for _ in 0..stay * round {
                        reader.current().number();
                    }
                })
            })
            .collect();
        start.wait();
        for number in 1..=20 {
            publisher.publish(Canary::boxed(number, &tally));
            publisher.collect();
        }
        if round % 2 == 0 {
            drop(publisher); // the last reader, if any is left, frees the rest
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        } else {
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(publisher.wait(21, Duration::ZERO), Ok(()));
            drop(publisher);
        }
        assert_eq!(tally.dropped.load(Relaxed), 21);
    }
}

#[test]
fn late_readers_are_named_and_a_later_wait_finishes() {
    let tally = Arc::new(Tally::default());
    let (mut publisher, readers) = Publisher::new(Canary::boxed(0, &tally), READERS);
    let [mut first, mut second, third] = <[_; READERS]>::try_from(readers).unwrap();
    assert_eq!(publisher.wait(1, Duration::ZERO), Err(Late(vec![0, 1, 2])), "nobody has looked yet");
    let epoch = publisher.publish(Canary::boxed(1, &tally));
    assert_eq!(epoch, 2);
    assert_eq!(first.current().number(), 1);
    assert_eq!(publisher.wait(epoch, Duration::from_millis(2)), Err(Late(vec![1, 2])));
    assert_eq!(publisher.collect(), 1);
    assert_eq!(tally.dropped.load(Relaxed), 0);
    drop(third);
    let held = second.current();
    assert_eq!(publisher.wait(epoch, Duration::ZERO), Ok(()));
    assert_eq!(tally.dropped.load(Relaxed), 1);
    let later = publisher.publish(Canary::boxed(2, &tally));
    assert_eq!(first.current().number(), 2);
    assert_eq!(publisher.wait(later, Duration::ZERO), Err(Late(vec![1])), "the second still holds its borrow");
    assert_eq!(held.number(), 1);
    let text = publisher.wait(later, Duration::ZERO).unwrap_err().to_string();
    assert_eq!(text, "readers not yet on the new value: [1]");
    drop((first, second));
    assert_eq!(publisher.wait(later, Duration::ZERO), Ok(()));
    assert_eq!(tally.dropped.load(Relaxed), 2);
}

#[test]
fn a_wait_ends_when_the_last_reader_passes() {
    let tally = Arc::new(Tally::default());
    let (mut publisher, mut readers) = Publisher::new(Canary::boxed(0, &tally), 1);
    let mut reader = readers.remove(0);
    assert_eq!(reader.current().number(), 0);
    let epoch = publisher.publish(Canary::boxed(1, &tally));
    let reading = thread::spawn(move || {
        thread::sleep(Duration::from_millis(5)); // most likely the publisher waits by now
        assert_eq!(reader.current().number(), 1);
        reader
    });
    publisher.wait(epoch, FOREVER).unwrap();
    assert_eq!(tally.dropped.load(Relaxed), 1);
    drop(reading.join().unwrap());
}

#[test]
fn a_reader_outlives_the_publisher() {
    let tally = Arc::new(Tally::default());
    let (mut publisher, mut readers) = Publisher::new(Canary::boxed(0, &tally), 1);
    let mut reader = readers.remove(0);
    let held = reader.current();
    publisher.publish(Canary::boxed(1, &tally));
    drop(publisher);
    assert_eq!(held.number(), 0);
    assert_eq!(reader.current().number(), 1);
    assert_eq!(tally.dropped.load(Relaxed), 0);
    drop(reader);
    assert_eq!(tally.dropped.load(Relaxed), 2);
}

#[test]
fn without_readers_everything_is_freed_at_once() {
    let tally = Arc::new(Tally::default());
    let (mut publisher, readers) = Publisher::new(Canary::boxed(0, &tally), 0);
    assert!(readers.is_empty());
    let epoch = publisher.publish(Canary::boxed(1, &tally));
    assert_eq!(publisher.wait(epoch, Duration::ZERO), Ok(()));
    assert_eq!(tally.dropped.load(Relaxed), 1);
}
