//! Commands that are run at a set time.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Time;

/// A command, when it is run, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FaultAt {
    /// From the beginning of measuring.
    pub at: Time,
    /// For `sh -c`.
    pub run: String,
    /// What the report calls it; else the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl FromStr for FaultAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (at, run) = text.split_once(':').ok_or("a time, a colon and a command are needed")?;
        if run.trim().is_empty() {
            return Err("a command is needed after the colon".to_owned());
        }
        Ok(Self { at: at.parse()?, run: run.trim().to_owned(), name: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_time_and_a_command() {
        let fault: FaultAt = "1m30s:kill -9 7:8".parse().unwrap();
        assert_eq!((fault.at.to_string(), fault.run), ("90s".to_owned(), "kill -9 7:8".to_owned()));
        for wrong in ["10s", "10s: ", "soon:true"] {
            assert!(wrong.parse::<FaultAt>().is_err(), "{wrong}");
        }
    }
}
