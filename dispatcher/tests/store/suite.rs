//! The cases, each a function of an empty store, and the list of them all.

pub mod append;
pub mod concurrency;
pub mod feed;
pub mod follow;
pub mod message;
pub mod rooms;
pub mod transaction;
pub mod user;
pub mod world;

/// Makes one test of every case. `$open` names an async function beside the call without
/// arguments that answers with an empty `Arc<dyn Store>` and a guard that lives
/// as long as the test.
macro_rules! store_suite {
    ($open:ident) => {
        store_suite! { $open =>
            append {
                messages_of_a_batch_take_seqs_in_their_order,
                an_empty_batch_is_answered,
                a_repeat_gets_the_first_result,
                a_repeat_gets_the_first_result_after_edit_and_deletion,
                the_same_key_with_other_content_is_a_conflict,
                a_key_belongs_to_one_room_and_sender,
                only_active_members_of_a_room_are_stored,
                a_removed_member_writes_nothing_from_the_commit_on,
                text_comes_back_byte_for_byte,
                a_large_batch_is_stored_whole,
            }
            concurrency {
                a_feed_has_no_gaps_under_load,
                a_key_on_two_ways_is_stored_once,
                removal_stops_a_sender_at_once,
                a_pair_meets_in_one_direct_room,
                reads_see_one_moment,
                an_abandoned_append_is_whole_or_absent,
            }
            feed {
                changes_are_folded_to_the_newest_state,
                pages_of_changes_add_up,
                a_foreign_cursor_is_reset,
                an_unknown_feed_is_empty,
                a_users_feed_tells_what_concerns_them,
                heads_are_told_in_order,
                heads_of_active_feeds_are_recent,
                a_deleted_room_ends_with_its_details,
            }
            follow {
                follows_are_answered_in_order,
                a_follow_is_cut_to_the_limit,
                only_active_members_follow_a_room,
                a_revocation_is_told_with_the_own_feed,
                names_are_kept_from_the_own_feed,
                a_new_user_follows_an_empty_feed,
            }
            message {
                history_is_paged_backwards,
                search_finds_all_words,
                search_knows_many_scripts,
                search_takes_everything_as_text,
                search_follows_edits_and_deletions,
                search_is_paged,
            }
            rooms {
                unread_is_arithmetic,
                rooms_are_listed_by_activity,
                a_room_is_shown_to_its_members,
                members_are_paged_by_id,
                a_snapshot_shows_the_first_screen,
                a_snapshot_and_its_changes_agree,
            }
            transaction {
                what_is_dropped_never_was,
                rows_come_back_as_written,
                a_room_is_inserted_once,
                commands_do_not_touch_the_count_of_sends,
                a_mark_falls_on_a_message,
                a_message_is_written_back_whole,
                notifications_are_found_by_id_and_key,
                commands_and_sends_see_each_other,
            }
            user {
                notifications_are_paged_backwards,
                rooms_of_users_are_told,
                acquainted_share_a_room,
                last_seen_moves_forward_only,
                a_store_answers_a_ping,
            }
        }
    };
    ($open:ident => $($topic:ident { $($case:ident,)* })*) => {
        $(mod $topic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _guard) = super::$open().await;
                crate::suite::$topic::$case(store.clone()).await;
                store.close().await;
            })*
        })*
    };
}
