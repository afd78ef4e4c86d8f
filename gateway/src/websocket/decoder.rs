//! From a client's bytes, in whatever pieces they arrive, to messages.

use bytes::Bytes;

use super::frame::{Header, Incoming, MAX_HEADER_BYTES, Opcode, WsError, unmask_onto};

/// A message may be cut into at most this many frames: empty fragments cost
/// nothing against the limit in bytes, and would go on for ever.
pub const MAX_FRAGMENTS: u16 = 1024;

/// Reads one connection's frames.
///
/// It holds bytes only while a message is incomplete; between messages it is
/// two words. After an error it is of no further use: close the connection with
/// the error's close code.
#[derive(Debug)]
pub struct Decoder {
    max_message_bytes: u32,
    partial: Option<Box<Partial>>,
}

/// What has come of a message that is not complete.
#[derive(Debug, Default)]
struct Partial {
    /// Bytes of a header that is not complete.
    head: [u8; MAX_HEADER_BYTES],
    head_len: u8,
    /// The frame whose payload is not complete.
    frame: Option<Header>,
    /// The part of its payload that has come, unmasked; for a data frame it is
    /// in `message`, behind the fragments before it.
    control: Vec<u8>,
    /// How many bytes of the frame's payload have come.
    taken: usize,
    /// The message whose last frame has not come.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    text: bool,
    fragments: u16,
    payload: Vec<u8>,
}

impl Decoder {
    /// A decoder that refuses messages of more than this many bytes.
    pub fn new(max_message_bytes: usize) -> Self {
        Self { max_message_bytes: u32::try_from(max_message_bytes).unwrap_or(u32::MAX), partial: None }
    }

    /// Takes bytes off `input` up to the end of the next message or control
    /// frame. `None`: all of `input` is taken and more is needed.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, WsError> {
        let mut partial = match self.partial.take() {
            Some(partial) => partial,
            None => match self.whole_frame(input)? {
                Some(incoming) => return Ok(Some(incoming)),
                None if input.is_empty() => return Ok(None),
                None => Box::default(),
            },
        };
        let incoming = partial.read(input, self.max_message_bytes)?;
        if !partial.is_empty() {
            self.partial = Some(partial);
        }
        Ok(incoming)
    }

    /// Whether a message or frame has begun and not ended.
    #[cfg(test)]
    pub fn is_mid_message(&self) -> bool {
        self.partial.is_some()
    }

    /// The usual case: a message of one frame, all of it in `input`. Takes
    /// nothing if it is not that.
    fn whole_frame(&self, input: &mut &[u8]) -> Result<Option<Incoming>, WsError> {
        let Some((header, head_len)) = Header::parse(input)? else { return Ok(None) };
        if !header.fin || header.opcode == Opcode::Continuation {
            return Ok(None);
        }
        let payload_len = check_size(&header, 0, self.max_message_bytes)?;
        let Some(masked) = input[head_len..].get(..payload_len) else { return Ok(None) };
        let mut payload = Vec::with_capacity(payload_len);
        unmask_onto(&mut payload, masked, header.mask, 0);
        *input = &input[head_len + payload_len..];
        finish(header.opcode, payload).map(Some)
    }
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    fn read(&mut self, input: &mut &[u8], max: u32) -> Result<Option<Incoming>, WsError> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.read_head(input)? {
                    Some(frame) => {
                        self.begin(&frame, max)?;
                        self.frame = Some(frame);
                        frame
                    }
                    None => return Ok(None),
                },
            };
            // Fits: `begin` compared it with the limit.
            let missing = frame.payload as usize - self.taken;
            let (masked, rest) = input.split_at(missing.min(input.len()));
            *input = rest;
            let to = match &mut self.message {
                Some(message) if !frame.opcode.is_control() => &mut message.payload,
                _ => &mut self.control,
            };
            unmask_onto(to, masked, frame.mask, self.taken);
            self.taken += masked.len();
            if masked.len() < missing {
                return Ok(None);
            }

            self.frame = None;
            self.taken = 0;
            if frame.opcode.is_control() {
                return finish(frame.opcode, std::mem::take(&mut self.control)).map(Some);
            }
            if frame.fin
                && let Some(message) = self.message.take()
            {
                let opcode = if message.text { Opcode::Text } else { Opcode::Binary };
                return finish(opcode, message.payload).map(Some);
            }
        }
    }

    /// Gathers a header over several reads.
    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Header>, WsError> {
        let had = usize::from(self.head_len);
        let more = input.len().min(MAX_HEADER_BYTES - had);
        self.head[had..had + more].copy_from_slice(&input[..more]);
        match Header::parse(&self.head[..had + more])? {
            Some((header, head_len)) => {
                // What had come before was not enough, so it is never longer than the header.
                *input = &input[head_len - had..];
                self.head_len = 0;
                Ok(Some(header))
            }
            None => {
                *input = &input[more..];
                self.head_len = (had + more) as u8;
                Ok(None)
            }
        }
    }

    /// Checks a frame against what has come before it, and makes room for it.
    fn begin(&mut self, frame: &Header, max: u32) -> Result<(), WsError> {
        match (frame.opcode, &mut self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {}
            (Opcode::Continuation, None) => return Err(WsError::Protocol("continuation of nothing")),
            (Opcode::Continuation, Some(message)) => {
                check_size(frame, message.payload.len(), max)?;
                message.fragments += 1;
                if message.fragments > MAX_FRAGMENTS {
                    return Err(WsError::TooLarge);
                }
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(WsError::Protocol("new message inside a fragmented one"));
            }
            (Opcode::Text | Opcode::Binary, message) => {
                check_size(frame, 0, max)?;
                let text = frame.opcode == Opcode::Text;
                *message = Some(Message { text, fragments: 1, payload: Vec::new() });
            }
        }
        Ok(())
    }
}

/// The frame's length, if the message does not become larger than allowed by it.
fn check_size(frame: &Header, before: usize, max: u32) -> Result<usize, WsError> {
    // A control frame's own limit was looked at by its header.
    if !frame.opcode.is_control() && frame.payload.saturating_add(before as u64) > u64::from(max) {
        return Err(WsError::TooLarge);
    }
    usize::try_from(frame.payload).map_err(|_| WsError::TooLarge)
}

fn finish(opcode: Opcode, payload: Vec<u8>) -> Result<Incoming, WsError> {
    Ok(match opcode {
        Opcode::Text => {
            std::str::from_utf8(&payload).map_err(|_| WsError::NotUtf8)?;
            Incoming::Text(Bytes::from(payload))
        }
        Opcode::Binary | Opcode::Continuation => Incoming::Binary(Bytes::from(payload)),
        Opcode::Ping => Incoming::Ping(Bytes::from(payload)),
        Opcode::Pong => Incoming::Pong,
        Opcode::Close => close(&payload)?,
    })
}

fn close(payload: &[u8]) -> Result<Incoming, WsError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Incoming::Close { code: None, reason: String::new() }),
            _ => Err(WsError::Protocol("close frame of one byte")),
        };
    };
    let code = u16::from_be_bytes(*code);
    // 1004 to 1006 and 1015 may not be sent; the rest of 1000 to 2999 is not given out.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(WsError::Protocol("close code that may not be sent"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| WsError::NotUtf8)?;
    Ok(Incoming::Close { code: Some(code), reason: reason.to_owned() })
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
