//! A TCP stream and what is to be written to it, whoever talks over it.
//!
//! Reading lends a buffer of the thread for the time of one read, writing sends
//! whatever waits in one vectored call: an idle connection holds no buffer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::metrics::Metrics;
use crate::outbound::Outbound;

/// Most that one read takes, and so the size of a thread's buffer.
const READ_BYTES: usize = 64 * 1024;
/// Most pieces in one vectored write.
const WRITE_PIECES: usize = 64;
/// How long the client may take to hang up after our close.
const HANG_UP_PATIENCE: Duration = Duration::from_secs(2);

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Lends this thread's buffer for one read.
pub fn lend<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    READ_BUFFER.with_borrow_mut(|buffer| read(buffer))
}

/// The socket of one connection.
pub struct Socket {
    stream: TcpStream,
    /// Taken from the queue and not written yet.
    writing: VecDeque<Bytes>,
}

impl Socket {
    /// Over this stream.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, writing: VecDeque::new() }
    }

    /// Ready when there may be something to read. Cancel-safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Ready when the socket may take more. Cancel-safe.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Reads what is there into a [lent](lend) buffer. `None`: there is nothing
    /// now; 0: the other side is gone.
    pub fn try_read(&self, buffer: &mut [u8], metrics: &Metrics) -> io::Result<Option<usize>> {
        match self.stream.try_read(buffer) {
            Ok(count) => {
                metrics.bytes_in.increment(count as u64);
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// To be written after what is there.
    pub fn queue(&mut self, mut frames: VecDeque<Bytes>) {
        if self.writing.is_empty() {
            self.writing = frames;
        } else {
            self.writing.append(&mut frames);
        }
    }

    /// One frame to be written after what is there.
    pub fn push(&mut self, frame: Bytes) {
        self.writing.push_back(frame);
    }

    /// Gives up what is not on its way yet.
    pub fn give_up(&mut self) {
        self.writing.truncate(1);
    }

    /// Whether nothing is left to be written.
    pub fn is_written(&self) -> bool {
        self.writing.is_empty()
    }

    /// Writes what it can in as few calls as possible. `true`: the socket takes no more now.
    pub fn write(&mut self, outbound: &Outbound, metrics: &Metrics) -> io::Result<bool> {
        while !self.writing.is_empty() {
            let mut pieces = [IoSlice::new(&[]); WRITE_PIECES];
            let mut count = 0;
            for (piece, frames) in pieces.iter_mut().zip(&self.writing) {
                *piece = IoSlice::new(frames);
                count += 1;
            }
            match self.stream.try_write_vectored(&pieces[..count]) {
                Ok(written) => {
                    outbound.written(written);
                    metrics.bytes_out.increment(written as u64);
                    metrics.writes.increment(1);
                    self.wrote(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        self.writing = VecDeque::new();
        Ok(false)
    }

    fn wrote(&mut self, mut left: usize) {
        while let Some(first) = self.writing.front_mut() {
            if left < first.len() {
                first.advance(left);
                break;
            }
            left -= first.len();
            self.writing.pop_front();
        }
    }

    /// Ends the connection so that the client gets the close frame: what it still
    /// sends is read and dropped, or the kernel would answer it with a reset.
    pub async fn hang_up(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let drain = async {
            let mut rest = [0; 1024];
            loop {
                self.stream.readable().await?;
                match self.stream.try_read(&mut rest) {
                    Ok(0) => return io::Result::Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        tokio::time::timeout(HANG_UP_PATIENCE, drain).await.unwrap_or(Ok(()))
    }
}
