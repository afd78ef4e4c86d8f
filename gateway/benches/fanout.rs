//! Handing one message to all who hear a room: followed, encoded once, put into
//! every listener's queue. Writing to sockets is not in it.

use criterion::{BatchSize, Criterion, Throughput};
use gateway::bench_api::{Room, Speech};
use proto::v1::{Change, Message, change::Thing};

fn message(seq: u64) -> Change {
    let message = Message {
        id: format!("01a3f2c4-e8d1-7b6f-a0c5-{seq:012x}"),
        seq,
        ordinal: seq,
        sender: "user-17".to_owned(),
        name: "Ana".to_owned(),
        text: format!("17 {seq} 98765432 the quick brown fox jumps over the lazy dog"),
        key: format!("17-{seq}"),
        ..Message::default()
    };
    Change { seq, check: seq as u32, thing: Some(Thing::Message(message)) }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, speech) in Speech::ALL {
        let mut group = criterion.benchmark_group(format!("fanout/{name}"));
        for listeners in [100, 1_000, 10_000] {
            let room = std::cell::RefCell::new(Room::new(listeners, speech));
            let mut seq = 0;
            group.throughput(Throughput::Elements(listeners as u64));
            group.bench_function(format!("{listeners} listeners"), |bencher| {
                bencher.iter_batched(
                    || {
                        room.borrow().drain();
                        seq += 1;
                        vec![message(seq)]
                    },
                    |changes| {
                        let queued = room.borrow_mut().hear(changes);
                        assert_eq!(queued, listeners as u64);
                    },
                    // The queues are emptied between two messages.
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
