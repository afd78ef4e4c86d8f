//! Names of schemas for the annotations of handlers, where the type itself has
//! no schema: the messages of [`proto::SCHEMAS`] and what is made of them. What
//! they look like is said in [`super::schema`]; here they are only referred to.

use std::borrow::Cow;

use utoipa::openapi::{Ref, RefOr, schema::Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    RefOr::Ref(Ref::from_schema_name(stringify!($name)))
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*
    };
}

wire! {
    Changed
    Details
    Done
    History
    Member
    Message
    Notification
    Presence
    ReadMark
    Role
    RoomKind
    RoomSummary
    Sent
    Snapshot
    /// The name of a [`proto::ErrorCode`].
    ErrorCode
    /// A `Send` whose room is in the path, and whose key may be in a header.
    NewMessage
}
