//! Schemas by name, and how documents come by those that they refer to.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proto::ErrorCode;
use serde_json::{Map, Value, json};

/// Where documents keep their schemas.
const HOME: &str = "#/components/schemas/";

/// The messages of the client protocol, and what is made of them here.
static KNOWN: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut known: Map<String, Value> =
        serde_json::from_str(proto::SCHEMAS).expect("the schemas are a JSON object");
    let new_message = new_message(&known["Send"]);
    known.insert("NewMessage".to_owned(), new_message);
    known.insert("ErrorCode".to_owned(), error_code());
    known["Error"]["properties"]["code"] = refer("ErrorCode");
    known
});

/// A schema by its name.
pub fn known(name: &str) -> Option<&'static Value> {
    KNOWN.get(name)
}

/// A reference to a schema.
pub fn refer(name: &str) -> Value {
    json!({ "$ref": format!("{HOME}{name}") })
}

/// The kinds of a frame, as they are called in JSON.
pub fn kinds(frame: &str) -> Vec<&'static str> {
    let kinds = KNOWN[frame]["oneOf"].as_array().into_iter().flatten();
    kinds.filter_map(|kind| kind["required"][0].as_str()).collect()
}

/// Puts all schemas into the document that it refers to, also by way of others.
pub fn complete(document: &mut Value) {
    let mut missing = BTreeSet::new();
    let mut have = std::mem::take(&mut document["components"]["schemas"]);
    if !have.is_object() {
        have = json!({});
    }
    // Those that only say their own name.
    have.as_object_mut().expect("an object").retain(|name, schema| *schema != refer(name));
    referred(document, &mut missing);
    referred(&have, &mut missing);
    while let Some(name) = missing.pop_first() {
        if have.get(&name).is_none()
            && let Some(schema) = known(&name)
        {
            referred(schema, &mut missing);
            have[&name] = schema.clone();
        }
    }
    document["components"]["schemas"] = have;
}

fn referred(value: &Value, to: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(HOME))
            {
                to.insert(name.to_owned());
            }
            object.values().for_each(|value| referred(value, to));
        }
        Value::Array(values) => values.iter().for_each(|value| referred(value, to)),
        _ => {}
    }
}

/// A send by REST: the room is in the path, and the key may be in a header.
fn new_message(send: &Value) -> Value {
    let mut schema = send.clone();
    schema["description"] = "A message to be sent. A `TEXT` has a `text`, others have a `data.url`.".into();
    let object = schema.as_object_mut().expect("a schema is an object");
    object.remove("required");
    schema["properties"].as_object_mut().expect("a message has properties").shift_remove("room");
    schema
}

fn error_code() -> Value {
    let names: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    let meanings: Map<String, Value> =
        ErrorCode::ALL.iter().map(|code| (code.name().to_owned(), code.meaning().into())).collect();
    json!({
        "type": "string",
        "description": "Why a request was refused. Names never change; newer servers may have further ones.",
        "enum": names,
        "x-enumDescriptions": meanings,
    })
}
