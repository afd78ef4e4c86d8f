//! Once per second, while a scenario runs: writes down what happened, looks at
//! the servers, and shows how it goes.

use std::rc::Rc;
use std::time::Duration;

use super::Live;
use super::live::unix_now;
use crate::scrape::Scraper;
use crate::stage::{Progress, Stage};

/// Seconds begin with the machine's clock, so that those of several processes
/// are the same ones. Timers may be early by less than this.
const AFTER: f64 = 0.002;

/// Records until it is aborted.
pub async fn record(stage: Stage, metrics: Vec<String>, pids: Vec<u32>) {
    let scraper = Rc::new(Scraper::new(metrics, pids));
    loop {
        let now = unix_now();
        tokio::time::sleep(Duration::from_secs_f64(now.floor() + 1.0 + AFTER - now)).await;
        // The second that has just ended.
        let second = stage.live().cut((unix_now() - 0.5) as u64);
        let (answered, delivered) = stage.live().totals();
        stage.show(&second, Progress { connected: second.connections, answered, delivered });
        // Beside: a server that does not answer holds nothing up.
        let (scraper, live) = (scraper.clone(), stage.live().clone());
        tokio::task::spawn_local(async move { scraper.look(&live).await });
    }
}

/// Writes down what is left of a second.
pub fn finish(live: &Live) {
    live.cut(unix_now() as u64);
}
