//! From a payload to what it asks for.

use std::collections::HashMap;

use proto::v1::{self, MessageType, RoomKind};
use proto::{ErrorCode, MessageId, RoomId, UserId, text};
use serde_json::Value;

use super::{Action, Ask, RoomRef};

/// Largest page of anything.
const MAX_PAGE: u64 = 100;
/// Longest name of a guest, in characters.
const MAX_GUEST_NAME: usize = 30;

macro_rules! inputs {
    ($($input:ident = $name:literal),* $(,)?) => {
        /// A part of an ask.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Input { $($input),* }

        impl Input {
            /// All of them, with the names that vocabularies use.
            pub const ALL: &[(&str, Self)] = &[$(($name, Self::$input)),*];

            /// The name that vocabularies use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$input => $name),* }
            }
        }
    };
}

inputs! {
    Token = "token",
    Room = "room",
    To = "to",
    Name = "name",
    Text = "text",
    Type = "type",
    Data = "data",
    Key = "key",
    Message = "message",
    Limit = "limit",
    Skip = "skip",
    Page = "page",
    Before = "before",
    Active = "active",
    Status = "status",
    Kind = "kind",
    Users = "users",
    Query = "query",
}

/// Where a part of an ask comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The first of these places of the payload that has something: keys, one in
    /// the other; none: the payload itself.
    Paths(Vec<Vec<String>>),
    /// Always this.
    Constant(Value),
}

impl Input {
    /// Whether this can be what is asked for with, whoever asks.
    pub fn check(self, value: &Value) -> std::result::Result<(), String> {
        let inputs = Inputs(vec![(self, Source::Constant(value.clone()))]);
        let reader = Reader { inputs: &inputs, found: &|_| None };
        let checked = match self {
            Input::Room => reader.room().map(drop),
            Input::To | Input::Users => reader.users(self).map(drop),
            Input::Name => reader.text(self).map(drop),
            Input::Text => reader.message_text().map(drop),
            Input::Type => reader.message_type().map(drop),
            Input::Data => reader.data().map(drop),
            Input::Message => reader.message().map(drop),
            Input::Limit | Input::Skip | Input::Page => reader.number(self).map(drop),
            Input::Active => reader.active().map(drop),
            Input::Status => reader.status().map(drop),
            Input::Kind => reader.kind().map(drop),
            Input::Token | Input::Key | Input::Before | Input::Query => reader.text(self).map(drop),
        };
        checked.map_err(|error| {
            let why = error.message.strip_prefix(self.name()).unwrap_or(&error.message);
            why.trim_start().to_owned()
        })
    }
}

/// Where the parts of an ask are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs(pub Vec<(Input, Source)>);

/// The parts of a REST request.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// Out of the path, by name.
    pub path: &'a HashMap<String, String>,
    /// Out of the query, by name.
    pub query: &'a HashMap<String, String>,
    /// The body, which should be JSON.
    pub body: Option<&'a str>,
}

type Result<T> = std::result::Result<T, v1::Error>;

impl Inputs {
    /// What an event with this payload (JSON) asks for.
    pub fn ask_of_event(&self, action: &Action, payload: Option<&str>) -> Result<Ask> {
        let payload = self.parse(payload)?;
        let found = |path: &[String]| lookup(&payload, path).cloned();
        Reader { inputs: self, found: &found }.ask(action)
    }

    /// What a request asks for: parts out of its path, its body, its query.
    pub fn ask_of_request(&self, action: &Action, parts: &RequestParts<'_>) -> Result<Ask> {
        let body = self.parse(parts.body)?;
        let found = |path: &[String]| {
            let named = |parts: &HashMap<String, String>| match path {
                [name] => parts.get(name).cloned().map(Value::String),
                _ => None,
            };
            named(parts.path).or_else(|| lookup(&body, path).cloned()).or_else(|| named(parts.query))
        };
        Reader { inputs: self, found: &found }.ask(action)
    }

