//! Rooms of two users whose id is made of theirs.

use proto::{ErrorCode, RoomId, UserId, v1};

use super::{Ask, PairPattern, RoomRef};

impl PairPattern {
    /// The id of the room of these two.
    pub fn id(&self, one: &str, other: &str) -> Result<RoomId, v1::Error> {
        let (a, b) = if one <= other { (one, other) } else { (other, one) };
        let id = format!("{}{a}{}{b}{}", self.before, self.between, self.after);
        RoomId::new(&id).map_err(|why| ErrorCode::Invalid.with(format!("the id of this room: {why}")))
    }

    /// With whom `me` is in the room of this id, if it is one of theirs.
    pub fn other(&self, room: &RoomId, me: &str) -> Option<UserId> {
        let pair = room.as_str().strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let behind = pair.strip_prefix(me).and_then(|rest| rest.strip_prefix(self.between.as_str()));
        let ahead = pair.strip_suffix(me).and_then(|rest| rest.strip_suffix(self.between.as_str()));
        // What stands between the two may also be part of an id: only one
        // reading gives this room's id again.
        [behind, ahead]
            .into_iter()
            .flatten()
            .filter_map(|other| UserId::new(other).ok())
            .find(|other| other.as_str() != me && self.id(me, other.as_str()).is_ok_and(|id| id == *room))
    }
}

impl Ask {
    /// The room that it is about, if it is about one.
    pub fn room(&self) -> Option<&RoomRef> {
        match self {
            Ask::Join { room, .. }
            | Ask::Leave { room, .. }
            | Ask::Send { room, .. }
            | Ask::History { room, .. }
            | Ask::Search { room, .. }
            | Ask::Read { room, .. }
            | Ask::Unread { room }
            | Ask::Typing { room, .. }
            | Ask::Online { room }
            | Ask::Room { room }
            | Ask::RenameRoom { room, .. }
            | Ask::RemoveRoom { room } => Some(room),
            Ask::Authenticate { .. }
            | Ask::Edit { .. }
            | Ask::Delete { .. }
            | Ask::Presence { .. }
            | Ask::CreateRoom { .. }
            | Ask::Rooms { .. }
            | Ask::Notifications { .. }
            | Ask::Subscribe => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> PairPattern {
        PairPattern { before: "conv_".into(), between: "_".into(), after: String::new() }
    }

    #[test]
    fn p5_only_the_two_of_a_pair_are_in_its_room() {
        let room = pattern().id("ben", "ana").unwrap();
        assert_eq!(room.as_str(), "conv_ana_ben");
        assert_eq!(pattern().other(&room, "ana").unwrap().as_str(), "ben");
        assert_eq!(pattern().other(&room, "ben").unwrap().as_str(), "ana");
        assert_eq!(pattern().other(&room, "an"), None);
        assert_eq!(pattern().other(&room, "eve"), None);
        assert_eq!(pattern().other(&RoomId::new("conv_ben_ana").unwrap(), "ana"), None, "not in order");
        assert_eq!(pattern().other(&RoomId::new("conv_ana_ana").unwrap(), "ana"), None);
    }

    #[test]
    fn ids_that_hold_the_mark_between_are_told_apart_as_far_as_they_can_be() {
        let room = pattern().id("a_b", "c").unwrap();
        assert_eq!(pattern().other(&room, "a_b").unwrap().as_str(), "c");
        assert_eq!(pattern().other(&room, "c").unwrap().as_str(), "a_b");
    }
}
