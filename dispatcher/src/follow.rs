//! Joining and resuming: may this user hear this feed, and what changed since
//! their cursor. Many at once, because after a crash of a gateway many come.

use std::sync::Arc;

use futures_util::future::join_all;
use prost::Message as _;
use proto::node::{FeedChanges, Follow, FollowResult, Followed, follow_result, outcome};
use proto::{Cursor, ErrorCode, v1};
use tokio::time::Instant;

use crate::command::AddMembers;
use crate::command::check::{self, Actor, Checked};
use crate::command::rule;
use crate::intake::Intake;
use crate::retry::{refusal, retry};
use crate::settings::Settings;
use crate::store::{FollowAnswer, FollowAsk, Store};

/// Answers follows.
pub(crate) struct Follower<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) intake: &'a Arc<Intake>,
    pub(crate) settings: &'a Settings,
}

/// A follow of good form.
struct Ask {
    actor: Actor,
    ask: FollowAsk,
    issued_at: i64,
}

impl Follower<'_> {
    /// One answer for each follow, in order.
    pub(crate) async fn answer(&self, follows: Vec<Follow>) -> Checked<Followed> {
        if follows.len() > self.settings.max_feeds {
            return Err(ErrorCode::TooLarge.with(format!("more than {} feeds", self.settings.max_feeds)));
        }
        let asks: Vec<Checked<Ask>> = follows.into_iter().map(check).collect();
        let good: Vec<&Ask> = asks.iter().filter_map(|ask| ask.as_ref().ok()).collect();
        let mut answers = self.follow(&good).await?;

        // A public room is joined by following it.
        let strangers: Vec<usize> =
            (0..good.len()).filter(|place| answers[*place] == FollowAnswer::PublicRoom).collect();
        let mut refused: Vec<(usize, v1::Error)> = Vec::new();
        if !strangers.is_empty() {
            let joins = strangers.iter().map(|place| self.join(good[*place]));
            let mut joined = Vec::new();
            for (place, result) in strangers.iter().zip(join_all(joins).await) {
                match result {
                    Ok(()) => joined.push(*place),
                    Err(error) => refused.push((*place, error)),
                }
            }
            let again: Vec<&Ask> = joined.iter().map(|place| good[*place]).collect();
            for (place, answer) in joined.into_iter().zip(self.follow(&again).await?) {
                answers[place] = answer;
            }
        }

        let mut bytes = self.settings.max_answer_bytes;
        let mut answers: Vec<Checked<FeedChanges>> =
            good.iter().zip(answers).map(|(ask, answer)| result(ask, answer, &mut bytes)).collect();
        for (place, error) in refused {
            answers[place] = Err(error);
        }
        let mut answers = answers.into_iter();
        let results = asks.iter().map(|ask| match ask {
            Ok(_) => answers.next().unwrap_or_else(|| Err(ErrorCode::Internal.with("no answer"))),
            Err(error) => Err(error.clone()),
        });
        let results = results.map(|result| FollowResult {
            result: Some(match result {
                Ok(changes) => follow_result::Result::Changes(changes),
                Err(error) => follow_result::Result::Error(error),
            }),
        });
        Ok(Followed { results: results.collect() })
    }

    async fn follow(&self, asks: &[&Ask]) -> Checked<Vec<FollowAnswer>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let asks: Vec<FollowAsk> = asks.iter().map(|ask| ask.ask.clone()).collect();
        let deadline = Instant::now() + self.settings.store_deadline;
        let answers = retry(deadline, || self.store.follow(&asks, self.settings.max_changes)).await;
        let answers = answers.map_err(|error| refusal(&error, "follow"))?;
        if answers.len() != asks.len() {
            return Err(ErrorCode::Internal.with("a fault of the server's own"));
        }
        Ok(answers)
    }

    async fn join(&self, ask: &Ask) -> Checked<()> {
        let room = ask.ask.room.clone().ok_or_else(rule::not_member)?;
        let act = AddMembers::join(room, ask.actor.user.clone());
        match self.intake.call(ask.actor.clone(), Box::new(act)).await {
            outcome::Result::Error(error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn check(follow: Follow) -> Checked<Ask> {
    let actor = Actor::check(follow.actor)?;
    let room = if follow.room.is_empty() { None } else { Some(check::room(&follow.room)?) };
    let since = if follow.since.is_empty() { None } else { Some(cursor(&follow.since)?) };
    let ask = FollowAsk { user: actor.user.clone(), name: actor.name.clone(), room, since };
    Ok(Ask { actor, ask, issued_at: follow.issued_at })
}

/// A cursor, if it has the form of one. Whether the store gave it out is for
/// the store to say: then the answer is a reset.
pub(crate) fn cursor(text: &str) -> Checked<Cursor> {
    text.parse().map_err(|error| ErrorCode::Invalid.with(format!("since: {error}")))
}

fn result(ask: &Ask, answer: FollowAnswer, bytes: &mut usize) -> Checked<FeedChanges> {
    match answer {
        // A token that does not say when it was issued may be from before.
        FollowAnswer::Changes { revoked_before, .. }
            if ask.ask.room.is_none() && ask.issued_at < revoked_before =>
        {
            Err(ErrorCode::TokenRefused.with("the user's tokens of that time were revoked"))
        }
        FollowAnswer::Changes { mut changes, .. } => {
            cut(&mut changes, ask.ask.since.unwrap_or_default(), bytes);
            Ok(changes)
        }
        FollowAnswer::PublicRoom | FollowAnswer::NotMember => Err(rule::not_member()),
    }
}

/// Cuts an answer to what is left of `bytes`, so that the whole stays far below
/// what one gRPC message may hold. One that nothing is left for says `more` and
/// stays at `since`: its asker comes again.
pub(crate) fn cut(changes: &mut FeedChanges, since: Cursor, bytes: &mut usize) {
    let mut keep = 0;
    for change in &changes.changes {
        let size = change.encoded_len();
        if size > *bytes {
            break;
        }
        *bytes -= size;
        keep += 1;
    }
    if keep < changes.changes.len() {
        changes.changes.truncate(keep);
        changes.more = true;
        let reached = changes.changes.last().map_or(since, v1::Change::cursor);
        (changes.to, changes.check) = (reached.seq, reached.check);
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Change, Message, change::Thing};

    use super::*;

    #[test]
    fn p6_long_answers_are_cut_and_say_so() {
        let change = |seq| {
            let message = Message { text: "x".repeat(1000), ..Default::default() };
            Change { seq, check: 7, thing: Some(Thing::Message(message)) }
        };
        let whole = FeedChanges {
            from: 2,
            to: 9,
            check: 9,
            changes: (3..=9).map(change).collect(),
            ..Default::default()
        };
        let since = Cursor { seq: 2, check: 2 };

        let mut changes = whole.clone();
        cut(&mut changes, since, &mut 1_000_000);
        assert_eq!(changes, whole);
        cut(&mut changes, since, &mut 2500);
        assert_eq!((changes.to, changes.check, changes.changes.len(), changes.more), (4, 7, 2, true));
        cut(&mut changes, since, &mut 0);
        assert_eq!((changes.to, changes.check, changes.changes.len(), changes.more), (2, 2, 0, true));
    }

    #[test]
    fn p5_tokens_from_before_a_revocation_are_refused() {
        let ask = |room: &str, issued_at| {
            let actor = Some(proto::node::Actor { user: "a".into(), ..Default::default() });
            check(Follow { actor, room: room.into(), since: String::new(), issued_at }).unwrap()
        };
        let answer = || FollowAnswer::Changes { changes: FeedChanges::default(), revoked_before: 1000 };
        let refused = |ask: &Ask| result(ask, answer(), &mut 0).is_err_and(|e| e.code == "token_refused");
        assert!(refused(&ask("", 999)));
        assert!(refused(&ask("", 0)));
        assert!(!refused(&ask("", 1000)));
        assert!(!refused(&ask("r", 999)));
    }

    #[test]
    fn texts_that_are_no_cursors_are_invalid() {
        assert_eq!(cursor("nonsense").unwrap_err().code, "invalid");
        assert_eq!(cursor("5-0000beef").unwrap(), Cursor { seq: 5, check: 0xbeef });
    }
}
