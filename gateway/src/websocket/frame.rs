//! What frames are made of: opcodes, the header of a client's frame, the mask.

use bytes::Bytes;
use proto::CloseCode;
use thiserror::Error;

/// What a client sent: a whole message, or a control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message; valid UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping; its payload goes back in a pong.
    Ping(Bytes),
    /// A pong. Ours carry nothing, so neither does this.
    Pong,
    /// The client says goodbye. Nothing that follows it counts.
    Close {
        /// Why, if it says so.
        code: Option<u16>,
        /// Why, for people.
        reason: String,
    },
}

/// Why a client's bytes end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WsError {
    /// They break RFC 6455; says how.
    #[error("not WebSocket: {0}")]
    Protocol(&'static str),
    /// A text message or a close reason is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A message is larger than allowed, or cut into too many fragments.
    #[error("message too large")]
    TooLarge,
}

impl WsError {
    /// The code to close the connection with.
    pub fn close_code(self) -> CloseCode {
        match self {
            WsError::Protocol(_) => CloseCode::ProtocolError,
            WsError::NotUtf8 => CloseCode::NotUtf8,
            WsError::TooLarge => CloseCode::TooLarge,
        }
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message. Never sent by us.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The end.
    Close = 0x8,
    /// Are you there?
    Ping = 0x9,
    /// I am.
    Pong = 0xA,
}

impl Opcode {
    pub(super) fn of(bits: u8) -> Result<Self, WsError> {
        Ok(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return Err(WsError::Protocol("reserved opcode")),
        })
    }

    /// Close, ping or pong: may stand between the fragments of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// Largest payload of a control frame.
pub(super) const MAX_CONTROL_BYTES: usize = 125;
/// Largest header of a client's frame: flags, length in three forms, mask.
pub(super) const MAX_HEADER_BYTES: usize = 14;

/// The header of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The last frame of its message.
    pub fin: bool,
    /// What it is.
    pub opcode: Opcode,
    /// Declared bytes of payload.
    pub payload: u64,
    /// The client's mask.
    pub mask: [u8; 4],
}

impl Header {
    /// Reads a header from the start of `bytes`, and how long it was. `None`
    /// if more bytes are needed; what is wrong is said as soon as it can be seen.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, WsError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(WsError::Protocol("reserved bit"));
        }
        let fin = first & 0x80 != 0;
        let opcode = Opcode::of(first & 0x0F)?;
        if opcode.is_control() && !fin {
            return Err(WsError::Protocol("fragmented control frame"));
        }

        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(WsError::Protocol("frame without a mask"));
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_BYTES {
            return Err(WsError::Protocol("oversized control frame"));
        }

        let rest = &bytes[2..];
        let (payload, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        let shortest = match payload {
            0..=125 => short < 126,
            126..=0xFFFF => short == 126,
            _ => payload <= i64::MAX as u64,
        };
        if !shortest {
            return Err(WsError::Protocol("length not in its shortest form"));
        }
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        Ok(Some((Header { fin, opcode, payload, mask: *mask }, bytes.len() - rest.len())))
    }
}

/// Appends `masked` to `to` without its mask. `at` is the position of the first
/// byte in the frame's payload. Eight bytes at a time.
pub(super) fn unmask_onto(to: &mut Vec<u8>, masked: &[u8], mask: [u8; 4], at: usize) {
    let start = to.len();
    to.extend_from_slice(masked);
    let turned: [u8; 8] = std::array::from_fn(|i| mask[(at + i) % 4]);
    let wide = u64::from_ne_bytes(turned);
    let (words, rest) = to[start..].as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(turned) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_read_in_all_three_forms() {
        let header = |bytes: &[u8]| Header::parse(bytes).unwrap();
        let mask = [1, 2, 3, 4];
        let text = |payload| Header { fin: true, opcode: Opcode::Text, payload, mask };
        assert_eq!(header(&[0x81, 0x85, 1, 2, 3, 4, 9]), Some((text(5), 6)));
        assert_eq!(header(&[0x81, 0xFE, 1, 0, 1, 2, 3, 4]), Some((text(256), 8)));
        assert_eq!(header(&[0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]), Some((text(65536), 14)));
        for short in [&[][..], &[0x81], &[0x81, 0x85, 1, 2, 3], &[0x81, 0xFE, 1], &[0x81, 0xFF, 0, 0]] {
            assert_eq!(header(short), None, "{short:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_the_first_byte_that_shows_it() {
        let cases: [(&[u8], &str); 14] = [
            (&[0xC1], "reserved bit"),
            (&[0xA1], "reserved bit"),
            (&[0x91], "reserved bit"),
            (&[0x83], "reserved opcode"),
            (&[0x87], "reserved opcode"),
            (&[0x8B], "reserved opcode"),
            (&[0x8F], "reserved opcode"),
            (&[0x09], "fragmented control frame"),
            (&[0x81, 0x05], "frame without a mask"),
            (&[0x88, 0xFE], "oversized control frame"),
            (&[0x89, 0xFF], "oversized control frame"),
            (&[0x81, 0xFE, 0, 125], "length not in its shortest form"),
            (&[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "length not in its shortest form"),
            (&[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], "length not in its shortest form"),
        ];
        for (bytes, why) in cases {
            assert_eq!(Header::parse(bytes), Err(WsError::Protocol(why)), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_mask_comes_off_wherever_a_payload_is_cut(
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            mask: [u8; 4],
            cut: usize,
        ) {
            let masked: Vec<u8> = payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]).collect();
            let (first, second) = masked.split_at(cut % (masked.len() + 1));
            let mut plain = Vec::new();
            unmask_onto(&mut plain, first, mask, 0);
            unmask_onto(&mut plain, second, mask, first.len());
            prop_assert_eq!(plain, payload);
        }
    }
}
