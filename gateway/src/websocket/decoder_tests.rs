//! The decoder against the RFC's examples, every refusal, every way to cut a
//! stream into pieces, and noise (promise P6, attacks S11 and S12).

use proptest::prelude::*;

use super::*;

const MAX: usize = 1000;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            frame.push(0xFE);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0xFF);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Everything a stream of bytes says, read in pieces of the given sizes.
fn read(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> (Vec<Incoming>, Option<WsError>, Decoder) {
    let mut decoder = Decoder::new(MAX);
    let mut found = Vec::new();
    let mut cuts = cuts.into_iter();
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (mut piece, after) = rest.split_at(size);
        rest = after;
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => break,
                Err(error) => return (found, Some(error), decoder),
            }
        }
        assert!(piece.is_empty(), "all is taken when more is asked for");
    }
    (found, None, decoder)
}

/// Whole, and byte by byte: the same.
fn check(frames: &[Vec<u8>], expected: Result<&[Incoming], WsError>) {
    let bytes = frames.concat();
    for cut in [usize::MAX, 1, 3] {
        let (found, error, decoder) = read(&bytes, std::iter::repeat(cut));
        match expected {
            Ok(expected) => {
                assert_eq!((found.as_slice(), error), (expected, None), "{frames:02x?}");
                assert!(!decoder.is_mid_message());
            }
            Err(expected) => assert_eq!(error, Some(expected), "{frames:02x?} gave {found:?}"),
        }
    }
}

fn text(text: &str) -> Incoming {
    Incoming::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn closed(code: Option<u16>, reason: &str) -> Incoming {
    Incoming::Close { code, reason: reason.to_owned() }
}

#[test]
fn examples_of_the_rfc() {
    // Section 5.7: a single-frame masked text message.
    let hello = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(client(0x81, b"Hello"), hello);
    check(&[hello], Ok(&[text("Hello")]));
    check(&[client(0x01, b"Hel"), client(0x80, b"lo")], Ok(&[text("Hello")]));
    check(&[client(0x89, b"Hello")], Ok(&[Incoming::Ping(Bytes::from_static(b"Hello"))]));
    check(&[client(0x8A, b"Hello")], Ok(&[Incoming::Pong]));
    check(&[client(0x82, &[9; 256])], Ok(&[Incoming::Binary(Bytes::from(vec![9; 256]))]));
}

#[test]
fn messages_are_put_together_around_control_frames() {
    let frames = [
        client(0x01, "h\u{e9}".as_bytes()),
        client(0x89, b"1"),
        client(0x00, b""),
        client(0x8A, b"unasked"),
        client(0x80, b"llo"),
        client(0x82, b""),
        client(0x81, b""),
        client(0x02, b"a"),
        client(0x80, b""),
        client(0x88, b"\x03\xe8bye"),
    ];
    let expected = [
        Incoming::Ping(Bytes::from_static(b"1")),
        Incoming::Pong,
        text("h\u{e9}llo"),
        Incoming::Binary(Bytes::new()),
        text(""),
        Incoming::Binary(Bytes::from_static(b"a")),
        closed(Some(1000), "bye"),
    ];
    check(&frames, Ok(&expected));
}

#[test]
fn frames_out_of_order_are_refused() {
    check(&[client(0x80, b"a")], Err(WsError::Protocol("continuation of nothing")));
    check(&[client(0x81, b"a"), client(0x00, b"a")], Err(WsError::Protocol("continuation of nothing")));
    let inside = WsError::Protocol("new message inside a fragmented one");
    check(&[client(0x01, b"a"), client(0x81, b"a")], Err(inside));
    check(&[client(0x01, b"a"), client(0x02, b"a")], Err(inside));
    check(&[vec![0x81, 0x01, b'a']], Err(WsError::Protocol("frame without a mask")));
    check(&[client(0xC1, b"a")], Err(WsError::Protocol("reserved bit")));
    check(&[client(0x83, b"a")], Err(WsError::Protocol("reserved opcode")));
    check(&[client(0x09, b"a")], Err(WsError::Protocol("fragmented control frame")));
    check(&[client(0x89, &[0; 126])], Err(WsError::Protocol("oversized control frame")));
    // Also between fragments.
    check(&[client(0x01, b"a"), client(0x08, b"")], Err(WsError::Protocol("fragmented control frame")));
    check(&[client(0x01, b"a"), client(0x8B, b"")], Err(WsError::Protocol("reserved opcode")));
}

#[test]
fn closes_are_checked() {
    let close = |code: u16, reason: &[u8]| client(0x88, &[&code.to_be_bytes(), reason].concat());
    check(&[client(0x88, b"")], Ok(&[closed(None, "")]));
    for good in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
        check(&[close(good, b"why")], Ok(&[closed(Some(good), "why")]));
    }
    for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535] {
        check(&[close(bad, b"")], Err(WsError::Protocol("close code that may not be sent")));
    }
    check(&[client(0x88, b"\x03")], Err(WsError::Protocol("close frame of one byte")));
    check(&[close(1000, b"\xff")], Err(WsError::NotUtf8));
}

#[test]
fn text_is_utf8_or_refused() {
    check(&[client(0x81, b"a\xffb")], Err(WsError::NotUtf8));
    check(&[client(0x81, b"\xed\xa0\x80")], Err(WsError::NotUtf8));
    check(&[client(0x01, b"\xce"), client(0x80, b"\xba")], Ok(&[text("\u{3ba}")]));
    check(&[client(0x01, b"\xce"), client(0x80, b"a")], Err(WsError::NotUtf8));
    check(&[client(0x01, b"ok"), client(0x80, b"\xce")], Err(WsError::NotUtf8));
    check(&[client(0x82, b"\xff")], Ok(&[Incoming::Binary(Bytes::from_static(b"\xff"))]));
}

