//! History and search.

use std::sync::Arc;

use dispatcher::store::Store;
use proto::RoomId;

use super::world::{World, message, now, room, texts};

/// Pages from the newest to the oldest, each oldest first, tombstones included.
pub async fn history_is_paged_backwards(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let art = world.group("art", &["ann"]).await;
    let page = async |before, limit| {
        let (messages, more) = world.history(&tea, before, limit).await.expect("history");
        assert!(messages.is_sorted_by(|a, b| a.seq < b.seq));
        (texts(&messages).join(" "), more)
    };
    assert_eq!(page(0, 10).await, (String::new(), false));
    let sent = world.send_all(&tea, "ann", &["1", "2", "3"]).await;
    world.send_all(&art, "ann", &["a", "b", "c", "d", "e", "f", "g", "h", "i"]).await;
    world.delete(&sent[1].id).await;
    world.edit(&sent[0].id, "eins").await;
    let rest = world.send_all(&tea, "ann", &["4", "5"]).await;

    assert_eq!(page(0, 10).await, ("eins  3 4 5".to_owned(), false));
    assert_eq!(page(0, 5).await, ("eins  3 4 5".to_owned(), false));
    assert_eq!(page(0, 2).await, ("4 5".to_owned(), true));
    assert_eq!(page(rest[0].seq, 2).await, (" 3".to_owned(), true));
    assert_eq!(page(sent[1].seq, 2).await, ("eins".to_owned(), false));
    assert_eq!(page(sent[0].seq, 2).await, (String::new(), false));
    assert_eq!(page(1, 2).await, (String::new(), false));
    // Between messages, beyond the newest, beyond anything.
    assert_eq!(page(rest[0].seq - 1, 1).await, ("3".to_owned(), true));
    assert_eq!(page(rest[1].seq + 5, 1).await, ("5".to_owned(), true));
    for far in [1 << 36, i64::MAX as u64, u64::MAX] {
        assert_eq!(page(far, 1).await, ("5".to_owned(), true));
    }
    assert_eq!(world.history(&room("void"), 0, 10).await.expect("history"), (vec![], false));
    assert_eq!(texts(&world.messages(&art).await).len(), 9);
}

async fn found(world: &World, room: &RoomId, text: &str) -> Vec<String> {
    let (messages, more) = world.search(room, text, 0, 100).await.expect("search");
    assert!(!more);
    assert!(messages.is_sorted_by(|a, b| a.seq > b.seq));
    messages.into_iter().map(|message| message.text).collect()
}

/// All words, in any order and case, of one room; newest first.
pub async fn search_finds_all_words(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let art = world.group("art", &["ann"]).await;
    world
        .send_all(&tea, "ann", &["The green tea", "Black TEA, please!", "tea? green, the best", "Teapot"])
        .await;
    world.send(&art, "ann", "green tea too").await;
    assert_eq!(
        found(&world, &tea, "tea").await,
        ["tea? green, the best", "Black TEA, please!", "The green tea"]
    );
    assert_eq!(found(&world, &tea, "TEA green").await, ["tea? green, the best", "The green tea"]);
    assert_eq!(found(&world, &tea, "  please\tblack\n").await, ["Black TEA, please!"]);
    assert_eq!(found(&world, &tea, "the the best the").await, ["tea? green, the best"]);
    assert_eq!(found(&world, &tea, "green coffee").await, [""; 0]);
    assert_eq!(found(&world, &tea, "te").await, [""; 0]);
    assert_eq!(found(&world, &tea, "too").await, [""; 0]);
    assert_eq!(found(&world, &art, "tea").await, ["green tea too"]);
    assert_eq!(found(&world, &room("void"), "tea").await, [""; 0]);
}

/// Scripts with letters of their own, and letters with accents.
pub async fn search_knows_many_scripts(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let all = [
        "Привет, Мир",
        "Καλημέρα κόσμε",
        "مرحبا بالعالم",
        "שלום עולם",
        "नमस्ते दुनिया",
        "你好 世界",
        "こんにちは 世界",
        "안녕하세요 세계",
        "Größe ändern",
        "Crème brûlée 🍮",
    ];
    world.send_all(&tea, "ann", &all).await;
    let cases = [
        ("мир привет", vec![all[0]]),
        ("ΚΑΛΗΜΈΡΑ", vec![all[1]]),
        ("بالعالم", vec![all[2]]),
        ("עולם", vec![all[3]]),
        ("दुनिया", vec![all[4]]),
        ("नमस्ते", vec![all[4]]),
        ("世界", vec![all[6], all[5]]),
        ("你好", vec![all[5]]),
        ("세계", vec![all[7]]),
        ("größe ÄNDERN", vec![all[8]]),
        ("brûlée CRÈME", vec![all[9]]),
        ("brûlée 🍮", vec![all[9]]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&world, &tea, text).await, expected, "{text}");
    }
}

