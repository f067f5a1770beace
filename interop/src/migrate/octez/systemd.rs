//! A systemd unit, or what `systemctl cat` prints of one with its drop-ins: `ExecStart` and the environment, read as systemd reads them
//! (systemd.syntax(7) and systemd.service(5); `conf-parser.c`, `load-fragment.c` and `extract-word.c` of systemd 252).

use super::environment_file;
use super::words::{Environment, Word, is_name};

/// What a unit says of the process that it starts.
#[derive(Default)]
pub(super) struct Unit {
    /// The command lines that are left after all resets.
    pub(super) commands: Vec<Vec<Word>>,
    pub(super) environment: Environment,
    /// What systemd ignores, and what is not known here: what it concerns, and a sentence.
    pub(super) notes: Vec<(String, String)>,
    /// The files of the environment that were read.
    pub(super) read: Vec<String>,
}

/// Whether a text is a unit, rather than a script.
pub(super) fn is_unit(text: &str) -> bool {
    text.lines().map(str::trim_start).any(|line| {
        matches!(line.trim_end(), "[Unit]" | "[Service]" | "[Install]")
            || line.split_once('=').is_some_and(|(name, _)| matches!(name.trim_end(), "ExecStart" | "EnvironmentFile"))
    })
}

/// Whether it is the output of `systemctl cat`, which begins with the path of the file. A drop-in has a path of its own.
pub(super) fn is_output_of_cat(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.starts_with("# /") && line.contains(".service"))
}

pub(super) fn read(text: &str, environment_file: &dyn Fn(&str) -> Option<String>) -> Unit {
    let mut unit = Unit::default();
    let (mut exec_start, mut variables, mut files, mut unset) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let lines = lines(text, &mut unit.notes);
    let has_sections = lines.iter().any(|(_, line)| line.starts_with('['));
    let mut section = if has_sections { String::new() } else { "[Service]".to_owned() };
    for (number, line) in &lines {
        if line.starts_with('[') {
            section.clone_from(line);
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            let why = "it has no =, so systemd ignores it. Is it the rest of a line without a backslash, or after an empty line?";
            unit.notes.push((format!("line {number}"), why.to_owned()));
            continue;
        };
        if section != "[Service]" {
            if name.trim_end() == "ExecStart" {
                unit.notes.push((
                    format!("line {number}"),
                    "ExecStart outside of [Service], so systemd ignores it".to_owned(),
                ));
            }
            continue;
        }
        let (list, value) = match name.trim_end() {
            "ExecStart" => (&mut exec_start, value.trim()),
            "Environment" => (&mut variables, value.trim()),
            "EnvironmentFile" => (&mut files, value.trim()),
            "UnsetEnvironment" => (&mut unset, value.trim()),
            "PassEnvironment" => {
                unit.environment.unread.push("PassEnvironment".to_owned());
                continue;
            }
            _ => continue,
        };
        // An empty value takes back all before it.
        if value.is_empty() { list.clear() } else { list.push(value) }
    }
    for value in variables {
        set_variables(&mut unit, value);
    }
    for file in files {
        read_file(&mut unit, file, environment_file);
    }
    for word in unset.into_iter().flat_map(str::split_whitespace) {
        unit.environment.unset(word.split('=').next().unwrap_or_default());
    }
    for value in exec_start {
        let mut commands = Vec::new();
        match command_lines(value, &unit.environment, &mut commands) {
            Ok(()) => unit.commands.extend(commands),
            Err(reason) => unit.notes.push(("ExecStart".to_owned(), format!("{reason}, so systemd rejects this line"))),
        }
    }
    unit
}

/// The logical lines, each with the number of its first line: comments are left out, also between a line and its continuation.
fn lines(text: &str, notes: &mut Vec<(String, String)>) -> Vec<(usize, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut continued: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (first, mut whole) = continued.take().unwrap_or((number + 1, String::new()));
        whole.push_str(line);
        let backslashes = whole.len() - whole.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            whole.pop();
            whole.push(' ');
            continued = Some((first, whole));
            continue;
        }
        let trimmed = line.trim_end();
        if (trimmed.len() - trimmed.trim_end_matches('\\').len()) % 2 == 1 {
            let why = "blanks follow the backslash at its end, and some releases of systemd (252 is one) then do not continue the line. \
                       The next line was taken over: make sure that it was in effect";
            notes.push((format!("line {}", number + 1), why.to_owned()));
            let end = whole.trim_end().len() - 1;
            whole.truncate(end);
            whole.push(' ');
            continued = Some((first, whole));
            continue;
        }
        lines.push((first, whole.trim().to_owned()));
    }
    lines.extend(continued.map(|(first, whole)| (first, whole.trim().to_owned())));
    lines.retain(|(_, line)| !line.is_empty());
    lines
}

