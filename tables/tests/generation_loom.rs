// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generation swap under the model checker: every interleaving, and every value that the memory model lets a
//! load return. Run by `RUSTFLAGS="--cfg loom" cargo test -p tables --test generation_loom --release`.
//!
//! `docs/adr/0001-generation-swap.md` lists the broken protocols that these tests were seen to catch.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]
#![allow(unsafe_code, reason = "the model's cells are not Sync by themselves")]

use std::sync::Arc;
use std::time::Duration;

use loom::cell::Cell;
use loom::thread;
use tables::generation::{Late, Publisher, Reader};

/// A value whose end the model watches: looking at it without having been ordered before its destructor is a data
/// race, looking at it afterwards finds it dead.
struct Value {
    /// Where allocators write when they take a block back, so that a use after free still finds `life` and is
    /// reported instead of crashing.
    _freed_first: [usize; 2],
    number: u64,
    life: Arc<Life>,
}

/// Whether a value is alive; outlives it. The model reports a look that is not ordered before or after the end.
struct Life(Cell<bool>);

// SAFETY: the model ends the test when a look and the end are concurrent; that is what the tests are about.
unsafe impl Sync for Life {}

impl Life {
    /// A write, so that the model also reports a look that is not ordered after the making of the value.
    fn begin(&self) {
        self.0.set(true);
    }

    fn lasts(&self) -> bool {
        self.0.get()
    }

    fn end(&self) {
        self.0.set(false);
    }
}

/// The lives of the values `0..count`.
fn lives(count: usize) -> Vec<Arc<Life>> {
    (0..count).map(|_| Arc::new(Life(Cell::new(false)))).collect()
}

impl Value {
    fn boxed(number: u64, lives: &[Arc<Life>]) -> Box<Self> {
        let life = Arc::clone(&lives[usize::try_from(number).unwrap()]);
        life.begin();
        Box::new(Self { _freed_first: [0; 2], number, life })
    }

    fn look(&self) -> u64 {
        assert!(self.life.lasts(), "value {} was freed while a reader had it", self.number);
        self.number
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.life.end();
    }
}

fn look_twice(reader: &mut Reader<Value>) {
    let first = reader.current().look();
    let second = reader.current().look();
    assert!(first <= second, "a reader went back from {first} to {second}");
}

#[test]
fn two_publications_under_a_reader() {
    loom::model(|| {
        let lives = lives(3);
        let (mut publisher, mut readers) = Publisher::new(Value::boxed(0, &lives), 1);
        let mut reader = readers.remove(0);
        let reading = thread::spawn(move || look_twice(&mut reader));
        publisher.publish(Value::boxed(1, &lives));
        publisher.collect();
        publisher.publish(Value::boxed(2, &lives));
        publisher.collect();
        assert_eq!(publisher.current().look(), 2);
        reading.join().unwrap();
        assert_eq!(publisher.collect(), 0, "a reader that is gone holds nothing back");
        assert!(!lives[0].lasts() && !lives[1].lasts() && lives[2].lasts());
        drop(publisher);
        assert!(!lives[2].lasts());
    });
}

#[test]
fn the_slower_of_two_readers_counts() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let lives = lives(2);
        let (mut publisher, readers) = Publisher::new(Value::boxed(0, &lives), 2);
        let reading: Vec<_> =
            readers.into_iter().map(|mut reader| thread::spawn(move || look_twice(&mut reader))).collect();
        publisher.publish(Value::boxed(1, &lives));
        publisher.collect();
        for thread in reading {
            thread.join().unwrap();
        }
        assert_eq!(publisher.collect(), 0);
    });
}

#[test]
fn who_was_waited_for_has_the_new_value() {
    loom::model(|| {
        let lives = lives(2);
        let (mut publisher, mut readers) = Publisher::new(Value::boxed(0, &lives), 1);
        let mut reader = readers.remove(0);
        let reading = thread::spawn(move || {
            look_twice(&mut reader);
            reader
        });
        let epoch = publisher.publish(Value::boxed(1, &lives));
        match publisher.wait(epoch, Duration::ZERO) {
            Ok(()) => assert!(!lives[0].lasts(), "nobody can see the old value any more"),
            Err(late) => assert_eq!(late, Late(vec![0])),
        }
        let mut reader = reading.join().unwrap();
        assert_eq!(reader.current().look(), 1);
        assert_eq!(publisher.wait(epoch, Duration::ZERO), Ok(()));
        assert!(!lives[0].lasts());
    });
}

#[test]
fn a_reader_outlives_the_publisher() {
    loom::model(|| {
        let lives = lives(2);
        let (mut publisher, mut readers) = Publisher::new(Value::boxed(0, &lives), 1);
        let mut reader = readers.remove(0);
        let reading = thread::spawn(move || look_twice(&mut reader));
        publisher.publish(Value::boxed(1, &lives));
        drop(publisher);
        reading.join().unwrap();
        assert!(!lives[0].lasts() && !lives[1].lasts(), "whoever went last freed all");
    });
}
