//! Notifications: things of a user's feed that other systems put there.

use async_trait::async_trait;
use proto::node::{self, outcome};
use proto::text;
use proto::v1::{self, Done as Nothing, Notification, change::Thing};
use proto::{ErrorCode, FeedId, UserId};

use super::check::{self, Actor, Checked};
use super::{Act, Attempt, Done, Refusal, rule};
use crate::clock;
use crate::raise::Raise;
use crate::store::{self, NotificationRow, Transaction, UserRow};

/// Notifications marked as read in one transaction.
const MARKED_AT_ONCE: usize = 200;

/// Putting one there.
pub(super) struct Notify {
    user: UserId,
    r#type: String,
    data: String,
    key: String,
    /// Made up before the first attempt: a repeat after a commit of unknown
    /// outcome finds it.
    id: String,
}

impl Notify {
    pub(super) fn check(notify: node::Notify, actor: &Actor) -> Checked<Self> {
        actor.must_be_service()?;
        text::check_key(&notify.r#type).map_err(check::field("type"))?;
        check::optional_key(&notify.key)?;
        if !notify.data.is_empty() {
            text::check_data(&notify.data).map_err(check::field("data"))?;
        }
        Ok(Self {
            user: check::user(&notify.user)?,
            r#type: notify.r#type,
            data: notify.data,
            key: notify.key,
            id: clock::new_id(),
        })
    }
}

#[async_trait]
impl Act for Notify {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn key(&self) -> &str {
        self.user.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut tx = at.store.begin().await?;
        let user = lock_user(&mut *tx, &self.user).await?;
        let first = if self.key.is_empty() {
            tx.notification(&self.user, &self.id).await?
        } else {
            tx.notification_by_key(&self.user, &self.key).await?
        };
        if let Some(first) = first {
            if first.notification.r#type != self.r#type || first.notification.data != self.data {
                return Err(ErrorCode::KeyConflict.with("the key was used with other content").into());
            }
            return Ok(Done::unchanged(outcome::Result::Notification(first.notification)));
        }
        let notification = Notification {
            id: self.id.clone(),
            r#type: self.r#type.clone(),
            data: self.data.clone(),
            time: at.now,
            read_at: 0,
        };
        let row = NotificationRow {
            user: self.user.clone(),
            key: self.key.clone(),
            notification: notification.clone(),
            changed: 0,
            check: 0,
        };
        let event = commit(tx, user, vec![row]).await?;
        Ok(Done::changed(outcome::Result::Notification(notification), vec![event]))
    }
}

/// Marking one's own as read, one or all.
pub(super) struct ReadNotification {
    user: UserId,
    /// Empty: all of them.
    id: String,
}

impl ReadNotification {
    pub(super) fn check(read: v1::ReadNotification, actor: &Actor) -> Checked<Self> {
        if !read.notification.is_empty() {
            check::message(&read.notification)
                .map_err(|_| ErrorCode::Invalid.with("notification: not an id"))?;
        }
        Ok(Self { user: actor.user.clone(), id: read.notification })
    }
}

#[async_trait]
impl Act for ReadNotification {
    fn name(&self) -> &'static str {
        "read_notification"
    }

    fn key(&self) -> &str {
        self.user.as_str()
    }

    async fn run(&self, at: &Attempt<'_>) -> Result<Done, Refusal> {
        let mut tx = at.store.begin().await?;
        let user = lock_user(&mut *tx, &self.user).await?;
        let mut unread = if self.id.is_empty() {
            tx.unread_notifications(&self.user, MARKED_AT_ONCE).await?
        } else {
            let row = tx.notification(&self.user, &self.id).await?;
            vec![row.ok_or_else(|| rule::not_found("notification"))?]
        };
        let again = unread.len() == MARKED_AT_ONCE;
        unread.retain(|row| row.notification.read_at == 0);
        let result = outcome::Result::Done(Nothing {});
        if unread.is_empty() {
            return Ok(Done::unchanged(result));
        }
        for row in &mut unread {
            row.notification.read_at = at.now;
        }
        let event = commit(tx, user, unread).await?;
        Ok(Done { again, ..Done::changed(result, vec![event]) })
    }
}

/// Locks one user.
pub(super) async fn lock_user(tx: &mut dyn Transaction, user: &UserId) -> store::Result<UserRow> {
    let users = tx.lock_users(std::slice::from_ref(user)).await?;
    users.into_iter().next().ok_or_else(|| store::StoreError::Fault("a locked user has no row".into()))
}

/// Writes notifications as they are now, each with the next seq of its user's feed.
async fn commit(
    mut tx: Box<dyn Transaction>,
    user: UserRow,
    mut rows: Vec<NotificationRow>,
) -> store::Result<(FeedId, Vec<v1::Change>)> {
    let mut feed = Raise::new(FeedId::User(user.id.clone()), user.head);
    for row in &mut rows {
        let place = feed.next();
        (row.changed, row.check) = place;
        feed.note(place, Thing::Notification(row.notification.clone()));
    }
    tx.put_notifications(&rows).await?;
    let user = UserRow { head: feed.head(), head_check: feed.head_check(), ..user };
    tx.update_user(&user, feed.first(), feed.checks()).await?;
    tx.commit().await?;
    Ok(feed.into_event())
}
