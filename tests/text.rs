//! Text is nobody's business but the users': every emoji that there is, and long
//! messages in many scripts, arrive byte for byte at other clients and in
//! history, in both encodings and by REST, alone and in a cluster.

use std::fs;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use proto::v1::{self, server_frame::Body};
use proto::{Cursor, Encoding};
use serde_json::json;
use testkit::client::{Client, ConnectOptions};
use testkit::cluster::{SECRET, System, binary};
use testkit::eventually;
use testkit::token::{TokenOptions, mint};

const EMOJI_TEST: &str = "/usr/share/unicode/emoji/emoji-test.txt";
/// The limit that docs/protocol.md names.
const MAX_TEXT_BYTES: usize = 16 * 1024;
const LONG: Duration = Duration::from_secs(60);

/// A sentence each, most from the Universal Declaration of Human Rights.
const SCRIPTS: &[(&str, &str)] = &[
    ("Arabic", "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. "),
    ("Hebrew with vowels", "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ׃ "),
    ("Persian with joiners", "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت برابرند. "),
    ("Urdu", "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔ "),
    ("right and left mixed", "Shalom שלום 123 مرحبا (a[ب]c) \u{202b}bell\u{202c} \u{2067}ring\u{2069} "),
    ("Hindi", "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है। "),
    ("Bengali", "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে। "),
    ("Tamil", "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர். "),
    ("Sinhala", "සියලු මනුෂ්‍යයෝ නිදහස්ව උපත ලබා ඇත. "),
    ("Thai", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ "),
    ("Khmer", "មនុស្សទាំងអស់កើតមកមានសេរីភាពនិងភាពស្មើៗគ្នា។ "),
    ("Burmese", "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် မွေးဖွားလာသူများ ဖြစ်သည်။ "),
    ("Tibetan", "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང་། "),
    ("Chinese", "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。𠮷野家𪚥"),
    ("Japanese", "すべての人間は、生まれながらにして自由であり、ｶﾂ、尊厳と権利とについて平等である。葛󠄀"),
    ("Korean", "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. "),
    (
        "Korean, decomposed",
        "\u{1106}\u{1169}\u{1103}\u{1173}\u{11ab} \u{110b}\u{1175}\u{11ab}\u{1100}\u{1161}\u{11ab} ",
    ),
    ("Greek with accents", "Ὅλοι οἱ ἄνθρωποι γεννιοῦνται ἐλεύθεροι καὶ ἴσοι. "),
    ("Russian", "Все люди рождаются свободными и равными в своём достоинстве и правах. "),
    ("Georgian", "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებით. "),
    ("Armenian", "Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ։ "),
    ("Amharic", "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው። "),
    ("Cherokee", "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ᎠᎴ ᎤᏂᏠᏱ ᎤᎾᏕᎿ. "),
    ("Vietnamese, composed", "Tất cả mọi người sinh ra đều được tự do và bình đẳng. "),
    ("Vietnamese, decomposed", "Ta\u{302}\u{301}t ca\u{309} mo\u{323}i ngu\u{31b}o\u{31b}\u{300}i "),
    (
        "heaps of marks",
        "B\u{335}\u{321}\u{31b}\u{310}\u{301}e\u{338}\u{322}\u{34d}l\u{336}\u{35d}\u{360}l\u{489} ",
    ),
    ("hieroglyphs and cuneiform", "𓀀𓂀𓃰𓆣𓋹 𒀀𒁀𒂀 𝔅𝔢𝔩𝔩 𝕭 "),
    ("families and flags", "👩🏽‍❤️‍💋‍👨🏿 👨‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇩🇪🇧🇷 1️⃣ ❤ ❤️ ☎︎ "),
    (
        "invisible",
        "\u{feff}zero\u{200b}width\u{200d}\u{2060}\u{00ad}\u{180e}\u{3164} \u{2028}\u{2029}\u{0085}\u{00a0} ",
    ),
    (
        "control characters",
        "tab\tline\r\nfeed\u{b}\u{c}bell\u{7}escape\u{1b}[31m delete\u{7f}\u{1}\u{1f}\u{9f} ",
    ),
    (
        "ends of Unicode",
        "\u{d7ff}\u{e000}\u{f8ff}\u{fffd}\u{fffe}\u{ffff}\u{1fffe}\u{f0000}\u{10fffd}\u{10ffff} ",
    ),
    (
        "markup",
        "<script>alert('&amp;')</script> %00 \\u0041 \\ \" ' ` ${x} {{y}} '; DROP TABLE message; -- % _ ",
    ),
];

/// The sentence again and again, to exactly the largest text there may be.
fn longest(sentence: &str) -> String {
    let mut text = sentence.repeat(MAX_TEXT_BYTES / sentence.len());
    text.push_str(&".".repeat(MAX_TEXT_BYTES - text.len()));
    text
}

/// Each emoji of the list, with all its forms and parts.
fn emoji() -> Vec<String> {
    let list = fs::read_to_string(EMOJI_TEST).unwrap_or_else(|error| {
        panic!("{EMOJI_TEST}: {error}; on Debian, `apt-get install unicode-data`");
    });
    let emoji = list.lines().filter_map(|line| {
        let points = line.split(['#', ';']).next()?.split_whitespace();
        let emoji: String = points
            .map(|point| u32::from_str_radix(point, 16).ok().and_then(char::from_u32).expect("a code point"))
            .collect();
        Some(emoji).filter(|emoji| !emoji.is_empty())
    });
    emoji.collect()
}

/// One room, one who writes, and one who hears it in each encoding.
struct Scene {
    system: System,
    room: String,
    writer: Client,
    listeners: Vec<Client>,
}

impl Scene {
    async fn new(system: System) -> Self {
        let room = system.rest(0, "ana").create_group("Everything", &["ben"]).await.expect("a room");
        let writer = system.client(0, "ana").await.expect("a connection");
        let mut listeners = Vec::new();
        for (number, encoding) in Encoding::ALL.into_iter().enumerate() {
            let client = system.client_with(number + 1, "ben", ConnectOptions::new(encoding)).await;
            let client = client.expect("a connection");
            client.join(&room).await.expect("a join");
            listeners.push(client);
        }
        Self { system, room, writer, listeners }
    }

    /// Sends all texts, in this order.
    async fn send(&self, texts: &[String]) {
        let sends = stream::iter(texts).map(|text| self.writer.send(&self.room, text));
        let sent: Vec<_> = sends.buffered(8).collect().await;
        for (text, sent) in texts.iter().zip(sent) {
            sent.unwrap_or_else(|error| panic!("{text:.80?}: {}: {}", error.code, error.message));
        }
    }

    /// Everything arrived as it was sent: live, in history, by REST.
    async fn assert_heard(&self, texts: &[String]) {
        let head = self.writer.history(&self.room, 0, 1).await.expect("history").messages[0].seq;
        for listener in &self.listeners {
            eventually("all deliveries", LONG, async || {
                let cursor: Cursor = listener.cursor(&self.room).parse().ok()?;
                (cursor.seq >= head).then_some(())
            })
            .await;
            let transcript = listener.transcript();
            let heard = transcript.events().filter_map(|frame| match &frame.body {
                Some(Body::Message(message)) => Some(&message.text),
                _ => None,
            });
            assert_same(texts, heard);
            assert_same(texts, read(listener, &self.room).await.iter());
        }
        let path = format!("/v1/rooms/{}/messages?limit=20", self.room);
        let page = self.system.rest(0, "ben").get(&path).await.expect("an answer").ok().expect("a page");
        let page = page["messages"].as_array().expect("messages");
        let last: Vec<String> =
            page.iter().map(|message| message["text"].as_str().expect("a text").to_owned()).collect();
        assert_same(&texts[texts.len() - last.len()..], last.iter());
    }
}

/// Says which text is another, not all of them.
fn assert_same<'a>(expected: &[String], heard: impl Iterator<Item = &'a String>) {
    let heard: Vec<_> = heard.collect();
    assert_eq!(heard.len(), expected.len());
    for (heard, expected) in heard.into_iter().zip(expected) {
        assert!(heard.as_bytes() == expected.as_bytes(), "{expected:.200?} became {heard:.200?}");
    }
}

