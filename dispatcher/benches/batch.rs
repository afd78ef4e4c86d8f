//! From the sends that wait in a lane to what the store is asked to append.

use criterion::{BatchSize, Criterion, Throughput};
use dispatcher::bench_api::Waiting;
use proto::v1::Send;

/// As of pairs who talk: each room has two senders.
fn waiting(sends: usize, repeats: bool) -> Waiting {
    let send = |number: usize| {
        let number = if repeats { number / 2 } else { number };
        let send = Send {
            room: format!("01a3f2c4e8d17b6fa0c5{:012x}", number / 2 % 50),
            key: format!("17-{number}"),
            text: format!("17 {number} 98765432 the quick brown fox jumps over the lazy dog"),
            ..Send::default()
        };
        (format!("user-{}", number % 100), send)
    };
    Waiting::new((0..sends).map(send).collect())
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("batch");
    for (sends, repeats) in [(1, false), (100, false), (1_000, false), (100, true)] {
        let name = if repeats { format!("{sends}, each twice") } else { sends.to_string() };
        let (messages, held) = waiting(sends, repeats).batch();
        assert_eq!(
            (messages.len(), messages.len() + held.len()),
            (if repeats { sends / 2 } else { sends }, sends)
        );
        group.throughput(Throughput::Elements(sends as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| waiting(sends, repeats), Waiting::batch, BatchSize::SmallInput);
        });
    }
    group.finish();
    criterion.final_summary();
}