/// S15: what looks like syntax of a query is text, whatever it is.
pub async fn search_takes_everything_as_text(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    world.send_all(&tea, "ann", &["cats", "dogs", "cats and dogs", "near text or not 100% it's"]).await;
    let cases = [
        ("cats AND dogs", vec!["cats and dogs"]),
        ("cats OR dogs", vec![]),
        ("cats NOT dogs", vec![]),
        ("cats -dogs", vec!["cats and dogs"]),
        ("cats & dogs | !dogs", vec!["cats and dogs"]),
        ("\"dogs cats\"", vec!["cats and dogs"]),
        ("\"cats", vec!["cats and dogs", "cats"]),
        ("cats\"\"\"", vec!["cats and dogs", "cats"]),
        ("cat*", vec![]),
        ("cats:*", vec!["cats and dogs", "cats"]),
        ("^cats", vec!["cats and dogs", "cats"]),
        ("text: near(or, not)", vec!["near text or not 100% it's"]),
        ("NEAR OR NOT", vec!["near text or not 100% it's"]),
        ("100%", vec!["near text or not 100% it's"]),
        ("'; DROP TABLE messages; --", vec![]),
        ("cats' <-> \\ {dogs} [and] (", vec!["cats and dogs"]),
        ("%", vec![]),
        ("_", vec![]),
        ("", vec![]),
        (" \t\n", vec![]),
        ("!!! ??? \" ' * ( ) : ^ -", vec![]),
        ("\u{1}\u{7f} \u{feff} \u{202e}", vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&world, &tea, text).await, expected, "{text:?}");
    }

    // Monsters: only an answer is asked for.
    let many = (0..3_000).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    let monsters = [
        many.clone(),
        "a".repeat(16_000),
        "\"".repeat(16_000),
        "(".repeat(16_000),
        "a* OR NEAR( ".repeat(1_000),
        "🙂".repeat(4_000),
        "a\u{301}".repeat(4_000),
        "— “ ” … ".repeat(1_000),
    ];
    for monster in &monsters {
        let (messages, _) = world.search(&tea, monster, 0, 100).await.expect("search");
        assert!(messages.is_empty(), "{monster:.40}");
    }
    // A message of as many words is found by all of them.
    let few = (0..500).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    world.append(&[message(&tea, "ann", &few)]).await.expect("append");
    assert_eq!(found(&world, &tea, &few).await, [few]);
}

/// Deleted text is gone; edited text is found by its new words only.
pub async fn search_follows_edits_and_deletions(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let sent = world.send_all(&tea, "ann", &["red apple", "green apple", "yellow pear"]).await;
    world.edit(&sent[0].id, "red cherry").await;
    world.delete(&sent[1].id).await;
    let cases = [
        ("apple", vec![]),
        ("green", vec![]),
        ("cherry", vec!["red cherry"]),
        ("red", vec!["red cherry"]),
        ("pear", vec!["yellow pear"]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&world, &tea, text).await, expected, "{text}");
    }
    world.edit(&sent[0].id, "").await;
    world.edit(&sent[2].id, "red plum").await;
    assert_eq!(found(&world, &tea, "red").await, ["red plum"]);
    world.edit(&sent[0].id, "red again").await;
    assert_eq!(found(&world, &tea, "red").await, ["red plum", "red again"]);
    world.delete(&sent[0].id).await;
    world.delete(&sent[2].id).await;
    for text in ["red", "plum", "again", "cherry", "apple", "pear"] {
        assert_eq!(found(&world, &tea, text).await, [""; 0], "{text}");
    }
    let at = now();
    world.change_message(&sent[0].id, |message| message.edited_at = at).await;
    assert_eq!(found(&world, &tea, "red").await, [""; 0]);
}

/// Pages of results, newest first.
pub async fn search_is_paged(store: Arc<dyn Store>) {
    let world = World(store);
    let tea = world.group("tea", &["ann"]).await;
    let other = world.group("other", &["ann"]).await;
    let mut sent = Vec::new();
    for i in 0..7 {
        sent.push(world.send(&tea, "ann", &format!("tea {i}")).await);
        world.send(&other, "ann", "tea elsewhere").await;
        world.send(&tea, "ann", "coffee").await;
    }
    let mut before = 0;
    let mut pages = Vec::new();
    loop {
        let (messages, more) = world.search(&tea, "tea", before, 3).await.expect("search");
        pages.push(texts(&messages).join(","));
        before = messages.last().expect("not empty").seq;
        if !more {
            break;
        }
    }
    assert_eq!(pages, ["tea 6,tea 5,tea 4", "tea 3,tea 2,tea 1", "tea 0"]);
    let (messages, more) = world.search(&tea, "tea", sent[3].seq, 3).await.expect("search");
    assert_eq!((texts(&messages).join(","), more), ("tea 2,tea 1,tea 0".to_owned(), false));
    assert_eq!(world.search(&tea, "tea", sent[0].seq, 3).await.expect("search"), (vec![], false));
    assert_eq!(world.search(&tea, "tea", u64::MAX, 9).await.expect("search").0.len(), 7);
}
