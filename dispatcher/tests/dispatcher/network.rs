//! The same service over a real socket.

use proto::node::command::Action;
use proto::node::dispatcher_client::DispatcherClient;
use proto::node::{Command, Query, answer, outcome, query::Question};
use proto::v1::SnapshotRequest;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;

use crate::rig::*;

#[tokio::test]
async fn p8_streams_over_tcp_carry_commands_and_end_on_stop() {
    let rig = Rig::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tonic::transport::Server::builder()
        .add_service(rig.dispatcher.service())
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.clone().cancelled_owned());
    let server = tokio::spawn(server);

    let mut client = DispatcherClient::connect(format!("http://{address}")).await.unwrap();
    let (commands, stream) = tokio::sync::mpsc::channel(1000);
    let mut outcomes = client.commands(ReceiverStream::new(stream)).await.unwrap().into_inner();
    let command = |id, action| Command { id, actor: Some(user("ann")), trace: None, action: Some(action) };
    commands.send(command(1, Action::CreateRoom(group("G", &["bob"])))).await.unwrap();
    let first = outcomes.message().await.unwrap().unwrap();
    let Some(outcome::Result::Room(room)) = first.result else { panic!("{first:?}") };
    for n in 2..500 {
        commands.send(command(n, send(&room.id, &format!("k{n}"), "hi"))).await.unwrap();
    }
    for n in 2..500 {
        let outcome = outcomes.message().await.unwrap().unwrap();
        let Some(outcome::Result::Sent(sent)) = outcome.result else { panic!("{outcome:?}") };
        assert_eq!((outcome.id, sent.seq), (n, n + 2));
    }
    let snapshot = Question::Snapshot(SnapshotRequest::default());
    let query = Query { actor: Some(user("bob")), question: Some(snapshot) };
    let answer = client.ask(query).await.unwrap().into_inner().result.unwrap();
    let answer::Result::Snapshot(snapshot) = answer else { panic!("{answer:?}") };
    assert_eq!(snapshot.rooms[0].unread, 498);

    rig.dispatcher.stop().await;
    assert_eq!(outcomes.message().await.unwrap(), None);
    shutdown.cancel();
    drop(client);
    server.await.unwrap().unwrap();
}
