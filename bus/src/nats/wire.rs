//! What a NATS server says, read piece by piece
//! (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Longest line that is not a payload.
const MAX_LINE: usize = 64 * 1024;
/// Largest payload that is waited for.
const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// One thing that the server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A JSON object about the server.
    Info(Bytes),
    /// A message of the subscription `id`.
    Message { subject: Bytes, id: u64, payload: Bytes },
    /// To be answered.
    Ping,
    /// What was asked before has been done.
    Pong,
    /// Done; only said to those who want to hear it.
    Ok,
    /// Something is wrong; mostly followed by the end.
    Error(String),
}

/// This is no NATS server.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the broker does not speak NATS: {0}")]
pub(super) struct Malformed(&'static str);

/// Takes the next thing out of `buffer`; `None` until all of it is there.
pub(super) fn next(buffer: &mut BytesMut) -> Result<Option<Said>, Malformed> {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
        return if buffer.len() > MAX_LINE { Err(Malformed("a line without end")) } else { Ok(None) };
    };
    let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
    let (word, rest) = match line.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &line[..0]),
    };
    let said = match word {
        b"MSG" => return message(buffer, end, false),
        b"HMSG" => return message(buffer, end, true),
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        b"+OK" => Said::Ok,
        b"-ERR" => Said::Error(String::from_utf8_lossy(rest).trim_matches(['\'', ' ']).to_owned()),
        b"INFO" => Said::Info(Bytes::copy_from_slice(rest)),
        _ => return Err(Malformed("an unknown operation")),
    };
    buffer.advance(end + 1);
    Ok(Some(said))
}

/// `MSG <subject> <id> [reply] <bytes>`, and with headers
/// `HMSG <subject> <id> [reply] <bytes of headers> <bytes in all>`.
fn message(buffer: &mut BytesMut, end: usize, headers: bool) -> Result<Option<Said>, Malformed> {
    let line = std::str::from_utf8(&buffer[..end]).map_err(|_| Malformed("a subject is not UTF-8"))?;
    let mut words = line.split_ascii_whitespace();
    let _ = words.next();
    let subject = words.next().ok_or(Malformed("a message without a subject"))?;
    let start = subject.as_ptr() as usize - line.as_ptr() as usize;
    let subject = start..start + subject.len();
    let id =
        words.next().and_then(|id| id.parse().ok()).ok_or(Malformed("a message without its subscription"))?;
    let mut numbers = words.rev();
    let mut number = || -> Result<usize, Malformed> {
        let number = numbers.next().and_then(|number| number.parse().ok());
        number.filter(|number| *number <= MAX_PAYLOAD).ok_or(Malformed("a message without its size"))
    };
    let total = number()?;
    let skipped = if headers { number()? } else { 0 };
    let whole = end + 1 + total + 2;
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    let mut message = buffer.split_to(whole).freeze();
    let subject = message.slice(subject);
    message.truncate(whole - 2);
    message.advance((end + 1 + skipped).min(message.len()));
    Ok(Some(Said::Message { subject, id, payload: message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut text: &[u8], piece: usize) -> Vec<Said> {
        let (mut buffer, mut said) = (BytesMut::new(), Vec::new());
        while !text.is_empty() {
            let (now, later) = text.split_at(piece.min(text.len()));
            buffer.extend_from_slice(now);
            text = later;
            while let Some(next) = next(&mut buffer).unwrap() {
                said.push(next);
            }
        }
        assert!(buffer.is_empty());
        said
    }

    #[test]
    fn everything_is_read_in_pieces_of_any_size() {
        let text = b"INFO {\"a\":1}\r\n+OK\r\nMSG a.b 7 5\r\nhe\r\no\r\nMSG a.b 8 _R.x 0\r\n\r\nPING\r\n\
            HMSG c 9 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPONG\r\n-ERR 'Stale Connection'\r\n";
        let message = |subject, id, payload| Said::Message {
            subject: Bytes::from_static(subject),
            id,
            payload: Bytes::from_static(payload),
        };
        for piece in [1, 2, 3, 7, 64, 1000] {
            assert_eq!(
                all(text, piece),
                [
                    Said::Info(Bytes::from_static(b"{\"a\":1}")),
                    Said::Ok,
                    message(b"a.b", 7, b"he\r\no"),
                    message(b"a.b", 8, b""),
                    Said::Ping,
                    message(b"c", 9, b"hi"),
                    Said::Pong,
                    Said::Error("Stale Connection".to_owned()),
                ]
            );
        }
    }

    #[test]
    fn what_is_not_nats_is_an_error_and_never_a_panic() {
        for text in [
            "HTTP/1.1 400 Bad Request\r\n",
            "MSG\r\n",
            "MSG a\r\n",
            "MSG a x 1\r\n",
            "MSG a 1 x\r\n",
            "MSG a 1 99999999999999999999\r\n",
            "HMSG a 1 5\r\n",
        ] {
            let mut buffer = BytesMut::from(text);
            assert!(next(&mut buffer).is_err(), "{text}");
        }
        assert!(next(&mut BytesMut::from(&vec![b'a'; MAX_LINE + 1][..])).is_err());
        assert_eq!(
            next(&mut BytesMut::from("HMSG a 1 9 5\r\n12345\r\n")).unwrap(),
            Some(Said::Message { subject: Bytes::from_static(b"a"), id: 1, payload: Bytes::new() })
        );
    }
}