    /// The payload, if anything in it is looked for; else it may be anything.
    fn parse(&self, json: Option<&str>) -> Result<Value> {
        let looks = self.0.iter().any(|(_, source)| matches!(source, Source::Paths(_)));
        match json {
            Some(json) if looks => serde_json::from_str(json)
                .map_err(|error| ErrorCode::Malformed.with(format!("not JSON as it is taken: {error}"))),
            _ => Ok(Value::Null),
        }
    }
}

fn lookup<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    let mut value = value;
    for key in path {
        value = value.as_object()?.get(key)?;
    }
    (!value.is_null()).then_some(value)
}

/// Reads the parts of one ask.
struct Reader<'a> {
    inputs: &'a Inputs,
    found: &'a dyn Fn(&[String]) -> Option<Value>,
}

impl Reader<'_> {
    fn ask(&self, action: &Action) -> Result<Ask> {
        Ok(match action {
            Action::Authenticate => Ask::Authenticate { token: self.text(Input::Token)? },
            Action::Join { history, announce } => {
                Ask::Join { room: self.room()?, name: self.guest()?, history: *history, announce: *announce }
            }
            Action::Leave { announce } => Ask::Leave { room: self.room()?, announce: *announce },
            Action::Send => self.send()?,
            Action::Edit => Ask::Edit { message: self.message()?, text: self.message_text()? },
            Action::Delete => Ask::Delete { message: self.message()? },
            Action::History => {
                let (limit, skip) = self.page()?;
                let before = self.optional_message(Input::Before)?;
                Ask::History { room: self.room()?, limit, skip, before }
            }
            Action::Search => {
                Ask::Search { room: self.room()?, text: self.text(Input::Query)?, limit: self.page()?.0 }
            }
            Action::Read => Ask::Read { room: self.room()?, message: self.optional_message(Input::Message)? },
            Action::Unread => Ask::Unread { room: self.room()? },
            Action::Typing => Ask::Typing { room: self.room()?, active: self.active()? },
            Action::Presence => Ask::Presence { status: self.status()? },
            Action::Online => Ask::Online { room: self.room()? },
            Action::CreateRoom => self.create_room()?,
            Action::Rooms => {
                let (limit, skip) = self.page()?;
                Ask::Rooms { limit, skip }
            }
            Action::Room => Ask::Room { room: self.room()? },
            Action::RenameRoom => Ask::RenameRoom { room: self.room()?, name: self.text(Input::Name)? },
            Action::RemoveRoom => Ask::RemoveRoom { room: self.room()? },
            Action::Notifications => Ask::Notifications { limit: self.page()?.0 },
            Action::Subscribe => Ask::Subscribe,
        })
    }

    fn send(&self) -> Result<Ask> {
        let r#type = self.message_type()?;
        let mut data = self.data()?;
        // Front ends without data of their own put the link where the text would be.
        let text = if r#type == MessageType::Text || data.is_empty() {
            self.message_text()?
        } else {
            self.optional_text(Input::Text)?.unwrap_or_default()
        };
        if r#type != MessageType::Text && data.is_empty() {
            data = serde_json::json!({ "url": text }).to_string();
        }
        Ok(Ask::Send {
            room: self.room()?,
            r#type,
            text,
            data,
            key: self.optional_text(Input::Key)?.unwrap_or_default(),
            name: self.guest()?,
        })
    }

    fn message_type(&self) -> Result<MessageType> {
        let Some(name) = self.optional_text(Input::Type)? else { return Ok(MessageType::Text) };
        MessageType::from_str_name(&name.to_ascii_uppercase())
            .ok_or_else(|| self.invalid(Input::Type, "is none of TEXT, IMAGE, FILE, VOICE"))
    }

    /// A JSON object, or nothing.
    fn data(&self) -> Result<String> {
        match self.get(Input::Data) {
            None => Ok(String::new()),
            Some(data @ Value::Object(_)) => {
                let data = data.to_string();
                text::check_data(&data).map_err(|why| self.bad_text(Input::Data, why))?;
                Ok(data)
            }
            Some(_) => Err(self.invalid(Input::Data, "is not an object")),
        }
    }

    fn create_room(&self) -> Result<Ask> {
        let (kind, users) = (self.kind()?, self.users(Input::Users)?);
        let missing = || self.invalid(Input::Users, "is missing");
        // Nothing at all asks for nothing; a group of one says so with an empty list.
        self.get(Input::Users).ok_or_else(missing)?;
        let kind = match kind {
            Some(RoomKind::Direct) | None if users.is_empty() => return Err(missing()),
            Some(kind) => kind,
            None if users.len() == 1 => RoomKind::Direct,
            None => RoomKind::Group,
        };
        Ok(Ask::CreateRoom { kind, users, name: self.optional_text(Input::Name)?.unwrap_or_default() })
    }

    fn kind(&self) -> Result<Option<RoomKind>> {
        let Some(name) = self.optional_text(Input::Kind)? else { return Ok(None) };
        let kind = RoomKind::from_str_name(&name.to_ascii_uppercase());
        kind.map(Some).ok_or_else(|| self.invalid(Input::Kind, "is none of DIRECT, GROUP, PUBLIC"))
    }

    /// One user or a list of them.
    fn users(&self, input: Input) -> Result<Vec<UserId>> {
        match self.get(input) {
            None => Ok(Vec::new()),
            Some(Value::Array(users)) => users.iter().map(|user| self.user(input, user)).collect(),
            Some(user) => Ok(vec![self.user(input, &user)?]),
        }
    }

    /// The id of a message.
    fn message(&self) -> Result<String> {
        match self.optional_message(Input::Message)? {
            id if id.is_empty() => Err(self.invalid(Input::Message, "is missing")),
            id => Ok(id),
        }
    }

    fn optional_message(&self, input: Input) -> Result<String> {
        let Some(id) = self.optional_text(input)? else { return Ok(String::new()) };
        MessageId::new(&id).map_err(|why| self.invalid(input, &format!("is no id: {why}")))?;
        Ok(id)
    }

    fn room(&self) -> Result<RoomRef> {
        if let Some(user) = self.get(Input::To) {
            return Ok(RoomRef::With(self.user(Input::To, &user)?));
        }
        let id = self.text(Input::Room)?;
        let room = RoomId::new(&id).map(RoomRef::Id);
        room.map_err(|why| self.invalid(Input::Room, &format!("is no id: {why}")))
    }

    fn user(&self, input: Input, value: &Value) -> Result<UserId> {
        let id = simple(value).ok_or_else(|| self.invalid(input, "is not an id"))?;
        UserId::new(&id).map_err(|why| self.invalid(input, &format!("is no id: {why}")))
    }

    /// What a message says: something.
    fn message_text(&self) -> Result<String> {
        // Ids may be numbers; what somebody says is not one.
        if self.get(Input::Text).is_some_and(|said| !said.is_string()) {
            return Err(self.invalid(Input::Text, "is not a text"));
        }
        let text = self.text(Input::Text)?;
        if text.trim().is_empty() {
            return Err(self.invalid(Input::Text, "may not be empty"));
        }
        text::check_text(&text).map_err(|why| self.bad_text(Input::Text, why))?;
        Ok(text)
    }

    /// What a guest wants to be called.
    fn guest(&self) -> Result<Option<String>> {
        let Some(name) = self.optional_text(Input::Name)? else { return Ok(None) };
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | ' ');
        let length = name.chars().count();
        if !(1..=MAX_GUEST_NAME).contains(&length) || name.trim().is_empty() || !name.chars().all(allowed) {
            let why = "is 1 to 30 letters, digits, _, - and spaces";
            return Err(self.invalid(Input::Name, why));
        }
        Ok(Some(name))
    }

    fn active(&self) -> Result<bool> {
        match self.get(Input::Active) {
            Some(Value::Bool(active)) => Ok(active),
            None => Err(self.invalid(Input::Active, "is missing")),
            Some(_) => Err(self.invalid(Input::Active, "is neither true nor false")),
        }
    }

    fn status(&self) -> Result<bus::Status> {
        let name = self.text(Input::Status)?;
        let status = bus::Status::from_name(&name.to_ascii_lowercase());
        status.ok_or_else(|| self.invalid(Input::Status, "is none of online, away, busy, invisible, offline"))
    }

    /// How many, and how many to leave out; 0: as many as is usual.
    fn page(&self) -> Result<(u32, u32)> {
        let limit = self.number(Input::Limit)?.map(|limit| limit.clamp(1, MAX_PAGE));
        let skip = match (self.number(Input::Skip)?, self.number(Input::Page)?) {
            (Some(skip), _) => skip,
            (None, Some(page)) => page.saturating_sub(1).saturating_mul(limit.unwrap_or(50)),
            (None, None) => 0,
        };
        let limit = match (limit, self.number(Input::Page)?) {
            (None, Some(_)) => 50,
            (limit, _) => limit.unwrap_or(0),
        };
        Ok((limit as u32, u32::try_from(skip).unwrap_or(u32::MAX)))
    }

    fn number(&self, input: Input) -> Result<Option<u64>> {
        let Some(value) = self.get(input) else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.invalid(input, "is not a whole number"))
    }

    fn text(&self, input: Input) -> Result<String> {
        self.optional_text(input)?.ok_or_else(|| self.invalid(input, "is missing"))
    }

    fn optional_text(&self, input: Input) -> Result<Option<String>> {
        let Some(value) = self.get(input) else { return Ok(None) };
        simple(&value).map(Some).ok_or_else(|| self.invalid(input, "is not a text"))
    }

    fn get(&self, input: Input) -> Option<Value> {
        match &self.source(input)? {
            Source::Constant(value) => Some(value.clone()),
            Source::Paths(paths) => paths.iter().find_map(|path| {
                let found = (self.found)(path)?;
                // The payload itself is meant only where it is no object.
                (!path.is_empty() || !matches!(found, Value::Object(_))).then_some(found)
            }),
        }
    }

    fn source(&self, input: Input) -> Option<&Source> {
        self.inputs.0.iter().find_map(|(known, source)| (*known == input).then_some(source))
    }

    /// Says what is wrong in the client's own words.
    fn invalid(&self, input: Input, why: &str) -> v1::Error {
        ErrorCode::Invalid.with(format!("{} {why}", self.shown(input)))
    }

    fn bad_text(&self, input: Input, why: text::InvalidText) -> v1::Error {
        let code = match why {
            text::InvalidText::TooLong(_) => ErrorCode::TooLarge,
            _ => ErrorCode::Invalid,
        };
        code.with(format!("{} {why}", self.shown(input)))
    }

    fn shown(&self, input: Input) -> String {
        match self.source(input) {
            Some(Source::Paths(paths)) => match paths.iter().find(|path| !path.is_empty()) {
                Some(path) => path.join("."),
                None => input.name().to_owned(),
            },
            _ => input.name().to_owned(),
        }
    }
}

