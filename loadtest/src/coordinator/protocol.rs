//! What a coordinator and its workers say to each other: JSON after its length
//! in four bytes. Both prove first that they have the secret, which is never
//! sent; after that nothing is secret, and a trusted network is expected.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::args::Share;
use crate::part::Part;
use crate::stage::{Point, Told};

/// Both sides are of one version: the messages are only for themselves.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol 1)");
/// The longest message: histograms with every bucket filled are far shorter.
const MAX_BYTES: u32 = 16 << 20;
/// The longest message of somebody who has not proved anything.
const MAX_FIRST_BYTES: u32 = 4 << 10;
/// What is not sent by then will not be.
const SENT: Duration = Duration::from_secs(20);
/// Each step of getting to know each other.
const STEP: Duration = Duration::from_secs(10);
/// Both sides say something at least this often, if only that they are there.
pub const ALIVE: Duration = Duration::from_secs(5);
/// Who was not heard of for this long is gone.
pub const SILENT: Duration = Duration::from_secs(30);

/// The coordinator's first words.
#[derive(Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// Its version.
    pub version: String,
    /// Never said before.
    pub nonce: String,
}

/// A worker's first words.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Never said before.
    pub nonce: String,
    /// That it has the secret.
    pub proof: String,
}

/// Whether a worker may come.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may; with the proof that the coordinator has the secret too.
    Welcome(String),
    /// It may not, for this reason.
    Refused(String),
}

/// From the coordinator to a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Its number, and what it is to do.
    Run(usize, Box<Share>),
    /// Rooms of all workers were made.
    Made(Vec<String>),
    /// All have come this far.
    Reached(Point),
    /// The run ends before time.
    Stop,
    /// Nothing new.
    Alive,
}

/// From a worker to the coordinator.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// While it runs.
    Told(Told),
    /// It is done.
    Done(Box<Part>),
    /// It cannot go on.
    Failed(String),
    /// Nothing new.
    Alive,
}

/// Writes a message.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> anyhow::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= MAX_BYTES);
    let length = length.with_context(|| format!("a message of {} bytes is too long", body.len()))?;
    let writing = async {
        to.write_all(&length.to_be_bytes()).await?;
        to.write_all(&body).await?;
        to.flush().await
    };
    Ok(tokio::time::timeout(SENT, writing).await.context("the other side takes nothing")??)
}

/// Reads a message, which takes as long as the other side likes. Not cancel-safe.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<T> {
    read_up_to(MAX_BYTES, from).await
}

async fn read_up_to<T: DeserializeOwned>(
    most: u32,
    from: &mut (impl AsyncRead + Unpin),
) -> anyhow::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await.context("the connection has ended")?;
    let length = u32::from_be_bytes(length);
    ensure!(length <= most, "a message of {length} bytes is too long, or is none of ours");
    // Grows with what comes, not with what is promised.
    let mut body = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut body).await?;
    ensure!(body.len() == length as usize, "the connection has ended within a message");
    serde_json::from_slice(&body).context("a message that is none of ours")
}

/// Tells a worker whether it may come; its process, if so.
pub async fn admit(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), secret: &str) -> anyhow::Result<u32> {
    let nonce = nonce();
    write(stream, &Challenge { version: VERSION.to_owned(), nonce: nonce.clone() }).await?;
    let answer: Answer = step(read_up_to(MAX_FIRST_BYTES, stream)).await?;
    if let Err(why) = judge(&nonce, &answer, secret) {
        write(stream, &Verdict::Refused(why.to_string())).await?;
        return Err(why);
    }
    let proof = proof(Side::Coordinator, &nonce, &answer.nonce, secret)?;
    write(stream, &Verdict::Welcome(proof)).await?;
    Ok(answer.pid)
}

/// Asks a coordinator to be admitted.
pub async fn apply(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), secret: &str) -> anyhow::Result<()> {
    let challenge: Challenge = step(read_up_to(MAX_FIRST_BYTES, stream)).await?;
    let own = nonce();
    let answer = Answer {
        version: VERSION.to_owned(),
        pid: std::process::id(),
        nonce: own.clone(),
        proof: proof(Side::Worker, &challenge.nonce, &own, secret)?,
    };
    write(stream, &answer).await?;
    match step(read_up_to(MAX_FIRST_BYTES, stream)).await? {
        Verdict::Refused(why) => bail!("the coordinator refuses this worker: {why}"),
        Verdict::Welcome(proof) => {
            let proved = verify(&proof, Side::Coordinator, &challenge.nonce, &own, secret)?;
            ensure!(proved, "the coordinator does not know the secret");
            Ok(())
        }
    }
}

async fn step<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(STEP, work).await.context("no answer for too long")?
}

/// Whether this answer is of a worker of ours.
fn judge(nonce: &str, answer: &Answer, secret: &str) -> anyhow::Result<()> {
    let theirs = &answer.version;
    ensure!(theirs == VERSION, "it is version {theirs}, and the coordinator is {VERSION}");
    let proved = verify(&answer.proof, Side::Worker, nonce, &answer.nonce, secret)?;
    ensure!(proved, "it has another secret than the coordinator");
    Ok(())
}

