//! What is shown while a run goes on: on a terminal one line that changes, else
//! a line every few seconds.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::{Phase, Second};

/// Goes back to the line's begin and empties it.
const AGAIN: &str = "\r\x1b[K";
/// Elsewhere than on a terminal, a line after so many seconds.
const EVERY: u64 = 5;

/// Says something, on a line of its own.
pub fn say(text: impl std::fmt::Display) {
    let again = if io::stderr().is_terminal() { AGAIN } else { "" };
    eprintln!("{again}{text}");
}

/// Shows how a run goes.
pub struct Console {
    terminal: bool,
    /// Lines not shown since the last one.
    waited: u64,
}

impl Console {
    /// On this process's standard error.
    pub fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), waited: 0 }
    }

    /// Shows the last second, of a phase that goes on for so long and will take
    /// so long in all, where that is known.
    pub fn show(&mut self, phase: Phase, gone: Duration, length: Option<Duration>, second: &Second) {
        let line = line(phase, gone, length, second);
        if self.terminal {
            let mut to = io::stderr().lock();
            // Nobody looks, then.
            let _ = write!(to, "{AGAIN}{line}").and_then(|()| to.flush());
            return;
        }
        self.waited += 1;
        if self.waited >= EVERY {
            self.waited = 0;
            eprintln!("{line}");
        }
    }

    /// Leaves nothing behind that changes.
    pub fn clear(&mut self) {
        if self.terminal {
            let mut to = io::stderr().lock();
            let _ = write!(to, "{AGAIN}").and_then(|()| to.flush());
        }
    }
}

fn line(phase: Phase, gone: Duration, length: Option<Duration>, second: &Second) -> String {
    let mut line = format!("{:<11} {:>3}", phase.name(), gone.as_secs());
    if let Some(length) = length {
        line.push_str(&format!("/{}", length.as_secs_f64().ceil()));
    }
    line.push_str(&format!(" s   {} connected", grouped(second.connections)));
    let rates =
        [("answered", second.answered, &second.answer_us), ("heard", second.delivered, &second.delivery_us)];
    for (name, count, latencies) in rates {
        if let Some(p99) = latencies.millis_at(0.99) {
            line.push_str(&format!("   {} {name}/s, p99 {p99:.1} ms", grouped(count)));
        }
    }
    for (name, count) in [("came back", second.reconnects), ("failed", second.failures)] {
        if count > 0 {
            line.push_str(&format!("   {} {name}", grouped(count)));
        }
    }
    line
}

/// A number whose thousands are set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_the_run_stands() {
        let second = Second {
            answered: 12_345,
            connections: 1000,
            failures: 2,
            answer_us: "2000:9 3007:1".parse().unwrap(),
            ..Second::default()
        };
        let length = Some(Duration::from_millis(9500));
        assert_eq!(
            line(Phase::Measuring, Duration::from_millis(7900), length, &second),
            "measuring     7/10 s   1,000 connected   12,345 answered/s, p99 3.0 ms   2 failed"
        );
        assert_eq!(
            line(Phase::Connecting, Duration::ZERO, None, &Second::default()),
            "connecting    0 s   0 connected"
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
