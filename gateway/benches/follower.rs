//! Keeping a feed in order: hints that come as they should, with some lost that
//! the store has to be asked for, and each twice.

use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput};
use gateway::bench_api::{Follower, HOLE_PATIENCE, Todo};
use proto::Cursor;
use proto::node::FeedChanges;
use proto::v1::{Change, Message, change::Thing};

const CHANGES: u64 = 1_000;
/// Every n-th hint is lost.
const LOST: u64 = 10;

fn change(seq: u64) -> Change {
    let message = Message { seq, text: "the quick brown fox".to_owned(), ..Message::default() };
    Change { seq, check: seq as u32, thing: Some(Thing::Message(message)) }
}

/// Follows hints, and asks the store wherever there is a hole. How many changes come out.
fn follow(hints: Vec<Vec<Change>>) -> usize {
    let now = Instant::now();
    let mut follower = Follower::default();
    follower.joined(Cursor { seq: 0, check: 0 }, now);
    let mut out = 0;
    for hint in hints {
        let mut todo = follower.heard(hint, now);
        if todo.look_later {
            out += todo.deliver.len();
            todo = follower.look(now + HOLE_PATIENCE);
        }
        out += todo.deliver.len();
        if let Todo { fill: Some(since), .. } = todo {
            out += follower.filled(store(since), now + HOLE_PATIENCE).deliver.len();
        }
    }
    out
}

/// What the store says of one lost change.
fn store(since: Cursor) -> FeedChanges {
    let (from, to) = (since.seq, since.seq + 1);
    FeedChanges { from, to, check: to as u32, changes: vec![change(to)], ..FeedChanges::default() }
}

fn main() {
    let in_order = || (1..=CHANGES).map(|seq| vec![change(seq)]).collect::<Vec<_>>();
    let batches =
        || (0..CHANGES / 100).map(|n| (n * 100 + 1..=n * 100 + 100).map(change).collect()).collect();
    let holes = || in_order().into_iter().filter(|hint| !hint[0].seq.is_multiple_of(LOST)).collect();
    let doubled = || in_order().into_iter().flat_map(|hint| [hint.clone(), hint]).collect();

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("follower");
    group.throughput(Throughput::Elements(CHANGES));
    let mut case = |name: &str, hints: &dyn Fn() -> Vec<Vec<Change>>, due: u64| {
        assert_eq!(follow(hints()) as u64, due, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(hints, follow, BatchSize::SmallInput);
        });
    };
    case("in order", &in_order, CHANGES);
    case("in order, 100 together", &batches, CHANGES);
    // The last one is lost, too, and nothing after it shows the hole.
    case("every tenth lost", &holes, CHANGES - 1);
    case("each twice", &doubled, CHANGES);
    group.finish();
    criterion.final_summary();
}
