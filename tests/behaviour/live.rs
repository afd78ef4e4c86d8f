//! What is shown and not stored: typing, signals, presence, read marks. And
//! what goes with it: unread counts across devices.

use proto::v1::{self, ServerFrame, server_frame::Body};
use serde_json::json;
use testkit::client::Client;
use testkit::eventually;

use super::hear::{code, membership, message, settled};
use super::world::{Deployment, LONG};

/// Who types or has stopped, as this client was shown it.
fn typing_signs(client: &Client) -> Vec<(String, bool)> {
    let transcript = client.transcript();
    let signs = transcript.events().filter_map(|frame| match &frame.body {
        Some(Body::Typing(typing)) => Some((typing.user.clone(), typing.stopped)),
        _ => None,
    });
    signs.collect()
}

/// Waits until so many typing signs were shown.
async fn shown(client: &Client, count: usize) -> Vec<(String, bool)> {
    eventually(format!("{count} typing signs"), LONG, async || {
        Some(typing_signs(client)).filter(|signs| signs.len() >= count)
    })
    .await
}

fn signal_of(frame: &ServerFrame) -> Option<v1::SignalNow> {
    match &frame.body {
        Some(Body::Signal(signal)) => Some(signal.clone()),
        _ => None,
    }
}

pub async fn typing_shows_to_others_and_stops_by_itself(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let (hers, her_phone) = (world.member(0, &ana, &room).await, world.member(1, &ana, &room).await);
    let listener = world.member(1, &ben, &room).await;
    let (starts, stops) = ((ana.clone(), false), (ana.clone(), true));

    // Renewals are not shown again.
    for _ in 0..3 {
        hers.typing(&room, false).await.expect("typing");
    }
    hers.signal(&room, "done", "").await.expect("a signal");
    listener.expect_event("the signal", signal_of).await.expect("a signal");
    assert_eq!(typing_signs(&listener), vec![starts.clone()]);
    // Left alone, the sign goes away.
    assert_eq!(shown(&listener, 2).await, [starts.clone(), stops.clone()]);

    // Stopped with a word.
    hers.typing(&room, false).await.expect("typing");
    shown(&listener, 3).await;
    hers.typing(&room, true).await.expect("typing");
    assert_eq!(shown(&listener, 4).await[2..], [starts.clone(), stops.clone()]);

    // A message ends the sign without a word.
    hers.typing(&room, false).await.expect("typing");
    shown(&listener, 5).await;
    hers.send(&room, "said").await.expect("a send");
    message(&listener, "said").await;
    hers.typing(&room, false).await.expect("typing");
    let signs = shown(&listener, 7).await;
    assert_eq!(signs[4..], [starts.clone(), starts, stops]);
    // Nobody is shown their own signs.
    settled(&her_phone).await;
    assert_eq!((typing_signs(&hers), typing_signs(&her_phone)), (vec![], vec![]));
}