fn set_variables(unit: &mut Unit, value: &str) {
    let mut rest = value;
    loop {
        match next_word(rest, true) {
            Ok(Some((word, after))) => {
                rest = after;
                let word = with_specifiers(&word);
                match word.text.split_once('=') {
                    Some((name, text)) if is_name(name) => {
                        unit.environment.set(name, Some(Word { text: text.to_owned(), ..word.clone() }));
                    }
                    _ => unit.notes.push((
                        "Environment".to_owned(),
                        "an entry is not NAME=VALUE, so systemd ignores it".to_owned(),
                    )),
                }
            }
            Ok(None) => return,
            Err(reason) => {
                return unit
                    .notes
                    .push(("Environment".to_owned(), format!("{reason}, so systemd ignores the rest of this line")));
            }
        }
    }
}

fn read_file(unit: &mut Unit, value: &str, environment_file: &dyn Fn(&str) -> Option<String>) {
    let path = with_specifiers(value.trim_start_matches('-'));
    if let Some(text) = path.value().and_then(environment_file) {
        for (name, value) in environment_file::read(&text) {
            unit.environment.set(&name, Some(Word::known(value)));
        }
        unit.read.push(path.text);
    } else {
        // It may set each of them to something else.
        unit.environment.forget();
        unit.environment.unread.push(path.text);
    }
}

/// The command lines of a value: several are separated by a semicolon.
fn command_lines(value: &str, environment: &Environment, commands: &mut Vec<Vec<Word>>) -> Result<(), &'static str> {
    let mut rest = value;
    while let Some((first, after)) = next_word(rest, false)? {
        rest = after;
        let path = first.trim_start_matches(['-', '@', ':', '+', '!']);
        let prefixes = &first[..first.len() - path.len()];
        let mut words = vec![with_specifiers(path)];
        loop {
            let is_alone = |mark: &str| {
                rest.strip_prefix(mark).filter(|after| after.is_empty() || after.starts_with(char::is_whitespace))
            };
            if let Some(after) = is_alone(";") {
                rest = after.trim_start();
                break;
            }
            if let Some(after) = is_alone("\\;") {
                rest = after.trim_start();
                words.push(Word::known(";"));
                continue;
            }
            let Some((word, after)) = next_word(rest, true)? else { break };
            rest = after;
            let word = with_specifiers(&word);
            if prefixes.contains(':') { words.push(word) } else { expand(&word, environment, &mut words) }
        }
        if prefixes.contains('@') && words.len() > 1 {
            // The name of the process, instead of its path.
            words.remove(1);
        }
        commands.push(words);
    }
    Ok(())
}

/// The next word, unquoted and unescaped, and what follows. An escape that is not known is kept, where systemd keeps it.
fn next_word(text: &str, keeps_unknown_escapes: bool) -> Result<Option<(String, &str)>, &'static str> {
    let text = text.trim_start();
    if text.is_empty() {
        return Ok(None);
    }
    let mut word = Vec::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (character, quote) {
            ('\\', _) => match unescaped(&text[at + 1..]) {
                Some((bytes, length)) => {
                    word.extend(bytes);
                    let _ = characters.nth(length - 1);
                }
                None if at + 1 == text.len() && quote.is_some() => return Err("it has an unterminated quote"),
                None if keeps_unknown_escapes => {
                    word.push(b'\\');
                    if let Some((_, next)) = characters.next() {
                        word.extend(next.to_string().bytes());
                    }
                }
                None => return Err("the path of the program has an escape that is not known"),
            },
            (character, Some(end)) if character == end => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            (character, None) if character.is_ascii_whitespace() => {
                return Ok(Some((String::from_utf8_lossy(&word).into_owned(), text[at..].trim_start())));
            }
            (character, _) => word.extend(character.to_string().bytes()),
        }
    }
    match quote {
        Some(_) => Err("it has an unterminated quote"),
        None => Ok(Some((String::from_utf8_lossy(&word).into_owned(), ""))),
    }
}

/// The bytes that an escape means, and how many characters it has after the backslash.
fn unescaped(text: &str) -> Option<(Vec<u8>, usize)> {
    let number = |from: usize, length: usize, radix| u32::from_str_radix(text.get(from..from + length)?, radix).ok();
    let byte = |value: u32| u8::try_from(value).ok().filter(|byte| *byte != 0).map(|byte| vec![byte]);
    let character =
        |value: u32| char::from_u32(value).filter(|value| *value != '\0').map(|value| value.to_string().into_bytes());
    let simple = match text.chars().next()? {
        'a' => b'\x07',
        'b' => b'\x08',
        'f' => b'\x0c',
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => b'\x0b',
        's' => b' ',
        same @ ('\\' | '"' | '\'') => same as u8,
        'x' => return Some((byte(number(1, 2, 16)?)?, 3)),
        'u' => return Some((character(number(1, 4, 16)?)?, 5)),
        'U' => return Some((character(number(1, 8, 16)?)?, 9)),
        '0'..='7' => return Some((byte(number(0, 3, 8)?)?, 3)),
        _ => return None,
    };
    Some((vec![simple], 1))
}