/// A text, or a number where a text is meant: some front ends have number ids.
fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Action {
    /// The parts that an ask of this kind must have, and those that it may.
    pub fn parts(&self) -> (&'static [Input], &'static [Input]) {
        use Input::*;

        match self {
            Action::Authenticate => (&[Token], &[]),
            Action::Join { .. } => (&[Room], &[Name, To]),
            Action::Leave { .. } => (&[Room], &[To]),
            Action::Send => (&[Room, Text], &[To, Type, Data, Key, Name]),
            Action::Edit => (&[Message, Text], &[]),
            Action::Delete => (&[Message], &[]),
            Action::History => (&[Room], &[To, Limit, Skip, Page, Before]),
            Action::Search => (&[Room, Query], &[To, Limit]),
            Action::Read => (&[Room], &[To, Message]),
            Action::Unread | Action::Online | Action::Room | Action::RemoveRoom => (&[Room], &[To]),
            Action::Typing => (&[Room, Active], &[To]),
            Action::Presence => (&[Status], &[]),
            Action::CreateRoom => (&[Users], &[Kind, Name]),
            Action::Rooms => (&[], &[Limit, Skip, Page]),
            Action::RenameRoom => (&[Room, Name], &[To]),
            Action::Notifications => (&[], &[Limit]),
            Action::Subscribe => (&[], &[]),
        }
    }
}
