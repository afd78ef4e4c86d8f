//! From a URL and a token to a connection that is ready.

use std::net::SocketAddr;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use proto::Encoding;
use proto::v1::{self, client_frame::Request, server_frame::Body};
use thiserror::Error;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};

use super::{ANSWER_TIMEOUT, Client, Closed, DISCONNECTED};

/// How a connection is made.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Which subprotocol to ask for.
    pub encoding: Encoding,
    /// Cursor of the user's own feed to resume from.
    pub since: String,
    /// Show the token in the handshake, not in a frame.
    pub bearer: bool,
    /// Further headers of the handshake, for example `Origin`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Size of the system's receive buffer: a small one makes a slow reader.
    pub receive_buffer: Option<u32>,
}

impl ConnectOptions {
    /// The token in the first frame, nothing special.
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, since: String::new(), bearer: false, headers: Vec::new(), receive_buffer: None }
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The handshake was answered with another HTTP status.
    #[error("the handshake was answered with status {0}")]
    Status(u16),
    /// The token was refused, or could not be checked.
    #[error("authentication: {}: {}", .0.code, .0.message)]
    Refused(v1::Error),
    /// Closed before it was ready.
    #[error("closed before it was ready: {0:?}")]
    Closed(Closed),
    /// There was nobody, or the connection broke.
    #[error("connect: {0}")]
    Broken(#[from] tungstenite::Error),
    /// It took too long.
    #[error("not ready in time")]
    Timeout,
}

impl From<std::io::Error> for ConnectError {
    fn from(error: std::io::Error) -> Self {
        ConnectError::Broken(error.into())
    }
}

impl Client {
    /// Connects to the gateway at `url` (`http://…`, `ws://…`), shows the token
    /// in the first frame and waits until the server is ready.
    pub async fn connect(url: &str, token: &str, encoding: Encoding) -> Result<Self, ConnectError> {
        Self::connect_with(url, token, ConnectOptions::new(encoding)).await
    }

    /// As [`connect`](Self::connect), in other ways.
    pub async fn connect_with(
        url: &str,
        token: &str,
        mut options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let (bearer, since) = (options.bearer, std::mem::take(&mut options.since));
        if bearer {
            let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(http::Error::from);
            options.headers.push((AUTHORIZATION, value.map_err(tungstenite::Error::from)?));
        }
        let connecting = async {
            let mut client = Self::open(url, options).await?;
            let answer = if bearer {
                client.first_ready().await?
            } else {
                let auth = Request::Auth(v1::Auth { token: token.to_owned(), since });
                client.request(auth).await.map_err(|error| match client.end() {
                    Some(closed) if error.code == DISCONNECTED => ConnectError::Closed(closed),
                    _ => ConnectError::Refused(error),
                })?
            };
            let Body::Ready(ready) = answer else { panic!("auth was answered with {answer:?}") };
            client.ready = ready;
            Ok(client)
        };
        tokio::time::timeout(ANSWER_TIMEOUT, connecting).await.unwrap_or(Err(ConnectError::Timeout))
    }

    /// Only the handshake: nothing is said yet.
    pub async fn open(url: &str, options: ConnectOptions) -> Result<Self, ConnectError> {
        let (address, url) = websocket_url(url).await?;
        let mut request = url.into_client_request()?;
        let subprotocol = HeaderValue::from_static(options.encoding.subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        request.headers_mut().extend(options.headers);
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = options.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let socket = match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => socket,
            Err(tungstenite::Error::Http(response)) => {
                return Err(ConnectError::Status(response.status().as_u16()));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self::over(socket, options.encoding))
    }

    async fn first_ready(&self) -> Result<Body, ConnectError> {
        self.look(|state| {
            let received = state.transcript.received();
            let mut first =
                received.filter(|frame| matches!(frame.body, Some(Body::Ready(_) | Body::Error(_))));
            match (first.next().and_then(|frame| frame.body.clone()), &state.closed) {
                (Some(Body::Error(error)), _) => Some(Err(ConnectError::Refused(error))),
                (Some(ready), _) => Some(Ok(ready)),
                (None, Some(closed)) => Some(Err(ConnectError::Closed(closed.clone()))),
                (None, None) => None,
            }
        })
        .await
    }
}

/// The address of a base URL, and the URL of its WebSocket. A URL with a path
/// is taken as it is.
async fn websocket_url(url: &str) -> Result<(SocketAddr, String), ConnectError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.is_empty() || path == "/" { "/v1/ws" } else { path };
    let found = if host.contains(':') {
        tokio::net::lookup_host(host).await?.next()
    } else {
        tokio::net::lookup_host((host, 80)).await?.next()
    };
    let address = found.ok_or_else(|| std::io::Error::other(format!("{host} has no address")))?;
    Ok((address, format!("ws://{host}{path}")))
}
