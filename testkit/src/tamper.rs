//! What a proxy may do to single messages on their way from a server to its
//! clients: lose, double, swap and alter every n-th one, and count what was done.
//! Which bytes are a message, those know who speak the server's language: NATS's
//! in [`hints`](crate::hints), a gateway's in [`deliveries`](crate::deliveries).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

const READ_BYTES: usize = 64 << 10;

/// What happens to messages on their way from the server to its clients. Counts
/// are of messages over all connections; 0 is never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every n-th message is lost.
    pub drop_every: u64,
    /// Every n-th message comes twice.
    pub repeat_every: u64,
    /// Every n-th message comes after the next one of its connection.
    pub swap_every: u64,
    /// Every n-th message comes with another content.
    pub alter_every: u64,
}

/// What was done so far: a fault that never happened proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came from the server.
    pub messages: u64,
    /// Lost.
    pub dropped: u64,
    /// Passed on twice.
    pub repeated: u64,
    /// Passed on after their successor.
    pub swapped: u64,
    /// Passed on with another content.
    pub altered: u64,
}

#[derive(Default)]
struct Counters {
    messages: AtomicU64,
    dropped: AtomicU64,
    repeated: AtomicU64,
    swapped: AtomicU64,
    altered: AtomicU64,
}

/// One thing that the server said, whole.
pub(crate) enum Said {
    Message(Bytes),
    Other(Bytes),
}

/// What the server of one connection says.
pub(crate) trait Speech: Default + Send + 'static {
    /// Takes the next thing out of the input; `None`: it is not complete yet.
    fn next(&mut self, input: &mut BytesMut) -> io::Result<Option<Said>>;

    /// A message, the `number`-th of all, with one byte of its content changed
    /// so that it is still understood; `None`: there is none that could be.
    fn altered(message: &[u8], number: u64) -> Option<Vec<u8>>;
}

/// A proxy to one server. Dropping it closes its connections.
pub(crate) struct Tamper {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    counters: Arc<Counters>,
    accepting: AbortHandle,
}

impl Tamper {
    /// Passes connections to `listener` on to `upstream` (`host:port`).
    pub(crate) fn start<S: Speech>(listener: TcpListener, upstream: String) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let counters = Arc::<Counters>::default();
        let (faults, watching) = watch::channel(Faults::default());
        let accepting =
            tokio::spawn(accept::<S>(listener, upstream, watching, counters.clone())).abort_handle();
        Ok(Self { address, faults, counters, accepting })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to messages from now on. What is held back goes on
    /// when nothing is swapped any more.
    pub(crate) fn set(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }

    /// What was done so far.
    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            messages: read(&self.counters.messages),
            dropped: read(&self.counters.dropped),
            repeated: read(&self.counters.repeated),
            swapped: read(&self.counters.swapped),
            altered: read(&self.counters.altered),
        }
    }
}

impl Drop for Tamper {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<S: Speech>(
    listener: TcpListener,
    upstream: String,
    faults: watch::Receiver<Faults>,
    counters: Arc<Counters>,
) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Only the client of this one is concerned.
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(carry::<S>(client, upstream.clone(), faults.clone(), counters.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection; it ends for both when either side ends it.
async fn carry<S: Speech>(
    mut client: TcpStream,
    upstream: String,
    faults: watch::Receiver<Faults>,
    counters: Arc<Counters>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(&upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    tokio::select! {
        copied = tokio::io::copy(&mut from_client, &mut to_server) => copied.map(drop),
        pumped = pump::<S>(from_server, to_client, faults, &counters) => pumped,
    }
}

async fn pump<S: Speech>(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<Faults>,
    counters: &Counters,
) -> io::Result<()> {
    let mut speech = S::default();
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    let mut held = None;
    loop {
        let now = *faults.borrow_and_update();
        if now.swap_every == 0 {
            output.extend(held.take().into_iter().flat_map(Bytes::into_iter));
        }
        while let Some(said) = speech.next(&mut input)? {
            match said {
                Said::Message(message) => apply::<S>(now, message, &mut held, counters, &mut output),
                Said::Other(other) => output.extend_from_slice(&other),
            }
        }
        to.write_all(&output).await?;
        output.clear();
        input.reserve(READ_BYTES);
        tokio::select! {
            read = from.read_buf(&mut input) => if read? == 0 { return to.shutdown().await },
            changed = faults.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

/// One message's way into the output.
fn apply<S: Speech>(
    faults: Faults,
    mut message: Bytes,
    held: &mut Option<Bytes>,
    counters: &Counters,
    output: &mut Vec<u8>,
) {
    let number = counters.messages.fetch_add(1, Ordering::Relaxed) + 1;
    let every = |n: u64| n > 0 && number.is_multiple_of(n);
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    if every(faults.drop_every) {
        count(&counters.dropped);
        return;
    }
    if every(faults.alter_every)
        && let Some(altered) = S::altered(&message, number)
    {
        count(&counters.altered);
        message = altered.into();
    }
    if every(faults.swap_every) && held.is_none() {
        *held = Some(message);
        return;
    }
    output.extend_from_slice(&message);
    if every(faults.repeat_every) {
        count(&counters.repeated);
        output.extend_from_slice(&message);
    }
    if let Some(held) = held.take() {
        count(&counters.swapped);
        output.extend_from_slice(&held);
    }
}
