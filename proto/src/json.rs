//! JSON as an encoding of the schema: how a oneof lies flat in its frame, how
//! enums are named, how fields that hold JSON text are embedded.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::v1::{self, change, client_frame, server_frame};

/// For `skip_serializing_if`: a time or delay that says nothing.
pub fn is_zero<T: PartialEq + Default>(value: &T) -> bool {
    *value == T::default()
}

/// A field that holds JSON text: any JSON value in the frame, kept byte for byte.
pub mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};
    use serde_json::value::RawValue;

    /// Embeds the text as it is.
    pub fn serialize<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(text).map_err(S::Error::custom)?;
        raw.serialize(to)
    }

    /// Takes any value as its text; `null` is as if it were absent.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let raw: Box<RawValue> = Box::deserialize(from)?;
        Ok(if raw.get() == "null" { String::new() } else { raw.get().to_owned() })
    }
}

/// What is written as a JSON object. Derived readers would also take an array
/// of its fields in order, which the schema does not know.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(StructAsMap(from)).map(Object)
    }
}

struct StructAsMap<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for StructAsMap<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

macro_rules! named_enum {
    ($(#[$doc:meta])* $module:ident, $type:ident) => {
        $(#[$doc])*
        pub mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            use crate::v1::$type;

            /// Writes the upper-case name.
            pub fn serialize<S: Serializer>(value: &i32, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str($type::try_from(*value).unwrap_or_default().as_str_name())
            }

            /// Reads the name in any case.
            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
                let name = String::deserialize(from)?;
                $type::from_str_name(&name.to_ascii_uppercase())
                    .map(|value| value as i32)
                    .ok_or_else(|| D::Error::custom(concat!("unknown ", stringify!($module))))
            }
        }
    };
}

named_enum!(
    /// `TEXT`, `IMAGE`, `FILE`, `VOICE`.
    message_type, MessageType
);
named_enum!(
    /// `MEMBER`, `MODERATOR`, `ADMIN`, `OWNER`.
    role, Role
);
named_enum!(
    /// `GROUP`, `DIRECT`, `PUBLIC`.
    room_kind, RoomKind
);

/// Writes and reads a struct whose oneof lies flat among its other fields.
macro_rules! flat {
    (
        $frame:ident { $($field:ident: $name:literal;)* }
        $oneof:ident: $kind:path { $($variant:ident = $key:literal;)* }
    ) => {
        impl Serialize for v1::$frame {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                use $kind as Kind;
                let mut map = to.serialize_map(None)?;
                $(
                    if !is_zero(&self.$field) {
                        map.serialize_entry($name, &self.$field)?;
                    }
                )*
                match &self.$oneof {
                    $(Some(Kind::$variant(body)) => map.serialize_entry($key, body)?,)*
                    None => {}
                }
                map.end()
            }
        }

        impl<'de> Deserialize<'de> for v1::$frame {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Frame;

                impl<'de> Visitor<'de> for Frame {
                    type Value = v1::$frame;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a JSON object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        use serde::de::Error;
                        use $kind as Kind;

                        let mut frame = v1::$frame::default();
                        $(let mut $field = false;)*
                        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                            match key.as_ref() {
                                $($name => {
                                    if std::mem::replace(&mut $field, true) {
                                        return Err(A::Error::duplicate_field($name));
                                    }
                                    frame.$field = map.next_value()?;
                                })*
                                $($key => {
                                    let Object(body) = map.next_value()?;
                                    let body = Kind::$variant(body);
                                    if frame.$oneof.replace(body).is_some() {
                                        return Err(A::Error::custom("more than one kind in a frame"));
                                    }
                                })*
                                // Newer peers may say more than we know.
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(frame)
                    }
                }

                from.deserialize_map(Frame)
            }
        }
    };
}

flat! {
    ClientFrame { id: "id"; }
    request: client_frame::Request {
        Auth = "auth";
        Snapshot = "snapshot";
        Join = "join";
        Leave = "leave";
        Send = "send";
        Edit = "edit";
        Delete = "delete";
        History = "history";
        Read = "read";
        Typing = "typing";
        Signal = "signal";
        Presence = "presence";
        ReadNotification = "readNotification";
        Ping = "ping";
    }
}

flat! {
    ServerFrame { re: "re"; room: "room"; seq: "seq"; cursor: "cursor"; }
    body: server_frame::Body {
        Ready = "ready";
        Snapshot = "snapshot";
        Joined = "joined";
        Sent = "sent";
        Changed = "changed";
        History = "history";
        Done = "done";
        Pong = "pong";
        Error = "error";
        Message = "message";
        Member = "member";
        Details = "details";
        Notification = "notification";
        Membership = "membership";
        Typing = "typing";
        Signal = "signal";
        Presence = "presence";
        ReadMark = "readMark";
    }
}

flat! {
    Change { seq: "seq"; check: "check"; }
    thing: change::Thing {
        Message = "message";
        Member = "member";
        Details = "details";
        Notification = "notification";
        Membership = "membership";
        Revocation = "revocation";
    }
}