async fn read(client: &Client, room: &str) -> Vec<String> {
    let mut messages: Vec<v1::Message> = Vec::new();
    loop {
        let before = messages.first().map_or(0, |message| message.seq);
        let page = client.history(room, before, 100).await.expect("a page");
        messages.splice(0..0, page.messages);
        if !page.more {
            return messages.into_iter().map(|message| message.text).collect();
        }
    }
}

async fn every_text_arrives_as_it_was_sent(system: System) {
    let scene = Scene::new(system).await;
    let mut texts = emoji();
    assert!(texts.len() > 4000, "{EMOJI_TEST} lists {} emoji", texts.len());
    texts.extend(SCRIPTS.iter().map(|(_, sentence)| (*sentence).to_owned()));
    texts.extend(SCRIPTS.iter().map(|(_, sentence)| longest(sentence)));
    scene.send(&texts).await;

    // Written with escapes, as some clients do: the same text.
    let bell = "Glocke \u{1f514} \u{7} ü";
    let escaped = r#""\u0047locke \ud83d\udd14 \u0007 \u00FC""#;
    let frame = format!(r#"{{"send":{{"room":"{}","key":"escaped","text":{escaped}}}}}"#, scene.room);
    assert!(scene.writer.send_raw(frame.into()).await);
    texts.push(bell.to_owned());
    // One more byte is too much, and a character is never cut for it.
    let over = format!("{}ü", "x".repeat(MAX_TEXT_BYTES - 1));
    let refused = scene.writer.send(&scene.room, &over).await;
    assert_eq!(refused.expect_err("too long").code, "too_large");
    eventually("the escaped text", LONG, async || {
        let newest = scene.writer.history(&scene.room, 0, 1).await.ok()?;
        (newest.messages[0].text == bell).then_some(())
    })
    .await;
    scene.assert_heard(&texts).await;
    names_and_data(&scene).await;
}

/// Names of users and rooms, data, keys: as they are, too.
async fn names_and_data(scene: &Scene) {
    let name = "آنا 🔔 Ångström (\u{41}\u{30a})";
    let Scene { system, room, listeners, .. } = scene;
    let token = mint(SECRET, "ana", name, &TokenOptions::default());
    let named =
        Client::connect(&system.gateway(0).url(), &token, Encoding::Json).await.expect("a connection");
    assert_eq!(named.ready().name, name);
    let data = format!(r#"{{"alt":"{name}","raw":"\u00e9 \ud83d\udd14"}}"#);
    let send = v1::Send {
        room: room.clone(),
        key: format!("key {name}"),
        text: name.to_owned(),
        data: data.clone(),
        ..Default::default()
    };
    named.send_message(send).await.expect("a send");
    let rename = json!({ "name": name });
    let answer = system.rest(1, "ana").patch(&format!("/v1/rooms/{room}"), rename).await.expect("an answer");
    answer.ok().expect("renamed");
    for listener in listeners {
        let message = listener.expect_event("the message", |frame| match &frame.body {
            Some(Body::Message(message)) if message.name == name => Some(message.clone()),
            _ => None,
        });
        let message = message.await.expect("a message");
        assert_eq!((message.text.as_str(), &message.data, message.key), (name, &data, format!("key {name}")));
        let details = listener.expect_event("the room", |frame| match &frame.body {
            Some(Body::Details(details)) => Some(details.name.clone()),
            _ => None,
        });
        assert_eq!(details.await.expect("the room's new name"), name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_every_text_arrives_as_it_was_sent_standalone() {
    let system = binary(env!("CARGO_BIN_EXE_carillon")).standalone(&[]).await;
    every_text_arrives_as_it_was_sent(system.expect("a running system")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_every_text_arrives_as_it_was_sent_in_a_cluster() {
    let system = binary(env!("CARGO_BIN_EXE_carillon")).cluster(Default::default()).await;
    every_text_arrives_as_it_was_sent(system.expect("a running system")).await;
}
