//! Reading clients' WebSocket frames: whole ones, as they nearly always come,
//! and such as come in pieces.

use criterion::{BenchmarkId, Criterion, Throughput};
use gateway::bench_api::Decoder;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Frames in one read.
const FRAMES: usize = 16;

/// A client's text frame.
fn frame(payload: usize) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload {
        0..=125 => frame.push(0x80 | payload as u8),
        126..=0xFFFF => {
            frame.push(0xFE);
            frame.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            frame.push(0xFF);
            frame.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend((0..payload).map(|place| b'x' ^ MASK[place % 4]));
    frame
}

/// Reads everything; how many messages it was.
fn decode(pieces: &[&[u8]]) -> usize {
    let mut decoder = Decoder::new(MAX_MESSAGE_BYTES);
    let mut messages = 0;
    for piece in pieces {
        let mut input = *piece;
        while decoder.decode(&mut input).expect("a good frame").is_some() {
            messages += 1;
        }
    }
    messages
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("websocket");
    for payload in [32, 150, 4096, 32 * 1024] {
        let bytes = frame(payload).repeat(FRAMES);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let pieces: Vec<&[u8]> = bytes.chunks(1400).collect();
        for (name, pieces) in [("whole", &[&bytes[..]][..]), ("in pieces of 1400 bytes", &pieces)] {
            assert_eq!(decode(pieces), FRAMES);
            group.bench_with_input(BenchmarkId::new(name, payload), pieces, |bencher, pieces| {
                bencher.iter(|| decode(pieces));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
