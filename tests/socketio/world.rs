//! The systems that the scripts talk to.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context;
use testkit::cluster::{ClusterOptions, System, binary};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};

use super::script::{ORIGIN, Script};
use super::support;

/// A test that takes this long will never end.
const HUNG: Duration = Duration::from_secs(240);

/// What each two gateways of the cluster speak.
const SPOKEN: [&str; 8] =
    ["sessions", "rooms", "chats", "lobby", "conversations", "support", "sessions", "rooms"];
/// From this pair on, gateways may be killed.
const MORTAL: usize = 6;
/// Scripts that kill.
const KILLERS: [&str; 2] = ["reconnecting", "unread"];

/// How Carillon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// One process of the script's own.
    Standalone,
    /// Two gateways of one cluster that all scripts share.
    Cluster,
}

/// Everything shared lives here, longer than any one test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started")
});

/// Runs a script, on the runtime that all tests share.
pub fn run(deployment: Deployment, script: &str, vocabulary: &str, transport: &str) {
    let run = async {
        match deployment {
            Deployment::Standalone => standalone(script, vocabulary, transport).await,
            Deployment::Cluster => cluster(script, vocabulary, transport).await,
        }
    };
    let run = Box::pin(async { tokio::time::timeout(HUNG, run).await });
    if let Err(error) = RUNTIME.block_on(run).expect("the test hangs") {
        panic!("{error:#}");
    }
}

/// Settings of a gateway that speaks this vocabulary.
fn settings(vocabulary: &str) -> Vec<(&str, &str)> {
    let vocabulary = if vocabulary == "support" { support::file() } else { vocabulary };
    vec![
        ("CARILLON_VOCABULARY", vocabulary),
        ("CARILLON_ALLOWED_ORIGINS", ORIGIN),
        // Only to save time.
        ("CARILLON_PRESENCE_GRACE", "1s"),
    ]
}

/// One cluster for all scripts: front ends of several vocabularies before one
/// store, each with two gateways.
async fn shared_cluster() -> anyhow::Result<&'static System> {
    static CLUSTER: OnceCell<System> = OnceCell::const_new();

    let start = async || {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let of = |vocabulary: &&str| settings(vocabulary).into_iter().map(owned).collect::<Vec<_>>();
        let gateway_settings: Vec<_> = SPOKEN.iter().flat_map(|spoken| [of(spoken), of(spoken)]).collect();
        let options = ClusterOptions {
            gateways: gateway_settings.len(),
            gateway_settings,
            ..ClusterOptions::default()
        };
        binary(env!("CARGO_BIN_EXE_carillon")).cluster(options).await
    };
    CLUSTER.get_or_try_init(start).await
}

async fn standalone(script: &str, vocabulary: &str, transport: &str) -> anyhow::Result<()> {
    let system = binary(env!("CARGO_BIN_EXE_carillon")).standalone(&settings(vocabulary)).await?;
    let url = system.gateway(0).url();
    let urls = [url.clone(), url];
    Script { name: script, transport, urls, guests: vocabulary == "lobby", cluster: false }
        .run(async |request| anyhow::bail!("{request}: this has one process"))
        .await
}

async fn cluster(script: &str, vocabulary: &str, transport: &str) -> anyhow::Result<()> {
    // Scripts that count everybody in the lobby, or kill, have their gateways for themselves.
    static ALONE: [Mutex<()>; SPOKEN.len()] = [const { Mutex::const_new(()) }; SPOKEN.len()];

    let system = shared_cluster().await?;
    let kills = KILLERS.contains(&script);
    let from = if kills { MORTAL } else { 0 };
    let pair = SPOKEN[from..].iter().position(|spoken| *spoken == vocabulary);
    let pair = from + pair.context("the cluster speaks no such vocabulary")?;
    let guests = vocabulary == "lobby";
    let _alone = if kills || guests { Some(ALONE[pair].lock().await) } else { None };
    let gateway = |number: usize| system.gateway(2 * pair + number);
    let urls = [gateway(0).url(), gateway(1).url()];
    Script { name: script, transport, urls, guests, cluster: true }
        .run(async |request| match request.split_once(' ') {
            Some(("kill", number)) => gateway(number.parse()?).kill(),
            Some(("start", number)) => gateway(number.parse()?).start().await,
            _ => anyhow::bail!("{request}: nobody knows how"),
        })
        .await
}
