//! P8: every process of a cluster is restarted, one after the other, under the
//! eyes of a crowd: nothing is lost or doubled, nobody is cut off, and those who
//! are sent away do not all come back at once.

use std::time::Duration;

use proto::CloseCode;
use testkit::cluster::{ClusterOptions, binary};
use testkit::crowd::{Crowd, CrowdOptions};
use testkit::rolling::{peak, restart_all, sent_away};

/// Messages answered before and after the restarts, so that they fall amid load.
const SOME: usize = 50;
const SPREAD: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(5);

/// As many as there may be descriptors for, here and in the gateways.
fn users() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = files.and_then(|line| line.split_whitespace().next()?.parse().ok());
    match files {
        Some(..4096_usize) => {
            println!("few descriptors are allowed (ulimit -n): 500 clients in place of 2,000");
            500
        }
        _ => 2000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_rolling_restart_loses_nothing_and_spreads_reconnects() {
    let settings = [("CARILLON_DRAIN_SPREAD", SPREAD), ("CARILLON_PRESENCE_GRACE", GRACE)];
    let settings = settings.map(|(name, time)| (name.to_owned(), format!("{}s", time.as_secs())));
    let options = ClusterOptions { settings: settings.to_vec(), ..ClusterOptions::default() };
    let system = binary(env!("CARGO_BIN_EXE_carillon")).cluster(options).await.expect("a cluster starts");
    let users = users();
    let crowd = Crowd::start(&system, CrowdOptions { users, ..CrowdOptions::default() }).await;
    let crowd = crowd.expect("a crowd connects");
    crowd.answered(SOME).await.expect("answers");
    let restarts = restart_all(&system).await.expect("every node stops and starts");
    crowd.answered(SOME).await.expect("answers");
    let account = crowd.finish(&system).await.expect("everybody hears everything");

    account.report.assert_kept();
    let numbers = (account.report.lives, account.report.answered == account.report.sends);
    assert!(account.report.lives > users && numbers.1, "{}", account.report);

    for restart in &restarts {
        // Status 1: the drain took longer than `stop_timeout`, and was cut off.
        assert!(restart.status.success(), "{} ended with {}", restart.node, restart.status);
        let away = sent_away(&account.returns, restart);
        let cut = away.iter().find(|back| back.code != Some(CloseCode::Drain.number()));
        assert!(cut.is_none(), "{} cut somebody off: {cut:?}", restart.node);
        if restart.node.starts_with("dispatcher") {
            assert!(away.is_empty(), "{} cost connections: {away:?}", restart.node);
            continue;
        }
        assert!(!away.is_empty(), "{} had nobody to send away", restart.node);
        // A fifth of them each second, as it is set. On a machine that stood still
        // for a while more of them arrive together; without a spread, all.
        let most = peak(away.iter().map(|back| back.back), Duration::from_secs(1));
        println!("{}: {} sent away, at most {most} came back in one second", restart.node, away.len());
        assert!(most * 2 < away.len(), "{}: {most} of {} came back in one second", restart.node, away.len());
    }
    let explained: usize = restarts.iter().map(|restart| sent_away(&account.returns, restart).len()).sum();
    assert_eq!(explained, account.returns.len(), "connections were lost without a restart");

    // Nobody looks offline who has come back in time.
    for (at, user) in &account.shown_offline {
        let late = account.returns.iter().any(|back| back.user == *user && back.back - back.left > GRACE / 2);
        assert!(late, "{user} was shown as offline at {at:?}");
    }
}