pub async fn signals_reach_the_others_as_they_are(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let (sender, phone) = (world.member(0, &ana, &room).await, world.member(1, &ana, &room).await);
    let listener = world.member(1, &ben, &room).await;
    for (name, data) in
        [("wave", r#"{ "hand":"left", "n":1.50 }"#), ("⚑ cursor", "[1, 2]"), ("null", "null"), ("none", "")]
    {
        sender.signal(&room, name, data).await.expect("a signal");
        let heard = listener.expect_event(name, signal_of).await.expect("a signal");
        let data = if data == "null" { "" } else { data };
        assert_eq!((heard.user.as_str(), heard.name.as_str(), heard.data.as_str()), (&*ana, name, data));
    }
    for (name, data, refusal) in [("", "1", "invalid"), ("a\nb", "1", "invalid")] {
        assert_eq!(code(&sender.signal(&room, name, data).await), refusal, "{name:?}");
    }
    // Not stored, not one's own, not in rooms that are not joined here.
    assert_eq!(sender.history(&room, 0, 10).await.expect("history").messages.len(), 0);
    settled(&phone).await;
    assert!(phone.transcript().events().all(|frame| signal_of(frame).is_none()));
    let elsewhere = world.client(2, &ana).await;
    assert_eq!(code(&elsewhere.signal(&room, "wave", "1").await), "not_joined");
    assert_eq!(code(&elsewhere.typing(&room, false).await), "not_joined");
    listener.leave(&room).await.expect("it leaves");
    assert_eq!(code(&listener.signal(&room, "wave", "1").await), "not_joined");
}

pub async fn p6_signals_have_the_limits_of_other_data(deployment: Deployment) {
    let world = deployment.shared().await;
    let ana = world.name("ana");
    let room = world.group(&ana, &[]).await;
    let client = world.member(0, &ana, &room).await;
    let long = format!("\"{}\"", "x".repeat(8 * 1024));
    assert_eq!(code(&client.signal(&room, "wave", &long).await), "too_large");
    let longest = format!("\"{}\"", "x".repeat(8 * 1024 - 2));
    assert_eq!(code(&client.signal(&room, "wave", &longest).await), "ok");
}

/// The status of a user as it is shown in a room's presence events from now on.
async fn announced(client: &Client, user: &str, status: &str) -> v1::UserPresence {
    client
        .expect_event(&format!("{user} to be {status}"), |frame| match &frame.body {
            Some(Body::Presence(presence)) => {
                presence.users.iter().find(|seen| seen.user == user && seen.status == status).cloned()
            }
            _ => None,
        })
        .await
        .expect("presence is announced")
}

async fn status(client: &Client, user: &str) -> v1::UserPresence {
    let mut users = client.presence("", &[user]).await.expect("presence").users;
    assert_eq!(users.len(), 1);
    users.remove(0)
}

pub async fn presence_of_acquaintances_is_told_and_of_strangers_is_unknown(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben, zoe] = world.names(["ana", "ben", "zoe"]);
    let room = world.group(&ana, &[&ben]).await;
    let (listener, stranger) = (world.member(0, &ana, &room).await, world.client(1, &zoe).await);
    let before = status(&listener, &ben).await;
    assert_eq!((before.status.as_str(), before.last_seen), ("offline", 0));

    // Two devices; one is enough to be online.
    let phone = world.client(1, &ben).await;
    announced(&listener, &ben, "online").await;
    let laptop = world.client(2, &ben).await;
    assert_eq!(status(&listener, &ben).await.status, "online");
    assert_eq!(status(&phone, &ana).await.status, "online");
    let online = listener.presence(&room, &[]).await.expect("presence").users;
    let mut online: Vec<_> = online.iter().map(|seen| (seen.user.as_str(), seen.status.as_str())).collect();
    online.sort_unstable();
    assert_eq!(online, [(&*ana, "online"), (&*ben, "online")]);
    let path = format!("/v1/presence?users={ben},{zoe}");
    let by_rest = world.rest(2, &ana).get(&path).await.expect("an answer").ok().expect("presence");
    assert_eq!(by_rest["users"][0]["status"], json!("online"));
    assert_eq!(by_rest["users"][1]["status"], json!("unknown"));

    // P5: nobody knows of strangers, whether they are there or not.
    for (client, other) in [(&stranger, &ana), (&stranger, &ben), (&listener, &zoe)] {
        let seen = status(client, other).await;
        assert_eq!((seen.status.as_str(), seen.last_seen), ("unknown", 0));
    }
    assert_eq!(code(&stranger.presence(&room, &[]).await), "not_member");

    // The most present device counts; invisible seems offline.
    for (device, wanted, shown) in [
        (&phone, "away", "online"),
        (&laptop, "busy", "busy"),
        (&laptop, "away", "away"),
        (&phone, "invisible", "away"),
        (&laptop, "invisible", "offline"),
    ] {
        set_status(device, wanted).await;
        eventually(format!("{wanted} to show as {shown}"), LONG, async || {
            (status(&listener, &ben).await.status == shown).then_some(())
        })
        .await;
    }
    announced(&listener, &ben, "offline").await;
    for device in [&phone, &laptop] {
        set_status(device, "online").await;
    }
    announced(&listener, &ben, "online").await;

    // Gone with the last device, after a grace.
    phone.close().await;
    assert_eq!(status(&listener, &ben).await.status, "online");
    drop(laptop);
    let gone = announced(&listener, &ben, "offline").await;
    assert!(gone.last_seen > 1_700_000_000_000, "{gone:?}");
    let after = status(&listener, &ben).await;
    assert_eq!((after.status.as_str(), after.last_seen), ("offline", gone.last_seen));
    let online = listener.presence(&room, &[]).await.expect("presence").users;
    assert_eq!(online.iter().map(|seen| &seen.user).collect::<Vec<_>>(), [&ana]);
}

async fn set_status(client: &Client, status: &str) {
    use proto::v1::client_frame::Request;

    let presence = v1::PresenceRequest { status: status.into(), ..Default::default() };
    let answer = client.request(Request::Presence(presence)).await;
    assert!(matches!(answer, Ok(Body::Done(_))), "{answer:?}");
}

/// The read marks of others, as shown while they are there.
async fn tick(client: &Client, user: &str) -> u64 {
    client
        .expect_event("a read mark", |frame| match &frame.body {
            Some(Body::ReadMark(mark)) if mark.user == user => Some(mark.seq),
            _ => None,
        })
        .await
        .expect("a read mark is shown")
}

/// Waits until the own feed says that the room is read up to `seq`; how much of
/// it is unread then.
async fn marked(client: &Client, room: &str, seq: u64) -> (u64, bool) {
    loop {
        let membership = membership(client, room).await;
        if membership.read_seq == seq {
            return (membership.unread, membership.active);
        }
    }
}

pub async fn read_marks_move_forward_on_all_devices(deployment: Deployment) {
    let world = deployment.shared().await;
    let [ana, ben] = world.names(["ana", "ben"]);
    let room = world.group(&ana, &[&ben]).await;
    let (phone, laptop) = (world.member(0, &ana, &room).await, world.member(1, &ana, &room).await);
    let author = world.member(2, &ben, &room).await;
    let mut seqs = Vec::new();
    for number in 0..5 {
        seqs.push(author.send(&room, &format!("{number}")).await.expect("a send").seq);
    }
    // One's own are never unread.
    seqs.push(phone.send(&room, "mine").await.expect("a send").seq);
    let unread = async |client: &Client| {
        let snapshot = client.snapshot().await.expect("a snapshot");
        (snapshot.rooms[0].unread, snapshot.rooms[0].read_seq)
    };
    assert_eq!(unread(&phone).await, (5, 0));
    assert_eq!(unread(&author).await.0, 1);

    let mark = phone.read(&room, seqs[2]).await.expect("a mark");
    assert_eq!((mark.user.as_str(), mark.seq, mark.unread), (&*ana, seqs[2], Some(2)));
    for device in [&phone, &laptop] {
        assert_eq!(marked(device, &room, seqs[2]).await, (2, true));
    }
    assert_eq!(tick(&author, &ana).await, seqs[2]);
    // Never back, and never beyond what there is.
    let back = laptop.read(&room, seqs[0]).await.expect("an answer");
    assert_eq!((back.seq, back.unread), (seqs[2], Some(2)));
    let path = format!("/v1/rooms/{room}/read");
    let forward = world.rest(2, &ana).post(&path, json!({ "seq": seqs[3] })).await.expect("an answer");
    assert_eq!(forward.ok().expect("a mark")["unread"], json!(1));
    assert_eq!(marked(&phone, &room, seqs[3]).await, (1, true));
    assert_eq!(tick(&author, &ana).await, seqs[3]);
    let all = laptop.read(&room, 0).await.expect("an answer");
    assert_eq!((all.seq, all.unread), (seqs[5], Some(0)));
    assert_eq!(marked(&phone, &room, seqs[5]).await, (0, true));
    assert_eq!(tick(&author, &ana).await, seqs[5]);
    let beyond = phone.read(&room, u64::MAX).await;
    assert!(
        beyond.as_ref().is_ok_and(|mark| mark.seq == seqs[5]) || code(&beyond) == "invalid",
        "{beyond:?}"
    );

    // Others see how far one has read, also afterwards; nobody sees their own ticks.
    let snapshot = author.snapshot().await.expect("a snapshot");
    let hers = snapshot.rooms[0].read_marks.iter().find(|mark| mark.user == ana).expect("her mark");
    assert_eq!(hers.seq, seqs[5]);
    settled(&laptop).await;
    let own = |frame: &ServerFrame| matches!(&frame.body, Some(Body::ReadMark(mark)) if mark.user == ana);
    assert!(!laptop.transcript().events().any(own));
    let next = author.send(&room, "one more").await.expect("a send").seq;
    assert_eq!(unread(&laptop).await, (1, seqs[5]));
    assert!(next > seqs[5]);
}
