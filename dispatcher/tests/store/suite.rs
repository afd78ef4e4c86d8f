//! The cases, each a function of an empty store, and the list of them all.

pub mod append;
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
