//! The client against a server of a few lines: what it asks, hears and notes.

use std::future::Future;

use futures_util::{SinkExt, StreamExt};
use proto::v1::{self, ServerFrame, client_frame::Request, server_frame::Body};
use proto::{CloseCode, Encoding};
use testkit::client::{Client, ConnectError, ConnectOptions, DISCONNECTED, Entry};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Handshake, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

struct Socket(WebSocketStream<TcpStream>, Encoding);

impl Socket {
    async fn next(&mut self) -> Option<(u64, Request)> {
        let message = self.0.next().await?.ok()?;
        let frame = self.1.decode_client(&message.into_data()).expect("a frame");
        Some((frame.id, frame.request.expect("a request")))
    }

    async fn send(&mut self, frame: ServerFrame) {
        let mut bytes = Vec::new();
        self.1.encode_server(&frame, &mut bytes);
        let message = match self.1 {
            Encoding::Json => Message::text(String::from_utf8(bytes).expect("JSON is UTF-8")),
            Encoding::Protobuf => Message::binary(bytes),
        };
        self.0.send(message).await.expect("send");
    }

    /// Lets the client in.
    async fn ready(&mut self) {
        let Some((id, Request::Auth(auth))) = self.next().await else { panic!("no auth") };
        assert_eq!(auth.token, "token");
        let ready = v1::Ready { user: "ana".into(), cursor: "7-00000001".into(), ..Default::default() };
        self.send(ServerFrame::answer(id, Body::Ready(ready))).await;
    }
}

/// Serves one connection with `script`, and answers with its URL.
async fn serve<F: Future<Output = ()> + Send>(script: impl FnOnce(Socket) -> F + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accept");
        let mut encoding = Encoding::Json;
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let negotiate = |request: &Handshake, mut response: Response| {
            let asked = request.headers()["sec-websocket-protocol"].clone();
            encoding = Encoding::from_subprotocol(asked.to_str().expect("a name")).expect("one of ours");
            response.headers_mut().insert("sec-websocket-protocol", asked);
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, negotiate).await.expect("a handshake");
        script(Socket(socket, encoding)).await;
    });
    url
}

fn message(seq: u64, text: &str) -> ServerFrame {
    let message = v1::Message { id: format!("m{seq}"), seq, text: text.into(), ..Default::default() };
    let cursor = format!("{seq}-00000000");
    ServerFrame { re: 0, room: "room".into(), seq, cursor, body: Some(Body::Message(message)) }
}

#[tokio::test]
async fn answers_find_their_requests_in_both_encodings() {
    for encoding in Encoding::ALL {
        let url = serve(|mut socket| async move {
            socket.ready().await;
            let (first, second) = (socket.next().await.expect("one"), socket.next().await.expect("two"));
            for (id, request) in [second, first] {
                let Request::Send(send) = request else { panic!("{request:?}") };
                let sent = v1::Sent { message: send.text, ..Default::default() };
                socket.send(ServerFrame::answer(id, Body::Sent(sent))).await;
            }
            let (id, _) = socket.next().await.expect("a join");
            let refusal = proto::ErrorCode::NotMember.with("not for you");
            socket.send(ServerFrame::refusal(id, refusal)).await;
            socket.next().await;
        })
        .await;
        let client = Client::connect(&url, "token", encoding).await.unwrap();
        assert_eq!(client.ready().user, "ana");
        assert_eq!(client.cursor(""), "7-00000001");
        let (one, two) = tokio::join!(client.send("room", "one"), client.send("room", "two"));
        assert_eq!((one.unwrap().message.as_str(), two.unwrap().message.as_str()), ("one", "two"));
        assert_eq!(client.join("room").await.unwrap_err().code, "not_member");
    }
}

#[tokio::test]
async fn deliveries_are_heard_and_noted_in_order_until_the_close() {
    let url = serve(|mut socket| async move {
        socket.ready().await;
        for seq in 1..=3 {
            socket.send(message(seq, "hi")).await;
        }
        let code = CloseCode::Drain;
        let close = CloseFrame { code: code.number().into(), reason: "250".into() };
        socket.0.close(Some(close)).await.expect("close");
        while socket.0.next().await.is_some() {}
    })
    .await;
    let client = Client::connect(&url, "token", Encoding::Json).await.unwrap();
    assert_eq!(client.next_event().await.unwrap().seq, 1);
    let third = client.expect_event("the third", |frame| (frame.seq == 3).then(|| frame.room.clone()));
    assert_eq!(third.await.unwrap(), "room");
    let closed = client.closed().await;
    assert_eq!((closed.close_code(), closed.reason.as_str()), (Some(CloseCode::Drain), "250"));
    assert!(closed.resumes());
    assert!(client.next_event().await.is_err());
    assert_eq!(client.cursor("room"), "3-00000000");
    let seqs: Vec<_> = client.events().map(|frame| frame.seq).collect().await;
    assert_eq!(seqs, [1, 2, 3]);
    let transcript = client.transcript();
    assert!(matches!(transcript.entries().last(), Some((_, Entry::Closed(_)))));
    assert_eq!(client.ping().await.unwrap_err().code, DISCONNECTED);
}

#[tokio::test]
async fn a_lost_connection_leaves_no_request_waiting() {
    let url = serve(|mut socket| async move {
        socket.ready().await;
        socket.next().await;
    })
    .await;
    let client = Client::connect(&url, "token", Encoding::Protobuf).await.unwrap();
    let error = client.send("room", "is anybody there?").await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), (DISCONNECTED, true));
}

#[tokio::test]
async fn a_refused_token_is_an_error_with_its_code() {
    let url = serve(|mut socket| async move {
        let (id, _) = socket.next().await.expect("auth");
        socket.send(ServerFrame::refusal(id, proto::ErrorCode::TokenRefused.with("no"))).await;
        socket.next().await;
    })
    .await;
    let refused = Client::connect(&url, "guess", Encoding::Json).await.err();
    assert!(matches!(refused, Some(ConnectError::Refused(error)) if error.code == "token_refused"));
}

#[tokio::test]
async fn a_bearer_waits_for_ready_without_asking() {
    let url = serve(|mut socket| async move {
        let ready = v1::Ready { user: "ben".into(), ..Default::default() };
        socket.send(ServerFrame { body: Some(Body::Ready(ready)), ..Default::default() }).await;
        socket.send(message(1, "hi")).await;
        socket.next().await;
    })
    .await;
    let options = ConnectOptions { bearer: true, ..ConnectOptions::new(Encoding::Json) };
    let client = Client::connect_with(&url, "token", options).await.unwrap();
    assert_eq!(client.ready().user, "ben");
    assert_eq!(client.next_event().await.unwrap().seq, 1);
}
