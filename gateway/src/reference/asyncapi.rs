//! The AsyncAPI document of the native protocol, out of the table of frames.

use prost::Message as _;
use proto::{CloseCode, Encoding, ErrorCode};
use serde_json::{Map, Value, json};

use super::channel::{Channel, Message, head};
use super::frames::{self, Part};
use super::schema;

/// For people who open the document.
const ABOUT: &str = "\
One WebSocket at `/v1/ws` carries everything. Frames are JSON (subprotocol `carillon.v1.json`, text frames; also \
when none is asked for) or protobuf (`carillon.v1.proto`, binary frames); examples are here in both. A client's \
frame is one request: an `id` that the client chooses and one field that names the request. The answer carries the \
same number as `re`. Several requests may be on the way at once, and answers may overtake each other. A frame \
without `re` is a delivery of a feed if it has a `seq`, else an ephemeral event. Unknown fields and kinds of \
frames are ignored, on both sides. Times are milliseconds since the Unix epoch.

In protobuf, `data` is a string that holds JSON, and enums are numbers; the schema is at `/docs/client.proto`.";

/// The document.
pub fn document() -> Value {
    let mut channel = Channel::default();
    requests(&mut channel);
    bodies(&mut channel);
    let mut document = channel.document(head("Carillon: the native protocol", ABOUT), about_channel());
    document["x-error-codes"] = error_codes();
    document["x-close-codes"] = close_codes();
    document["x-encodings"] = encodings();
    document
}

fn about_channel() -> Value {
    json!({
        "address": "/v1/ws",
        "title": "A connection",
        "description": "Closed with a code that says whether to come back: `x-close-codes`. \
                        Refusals name their reason: `x-error-codes`.",
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": {
                            "type": "string",
                            "description": "`Bearer <token>`; else the first frame is `auth`.",
                        },
                        "Sec-WebSocket-Protocol": {
                            "type": "string",
                            "enum": Encoding::ALL.map(Encoding::subprotocol),
                            "description": "How frames are encoded; JSON where it is absent.",
                        },
                    },
                },
                "bindingVersion": "0.1.0",
            },
        },
    })
}

fn requests(channel: &mut Channel) {
    let examples = frames::requests();
    for kind in schema::kinds("ClientFrame") {
        let mut said = None;
        let mut shown = Vec::new();
        for (shows, frame) in &examples {
            let payload = serde_json::to_value(frame).expect("a frame is JSON");
            if let (Some(request), true) = (&frame.request, payload.get(kind).is_some()) {
                said = Some(frames::request(request));
                shown.push(example(shows, payload, &frame.encode_to_vec()));
            }
        }
        let asks = said.unwrap_or_else(|| panic!("there is no example of the request {kind}"));
        let key = format!("client.{kind}");
        channel.message(Message {
            key: key.clone(),
            name: kind.to_owned(),
            summary: asks.summary.to_owned(),
            payload: payload("ClientFrame", kind, &["id"], &[]),
            examples: shown,
            wire: "x-protobuf",
        });
        let replies: Vec<String> =
            asks.answers.iter().chain(&["error"]).map(|answer| format!("server.{answer}")).collect();
        channel.receives(kind, (asks.summary, asks.about), &key, &replies);
    }
}

fn bodies(channel: &mut Channel) {
    let examples = frames::bodies();
    let (mut deliveries, mut ephemeral) = (Vec::new(), Vec::new());
    for kind in schema::kinds("ServerFrame") {
        let mut said = None;
        let mut shown = Vec::new();
        for (shows, frame) in &examples {
            let payload = serde_json::to_value(frame).expect("a frame is JSON");
            if let (Some(body), true) = (&frame.body, payload.get(kind).is_some()) {
                said = Some(frames::body(body));
                shown.push(example(shows, payload, &frame.encode_to_vec()));
            }
        }
        let (summary, part) = said.unwrap_or_else(|| panic!("there is no example of the frame {kind}"));
        let key = format!("server.{kind}");
        // What stands around it; some ephemeral kinds are answers, too.
        let (around, needed): (&[&str], &[&str]) = match part {
            Part::Answer => (&["re"], &[]),
            Part::Delivery => (&["room", "seq", "cursor"], &["seq", "cursor"]),
            Part::Ephemeral => (&["re", "room"], &[]),
        };
        channel.message(Message {
            key: key.clone(),
            name: kind.to_owned(),
            summary: summary.to_owned(),
            payload: payload("ServerFrame", kind, around, needed),
            examples: shown,
            wire: "x-protobuf",
        });
        match part {
            Part::Answer => {}
            Part::Delivery => deliveries.push(key),
            Part::Ephemeral => ephemeral.push(key),
        }
    }
    let greets = ("Greets", "Answers a bearer token of the handshake, without `re`.");
    channel.sends("greet", greets, &["server.ready".to_owned()]);
    let delivers = (
        "Delivers a change",
        "Of a joined room, or without `room` of the user's own feed. Everybody in the room gets the same frame, the \
         sender too. It carries the thing's new state: keep each thing by its id, and ignore what is older than what \
         you have.",
    );
    channel.sends("deliver", delivers, &deliveries);
    let shows = (
        "Shows something ephemeral",
        "Of a joined room. Never stored, and dropped first where it is too much.",
    );
    channel.sends("show", shows, &ephemeral);
    let refuses = ("Refuses a frame", "One that named no request, without `re`; also one whose `id` is 0.");
    channel.sends("refuse", refuses, &["server.error".to_owned()]);
}

/// A frame of one kind, with these fields around it, some of which are needed.
fn payload(frame: &str, kind: &str, around: &[&str], needed: &[&str]) -> Value {
    let whole = &schema::known(frame).unwrap_or_else(|| panic!("{frame} has a schema"))["properties"];
    let fields = around.iter().copied().chain([kind]);
    let fields: Map<String, Value> = fields.map(|name| (name.to_owned(), whole[name].clone())).collect();
    let needed: Vec<&str> = needed.iter().copied().chain([kind]).collect();
    json!({ "type": "object", "properties": fields, "required": needed })
}

/// A frame in both encodings.
fn example(shows: &str, payload: Value, protobuf: &[u8]) -> (String, Value, String) {
    (shows.to_owned(), payload, protobuf.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// All error codes, with what they mean.
pub fn error_codes() -> Value {
    let codes = ErrorCode::ALL.iter().map(|code| {
        json!({
            "code": code.name(), "status": code.status(), "retryable": code.retryable(),
            "meaning": code.meaning(),
        })
    });
    codes.collect()
}

fn close_codes() -> Value {
    let codes = CloseCode::ALL.iter().map(|code| {
        json!({
            "number": code.number(), "name": code.name(), "resume": code.resume(), "meaning": code.meaning(),
        })
    });
    codes.collect()
}

fn encodings() -> Value {
    let encodings = Encoding::ALL.map(|encoding| {
        let frames = match encoding {
            Encoding::Json => "text",
            Encoding::Protobuf => "binary",
        };
        json!({ "subprotocol": encoding.subprotocol(), "frames": frames })
    });
    encodings.to_vec().into()
}
