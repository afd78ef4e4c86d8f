//! The five front ends keep working: the official Socket.IO client, unmodified,
//! goes through every row of the tables of the vocabularies, by long-polling, by
//! WebSocket and by upgrade, against `carillon standalone` and against a cluster
//! in which two users are never on the same gateway. The rows are the steps of
//! the scripts in tests/socketio/; a failure shows the script's output.
//!
//! `cargo test --test socketio cluster::rooms` runs some of them.

mod socketio {
    pub mod script;
    pub mod support;
    pub mod world;
}

use socketio::*;

macro_rules! scripts {
    ($($script:ident in $vocabulary:ident: $($case:ident $transport:literal)*;)*) => {
        scripts! { standalone, Standalone: $($($script $vocabulary $case $transport)*)* }
        scripts! { cluster, Cluster: $($($script $vocabulary $case $transport)*)* }
    };
    ($name:ident, $deployment:ident: $($script:ident $vocabulary:ident $case:ident $transport:literal)*) => {
        mod $name {
            use super::world::{Deployment, run};

            $(
                #[test]
                fn $case() {
                    run(Deployment::$deployment, stringify!($script), stringify!($vocabulary), $transport);
                }
            )*
        }
    };
}

scripts! {
    sessions in sessions: sessions_by_polling "polling" sessions_by_websocket "websocket"
        sessions_by_upgrade "upgrade";
    rooms in rooms: rooms_by_polling "polling" rooms_by_websocket "websocket" rooms_by_upgrade "upgrade";
    chats in chats: chats_by_polling "polling" chats_by_websocket "websocket" chats_by_upgrade "upgrade";
    lobby in lobby: lobby_by_polling "polling" lobby_by_websocket "websocket" lobby_by_upgrade "upgrade";
    conversations in conversations: conversations_by_polling "polling" conversations_by_websocket "websocket"
        conversations_by_upgrade "upgrade";
    support in support: a_new_vocabulary_by_polling "polling" a_new_vocabulary_by_websocket "websocket"
        a_new_vocabulary_by_upgrade "upgrade";
    reconnecting in sessions: p3_p4_reconnecting_misses_nothing_by_polling "polling"
        p3_p4_reconnecting_misses_nothing_by_websocket "websocket"
        p3_p4_reconnecting_misses_nothing_by_upgrade "upgrade";
    unread in rooms: p3_p4_notifications_wait_for_the_absent_by_websocket "websocket"
        p3_p4_notifications_wait_for_the_absent_by_upgrade "upgrade";
    roundrobin in chats: polls_may_go_to_any_gateway "polling";
}
