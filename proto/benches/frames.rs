//! Reading what clients send and writing what they hear, in both encodings.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use proto::Encoding;
use proto::v1::{
    Change, ClientFrame, Join, Message, Send, ServerFrame, change::Thing, client_frame::Request,
};

const TEXT: &str = "17 4211 98765432 the quick brown fox jumps over the lazy dog, all day long";
const ROOM: &str = "01a3f2c4e8d17b6fa0c5e1d2b3a49587";

fn requests() -> [(&'static str, ClientFrame); 3] {
    let send =
        Send { room: ROOM.to_owned(), key: "17-4211".to_owned(), text: TEXT.to_owned(), ..Send::default() };
    let data = r#"{"mentions":["ana","ben"],"reply":{"to":"01a3f2c4e8d17b6f","quote":"\u00fcber"}}"#;
    let with_data = Send { data: data.to_owned(), ..send.clone() };
    let join = Join { room: ROOM.to_owned(), since: "4211-0badcafe".to_owned() };
    [
        ("send", Request::Send(send)),
        ("send with data", Request::Send(with_data)),
        ("join", Request::Join(join)),
    ]
    .map(|(name, request)| (name, ClientFrame { id: 4212, request: Some(request) }))
}

fn delivery() -> ServerFrame {
    let message = Message {
        id: "01a3f2c4-e8d1-7b6f-a0c5-e1d2b3a49587".to_owned(),
        seq: 4211,
        ordinal: 4200,
        sender: "user-17".to_owned(),
        name: "Ana".to_owned(),
        text: TEXT.to_owned(),
        time: 1_700_000_000_000,
        key: "17-4211".to_owned(),
        ..Message::default()
    };
    let change = Change { seq: 4211, check: 0x0bad_cafe, thing: Some(Thing::Message(message)) };
    ServerFrame::delivery(ROOM, change).expect("messages are shown")
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for encoding in Encoding::ALL {
        let mut group = criterion.benchmark_group(format!("frames/decode/{encoding:?}"));
        for (name, frame) in requests() {
            let bytes = encoding.encode_client(&frame);
            assert_eq!(encoding.decode_client(&bytes).expect("a frame"), frame);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(name, |bencher| {
                bencher.iter(|| encoding.decode_client(black_box(&bytes)));
            });
        }
        group.finish();
    }
    let frame = delivery();
    let mut group = criterion.benchmark_group("frames/encode");
    for encoding in Encoding::ALL {
        let mut buffer = Vec::with_capacity(4096);
        group.bench_function(format!("{encoding:?}"), |bencher| {
            bencher.iter(|| {
                buffer.clear();
                encoding.encode_server(black_box(&frame), &mut buffer);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
