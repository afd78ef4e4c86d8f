//! Sockets by tokio-tungstenite, as most servers use it: a queue for each, and
//! a write for each message.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::hub::{Hub, Listener};
use crate::talk::Talk;

/// Of each connection. The library's own choice is made for large messages.
const READ_BUFFER: usize = 4 * 1024;

/// The queue of a socket. It has no bound: a floor refuses nobody.
#[derive(Clone)]
pub struct Queue(UnboundedSender<Utf8Bytes>);

impl Listener for Queue {
    type Frame = Utf8Bytes;

    fn frame(text: String) -> Utf8Bytes {
        text.into()
    }

    fn push(&self, frame: Utf8Bytes) {
        // An error: the connection has ended, and leaves its rooms.
        let _ = self.0.send(frame);
    }

    async fn serve(hub: Arc<Hub<Self>>, stream: TcpStream, read: Vec<u8>) -> anyhow::Result<()> {
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        let mut socket = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
        #[expect(
            clippy::disallowed_methods,
            reason = "the least that works: it has no policy for a slow reader"
        )]
        let (queue, mut waiting) = mpsc::unbounded_channel();
        let mut talk = Talk::new(hub, Self(queue));
        loop {
            tokio::select! {
                heard = socket.next() => match heard.transpose()? {
                    Some(Message::Text(text)) => talk.hear(&text),
                    // The library answers pings and closes by itself.
                    Some(_) => {}
                    None => return Ok(()),
                },
                Some(frame) = waiting.recv() => socket.send(Message::Text(frame)).await?,
            }
        }
    }
}
