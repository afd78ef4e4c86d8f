//! Sockets with framing by hand: what waits for a socket goes out in one write,
//! and an idle connection has no buffer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use bytes::{Buf as _, Bytes};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::frame::{self, Kind};
use crate::hub::{Hub, Listener};
use crate::talk::Talk;

/// Bytes read at once. One buffer for each thread.
const READ_AT_ONCE: usize = 64 * 1024;
/// Frames written at once.
const WRITE_AT_ONCE: usize = 64;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_AT_ONCE]);
}

/// What waits to be written to a socket. It has no bound: a floor refuses nobody.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    frames: Mutex<Vec<Bytes>>,
    some: Notify,
}

impl Outbox {
    /// Takes everything that waits.
    fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.0.frames.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener for Outbox {
    type Frame = Bytes;

    fn frame(text: String) -> Bytes {
        frame::write(Kind::Text, text.as_bytes())
    }

    fn push(&self, frame: Bytes) {
        let mut frames = self.0.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.push(frame);
        let first = frames.len() == 1;
        drop(frames);
        // Those that come before the connection has its turn go with it.
        if first {
            self.0.some.notify_one();
        }
    }

    async fn serve(hub: Arc<Hub<Self>>, stream: TcpStream, mut read: Vec<u8>) -> anyhow::Result<()> {
        let outbox = Self::default();
        let mut talk = Talk::new(hub, outbox.clone());
        // The begin of a frame whose end has not come.
        let mut rest = Vec::new();
        let mut open = hear(&mut talk, &outbox, &mut rest, &mut read)?;
        while open {
            tokio::select! {
                ready = stream.readable() => {
                    ready?;
                    open = receive(&stream, &mut talk, &outbox, &mut rest)?;
                }
                () = outbox.0.some.notified() => write(&stream, outbox.take()).await?,
            }
        }
        // The answer to a close.
        write(&stream, outbox.take()).await
    }
}

/// Reads what there is and does what it says; false: the client is gone, or
/// wants to be.
fn receive(
    stream: &TcpStream,
    talk: &mut Talk<Outbox>,
    outbox: &Outbox,
    rest: &mut Vec<u8>,
) -> anyhow::Result<bool> {
    BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
        Ok(0) => Ok(false),
        Ok(read) => hear(talk, outbox, rest, &mut buffer[..read]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error.into()),
    })
}

/// Takes all whole frames out of what was read, behind the rest of before.
fn hear(
    talk: &mut Talk<Outbox>,
    outbox: &Outbox,
    rest: &mut Vec<u8>,
    read: &mut [u8],
) -> anyhow::Result<bool> {
    let mut joined = std::mem::take(rest);
    let bytes = if joined.is_empty() {
        read
    } else {
        joined.extend_from_slice(read);
        &mut joined[..]
    };
    let mut done = 0;
    while let Some((kind, payload, len)) = frame::read(&mut bytes[done..])? {
        match kind {
            Kind::Text => talk.hear(std::str::from_utf8(payload)?),
            Kind::Ping => outbox.push(frame::write(Kind::Pong, payload)),
            Kind::Pong => {}
            Kind::Close => {
                outbox.push(frame::write(Kind::Close, payload));
                return Ok(false);
            }
            Kind::Other => bail!("a frame that the floor does not know"),
        }
        done += len;
    }
    rest.extend_from_slice(&bytes[done..]);
    Ok(true)
}

/// Writes all of it, with as few writes as it takes.
async fn write(stream: &TcpStream, frames: Vec<Bytes>) -> anyhow::Result<()> {
    let mut frames = frames.into_iter();
    let mut now: Vec<Bytes> = Vec::new();
    loop {
        now.extend(frames.by_ref().take(WRITE_AT_ONCE - now.len()));
        if now.is_empty() {
            return Ok(());
        }
        let written = {
            let mut slices = [IoSlice::new(&[]); WRITE_AT_ONCE];
            for (slice, frame) in slices.iter_mut().zip(&now) {
                *slice = IoSlice::new(frame);
            }
            stream.try_write_vectored(&slices[..now.len()])
        };
        match written {
            Ok(mut written) => now.retain_mut(|frame| {
                let part = written.min(frame.len());
                frame.advance(part);
                written -= part;
                !frame.is_empty()
            }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
}
