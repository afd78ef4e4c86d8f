//! As much of RFC 6455 as the load generator uses: whole frames, no fragments.

use anyhow::ensure;
use bytes::Bytes;

/// The longest payload taken, as a general server would have a bound.
const LONGEST: usize = 1024 * 1024;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Close,
    Ping,
    Pong,
    Other,
}

/// A server's frame, which is not masked.
pub fn write(kind: Kind, payload: &[u8]) -> Bytes {
    let opcode = match kind {
        Kind::Text => 1,
        Kind::Other => 2,
        Kind::Close => 8,
        Kind::Ping => 9,
        Kind::Pong => 10,
    };
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x80 | opcode);
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame.into()
}

/// Reads the client's frame that this begins with, if all of it is there, and
/// unmasks it in place: what it is, its payload, and the length of the whole.
pub fn read(bytes: &mut [u8]) -> anyhow::Result<Option<(Kind, &[u8], usize)>> {
    let Some(&[first, second]) = bytes.first_chunk() else { return Ok(None) };
    ensure!(first & 0xf0 == 0x80, "a fragment, or an extension");
    ensure!(second & 0x80 != 0, "a frame without a mask");
    let (header, len) = match second & 0x7f {
        126 => match bytes.get(2..4) {
            Some(len) => (4, u16::from_be_bytes([len[0], len[1]]) as usize),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|len| len.try_into().ok()) {
            Some(len) => (10, usize::try_from(u64::from_be_bytes(len))?),
            None => return Ok(None),
        },
        len => (2, len as usize),
    };
    ensure!(len <= LONGEST, "a frame of {len} bytes");
    let end = header + 4 + len;
    let Some((header, payload)) =
        bytes.get_mut(..end).and_then(|frame| frame.split_at_mut_checked(header + 4))
    else {
        return Ok(None);
    };
    let mask = header.last_chunk::<4>().copied().unwrap_or_default();
    // Some clients mask with nothing, which leaves the payload as it is.
    if mask != [0; 4] {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    let kind = match first & 0x0f {
        1 => Kind::Text,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => Kind::Other,
    };
    Ok(Some((kind, payload, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut frame = write(Kind::Text, payload).to_vec();
        let header = frame.len() - payload.len();
        frame[1] |= 0x80;
        frame.iter_mut().skip(header).zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        frame.splice(header..header, mask);
        frame
    }

    #[test]
    fn frames_of_every_length_are_read_whole_and_not_before() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; len];
            for mask in [[0; 4], [1, 2, 3, 200]] {
                let mut bytes = masked(&payload, mask);
                bytes.push(0x81);
                let end = bytes.len() - 2;
                assert!(read(&mut bytes[..end]).unwrap().is_none(), "{len}");
                let (kind, read, whole) = read(&mut bytes).unwrap().unwrap();
                assert_eq!((kind, read, whole), (Kind::Text, &payload[..], end + 1), "{len}");
            }
        }
    }

    #[test]
    fn what_it_does_not_speak_is_refused() {
        let endless = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes()].concat();
        for bytes in [&[0x01, 0x80][..], &[0x81, 0x00], &[0xc1, 0x80], &endless] {
            assert!(read(&mut bytes.to_vec()).is_err(), "{bytes:?}");
        }
    }
}
