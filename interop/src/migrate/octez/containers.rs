//! Manifests of containers: Compose and Kubernetes. What they start is in `entrypoint`, `command` and `args`, each a text or a list.

use super::shell;
use super::words::{Environment, Word};
use serde::Deserialize as _;
use serde_yaml::Value;

/// The command lines of all containers, if the text is a manifest: YAML whose documents are objects.
pub(super) fn read(text: &str) -> Option<Result<Vec<Vec<Word>>, String>> {
    let documents =
        serde_yaml::Deserializer::from_str(text).map(Value::deserialize).collect::<Result<Vec<_>, _>>().ok()?;
    let is_manifest = documents.iter().any(Value::is_mapping);
    is_manifest.then(|| commands_in(&Value::Sequence(documents)))
}

fn commands_in(value: &Value) -> Result<Vec<Vec<Word>>, String> {
    let mut commands = Vec::new();
    match value {
        Value::Sequence(all) => {
            for value in all {
                commands.extend(commands_in(value)?);
            }
        }
        Value::Mapping(fields) => {
            let mut words = Vec::new();
            for name in ["entrypoint", "command", "args"] {
                words.extend(fields.get(name).map(words_of).transpose()?.unwrap_or_default());
            }
            commands.push(words);
            for (_, value) in fields {
                commands.extend(commands_in(value)?);
            }
        }
        _ => {}
    }
    commands.retain(|words| !words.is_empty());
    Ok(commands)
}

fn words_of(value: &Value) -> Result<Vec<Word>, String> {
    match value {
        // Compose splits a text as a shell does. Its variables are those of whoever calls it.
        Value::String(text) => {
            let commands = shell::read(text, &mut Environment::default())?;
            Ok(commands.into_iter().flat_map(|command| command.words).collect())
        }
        Value::Sequence(all) => Ok(all.iter().filter_map(word_of).collect()),
        _ => Ok(Vec::new()),
    }
}

/// A word of a list: nothing in it is split, and variables are `$(NAME)` in Kubernetes, `${NAME}` in Compose.
fn word_of(value: &Value) -> Option<Word> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => return None,
    };
    // A whole script may be one word, and is read as one.
    let is_variable = text.contains("$(") || text.contains("${");
    let unknown = (is_variable && !text.contains(char::is_whitespace)).then(|| text.clone());
    Some(Word { text, unknown, is_list: false })
}
