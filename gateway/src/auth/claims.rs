//! What a token whose signature is good says: when it counts, and for whom.

use std::time::Duration;

use proto::UserId;
use proto::text::check_name;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{AuthError, Identity};

/// How long after its end a token is still taken, at most. Small, because a
/// connection is closed when its token ends: a client that returned with the
/// same token and got in would be closed again at once.
pub(super) const MAX_EXPIRY_LEEWAY: Duration = Duration::from_secs(5);

/// The claims that we look at. Times are whole seconds; any other form of them
/// is refused, never read as absent.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default, deserialize_with = "seconds")]
    exp: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    iat: Option<u64>,
    #[serde(default)]
    sub: Value,
    #[serde(default, rename = "userId")]
    user_id: Value,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    username: Value,
    #[serde(default)]
    role: Value,
}

/// Seconds within what our own schema can carry.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let seconds = u64::deserialize(from)?;
    match i64::try_from(seconds) {
        Ok(_) => Ok(Some(seconds)),
        Err(_) => Err(serde::de::Error::custom("not a time")),
    }
}

impl Claims {
    /// Whether the token counts at `now`.
    pub fn check_times(&self, now: u64, leeway: Duration) -> Result<(), AuthError> {
        let expiry_leeway = leeway.min(MAX_EXPIRY_LEEWAY).as_secs();
        if self.exp.is_some_and(|exp| now >= exp.saturating_add(expiry_leeway)) {
            return Err(AuthError::Expired);
        }
        if self.nbf.is_some_and(|nbf| nbf > now.saturating_add(leeway.as_secs())) {
            return Err(AuthError::Refused("nbf: not valid yet"));
        }
        Ok(())
    }

    /// Who the token is for.
    pub fn identity(&self) -> Result<Identity, AuthError> {
        let id = [&self.sub, &self.user_id, &self.id].into_iter().find(|id| !id.is_null());
        let user = match id {
            Some(Value::String(id)) => UserId::new(id),
            Some(Value::Number(id)) if id.is_i64() || id.is_u64() => UserId::new(&id.to_string()),
            Some(_) => return Err(AuthError::Refused("the user id is no text or whole number")),
            None => return Err(AuthError::Refused("no user id")),
        };
        let user = user.map_err(|_| AuthError::Refused("the user id holds what ids may not"))?;
        let name = [&self.name, &self.username]
            .into_iter()
            .filter_map(Value::as_str)
            .find(|name| check_name(name).is_ok())
            .unwrap_or(user.as_str())
            .to_owned();
        Ok(Identity {
            name,
            service: self.role == "service",
            issued_at: self.iat.map(|at| at as i64),
            expires_at: self.exp.map(|at| at as i64),
            user,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(claims: Value) -> Result<Identity, AuthError> {
        serde_json::from_value::<Claims>(claims).unwrap().identity()
    }

    #[test]
    fn the_user_id_is_sub_else_user_id_else_id() {
        let cases = [
            (json!({"sub": "a", "userId": "b", "id": "c"}), "a"),
            (json!({"userId": "b", "id": "c"}), "b"),
            (json!({"id": "c"}), "c"),
            (json!({"sub": null, "id": 17}), "17"),
            (json!({"id": u64::MAX}), "18446744073709551615"),
        ];
        for (claims, user) in cases {
            assert_eq!(identity(claims).unwrap().user.as_str(), user);
        }
        for bad in [
            json!({}),
            json!({"sub": null}),
            json!({"sub": ""}),
            json!({"sub": "", "id": "c"}),
            json!({"sub": "a b"}),
            json!({"sub": "a*"}),
            json!({"sub": "a".repeat(65)}),
            json!({"sub": 1.5}),
            json!({"sub": true}),
            json!({"sub": ["a"]}),
            json!({"sub": {"id": "a"}}),
        ] {
            assert!(matches!(identity(bad.clone()), Err(AuthError::Refused(_))), "{bad}");
        }
    }

    #[test]
    fn the_name_is_name_else_username_else_the_id() {
        let cases = [
            (json!({"id": "a", "name": "Ada", "username": "ada"}), "Ada"),
            (json!({"id": "a", "username": "ada"}), "ada"),
            (json!({"id": "a"}), "a"),
            (json!({"id": "a", "name": " "}), "a"),
            (json!({"id": "a", "name": "x\ny", "username": "ada"}), "ada"),
            (json!({"id": "a", "name": "x".repeat(1000)}), "a"),
            (json!({"id": "a", "name": {"first": "Ada"}}), "a"),
        ];
        for (claims, name) in cases {
            assert_eq!(identity(claims).unwrap().name, name);
        }
    }

    #[test]
    fn only_the_role_service_is_a_service() {
        let service = |role: Value| identity(json!({"sub": "a", "role": role})).unwrap().service;
        assert!(service(json!("service")));
        for other in [json!(null), json!("Service"), json!("user"), json!(["service"]), json!(true)] {
            assert!(!service(other.clone()), "{other}");
        }
    }

    /// Fault F21: clocks that are apart by the leeway.
    #[test]
    fn times_are_checked_with_leeway() {
        let check = |claims: Value, now| {
            let claims: Claims = serde_json::from_value(claims).unwrap();
            claims.check_times(now, Duration::from_secs(30))
        };
        assert_eq!(check(json!({}), 1000), Ok(()));
        assert_eq!(check(json!({"exp": 1001, "nbf": 999}), 1000), Ok(()));
        assert_eq!(check(json!({"exp": 996}), 1000), Ok(()));
        assert_eq!(check(json!({"exp": 995}), 1000), Err(AuthError::Expired));
        assert_eq!(check(json!({"exp": 0}), 1000), Err(AuthError::Expired));
        assert_eq!(check(json!({"exp": i64::MAX}), 1000), Ok(()));
        assert_eq!(check(json!({"nbf": 1030}), 1000), Ok(()));
        assert!(matches!(check(json!({"nbf": 1031}), 1000), Err(AuthError::Refused(_))));
    }

    /// Attack S6.
    #[test]
    fn times_of_other_forms_are_refused() {
        for claim in ["exp", "nbf", "iat"] {
            for value in
                ["\"9999999999\"", "9999999999.5", "1e10", "-1", "1e308", "1e999", "null", "true", "[]"]
            {
                let claims = format!("{{\"sub\":\"a\",\"{claim}\":{value}}}");
                assert!(serde_json::from_str::<Claims>(&claims).is_err(), "{claims}");
            }
            let huge = format!("{{\"{claim}\":{}}}", u64::MAX);
            assert!(serde_json::from_str::<Claims>(&huge).is_err());
            let twice = format!("{{\"{claim}\":1,\"{claim}\":9999999999}}");
            assert!(serde_json::from_str::<Claims>(&twice).is_err());
        }
    }
}
