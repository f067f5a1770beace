//! A shell script: its simple commands, with the values of the variables that it sets itself. What only a run of the script would show
//! (other commands' output, arguments, variables that are set in a branch or elsewhere) is a part that is not known.

use super::words::{Environment, Word, is_name, name_length};

/// A command of the script.
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    /// The line that it begins in.
    pub(super) line: usize,
}

/// The commands of a script, and the first line that cannot be read, if there is one.
pub(super) fn read(text: &str, environment: &mut Environment) -> Result<Vec<Command>, String> {
    let mut lexer = Lexer { rest: text, line: 1, environment, depth: 0, commands: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.command()?;
    }
    Ok(lexer.commands)
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    environment: &'a mut Environment,
    /// How many branches, loops and functions the place is in.
    depth: usize,
    commands: Vec<Command>,
}

/// The word that is being read. Quotes make a word also where there is nothing in them.
#[derive(Default)]
struct Pending {
    word: Word,
    is_there: bool,
    words: Vec<Word>,
    /// The next word is the target of a redirection.
    is_target: bool,
}

impl Pending {
    fn end(&mut self) {
        let word = std::mem::take(&mut self.word);
        if std::mem::take(&mut self.is_there) && !std::mem::take(&mut self.is_target) {
            self.words.push(word);
        }
    }

    fn push(&mut self, character: char) {
        self.word.text.push(character);
        self.is_there = true;
    }

    /// The value of a variable that stands without quotes, which may be several words.
    fn push_split(&mut self, value: &Word) {
        for character in value.text.chars() {
            if character.is_whitespace() {
                self.mark_unknown(value);
                self.end();
            } else {
                self.push(character);
            }
        }
        self.mark_unknown(value);
    }

