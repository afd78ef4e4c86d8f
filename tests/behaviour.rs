//! P9: what Carillon promises, it promises alone and as a cluster. One list of
//! cases, each run against `carillon standalone` and against three gateways and
//! two dispatchers on NATS, PostgreSQL and Redis. Cases that break nothing share
//! a system and keep to rooms and users of their own.
//!
//! `cargo test --test behaviour cluster::p4` runs some of them.

mod behaviour {
    pub mod bad_input;
    pub mod faulty;
    pub mod hear;
    pub mod keys;
    pub mod life;
    pub mod live;
    pub mod matrix;
    pub mod nonsense;
    pub mod notices;
    pub mod order;
    pub mod privacy;
    pub mod raw;
    pub mod rooms;
    pub mod scene;
    pub mod state;
    pub mod world;
}

use behaviour::*;

macro_rules! cases {
    ($($file:ident: $($case:ident)*;)*) => {
        cases! { standalone, Standalone: $($($file $case)*)* }
        cases! { cluster, Cluster: $($($file $case)*)* }
    };
    ($name:ident, $deployment:ident: $($file:ident $case:ident)*) => {
        mod $name {
            use super::world::{Deployment, run};

            $(
                #[test]
                fn $case() {
                    run(super::$file::$case(Deployment::$deployment));
                }
            )*
        }
    };
}

cases! {
    order:
        p1_p2_p3_everybody_hears_everything_in_order_once
        p3_lost_doubled_and_swapped_hints_show_nowhere
        p1_p3_p4_clients_of_a_killed_gateway_resume_elsewhere;
    keys:
        p4_a_repeated_send_is_one_message_with_one_answer
        p4_a_key_is_of_one_sender_in_one_room_and_of_one_content
        p1_p4_a_key_outlives_restarts;
    privacy:
        p5_a_removed_member_writes_nothing_more_and_hears_nothing_more
        p5_a_revoked_token_closes_its_connections_everywhere_and_is_refused
        p5_a_token_is_renewed_in_place_and_ends_with_its_time;
    matrix:
        p5_absent_and_forbidden_have_one_answer;
    state:
        p3_p9_folding_all_that_was_heard_equals_a_fresh_read
        p3_the_folded_room_counts_its_members
        p9_both_encodings_live_in_one_room
        p3_a_snapshot_and_joins_from_its_cursors_miss_nothing
        p3_a_long_absence_is_resumed_page_by_page
        p5_cursors_that_were_not_given_out_are_refused_or_reset;
    live:
        typing_shows_to_others_and_stops_by_itself
        signals_reach_the_others_as_they_are
        p6_signals_have_the_limits_of_other_data
        presence_of_acquaintances_is_told_and_of_strangers_is_unknown
        read_marks_move_forward_on_all_devices;
    notices:
        notifications_come_at_once_wait_for_the_absent_and_are_read_everywhere
        p4_p5_notifications_are_of_servers_with_keys;
    rooms:
        a_direct_room_of_two_is_one_room_whoever_asks
        p5_a_public_room_is_joined_by_joining
        p5_messages_are_changed_by_those_who_may
        a_message_is_edited_within_its_time_only;
    bad_input:
        s3_a_connection_without_a_token_is_closed
        s8_odd_ids_are_refused_and_never_leave_their_room
        s11_endless_and_oversized_frames_close_with_1009
        s12_what_is_not_websocket_is_closed_with_its_code;
    nonsense:
        s17_frames_that_say_nothing_sensible_are_refused_and_the_connection_lives
        s17_protobuf_that_says_nothing_sensible_is_refused_and_the_connection_lives
        s17_bodies_that_say_nothing_sensible_are_problems;
}
