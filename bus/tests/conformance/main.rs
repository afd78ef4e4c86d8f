//! What the ports promise, tried alike on every adapter: in this process, and
//! on real servers, which need `nats-server` and `redis-server` installed (or
//! `NATS_URL` and `REDIS_URL`; what stops a server then fails).

mod broker;
mod broker_faults;
mod broker_nats;
mod presence;
mod presence_redis;
mod rig;

/// Runs cases of a module on a rig, each on one of its own.
macro_rules! cases {
    ($name:ident: $module:ident on $rig:ty; $($case:ident)*) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::$module::$case(&<$rig>::start().await).await;
                }
            )*
        }
    };
}

macro_rules! broker_cases {
    ($name:ident on $rig:ty) => {
        cases! {
            $name: broker on $rig;
            messages_of_a_publisher_arrive_once_and_in_order
            a_wildcard_is_one_token
            a_dropped_subscription_is_over
            every_subscription_of_a_subject_hears
            publishing_while_away_fails_at_once
            a_subscription_made_while_away_works_afterwards
            the_epoch_rises_when_the_link_is_back
            what_is_no_subject_is_refused
            many_subscriptions_come_and_go
        }
    };
}

macro_rules! presence_cases {
    ($name:ident on $rig:ty) => {
        cases! {
            $name: presence on $rig;
            only_the_first_connection_is_a_change
            the_last_one_to_leave_is_offline_after_the_grace
            one_sweeper_finds_each_user
            a_reconnect_within_the_grace_is_no_change
            a_dead_nodes_users_go_offline_once
            what_a_returned_node_does_not_enter_again_ends
            the_most_present_status_counts
            an_invisible_user_seems_offline
            a_look_answers_in_order
            after_presence_was_emptied_nobody_goes_offline
            an_enter_without_a_lease_makes_the_next_renewal_ask_for_all
            a_clean_stop_leaves_the_users_to_the_others
            leaving_what_is_not_there_does_nothing
            ids_may_have_every_allowed_character
            thousands_at_once
        }
    };
}

broker_cases!(local_broker on crate::rig::LocalBrokerRig);
broker_cases!(nats_broker on crate::rig::NatsRig);
presence_cases!(local_presence on crate::rig::LocalPresenceRig);
presence_cases!(redis_presence on crate::rig::RedisRig);
