//! `standalone`: a gateway and a dispatcher over SQLite and the in-process bus,
//! the dispatcher's service plugged into the gateway without a socket.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::dispatcher::Dispatcher;
use ::dispatcher::store::{Store, sqlite};
use ::gateway::auth::Keys;
use ::gateway::{Deps, Endpoints, Gateway};
use anyhow::{Context, bail};
use axum::http::Request;
use bus::local::{LocalBroker, LocalPresence};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::config::{Edge, Secret, Standalone};
use crate::key::{self, Claims};
use crate::life::{Life, bind};

/// The store's file in `data_dir`.
const DATABASE: &str = "carillon.db";
/// Who the printed links are for.
const DEMO_USERS: [(&str, &str); 2] = [("ana", "Ana"), ("ben", "Ben")];
/// How long the printed links work.
const DEMO_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Runs until `life.stop` and through the drain.
pub async fn run(config: Standalone, life: Life) -> anyhow::Result<()> {
    let Standalone { edge, rules, data_dir, .. } = config;
    let _lock = lock(&data_dir)?;
    let listener = bind("listen", &edge.listen).await?;
    let (keys, own_key) = match &edge.keys {
        Some(keys) => (keys.clone(), None),
        None => {
            let (secret, is_new) = key::find_or_make(&data_dir)?;
            tracing::info!(folder = %data_dir.display(), is_new, "tokens are checked with a key of our own");
            (Keys::Hs256(secret.reveal().into()), Some(secret))
        }
    };

    let database = data_dir.join(DATABASE);
    let store = sqlite::open(&database).await.map_err(super::of_store);
    let store: Arc<dyn Store> =
        Arc::new(store.with_context(|| format!("opening the store {}", database.display()))?);
    let broker = Arc::new(LocalBroker::new());
    let presence = Arc::new(LocalPresence::new(&super::node_name("standalone"), edge.presence));

    let dispatcher = Dispatcher::start_traced(store.clone(), broker.clone(), rules, life.spans.clone());
    let service = super::sized(dispatcher.service());
    let service = ServiceExt::<Request<tonic::body::Body>>::map_err(service, |never| match never {});
    let gateway = Gateway::start(
        Deps {
            broker,
            presence,
            dispatchers: Endpoints::Local(BoxCloneSyncService::new(service)),
            authenticator: super::authenticator(&edge, keys)?,
            vocabulary: edge.vocabulary.clone(),
            spans: life.spans.clone(),
        },
        edge.settings.clone(),
    )
    .await
    .context("starting the gateway")?;
    let _watched = (
        super::watch_store(store.clone(), life.readiness.clone()),
        super::watch_dispatchers(gateway.link(), life.readiness.clone()),
    );
    life.readiness.started();

    announce(&edge, listener.local_addr()?, &data_dir, own_key.as_ref())?;
    let served = gateway.serve(listener, life.stop).await;
    dispatcher.stop().await;
    store.close().await;
    served.context("serving clients")
}

/// Makes the folder, and keeps another process out of it for as long as the
/// result lives: each would believe that it alone changes the store.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let open = || {
        // What people wrote to each other is for nobody else on this machine.
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
        File::open(data_dir)
    };
    let folder = open().with_context(|| format!("opening the folder {} (data_dir)", data_dir.display()))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => {
            bail!("another process works in {} (data_dir)", data_dir.display())
        }
        Err(TryLockError::Error(error)) => {
            // Some network file systems know no locks.
            tracing::warn!(%error, "the data folder cannot be locked: start one process in it only");
            Ok(folder)
        }
    }
}

/// Tells who started it where it is, and how to try it at once.
fn announce(
    edge: &Edge,
    address: SocketAddr,
    data_dir: &Path,
    own_key: Option<&Secret>,
) -> anyhow::Result<()> {
    let url = browser_url(address);
    let mut text = format!("Carillon listens on {url} and keeps its data in {}.\n", data_dir.display());
    if let Some(secret) = own_key {
        text.push_str("Open each of these in a browser window of its own; the links work for 7 days:\n");
        for (user, name) in DEMO_USERS {
            let token = key::sign(
                secret,
                &Claims {
                    user,
                    name: Some(name),
                    service: false,
                    lifetime: DEMO_LIFETIME,
                    issuer: edge.issuer.as_deref(),
                    audience: edge.audience.as_deref(),
                },
            )?;
            text.push_str(&format!("  {name}: {url}/#token={token}\n"));
        }
        text.push_str("More users: carillon token --user ID. Your own: set jwt_secret, jwks_url or jwt_public_key_file.\n");
    }
    // Whoever closed the output does not want to hear it.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// A URL that works in a browser on this machine.
fn browser_url(address: SocketAddr) -> String {
    match address {
        _ if !address.ip().is_unspecified() => format!("http://{address}"),
        SocketAddr::V4(_) => format!("http://127.0.0.1:{}", address.port()),
        SocketAddr::V6(_) => format!("http://[::1]:{}", address.port()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_has_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("a/b");
        let held = lock(&data_dir).unwrap();
        assert!(lock(&data_dir).unwrap_err().to_string().starts_with("another process works in "));
        drop(held);
        lock(&data_dir).unwrap();
        assert_eq!(std::fs::read_dir(&data_dir).unwrap().count(), 0);
        assert_eq!(std::fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn links_work_in_a_browser() {
        for (address, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:8080", "http://[::1]:8080"),
            ("10.1.2.3:8080", "http://10.1.2.3:8080"),
        ] {
            assert_eq!(browser_url(address.parse().unwrap()), url);
        }
    }
}
