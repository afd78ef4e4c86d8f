//! Where a run stands: phases that all its processes begin together, its end
//! before time, and what it shows meanwhile.

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::clock;
use crate::timeline::{Live, Second};

/// What all processes of a run have done before any goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Users and rooms are made; nobody is connected.
    Gathered,
    /// The servers' memory was looked at; still nobody is connected.
    Weighed,
    /// All are connected.
    Ready,
    /// All have lost their connections, and something was said meanwhile.
    Away,
    /// Everything was heard.
    Drained,
}

impl Point {
    /// What a process does that has not reached it.
    pub fn before(self) -> &'static str {
        match self {
            Self::Gathered => "making users and rooms",
            Self::Weighed => "looking at the servers' memory",
            Self::Ready => "connecting",
            Self::Away => "losing connections",
            Self::Drained => "measuring",
        }
    }
}

/// What a run has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Connections that are in their rooms.
    pub connected: u64,
    /// Messages answered.
    pub answered: u64,
    /// Messages heard.
    pub delivered: u64,
}

impl std::ops::Add for Progress {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            connected: self.connected + other.connected,
            answered: self.answered + other.answered,
            delivered: self.delivered + other.delivered,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connected, answered, delivered } = self;
        write!(f, "{connected} connected, {answered} answered, {delivered} delivered")
    }
}

/// What a worker tells about itself while it runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// It has made the rooms that all workers share, with these ids.
    Made(Vec<String>),
    /// It has done what comes before this.
    Reached(Point),
    /// What it has done so far.
    Progress(Progress),
}

/// The other processes of a run.
pub struct Others {
    /// To the coordinator.
    pub tell: mpsc::Sender<Told>,
    /// The last point that all have reached.
    pub reached: watch::Receiver<Option<Point>>,
    /// Ids of the rooms that all workers share, once they are made.
    pub made: watch::Receiver<Vec<String>>,
}

/// Where a run stands.
#[derive(Clone)]
pub struct Stage {
    stop: watch::Receiver<bool>,
    others: Option<Rc<Others>>,
    live: Rc<Live>,
}

impl Stage {
    /// Of a run that ends before time when `stop` says so, and that waits for
    /// these other processes.
    pub fn new(stop: watch::Receiver<bool>, others: Option<Others>) -> Self {
        Self { stop, others: others.map(Rc::new), live: Rc::new(Live::new()) }
    }

    /// Waits until all processes have come this far.
    pub async fn meet(&self, point: Point) -> anyhow::Result<()> {
        let Some(others) = &self.others else { return Ok(()) };
        let gone = "the coordinator is gone";
        others.tell.send(Told::Reached(point)).await.ok().context(gone)?;
        let mut reached = others.reached.clone();
        reached.wait_for(|reached| *reached >= Some(point)).await.context(gone)?;
        Ok(())
    }

    /// Tells the other workers the ids of the rooms that all share.
    pub async fn hand_out(&self, rooms: Vec<String>) -> anyhow::Result<()> {
        let others = self.others.as_ref().context("there are no others")?;
        others.tell.send(Told::Made(rooms)).await.ok().context("the coordinator is gone")
    }

    /// Waits for the ids of the rooms that all share.
    pub async fn handed_out(&self) -> anyhow::Result<Vec<String>> {
        let others = self.others.as_ref().context("there are no others")?;
        let mut made = others.made.clone();
        let rooms = made.wait_for(|rooms| !rooms.is_empty()).await.context("the coordinator is gone")?;
        Ok(rooms.clone())
    }

    /// Whether the run is to end before time.
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the run is to end before time, if ever. Cancel-safe.
    pub async fn stopped(&self) {
        if self.stop.clone().wait_for(|stop| *stop).await.is_err() {
            // Nobody is there any more who could say so.
            std::future::pending::<()>().await;
        }
    }

    /// Sleeps until then, or until the run is to end before time.
    pub async fn sleep_until(&self, micros: u64) {
        tokio::select! {
            () = tokio::time::sleep_until(clock::at(micros)) => {}
            () = self.stopped() => {}
        }
    }

    /// Does something without which there is nothing to report.
    pub async fn prepare<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            () = self.stopped() => bail!("ended before anything was measured"),
        }
    }

    /// Where it is counted what happens, second by second.
    pub fn live(&self) -> &Rc<Live> {
        &self.live
    }

    /// Shows the last second, and what was done so far.
    pub fn show(&self, second: &Second, progress: Progress) {
        match &self.others {
            None => {
                let (phase, gone, length) = self.live.phase();
                self.live.console().show(phase, gone, length, second);
            }
            // Too many on their way: the next one says it better.
            Some(others) => _ = others.tell.try_send(Told::Progress(progress)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn nobody_goes_on_before_all_have_come() {
        let (tell, mut told) = mpsc::channel(4);
        let (all, reached) = watch::channel(None);
        let (made_by, made) = watch::channel(Vec::new());
        let (_stop, stop) = watch::channel(false);
        let stage = Stage::new(stop, Some(Others { tell, reached, made }));
        let meeting = stage.meet(Point::Ready);
        tokio::pin!(meeting);
        for before in [None, Some(Point::Gathered)] {
            all.send_replace(before);
            assert!((&mut meeting).now_or_never().is_none());
        }
        assert!(matches!(told.recv().await, Some(Told::Reached(Point::Ready))));
        all.send_replace(Some(Point::Ready));
        meeting.await.unwrap();
        stage.hand_out(vec!["a".to_owned()]).await.unwrap();
        assert!(matches!(told.recv().await, Some(Told::Made(rooms)) if rooms == ["a"]));
        made_by.send_replace(vec!["b".to_owned()]);
        assert_eq!(stage.handed_out().await.unwrap(), ["b"]);
        drop(all);
        assert!(stage.meet(Point::Drained).await.is_err(), "nobody else is there");
    }

    #[tokio::test]
    async fn what_is_stopped_does_not_begin() {
        let (stop, stopped) = watch::channel(false);
        let stage = Stage::new(stopped, None);
        assert_eq!(stage.prepare(async { Ok(7) }).await.unwrap(), 7);
        stop.send_replace(true);
        let never = stage.prepare(std::future::pending::<anyhow::Result<()>>());
        assert!(never.await.is_err());
        stage.sleep_until(u64::MAX / 4).await;
    }
}
