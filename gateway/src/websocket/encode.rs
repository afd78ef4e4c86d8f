//! From payloads to the frames that a server sends: written once, shared by
//! every connection that gets them.

use bytes::Bytes;
use proto::CloseCode;

use super::frame::{MAX_CONTROL_BYTES, Opcode};

/// Largest header of a server's frame.
const MAX_HEADER_BYTES: usize = 10;
/// The header of a frame with 126 to 65,535 bytes of payload.
const USUAL_HEADER_BYTES: usize = 4;

/// One frame with this payload.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut header = [0; MAX_HEADER_BYTES];
    let start = write_header(&mut header, opcode, payload.len());
    let mut frame = Vec::with_capacity(MAX_HEADER_BYTES - start + payload.len());
    frame.extend_from_slice(&header[start..]);
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

/// Begins a frame behind what `buffer` holds: whatever is appended becomes the
/// payload when [`finish`] is called with the place that this gives back.
pub fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + USUAL_HEADER_BYTES, 0);
    start
}

/// Ends the frame that [`begin`] began at `start`. Only a payload of fewer than
/// 126 or more than 65,535 bytes is moved for it, by a few bytes.
pub fn finish(opcode: Opcode, buffer: &mut Vec<u8>, start: usize) {
    let mut header = [0; MAX_HEADER_BYTES];
    let from = write_header(&mut header, opcode, buffer.len() - start - USUAL_HEADER_BYTES);
    let header = &header[from..];
    if header.len() == USUAL_HEADER_BYTES {
        buffer[start..start + USUAL_HEADER_BYTES].copy_from_slice(header);
    } else {
        buffer.splice(start..start + USUAL_HEADER_BYTES, header.iter().copied());
    }
}

/// An empty ping.
pub fn ping() -> Bytes {
    Bytes::from_static(&[0x80 | Opcode::Ping as u8, 0])
}

/// The answer to a ping with this payload.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, &payload[..payload.len().min(MAX_CONTROL_BYTES)])
}

/// Closes the connection for our reason. A reason that does not fit is cut.
pub fn close(code: CloseCode, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(MAX_CONTROL_BYTES);
    payload.extend_from_slice(&code.number().to_be_bytes());
    let end = reason.floor_char_boundary(MAX_CONTROL_BYTES - payload.len());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(Opcode::Close, &payload)
}

/// The answer to a client's close: its own code back.
pub fn close_answer(code: Option<u16>) -> Bytes {
    match code {
        Some(code) => frame(Opcode::Close, &code.to_be_bytes()),
        None => frame(Opcode::Close, &[]),
    }
}

/// Writes the header so that it ends where `to` ends; answers where it begins.
fn write_header(to: &mut [u8; MAX_HEADER_BYTES], opcode: Opcode, payload: usize) -> usize {
    let length = (payload as u64).to_be_bytes();
    let start = match payload {
        0..=125 => {
            to[9] = length[7];
            8
        }
        126..=0xFFFF => {
            to[7] = 126;
            to[8..].copy_from_slice(&length[6..]);
            6
        }
        _ => {
            to[1] = 127;
            to[2..].copy_from_slice(&length);
            0
        }
    };
    to[start] = 0x80 | opcode as u8;
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // Section 5.7.
        assert_eq!(frame(Opcode::Text, b"Hello")[..], *b"\x81\x05Hello");
        assert_eq!(frame(Opcode::Ping, b"Hello")[..], *b"\x89\x05Hello");
        assert_eq!(pong(b"Hello")[..], *b"\x8a\x05Hello");
        let medium = frame(Opcode::Binary, &[7; 256]);
        assert_eq!(medium[..4], [0x82, 0x7E, 0x01, 0x00]);
        assert_eq!(medium.len(), 4 + 256);
        let large = frame(Opcode::Binary, &[7; 65536]);
        assert_eq!(large[..10], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(large.len(), 10 + 65536);
        assert_eq!(ping()[..], [0x89, 0]);
    }

    #[test]
    fn frames_written_in_place_lie_behind_each_other() {
        let lens = [0, 1, 125, 126, 127, 65535, 65536, 70000];
        let (mut in_place, mut one_by_one) = (Vec::new(), Vec::new());
        for len in lens {
            let payload = vec![b'x'; len];
            let start = begin(&mut in_place);
            in_place.extend_from_slice(&payload);
            finish(Opcode::Text, &mut in_place, start);
            one_by_one.extend_from_slice(&frame(Opcode::Text, &payload));
        }
        assert!(in_place == one_by_one);
    }

    #[test]
    fn a_close_says_code_and_reason() {
        assert_eq!(close(CloseCode::TooLarge, "")[..], *b"\x88\x02\x03\xf1");
        assert_eq!(close(CloseCode::Normal, "bye")[..], *b"\x88\x05\x03\xe8bye");
        // 123 bytes are left; a character of two bytes is not cut in half.
        let long = close(CloseCode::Drain, &format!("a{}", "é".repeat(100)));
        assert_eq!(long[1], 125);
        assert!(std::str::from_utf8(&long[4..]).is_ok());
        let odd = close(CloseCode::Drain, &"é".repeat(100));
        assert_eq!(odd[1], 124);
        assert_eq!(close_answer(Some(4504))[..], *b"\x88\x02\x11\x98");
        assert_eq!(close_answer(None)[..], *b"\x88\x00");
    }
}
