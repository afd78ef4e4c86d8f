//! Commands that are run at set times, while people talk.

use std::cell::RefCell;
use std::process::Stdio;
use std::rc::Rc;

use tokio::process::Command;
use tokio::task::JoinSet;

use crate::clock;
use crate::plan;
use crate::report::Injected;
use crate::timeline::{self, Live};

/// Those that were begun, with what became of them so far.
pub struct Faults {
    begun: Rc<RefCell<Vec<Injected>>>,
    tasks: JoinSet<()>,
}

impl Faults {
    /// Runs each at its time from here on; none twice.
    pub fn start(faults: &[plan::Fault], from: u64, live: &Rc<Live>) -> Self {
        let begun = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for fault in faults {
            tasks.spawn_local(run(fault.clone(), from, begun.clone(), live.clone()));
        }
        Self { begun, tasks }
    }

    /// What became of them; whatever has not begun never does, and whatever
    /// goes on is ended.
    pub async fn end(mut self) -> Vec<Injected> {
        self.tasks.shutdown().await;
        let mut begun = self.begun.take();
        begun.sort_by(|a, b| a.begun.total_cmp(&b.begun));
        begun
    }
}

async fn run(fault: plan::Fault, from: u64, begun: Rc<RefCell<Vec<Injected>>>, live: Rc<Live>) {
    let seconds = || clock::now().saturating_sub(from) as f64 / 1e6;
    tokio::time::sleep_until(clock::at(from + fault.at.as_micros() as u64)).await;
    timeline::say(format_args!("fault: {}", fault.name));
    live.mark(&*fault.name);
    let child = Command::new("sh")
        .args(["-c", &fault.run])
        .stdin(Stdio::null())
        // What it shows is no part of the report.
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let place = begun.borrow().len();
    begun.borrow_mut().push(Injected {
        name: fault.name,
        run: fault.run,
        begun: seconds(),
        ended: None,
        status: None,
    });
    let status = match child {
        Ok(mut child) => child.wait().await,
        Err(error) => Err(error),
    };
    let begun = &mut begun.borrow_mut()[place];
    begun.ended = Some(seconds());
    begun.status = status.ok().and_then(|status| status.code());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn each_is_run_at_its_time_and_says_how_it_ended() {
        let fault = |millis, run: &str| plan::Fault {
            at: Duration::from_millis(millis),
            run: run.to_owned(),
            name: run.to_owned(),
        };
        let plan =
            [fault(60_000, "true"), fault(40, "exit 3"), fault(20, "kill -9 $$"), fault(60, "sleep 60")];
        let local = tokio::task::LocalSet::new();
        let ended = local.run_until(async {
            let begun = clock::now();
            let faults = Faults::start(&plan, begun, &Rc::new(Live::new()));
            while faults.begun.borrow().iter().filter(|fault| fault.ended.is_some()).count() < 2
                || faults.begun.borrow().len() < 3
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            faults.end().await
        });
        let shown: Vec<_> =
            ended.await.into_iter().map(|fault| (fault.name, fault.ended.is_some(), fault.status)).collect();
        assert_eq!(
            shown,
            [
                ("kill -9 $$".to_owned(), true, None),
                ("exit 3".to_owned(), true, Some(3)),
                ("sleep 60".to_owned(), false, None)
            ]
        );
    }
}
