//! What Carillon's clients, gateways and dispatchers say to each other.
//!
//! A leaf: it knows no I/O and no clock. Read in this order: [`ids`] names
//! things, [`frame`] is what clients speak, [`node`] what our processes speak,
//! [`subject`] where the broker carries it, [`code`] how refusals are called.

pub mod code;
pub mod frame;
pub mod ids;
pub mod json;
pub mod subject;
pub mod text;

#[allow(missing_docs, clippy::all)]
mod generated {
    pub mod carillon {
        pub mod v1 {
            tonic::include_proto!("carillon.v1");
        }
        pub mod node {
            pub mod v1 {
                tonic::include_proto!("carillon.node.v1");
            }
        }
    }
}

/// JSON Schemas of the client's messages and enums as they are in JSON, by name:
/// a JSON object. They refer to each other as `#/components/schemas/<name>`.
pub const SCHEMAS: &str = include_str!(concat!(env!("OUT_DIR"), "/schemas.json"));

/// The schema of the client protocol itself.
pub const CLIENT_PROTO: &str = include_str!("../proto/client.proto");

/// The protocol between our own processes, from `proto/node.proto`.
pub use generated::carillon::node::v1 as node;
/// The client protocol, from `proto/client.proto`.
pub use generated::carillon::v1;

pub use code::{CloseCode, ErrorCode};
pub use frame::Encoding;
pub use ids::{Cursor, FeedId, MessageId, RoomId, Seq, UserId};
