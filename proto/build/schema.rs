//! JSON Schemas of the client's messages as they are in JSON: names, types and
//! comments are those of the `.proto` file, the rest follows from the same lists
//! that give the generated types their serde attributes.

use std::collections::BTreeMap;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use serde_json::{Map, Value, json};

use super::{ENUMS, JSON_TEXT, OMITTED_EMPTY, OMITTED_ZEROS};

/// Requests: here a field may be left out unless it is listed in [`NEEDED`].
const REQUESTS: [&str; 15] = [
    "ClientFrame",
    "Auth",
    "SnapshotRequest",
    "Join",
    "Leave",
    "Send",
    "Edit",
    "Delete",
    "HistoryRequest",
    "Read",
    "Typing",
    "Signal",
    "PresenceRequest",
    "ReadNotification",
    "Ping",
];

/// Fields of requests that are refused when they are missing.
const NEEDED: [&str; 12] = [
    "Auth.token",
    "Leave.room",
    "Send.room",
    "Send.key",
    "Edit.message",
    "Edit.text",
    "Delete.message",
    "HistoryRequest.room",
    "Read.room",
    "Typing.room",
    "Signal.room",
    "Signal.name",
];

/// Between our own processes only.
const UNSEEN: [&str; 1] = ["Revocation"];

/// Where the documents that use the schemas have them.
const HOME: &str = "#/components/schemas";

/// All schemas of this file, by the names of the messages and enums.
pub fn schemas(file: &FileDescriptorProto) -> Value {
    let comments = Comments::of(file);
    let mut schemas = Map::new();
    for (place, message) in file.message_type.iter().enumerate() {
        if !UNSEEN.contains(&message.name()) {
            schemas.insert(message.name().to_owned(), comments.message(place as i32, message));
        }
    }
    for (place, values) in file.enum_type.iter().enumerate() {
        schemas.insert(values.name().to_owned(), comments.values(place as i32, values));
    }
    Value::Object(schemas)
}

/// The comments of a file, by the place of what they are about.
struct Comments(BTreeMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let places = file.source_code_info.iter().flat_map(|info| &info.location);
        Self(places.map(|place| (place.path.clone(), paragraph(place.leading_comments()))).collect())
    }

    fn at(&self, path: &[i32]) -> Option<&String> {
        self.0.get(path).filter(|comment| !comment.is_empty())
    }

    fn message(&self, place: i32, message: &DescriptorProto) -> Value {
        let request = REQUESTS.contains(&message.name());
        let mut properties = Map::new();
        let (mut needed, mut kinds) = (Vec::new(), Vec::new());
        for (number, field) in message.field.iter().enumerate() {
            if UNSEEN.contains(&kind_of(field)) {
                continue;
            }
            let full = format!("{}.{}", message.name(), field.name());
            let name = camel(field.name());
            if field.oneof_index.is_some() && !field.proto3_optional() {
                kinds.push(name.clone());
            } else if NEEDED.contains(&&*full) || !(request || may_be_absent(message, field, &full)) {
                needed.push(name.clone());
            }
            properties.insert(name, self.field(&[4, place, 2, number as i32], field, &full));
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if let Some(comment) = self.at(&[4, place]) {
            schema["description"] = comment.as_str().into();
        }
        if !needed.is_empty() {
            schema["required"] = needed.into();
        }
        // One of these is there, flat among the other fields.
        if !kinds.is_empty() {
            schema["oneOf"] = kinds.iter().map(|kind| json!({ "required": [kind] })).collect();
        }
        schema
    }

    fn field(&self, path: &[i32], field: &FieldDescriptorProto, full: &str) -> Value {
        let mut schema = one(field, full);
        if field.label() == Label::Repeated {
            schema = json!({ "type": "array", "items": schema });
        }
        if let Some(comment) = self.at(path) {
            // Not every reader looks at what stands beside a reference.
            if schema.get("$ref").is_some() {
                schema = json!({ "allOf": [schema] });
            }
            schema["description"] = comment.as_str().into();
        }
        schema
    }

    fn values(&self, place: i32, values: &EnumDescriptorProto) -> Value {
        let names: Vec<&str> = values.value.iter().map(|value| value.name()).collect();
        let mut schema = json!({ "type": "string", "enum": names });
        schema["description"] = match self.at(&[5, place]) {
            Some(comment) => comment.as_str().into(),
            None => format!("`{}` where it is absent.", names[0]).into(),
        };
        schema
    }
}

/// One value of a field.
fn one(field: &FieldDescriptorProto, full: &str) -> Value {
    if ENUMS.iter().any(|(known, _)| *known == full) || field.r#type() == Type::Message {
        return json!({ "$ref": format!("{HOME}/{}", kind_of(field)) });
    }
    if JSON_TEXT.contains(&full) {
        return json!({});
    }
    match field.r#type() {
        Type::String => json!({ "type": "string" }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Uint64 => json!({ "type": "integer", "format": "int64", "minimum": 0 }),
        Type::Uint32 => json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX }),
        Type::Int64 => json!({ "type": "integer", "format": "int64" }),
        other => panic!("{full}: what is {other:?} in JSON?"),
    }
}

/// Name of the message or enum that a field holds.
fn kind_of(field: &FieldDescriptorProto) -> &str {
    field.type_name().rsplit('.').next().unwrap_or_default()
}

/// Whether it is left out of what the server writes where it says nothing.
fn may_be_absent(message: &DescriptorProto, field: &FieldDescriptorProto, full: &str) -> bool {
    message.name() == "ServerFrame"
        || JSON_TEXT.contains(&full)
        || OMITTED_ZEROS.contains(&full)
        || OMITTED_EMPTY.contains(&full)
        || field.proto3_optional()
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let (head, tail) = word.split_at(1);
        name.push_str(&head.to_ascii_uppercase());
        name.push_str(tail);
        name
    })
}

/// A comment's lines as one paragraph.
fn paragraph(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}
