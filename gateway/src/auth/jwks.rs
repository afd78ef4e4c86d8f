//! The issuer's keys, fetched: one task fetches, everybody else looks at what
//! it has. A flood of tokens with unknown keys makes it fetch once a minute.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::AuthError;
use super::keys::{InvalidKeys, Key};

/// Largest key set read.
const MAX_SET_BYTES: usize = 256 * 1024;

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// At least this long between two fetches for the sake of an unknown key.
    pub refetch: Duration,
    /// The set is fetched anew after this.
    pub refresh: Duration,
    /// First retry while there is no set; doubles up to `refetch`.
    pub retry: Duration,
    /// A fetch is given up after this.
    pub timeout: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            refetch: Duration::from_secs(60),
            refresh: Duration::from_secs(600),
            retry: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Keys with their ids, where they have one.
type KeySet = Vec<(Option<String>, Arc<Key>)>;

/// Keys from a URL. Dropping it ends the task that fetches them.
pub(super) struct Jwks {
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
    _fetcher: AbortOnDropHandle<()>,
}

/// What the task knows.
#[derive(Default)]
struct State {
    /// The last good set.
    keys: Option<KeySet>,
    /// Fetches that ended, well or not.
    fetches: u64,
    /// The last one ended well.
    fresh: bool,
    /// No fetch for an unknown key before this.
    refetch_at: Option<Instant>,
}

impl State {
    /// The key of this id; without an id the only one that fits.
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Arc<Key>> {
        let keys = self.keys.as_ref()?;
        let mut fitting = keys.iter().filter(|(of, key)| {
            (kid.is_none() || of.as_deref() == kid) && key.algorithms.contains(&algorithm)
        });
        let (_, key) = fitting.next()?;
        (kid.is_some() || fitting.next().is_none()).then(|| key.clone())
    }

    fn unknown(&self) -> AuthError {
        // Without a fresh set nobody can say that the key does not exist.
        if self.fresh { AuthError::Refused("unknown key") } else { AuthError::Unavailable }
    }
}

impl Jwks {
    /// Begins to fetch.
    pub fn new(url: &str, times: Times) -> Result<Self, InvalidKeys> {
        let url: reqwest::Url = url.parse().map_err(|_| InvalidKeys::NotUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidKeys::NotUrl);
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(times.timeout)
            .build()?;
        let (sender, state) = watch::channel(State::default());
        let wanted = Arc::new(Notify::new());
        let fetcher = tokio::spawn(fetch_on(client, url, times, sender, wanted.clone()));
        Ok(Self { state, wanted, _fetcher: AbortOnDropHandle::new(fetcher) })
    }

    /// The key that a token names. Waits for a fetch if it is not known and the
    /// last fetch for that reason was long enough ago.
    pub async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, AuthError> {
        if matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err(AuthError::Refused("algorithm"));
        }
        let mut watched = self.state.clone();
        let before = {
            let state = watched.borrow_and_update();
            if let Some(key) = state.find(kid, algorithm) {
                return Ok(key);
            }
            if state.keys.is_none() {
                if state.fetches > 0 {
                    // The task keeps trying on its own.
                    return Err(AuthError::Unavailable);
                }
            } else if state.refetch_at.is_some_and(|at| Instant::now() < at) {
                return Err(state.unknown());
            } else {
                self.wanted.notify_one();
            }
            state.fetches
        };
        let state =
            watched.wait_for(|state| state.fetches > before).await.map_err(|_| AuthError::Unavailable)?;
        state.find(kid, algorithm).ok_or_else(|| state.unknown())
    }
}

/// Fetches at once, from time to time, and when a key is wanted.
async fn fetch_on(
    client: reqwest::Client,
    url: reqwest::Url,
    times: Times,
    state: watch::Sender<State>,
    wanted: Arc<Notify>,
) {
    let mut next = Instant::now();
    let mut retry = times.retry;
    let mut refetch_at = None;
    loop {
        // Both are cancel-safe.
        let for_a_token = tokio::select! {
            () = tokio::time::sleep_until(next) => false,
            () = wanted.notified() => true,
        };
        let begun = Instant::now();
        if for_a_token {
            // Wanted by several at once: the first one's fetch has served them all.
            if refetch_at.is_some_and(|at| begun < at) {
                continue;
            }
            refetch_at = Some(begun + times.refetch);
        }
        let fetched = fetch(&client, &url).await;
        match &fetched {
            Ok(_) => {
                retry = times.retry;
                next = begun + times.refresh;
            }
            Err(error) => {
                tracing::warn!(%error, "the key set was not fetched");
                let wait = if state.borrow().keys.is_some() { times.refetch } else { retry };
                next = Instant::now() + wait;
                retry = (retry * 2).min(times.refetch);
            }
        }
        state.send_modify(|state| {
            state.fetches += 1;
            state.refetch_at = refetch_at;
            state.fresh = fetched.is_ok();
            if let Ok(keys) = fetched {
                state.keys = Some(keys);
            }
        });
    }
}

#[derive(Debug, Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_SET_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not a key set")]
    NotASet,
    #[error("the set holds no key that can check a token")]
    NoKey,
}

async fn fetch(client: &reqwest::Client, url: &reqwest::Url) -> Result<KeySet, FetchError> {
    let mut response =
        client.get(url.clone()).header("accept", "application/json").send().await.map_err(without_url)?;
    if response.status() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(without_url)? {
        if body.len() + chunk.len() > MAX_SET_BYTES {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    read_set(&body)
}

/// The URL may hold a password.
fn without_url(error: reqwest::Error) -> reqwest::Error {
    error.without_url()
}

/// Keys of unknown kinds are passed over: an issuer may use newer ones too.
fn read_set(body: &[u8]) -> Result<KeySet, FetchError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }

    let set: Set = serde_json::from_slice(body).map_err(|_| FetchError::NotASet)?;
    let keys: Vec<_> = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
        .filter_map(|jwk| Key::from_jwk(&jwk).map(|key| (jwk.common.key_id, Arc::new(key))))
        .collect();
    if keys.is_empty() { Err(FetchError::NoKey) } else { Ok(keys) }
}
