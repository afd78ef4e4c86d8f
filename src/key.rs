//! The key that standalone makes for itself, and tokens signed with a key.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, json};

use crate::config::Secret;

/// Its file in `data_dir`.
const FILE: &str = "jwt-secret";
const RANDOM_BYTES: usize = 32;

/// The key in this folder; `None` if there is none.
pub fn find(data_dir: &Path) -> anyhow::Result<Option<Secret>> {
    let path = data_dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading the key in {}", path.display())),
    };
    let text = text.trim();
    // A disk that filled up, or an editor: a short key must not pass for one.
    ensure!(text.len() >= RANDOM_BYTES, "the key in {} is damaged: it is too short", path.display());
    let mode = fs::metadata(&path).map(|file| file.permissions().mode())?;
    if mode & 0o077 != 0 {
        // No refusal: some volumes set the mode for everybody's files.
        tracing::warn!("others may read the key: run `chmod 600 {}`", path.display());
    }
    Ok(Some(Secret::new(text)))
}

/// The key in this folder, made now if there is none. True: it is new.
pub fn find_or_make(data_dir: &Path) -> anyhow::Result<(Secret, bool)> {
    if let Some(secret) = find(data_dir)? {
        return Ok((secret, false));
    }
    let path = data_dir.join(FILE);
    let secret = make()?;
    write(&path, &secret).with_context(|| format!("keeping a new key in {}", path.display()))?;
    Ok((secret, true))
}

fn make() -> anyhow::Result<Secret> {
    let mut bytes = [0; RANDOM_BYTES];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    if random.fill(&mut bytes).is_err() {
        bail!("the system gives no random numbers");
    }
    Ok(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// Writes it whole or not at all: clients hold tokens of the first key that was there.
fn write(path: &Path, secret: &Secret) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{}", secret.reveal())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// What a token says.
#[derive(Debug)]
pub struct Claims<'a> {
    /// The user's id.
    pub user: &'a str,
    /// The display name.
    pub name: Option<&'a str>,
    /// A server of the application.
    pub service: bool,
    /// From now on.
    pub lifetime: Duration,
    /// `iss`.
    pub issuer: Option<&'a str>,
    /// `aud`.
    pub audience: Option<&'a str>,
}

/// A token (HS256).
pub fn sign(secret: &Secret, claims: &Claims<'_>) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let mut token = Map::new();
    token.insert("sub".into(), json!(claims.user));
    token.insert("iat".into(), json!(now.as_secs()));
    token.insert("exp".into(), json!((now + claims.lifetime).as_secs()));
    let role = claims.service.then_some("service");
    for (claim, text) in
        [("name", claims.name), ("role", role), ("iss", claims.issuer), ("aud", claims.audience)]
    {
        if let Some(text) = text {
            token.insert(claim.into(), json!(text));
        }
    }
    let key = EncodingKey::from_secret(secret.reveal().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &token, &key).context("signing a token")
}

#[cfg(test)]
mod tests {
    use gateway::Authenticator;
    use gateway::auth::Keys;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path()).unwrap().is_none());
        let (first, is_new) = find_or_make(folder.path()).unwrap();
        assert!(is_new && first.reveal().len() == 2 * RANDOM_BYTES);
        assert_eq!(find_or_make(folder.path()).unwrap(), (first.clone(), false));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_ne!(make().unwrap(), first);

        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert!(find_or_make(folder.path()).unwrap_err().to_string().contains("damaged"));
    }

    #[tokio::test]
    async fn gateways_take_the_tokens() {
        let secret = make().unwrap();
        let claims = Claims {
            user: "ana",
            name: Some("Ana"),
            service: true,
            lifetime: Duration::from_secs(60),
            issuer: Some("here"),
            audience: Some("chat"),
        };
        let token = sign(&secret, &claims).unwrap();
        let authenticator = Authenticator::new(Keys::Hs256(secret.reveal().into())).unwrap();
        let authenticator = authenticator.issuer("here").audience("chat");
        let identity = authenticator.identify(&token).await.unwrap();
        assert_eq!((identity.user.as_str(), identity.name.as_str(), identity.service), ("ana", "Ana", true));
        assert_eq!(identity.expires_at.unwrap() - identity.issued_at.unwrap(), 60);
    }
}
