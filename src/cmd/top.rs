//! `top`: what a running cluster does, in the terminal or printed once.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::TopArgs;
use crate::top::report;
use crate::top::screen::{Screen, Wish};
use crate::top::{View, Watch};

/// How soon a new view, or a signal, is noticed.
const LOOK: Duration = Duration::from_millis(100);

/// Watches until it is told to quit; with `once`, prints what happened in one interval.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let nodes = Watch::new(args.urls.clone(), args.interval);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if args.once || args.json {
        return runtime.block_on(print(nodes, args));
    }
    ensure!(
        std::io::stdout().is_terminal() && std::io::stdin().is_terminal(),
        "this is no terminal: --once prints a table, --json the same for programs"
    );
    let (sender, mut views) = watch::channel(View::default());
    let stop = CancellationToken::new();
    let (_poller, _signals) = runtime.block_on(async {
        let poller = AbortOnDropHandle::new(tokio::spawn(poll(nodes, args.interval, sender)));
        let signals = AbortOnDropHandle::new(tokio::spawn(stop_on_signals(stop.clone())));
        (poller, signals)
    });
    let mut terminal = Terminal::open()?;
    show(&mut terminal.0, &mut views, &stop, Screen::new(args.interval))
}

/// Rates need two rounds.
async fn print(mut nodes: Watch, args: &TopArgs) -> anyhow::Result<()> {
    nodes.round().await;
    tokio::time::sleep(args.interval).await;
    let view = nodes.round().await;
    let text = if args.json { format!("{:#}\n", report::json(&view)) } else { report::table(&view) };
    std::io::stdout().write_all(text.as_bytes()).context("printing")?;
    ensure!(view.up() > 0, "no node answers");
    Ok(())
}

/// Asks the nodes until nobody looks any more.
async fn poll(mut nodes: Watch, interval: Duration, views: watch::Sender<View>) {
    let mut rounds = tokio::time::interval(interval);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if views.send(nodes.round().await).is_err() {
            break;
        }
    }
}

/// Ctrl-C is a key here; these come from elsewhere.
async fn stop_on_signals(stop: CancellationToken) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    stop.cancel();
}

/// The terminal while it is ours. Dropping it gives it back as it was; so does
/// a panic anywhere, before its message is printed.
struct Terminal(DefaultTerminal);

impl Terminal {
    fn open() -> anyhow::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                ratatui::restore();
                Err(error).context("taking the terminal")
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn show(
    terminal: &mut DefaultTerminal,
    views: &mut watch::Receiver<View>,
    stop: &CancellationToken,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let mut is_stale = true;
    while !stop.is_cancelled() {
        if is_stale {
            terminal.draw(|frame| screen.draw(frame)).context("drawing")?;
            is_stale = false;
        }
        if event::poll(LOOK).context("waiting for a key")? {
            match event::read().context("reading a key")? {
                Event::Key(key) if key.kind == KeyEventKind::Press => match screen.key(key) {
                    Wish::Quit => return Ok(()),
                    Wish::Redraw => is_stale = true,
                    Wish::Nothing => {}
                },
                Event::Resize(..) => is_stale = true,
                _ => {}
            }
        }
        match views.has_changed() {
            Ok(true) => is_stale |= screen.show(views.borrow_and_update().clone()),
            Ok(false) => {}
            Err(_) => bail!("asking the nodes has ended"),
        }
    }
    Ok(())
}
