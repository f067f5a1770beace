//! What became of each cell, and the table of all.

use super::axes::{BURST, CODES, FUNCTIONS, LENGTHS};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What became of a cell that is well.
pub(super) struct Recovery {
    /// From the end of the fault to the next signature.
    pub(super) took: Duration,
    /// Or was the fault met less often, because the signer has found a way around it?
    pub(super) in_full: bool,
}

/// Why a cell is not well.
pub(super) enum Failure {
    /// Only late. Other cells, or other work of the machine, may be the reason.
    Late(Duration),
    Broken(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late(took) => write!(f, "the next signature {} ms after the end", took.as_millis()),
            Self::Broken(reason) => f.write_str(reason),
        }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

pub(super) type Results = BTreeMap<(usize, usize), Vec<Result<Recovery, String>>>;

/// Rows of codes, columns of functions. In each cell a mark for once, five times and until cleared, and the slowest recovery in
/// milliseconds. Beneath, what failed.
pub(super) fn table(results: &Results, took: Duration) -> String {
    let mut text = String::new();
    let cells = results.values().flatten().count();
    writeln!(
        text,
        "{cells} cells in {:.1} s. + is well, ~ too but went around the fault, x is not: once, {BURST} times, until cleared; ms to the next signature",
        took.as_secs_f32()
    )
    .unwrap();
    write!(text, "{:31}", "").unwrap();
    for (function, _) in FUNCTIONS {
        write!(text, "{:>1$}", function.trim_start_matches("C_"), function.len().max(11)).unwrap();
    }
    writeln!(text).unwrap();
    let mut failures = String::new();
    for (row, (code, _)) in CODES.iter().enumerate() {
        write!(text, "{code:31}").unwrap();
        for (column, (function, _)) in FUNCTIONS.iter().enumerate() {
            let Some(cells) = results.get(&(row, column)) else {
                write!(text, "{:>1$}", "", function.len().max(11)).unwrap();
                continue;
            };
            let mark = |cell: &Result<Recovery, String>| match cell {
                Ok(Recovery { in_full: true, .. }) => '+',
                Ok(_) => '~',
                Err(_) => 'x',
            };
            let marks: String = cells.iter().map(mark).collect();
            let slowest = cells.iter().flatten().map(|cell| cell.took).max();
            let slowest = slowest.map(|took| took.as_millis().to_string()).unwrap_or_default();
            write!(text, "{:>1$}", format!("{marks} {slowest:>4}"), function.len().max(11)).unwrap();
            for (cell, length) in cells.iter().zip(LENGTHS) {
                if let Err(reason) = cell {
                    writeln!(failures, "{function} {code} {length:?}: {reason}").unwrap();
                }
            }
        }
        writeln!(text).unwrap();
    }
    text + &failures
}
