//! The coordinator's connections to its workers.

use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::missing;
use super::protocol::{self, ALIVE, News, Order, SILENT};
use crate::timeline;

/// Who may be on their way to being admitted at once.
const AT_THE_DOOR: usize = 64;
/// Orders on their way to one worker: there are a few in all.
const ORDERS: usize = 32;
/// News that nobody has looked at.
const QUEUE: usize = 256;

type FromWorker = (usize, anyhow::Result<News>);

struct Link {
    name: String,
    orders: mpsc::Sender<Order>,
}

/// All of them, by the workers' numbers.
pub struct Links {
    secret: String,
    links: Vec<Link>,
    tell: mpsc::Sender<FromWorker>,
    news: mpsc::Receiver<FromWorker>,
    /// Ended with this.
    tasks: JoinSet<()>,
}

impl Links {
    /// To nobody yet; to those who have this secret.
    pub fn new(secret: &str) -> Self {
        let (tell, news) = mpsc::channel(QUEUE);
        Self { secret: secret.to_owned(), links: Vec::new(), tell, news, tasks: JoinSet::new() }
    }

    /// Admits workers until there are enough. Who is refused is told why, and
    /// counts for nothing.
    pub async fn gather(
        &mut self,
        listener: &TcpListener,
        expect: usize,
        wait: Duration,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut door = JoinSet::new();
        while self.count() < expect {
            tokio::select! {
                accepted = listener.accept(), if door.len() < AT_THE_DOOR => {
                    let (mut stream, peer) = accepted.context("accepting workers")?;
                    let secret = self.secret.clone();
                    door.spawn(async move {
                        let admitted = protocol::admit(&mut stream, &secret).await;
                        (peer, admitted.map(|pid| (stream, pid)))
                    });
                }
                Some(admitted) = door.join_next() => match admitted.context("admitting a worker")? {
                    (peer, Ok((stream, pid))) => {
                        self.add(stream, format!("process {pid} at {}", peer.ip()))?;
                        timeline::say(format_args!("{} of {expect} has come", self.name(self.count() - 1)));
                    }
                    (peer, Err(why)) => timeline::say(format_args!("{peer} is no worker of this run: {why:#}")),
                },
                (worker, news) = self.next() => {
                    let lost = format!("{} is gone before all had come", self.name(worker));
                    // Nothing but that it is there.
                    news.context(lost)?;
                }
                () = tokio::time::sleep_until(deadline) => return Err(missing(self.count(), expect, wait)),
            }
        }
        Ok(())
    }

    fn add(&mut self, stream: TcpStream, name: String) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let (orders, taken) = mpsc::channel(ORDERS);
        let worker = self.count();
        self.links.push(Link { name, orders });
        self.tasks.spawn(hear(worker, reader, self.tell.clone()));
        self.tasks.spawn(order(worker, writer, taken, self.tell.clone()));
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// A worker's number, and where it is.
    pub fn name(&self, worker: usize) -> String {
        format!("worker {worker} ({})", self.links[worker].name)
    }

    /// What the next one of them says, or why it says nothing any more. Cancel-safe.
    pub async fn next(&mut self) -> FromWorker {
        // There is a sender in this very struct.
        self.news.recv().await.expect("the channel does not close")
    }

    /// Gives a worker an order.
    pub fn order(&self, worker: usize, order: Order) -> anyhow::Result<()> {
        match self.links[worker].orders.try_send(order) {
            // It is gone, which is among the news.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(full) => Err(full).with_context(|| format!("{} takes no orders", self.name(worker))),
        }
    }

    /// Gives each worker an order.
    pub fn order_all(&self, order: impl Fn(usize) -> Order) -> anyhow::Result<()> {
        (0..self.count()).try_for_each(|worker| self.order(worker, order(worker)))
    }
}

/// Passes on what a worker says, to its end.
async fn hear(worker: usize, mut reader: impl AsyncRead + Unpin, tell: mpsc::Sender<FromWorker>) {
    loop {
        let news = tokio::time::timeout(SILENT, protocol::read(&mut reader)).await;
        let news = news.context("nothing was heard of it for too long").flatten();
        let is_last = matches!(news, Err(_) | Ok(News::Done(_) | News::Failed(_)));
        if tell.send((worker, news)).await.is_err() || is_last {
            return;
        }
    }
}

/// Writes a worker's orders, and now and then that the coordinator is there.
async fn order(
    worker: usize,
    mut writer: impl AsyncWrite + Unpin,
    mut orders: mpsc::Receiver<Order>,
    tell: mpsc::Sender<FromWorker>,
) {
    let mut alive = tokio::time::interval(ALIVE);
    loop {
        let order = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => order,
                None => return,
            },
            _ = alive.tick() => Order::Alive,
        };
        if let Err(why) = protocol::write(&mut writer, &order).await {
            // An error: nobody wants to know any more.
            _ = tell.send((worker, Err(why))).await;
            return;
        }
    }
}
