//! Encoding deliveries as WebSocket frames: done once for each wire format in
//! use, however many hear them.

use criterion::{BatchSize, Criterion, Throughput};
use gateway::bench_api::{Encoder, Speech};
use proto::v1::{Change, Message, ServerFrame, change::Thing};

fn delivery(seq: u64) -> ServerFrame {
    let message = Message {
        id: format!("01a3f2c4-e8d1-7b6f-a0c5-{seq:012x}"),
        seq,
        ordinal: seq,
        sender: "user-17".to_owned(),
        name: "Ana".to_owned(),
        text: format!("17 {seq} 98765432 the quick brown fox jumps over the lazy dog"),
        time: 1_700_000_000_000,
        key: format!("17-{seq}"),
        ..Message::default()
    };
    let change = Change { seq, check: seq as u32, thing: Some(Thing::Message(message)) };
    ServerFrame::delivery("01a3f2c4e8d17b6fa0c5e1d2b3a49587", change).expect("messages are shown")
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for messages in [1, 100] {
        let frames: Vec<_> = (1..=messages).map(delivery).collect();
        let mut group = criterion.benchmark_group(format!("encode/{messages} together"));
        group.throughput(Throughput::Elements(messages));
        for (name, speech) in Speech::ALL {
            let encoder = Encoder::new(speech);
            assert!(encoder.encode(frames.clone()) > 100 * frames.len());
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || frames.clone(),
                    |frames| encoder.encode(frames),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