#[test]
fn too_large_is_seen_in_the_header() {
    let exact = vec![b'x'; MAX];
    check(&[client(0x81, &exact)], Ok(&[Incoming::Text(Bytes::from(exact.clone()))]));
    // Without a byte of payload: nothing is buffered for it.
    for first in [0x81, 0x01, 0x82] {
        let over = client(first, &[b'x'; MAX + 1]);
        check(&[over[..8].to_vec()], Err(WsError::TooLarge));
        for declared in [1 << 16, 1 << 32, i64::MAX as u64] {
            let mut header = vec![first, 0xFF];
            header.extend_from_slice(&declared.to_be_bytes());
            header.extend_from_slice(&MASK);
            check(&[header], Err(WsError::TooLarge));
        }
    }
    // The sum of fragments counts, and does not overflow.
    let mut huge = vec![0x80, 0xFF];
    huge.extend_from_slice(&(i64::MAX as u64).to_be_bytes());
    huge.extend_from_slice(&MASK);
    check(&[client(0x01, b"a"), huge], Err(WsError::TooLarge));
    check(&[client(0x01, &exact), client(0x80, b"")], Ok(&[Incoming::Text(Bytes::from(exact.clone()))]));
    check(&[client(0x01, &exact), client(0x80, b"x")], Err(WsError::TooLarge));
    let one_byte_each: Vec<_> =
        std::iter::once(client(0x01, b"x")).chain(std::iter::repeat_n(client(0x00, b"x"), MAX)).collect();
    check(&one_byte_each, Err(WsError::TooLarge));
}

#[test]
fn fragments_are_counted() {
    let fragments = |count: u16| -> Vec<Vec<u8>> {
        let middle = std::iter::repeat_n(client(0x00, b""), usize::from(count) - 2);
        std::iter::once(client(0x02, b"")).chain(middle).chain([client(0x80, b"")]).collect()
    };
    check(&fragments(MAX_FRAGMENTS), Ok(&[Incoming::Binary(Bytes::new())]));
    check(&fragments(MAX_FRAGMENTS + 1), Err(WsError::TooLarge));
}

#[test]
fn an_idle_connection_holds_nothing() {
    assert_eq!(size_of::<Decoder>(), 16);
    let mut decoder = Decoder::new(MAX);
    for message in [client(0x81, b"whole"), [client(0x01, b"in "), client(0x80, b"parts")].concat()] {
        for byte in &message {
            assert!(decoder.decode(&mut &[*byte][..]).is_ok());
        }
        assert!(!decoder.is_mid_message());
    }
    // What is declared and does not come costs nothing either.
    let slow = client(0x82, &[0; MAX]);
    assert_eq!(decoder.decode(&mut &slow[..9]), Ok(None));
    let held = decoder.partial.as_ref().and_then(|partial| partial.message.as_ref()).unwrap();
    assert!(held.payload.capacity() < 64);
}

#[test]
fn every_error_has_its_close_code() {
    assert_eq!(WsError::Protocol("").close_code().number(), 1002);
    assert_eq!(WsError::NotUtf8.close_code().number(), 1007);
    assert_eq!(WsError::TooLarge.close_code().number(), 1009);
}

/// A message in fragments with pings between them, as frames and as it should arrive.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<Incoming>)> {
    let fragments = proptest::collection::vec((".{0,80}", any::<bool>()), 1..4);
    (fragments, any::<bool>()).prop_map(|(fragments, binary)| {
        let mut bytes = Vec::new();
        let mut arrives = Vec::new();
        let mut whole = String::new();
        let last = fragments.len() - 1;
        for (i, (part, ping)) in fragments.into_iter().enumerate() {
            let opcode = if i > 0 { 0 } else { 1 + u8::from(binary) };
            bytes.extend(client(opcode | if i == last { 0x80 } else { 0 }, part.as_bytes()));
            whole.push_str(&part);
            if ping && i < last {
                bytes.extend(client(0x89, &[i as u8]));
                arrives.push(Incoming::Ping(Bytes::from(vec![i as u8])));
            }
        }
        let payload = Bytes::from(whole);
        arrives.push(if binary { Incoming::Binary(payload) } else { Incoming::Text(payload) });
        (bytes, arrives)
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        messages in proptest::collection::vec(message(), 1..5),
        cuts in proptest::collection::vec(1usize..60, 0..60),
    ) {
        let (bytes, arrives): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let (found, error, decoder) = read(&bytes.concat(), cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, arrives.concat());
        prop_assert!(!decoder.is_mid_message());
    }

    #[test]
    fn noise_never_panics_and_reads_alike_in_any_pieces(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        cuts in proptest::collection::vec(1usize..9, 0..200),
    ) {
        let (whole, error, _) = read(&noise, []);
        let (pieces, same_error, _) = read(&noise, cuts);
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(error, same_error);
    }

    #[test]
    fn damaged_frames_never_panic(
        message in message(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        cuts in proptest::collection::vec(1usize..9, 0..200),
    ) {
        let mut bytes = message.0;
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let (whole, error, _) = read(&bytes, []);
        let (pieces, same_error, _) = read(&bytes, cuts);
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(error, same_error);
    }
}
