//! Tables and durations for people, and JSON for programs.

use crate::error::PluginError;
use clap::ValueEnum;
use jiff::SignedDuration;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

/// How a command prints.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints `text`, as it is.
pub(crate) fn print(text: &str) -> Result<(), PluginError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(PluginError::Stdout)
}

/// Prints `value` as JSON with indentation.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), PluginError> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// The columns of the screen; `None` if the output is no screen, so that nothing is cut.
pub(crate) fn screen_width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    if std::io::stdout().is_terminal() { of_terminal().or(columns) } else { columns }
}

/// Rows under their titles, each column as wide as its widest cell. Lines are cut to `width`, the last character becoming `…`.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let letters = |text: &str| text.chars().count();
    let column_width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| letters(cell));
        cells.chain([letters(titles[column])]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(column_width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            let cell: String = cell.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            // Into a String it never fails.
            let _ = write!(line, "{cell:<width$}  ");
        }
        cut(line.trim_end(), width) + "\n"
    };
    let mut text = line(&mut titles.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// `text`, cut to `width` columns.
pub(crate) fn cut(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => {
            text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        }
        _ => text.to_owned(),
    }
}

/// A duration in one or two letters: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(age: SignedDuration) -> String {
    match age.as_secs() {
        ..0 => "0s".to_owned(),
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_its_cells_and_the_screen() {
        let rows = vec![vec!["a".to_owned(), "b\nc".to_owned()], vec!["long…".to_owned(), "d".repeat(40)]];
        assert_eq!(table(&["X", "Y"], &rows, Some(20)), "X      Y\na      b c\nlong…  dddddddddddd…\n");
        assert!(table(&["X", "Y"], &rows, None).contains(&"d".repeat(40)));
    }
}