/// `%%` is one percent sign. What other specifiers stand for is known only where the unit runs.
fn with_specifiers(text: &str) -> Word {
    let mut word = Word::default();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('%', Some('%')) => {
                characters.next();
                word.text.push('%');
            }
            ('%', Some(specifier)) if specifier.is_ascii_alphabetic() => {
                characters.next();
                word.push_unknown(&format!("%{specifier}"));
            }
            _ => word.text.push(character),
        }
    }
    word
}

/// Replaces `${NAME}` anywhere, and `$NAME` where it is the whole word, which may become several. `$$` is one dollar sign.
fn expand(word: &Word, environment: &Environment, words: &mut Vec<Word>) {
    if let Some(name) = word.text.strip_prefix('$').filter(|name| !name.starts_with(['{', '$'])) {
        match environment.get(name) {
            Some(value) => {
                let mut rest = value;
                while let Ok(Some((part, after))) = next_word(rest, true) {
                    words.push(Word::known(part));
                    rest = after;
                }
            }
            None => words.push(Word::list(&word.text)),
        }
        return;
    }
    let mut expanded = Word { text: String::new(), ..word.clone() };
    let mut rest = word.text.as_str();
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        expanded.text.push_str(before);
        let variable = from.strip_prefix("${").and_then(|from| from.split_once('}'));
        rest = if let Some(after) = from.strip_prefix("$$") {
            expanded.text.push('$');
            after
        } else if let Some((name, after)) = variable {
            match environment.word(name) {
                Some(value) => expanded.push_word(value),
                None => expanded.push_unknown(&format!("${{{name}}}")),
            }
            after
        } else {
            expanded.text.push('$');
            &from[1..]
        };
    }
    expanded.text.push_str(rest);
    words.push(expanded);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these was given to systemd 252 (`SYSTEMD_LOG_LEVEL=debug systemd-analyze verify`), which has made the same words of it.
    #[test]
    fn the_words_are_those_that_systemd_makes() {
        for (value, expected) in [
            (
                "/bin/echo launch \\\n  # a comment\n  --address 1.2.3.4 \\\n; another\n  -W",
                "/bin/echo|launch|--address|1.2.3.4|-W",
            ),
            (r#"e "a b"c 'it''s' \x41 \101 a\ b \s \q ''"#, r"e|a bc|its|A|A|a\ b| |\q|"),
            (r#"e "\;" \; x;y ;z"#, r"e|\;|;|x;y|;z"),
            (r#"e "; " ';' q ; /bin/true y"#, "e|; |;|q\n/bin/true|y"),
            ("e tab\tx\\ty \\\\ \\\\\\\\ \"\\\"q\\\"\" 'a\\'b' a'b c'd", "e|tab|x\ty|\\|\\\\|\"q\"|a'b|ab cd"),
            (r"e é \u00e9 \U0001F600 \x", r"e|é|é|😀|\x"),
            ("+e end\\\nwith\\\n   lines", "e|end|with|lines"),
            ("e double\\\\", "e|double\\"),
            ("e after \\\n; comment \\\n# more\nlast", "e|after|last"),
            (":e ${A} $A", "e|${A}|$A"),
        ] {
            let unit = read(&format!("[Service]\n ExecStart = {value}\n[Install]\n"), &|_| None);
            let words =
                |command: &Vec<Word>| command.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join("|");
            let commands: Vec<_> = unit.commands.iter().map(words).collect();
            assert_eq!(commands.join("\n"), expected, "{value}");
            assert!(unit.notes.is_empty(), "{:?}", unit.notes);
        }
    }

    #[test]
    fn variables_are_expanded_as_the_manual_says() {
        let text = "[Service]\nEnvironment=\"ONE=one\" 'TWO=two two'\nEnvironment=\"THREE='two two' too\" FOUR= P=%%\n\
                    ExecStart=e $ONE $TWO ${TWO} a${ONE}b $THREE ${THREE} [${FOUR}] $FOUR $$ONE ${P}\n";
        let unit = read(text, &|_| None);
        let words: Vec<_> = unit.commands[0].iter().map(|word| word.text.as_str()).collect();
        assert_eq!(
            words,
            ["e", "one", "two", "two", "two two", "aoneb", "two two", "too", "'two two' too", "[]", "$ONE", "%"]
        );
        assert!(unit.commands[0].iter().all(|word| word.unknown.is_none()));
        let reset = read(
            "[Service]\nEnvironment=A=1 B=2\nEnvironment=\nEnvironment=B=3\nUnsetEnvironment=C\nExecStart=e ${A} ${B}\n",
            &|_| None,
        );
        assert_eq!(reset.commands[0][1].unknown.as_deref(), Some("${A}"));
        assert_eq!(reset.commands[0][2].value(), Some("3"));
    }
}
