//! A vocabulary that nobody ships: a new front end is a TOML file, not Rust.

use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;
use testkit::process::temp_dir;

/// The words of a support desk.
const SUPPORT: &str = r#"
# Customers and those who help them.
name = "support"
typing_expiry = "1s"
times = "ms"

[roles]
OWNER = "CUSTOMER"
MEMBER = "HELPER"

[rooms]
hear = "joined"

[shape]
message = { ticket = "$room", from = { who = "$message.sender", called = "$message.sender_name" }, says = "$message.text", at = "$message.time", number = "$message.id" }
room = { ticket = "$room", about = "$room.name", people = "$room.participants" }
participant = { who = "$user.id", is = "$member.role" }
error = { wrong = { what = "$error.code", why = "$error.message" } }

[client."desk:open"]
do = "create_room"
with = { users = "helpers", name = "about" }
set = { kind = "GROUP" }
answer = { event = "desk:opened", payload = "$shape.room" }

[client."desk:sit"]
do = "join"
with = { room = ["ticket.id", "ticket", "."] }
history = 2
answer = { event = "desk:seated", payload = { ticket = "$room", before = "$messages" } }
ack = { ticket = "$room" }

[client."desk:say"]
do = "send"
with = { room = "ticket", text = "words.plain", key = "once" }
answer = { event = "desk:said", payload = { number = "$message.id" } }

[client."desk:scribbles"]
do = "typing"
with = { room = "ticket", active = "on" }

[[server.message]]
event = "desk:heard"
to = "others"
payload = "$shape.message"

[[server.message]]
event = "desk:rings"
payload = { ticket = "$room" }

[server.typing]
event = "desk:scribbling"
payload = { who = "$user.id", on = "$typing" }

[server.typing_stopped]
event = "desk:scribbling"
payload = { who = "$user.id", on = "$typing" }

[[rest]]
route = "POST /desk/{ticket}/words"
do = "send"
with = { room = "ticket", text = "words.plain" }
status = 202
answer = { number = "$message.id" }

[[rest]]
route = "GET /desk/{ticket}/words"
do = "history"
with = { room = "ticket", limit = "newest" }
answer = { words = "$messages", older = "$more" }
"#;

/// The file in which it stands, as long as the tests run.
pub fn file() -> &'static str {
    static FILE: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = temp_dir().expect("a temporary folder");
        let file = folder.path().join("support.toml");
        std::fs::write(&file, SUPPORT).expect("a file that can be written");
        (folder, file)
    });

    FILE.1.to_str().expect("a path in UTF-8")
}
