//! Compiles the schema without protoc, and gives the client's types the serde
//! attributes that make JSON a second encoding of the same frames.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

#[path = "build/schema.rs"]
mod schema;

/// Messages whose oneof is flattened into them: their serde is in `src/json.rs`.
const BY_HAND: [&str; 3] = ["ClientFrame", "ServerFrame", "Change"];

/// Fields that hold JSON text: embedded as it is in JSON, a string in protobuf.
const JSON_TEXT: [&str; 5] =
    ["Send.data", "Signal.data", "SignalNow.data", "Message.data", "Notification.data"];

/// Enum fields, with the module of `src/json.rs` that names their values.
const ENUMS: [(&str, &str); 6] = [
    ("Send.type", "message_type"),
    ("Message.type", "message_type"),
    ("Member.role", "role"),
    ("Membership.role", "role"),
    ("RoomSummary.role", "role"),
    ("Details.kind", "room_kind"),
];

/// Times and delays that are left out of JSON where they say nothing.
const OMITTED_ZEROS: [&str; 8] = [
    "Message.edited_at",
    "Message.deleted_at",
    "Details.deleted_at",
    "Notification.read_at",
    "Error.retry_after",
    "UserPresence.last_seen",
    "Ready.expires_at",
    "ReadMark.time",
];

/// Fields that are left out of JSON where they are empty or absent.
const OMITTED_EMPTY: [&str; 4] =
    ["ReadMark.unread", "RoomSummary.details", "RoomSummary.last_message", "Message.key"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let files = protox::compile(["proto/node.proto"], ["proto"])?;

    let mut config = prost_build::Config::new();
    let derive = "#[derive(serde::Serialize, serde::Deserialize)]";
    for file in files.file.iter().filter(|f| f.package() == "carillon.v1") {
        for message in file.message_type.iter().map(|m| m.name()) {
            if !BY_HAND.contains(&message) {
                let path = format!("carillon.v1.{message}");
                config.message_attribute(&path, derive);
                config.message_attribute(&path, "#[serde(rename_all = \"camelCase\", default)]");
            }
        }
    }
    for field in JSON_TEXT {
        config.field_attribute(
            format!("carillon.v1.{field}"),
            "#[serde(with = \"crate::json::text\", skip_serializing_if = \"String::is_empty\")]",
        );
    }
    for (field, module) in ENUMS {
        config.field_attribute(
            format!("carillon.v1.{field}"),
            format!("#[serde(with = \"crate::json::{module}\")]"),
        );
    }
    for field in OMITTED_ZEROS {
        config.field_attribute(
            format!("carillon.v1.{field}"),
            "#[serde(skip_serializing_if = \"crate::json::is_zero\")]",
        );
    }
    for field in OMITTED_EMPTY {
        config.field_attribute(
            format!("carillon.v1.{field}"),
            "#[serde(skip_serializing_if = \"crate::json::is_zero\")]",
        );
    }
    // A token must not reach a log by way of a `{:?}`.
    config.skip_debug(["carillon.v1.Auth"]);

    let client = files.file.iter().find(|file| file.package() == "carillon.v1").ok_or("no client.proto")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("schemas.json"), schema::schemas(client).to_string())?;

    tonic_prost_build::configure().compile_fds_with_config(files, config)?;
    Ok(())
}
