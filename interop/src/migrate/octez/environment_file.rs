//! A file of `EnvironmentFile`: lines of `NAME=VALUE` with quotes like those of a shell, but without its expansions (systemd.exec(5),
//! `env-file.c` of systemd 252).

use super::words::is_name;
use tezos_signer_core::text::without_mark;

/// The variables that the file sets, in their order. What is no assignment is ignored, as by systemd.
pub(super) fn read(text: &str) -> Vec<(String, String)> {
    let text = without_mark(text).replace("\r\n", "\n");
    let mut rest = text.as_str();
    let mut variables = Vec::new();
    while !rest.is_empty() {
        let line = rest.trim_start();
        let end = line.find('\n').unwrap_or(line.len());
        let assignment = line[..end].split_once('=').filter(|_| !line.starts_with(['#', ';']));
        let Some((name, _)) = assignment else {
            rest = &line[end..];
            continue;
        };
        let (value, after) = value(&line[name.len() + 1..]);
        if is_name(name.trim_end()) {
            variables.push((name.trim_end().to_owned(), value));
        }
        rest = after;
    }
    variables
}

/// Where in a value the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before it, or after the end of a quoted part: only here a quote begins one.
    Between,
    Plain,
    Quoted(char),
}

/// The value that a text begins with, up to the end of its line, and what follows.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    // Blanks at the end are no part of the value, unless they are quoted or escaped.
    let mut kept = 0;
    let mut place = Place::Between;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (character, place) {
            ('\n', Place::Between | Place::Plain) => {
                value.truncate(kept);
                return (value, &text[at..]);
            }
            ('\\', Place::Between | Place::Plain | Place::Quoted('"')) => {
                let next = characters.next().map_or('\n', |(_, next)| next);
                if place == Place::Between {
                    place = Place::Plain;
                }
                if next == '\n' {
                    continue;
                }
                if place != Place::Plain && !"\"\\`$".contains(next) {
                    value.push('\\');
                }
                value.push(next);
                kept = value.len();
            }
            (character, Place::Quoted(end)) if character == end => place = Place::Between,
            (quote @ ('"' | '\''), Place::Between) => place = Place::Quoted(quote),
            (' ' | '\t', Place::Between) => {}
            (character, _) => {
                value.push(character);
                if place == Place::Between {
                    place = Place::Plain;
                }
                if place != Place::Plain || !character.is_ascii_whitespace() {
                    kept = value.len();
                }
            }
        }
    }
    value.truncate(kept);
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_escapes_and_comments_as_systemd_reads_them() {
        let text = "# a\n ; b\nA=1 \n\nB = \"x y\"'z' w  \nexport C=1\nD=a\"b\"\nE=a\\\nb\\ \nF=\"\\$x\\y\n2\"\nno\nG='\\'\nH=";
        let expected =
            [("A", "1"), ("B", "x yzw"), ("D", "a\"b\""), ("E", "ab "), ("F", "$x\\y\n2"), ("G", "\\"), ("H", "")];
        let read = read(text);
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, expected);
    }
}