    /// In a value with parts that are not known, these are where a dollar sign or backquote is.
    fn mark_unknown(&mut self, value: &Word) {
        if value.unknown.is_some() && self.word.text.contains(['$', '`']) {
            self.word.is_list |= self.word.text.starts_with(['$', '`']);
            self.word.unknown = Some(self.word.text.clone());
        }
    }
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        self.line += usize::from(next == '\n');
        Some(next)
    }

    /// Reads up to the end of a command.
    fn command(&mut self) -> Result<(), String> {
        let mut pending = Pending::default();
        let mut line = None;
        loop {
            let at = self.line;
            match self.next() {
                Some('&') if self.rest.starts_with('>') => pending.end(),
                Some('&') if pending.is_target && !pending.is_there => {}
                None | Some('\n' | ';' | '(' | ')' | '|' | '&') => break,
                Some('<' | '>') => {
                    // The number before it is a file descriptor.
                    if !pending.word.text.bytes().all(|digit| digit.is_ascii_digit()) {
                        pending.end();
                    }
                    (pending.word, pending.is_there, pending.is_target) = (Word::default(), false, true);
                    self.rest = self.rest.trim_start_matches(['<', '>']);
                }
                Some('#') if !pending.is_there => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                Some('\\') => match self.next() {
                    Some('\n') | None => continue,
                    Some(next) => pending.push(next),
                },
                Some('\'') => {
                    let (text, after) =
                        self.rest.split_once('\'').ok_or(format!("line {at}: a quote is not closed"))?;
                    pending.word.text.push_str(text);
                    pending.is_there = true;
                    self.line += text.matches('\n').count();
                    self.rest = after;
                }
                Some('"') => self.double_quotes(&mut pending).ok_or(format!("line {at}: a quote is not closed"))?,
                Some('$') if self.is_plain_dollar() => pending.push('$'),
                Some(first @ ('$' | '`')) => self.expansion(first, &mut pending, true),
                Some(blank) if blank.is_whitespace() => pending.end(),
                Some(character) => pending.push(character),
            }
            line.get_or_insert(at);
        }
        pending.end();
        self.take(pending.words, line.unwrap_or(self.line));
        Ok(())
    }

    /// A dollar sign that nothing follows which it could expand.
    fn is_plain_dollar(&self) -> bool {
        self.rest.chars().next().is_none_or(char::is_whitespace)
    }

    /// `None` if the quotes do not end.
    fn double_quotes(&mut self, pending: &mut Pending) -> Option<()> {
        pending.is_there = true;
        loop {
            match self.next()? {
                '"' => return Some(()),
                '\\' => match self.next()? {
                    '\n' => {}
                    same @ ('$' | '`' | '"' | '\\') => pending.push(same),
                    other => {
                        pending.push('\\');
                        pending.push(other);
                    }
                },
                '$' if self.is_plain_dollar() => pending.push('$'),
                first @ ('$' | '`') => self.expansion(first, pending, false),
                character => pending.push(character),
            }
        }
    }

    /// What a dollar sign or backquote stands for.
    fn expansion(&mut self, first: char, pending: &mut Pending, splits: bool) {
        let (written, value) = self.expanded(first);
        match value {
            Some(value) if splits => pending.push_split(&value),
            Some(value) => {
                pending.word.push_word(&value);
                pending.is_there = true;
            }
            None => {
                // Without quotes, and alone: any number of words.
                let is_alone = splits
                    && !pending.is_there
                    && self.rest.chars().next().is_none_or(|next| " \t\n;&|)".contains(next));
                pending.word.push_unknown(&written);
                pending.word.is_list |= is_alone || written == "$@" || written == "${@}";
                pending.is_there = true;
            }
        }
    }

    /// An expansion as it is written, and its value if that is known. The first character has been read.
    fn expanded(&mut self, first: char) -> (String, Option<Word>) {
        let rest = self.rest;
        let (length, value) = match rest.chars().next() {
            _ if first == '`' => (rest.find('`').map_or(rest.len(), |end| end + 1), None),
            Some('(') => (nested(rest, '(', ')'), None),
            Some('{') => {
                let length = nested(rest, '{', '}');
                let inside = rest[1..length].strip_suffix('}');
                (length, inside.and_then(|inside| self.parameter(inside)))
            }
            _ => match name_length(rest) {
                0 => (rest.chars().next().map_or(0, char::len_utf8), None),
                length => (length, self.environment.word(&rest[..length]).cloned()),
            },
        };
        self.line += rest[..length].matches('\n').count();
        self.rest = &rest[length..];
        (format!("{first}{}", &rest[..length]), value)
    }

    /// The value of `NAME` or `NAME:-DEFAULT` where the script sets the variable. Otherwise its environment may, so the default may not hold.
    fn parameter(&self, text: &str) -> Option<Word> {
        let (name, operation) = text.split_at(name_length(text));
        let value = self.environment.word(name)?;
        match operation.strip_prefix(":-").or_else(|| operation.strip_prefix('-')) {
            Some(default) if value.text.is_empty() && operation.starts_with(':') => {
                (!default.contains(['$', '`', '"', '\''])).then(|| Word::known(default))
            }
            Some(_) => Some(value.clone()),
            None => operation.is_empty().then(|| value.clone()),
        }
    }

    /// Keeps a command, or what it does to the variables.
    fn take(&mut self, words: Vec<Word>, line: usize) {
        let mut words = words.into_iter().peekable();
        while let Some(keyword) = words.next_if(|word| is_keyword(&word.text)) {
            match keyword.text.as_str() {
                "if" | "while" | "until" | "for" | "case" | "{" | "function" => self.depth += 1,
                "fi" | "done" | "esac" | "}" => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if keyword.text == "for"
                && let Some(name) = words.next()
            {
                self.environment.set(&name.text, None);
                return;
            }
        }
        let mut words: Vec<_> = words.collect();
        let is_declaration = words
            .first()
            .is_some_and(|word| matches!(word.text.as_str(), "export" | "readonly" | "declare" | "local" | "typeset"));
        if is_declaration {
            words.remove(0);
        }
        let assignments = words.iter().take_while(|word| assigned(word).is_some()).count();
        if is_declaration || assignments == words.len() {
            for (name, value) in words.iter().filter_map(assigned) {
                self.environment.set(name, Some(value).filter(|_| self.depth == 0));
            }
            return;
        }
        match words[0].text.as_str() {
            // Another file may set every variable.
            "." | "source" => {
                self.environment.forget();
                self.environment.unread.push(words.get(1).map_or_else(String::new, |word| word.text.clone()));
            }
            "unset" | "read" => words[1..].iter().for_each(|word| self.environment.set(&word.text, None)),
            _ => self.commands.push(Command { words, line }),
        }
    }
}

fn is_keyword(word: &str) -> bool {
    let all = [
        "if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "{", "}", "!",
        "function", "time",
    ];
    all.contains(&word)
}

/// The name and the value of an assignment.
fn assigned(word: &Word) -> Option<(&str, Word)> {
    let (name, value) = word.text.split_once('=')?;
    is_name(name).then(|| (name, Word { text: value.to_owned(), ..word.clone() }))
}

/// The length of a text in brackets, which begins with the first of them.
fn nested(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth -= 1;
            if depth == 0 {
                return at + character.len_utf8();
            }
        }
    }
    text.len()
}