#[derive(Clone, Copy)]
enum Side {
    Coordinator,
    Worker,
}

/// What is signed: nothing that is a token or of the other side.
fn claim(side: Side, coordinators: &str, workers: &str) -> String {
    let side = match side {
        Side::Coordinator => "coordinator",
        Side::Worker => "worker",
    };
    format!("carillon-loadtest {side} {coordinators} {workers}")
}

fn proof(side: Side, coordinators: &str, workers: &str, secret: &str) -> anyhow::Result<String> {
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(crypto::sign(claim(side, coordinators, workers).as_bytes(), &key, Algorithm::HS256)?)
}

fn verify(proof: &str, side: Side, coordinators: &str, workers: &str, secret: &str) -> anyhow::Result<bool> {
    let key = DecodingKey::from_secret(secret.as_bytes());
    let claim = claim(side, coordinators, workers);
    // A proof that is no base64 proves nothing either.
    Ok(crypto::verify(proof, claim.as_bytes(), &key, Algorithm::HS256).unwrap_or(false))
}

fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret that is long enough for HS256";

    async fn meet(coordinators: &str, workers: &str) -> (anyhow::Result<u32>, anyhow::Result<()>) {
        let (mut one, mut two) = tokio::io::duplex(1024);
        tokio::join!(admit(&mut one, coordinators), apply(&mut two, workers))
    }

    #[tokio::test]
    async fn who_has_the_secret_is_admitted() {
        let (pid, applied) = meet(SECRET, SECRET).await;
        assert_eq!(pid.unwrap(), std::process::id());
        applied.unwrap();
    }

    #[tokio::test]
    async fn who_has_another_secret_is_refused_and_told_why() {
        let (pid, applied) = meet(SECRET, "another secret").await;
        assert!(pid.unwrap_err().to_string().contains("another secret"));
        assert!(applied.unwrap_err().to_string().contains("another secret"));
    }

    #[test]
    fn a_worker_of_another_version_is_refused() {
        let proof = proof(Side::Worker, "a", "b", SECRET).unwrap();
        let answer = |version: &str| Answer {
            version: version.to_owned(),
            pid: 1,
            nonce: "b".to_owned(),
            proof: proof.clone(),
        };
        judge("a", &answer(VERSION), SECRET).unwrap();
        let why = judge("a", &answer("9.9"), SECRET).unwrap_err().to_string();
        assert!(why.contains("9.9") && why.contains(VERSION), "{why}");
    }

    #[test]
    fn a_proof_is_good_once_and_for_one_side() {
        let proof = proof(Side::Worker, "a", "b", SECRET).unwrap();
        let good = |side, coordinators, workers| verify(&proof, side, coordinators, workers, SECRET).unwrap();
        assert!(good(Side::Worker, "a", "b"));
        assert!(!good(Side::Worker, "c", "b") && !good(Side::Worker, "a", "c"));
        assert!(!good(Side::Coordinator, "a", "b"), "what a worker says is no proof of a coordinator");
        assert!(!verify("%", Side::Worker, "a", "b", SECRET).unwrap());
    }

    #[tokio::test]
    async fn a_coordinator_without_the_secret_gets_no_worker() {
        let (mut one, mut two) = tokio::io::duplex(1024);
        let imposter = async {
            write(&mut one, &Challenge { version: VERSION.to_owned(), nonce: "a".to_owned() }).await.unwrap();
            let answer: Answer = read(&mut one).await.unwrap();
            // It gives back what it was given.
            write(&mut one, &Verdict::Welcome(answer.proof)).await.unwrap();
        };
        let (applied, ()) = tokio::join!(apply(&mut two, SECRET), imposter);
        assert!(applied.unwrap_err().to_string().contains("does not know the secret"));
    }

    #[tokio::test]
    async fn what_is_too_long_is_not_read() {
        let mut long = (MAX_FIRST_BYTES + 1).to_be_bytes().to_vec();
        long.resize(MAX_FIRST_BYTES as usize * 2, b' ');
        let error = read_up_to::<Answer>(MAX_FIRST_BYTES, &mut &long[..]).await.unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
        // Somebody who speaks HTTP.
        let error = read::<Answer>(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).await.unwrap_err().to_string();
        assert!(error.contains("none of ours"), "{error}");
        let cut = read::<Order>(&mut &[0, 0, 0, 9, b'"'][..]).await.unwrap_err().to_string();
        assert!(cut.contains("ended within"), "{cut}");
    }

    #[tokio::test]
    async fn messages_arrive_as_they_were_sent() {
        let mut sent = Vec::new();
        write(&mut sent, &Order::Reached(Point::Ready)).await.unwrap();
        write(&mut sent, &News::Told(Told::Made(vec!["a".to_owned()]))).await.unwrap();
        let mut left = &sent[..];
        assert!(matches!(read(&mut left).await.unwrap(), Order::Reached(Point::Ready)));
        let News::Told(Told::Made(rooms)) = read(&mut left).await.unwrap() else { panic!("another message") };
        assert_eq!((rooms, left.len()), (vec!["a".to_owned()], 0));
    }
}
