//! Limits how much text of others is repeated in logs and responses.

/// The longest message that may repeat what a stranger has sent, in characters.
const LONGEST: usize = 240;

/// INVARIANT S14: `message`, truncated, so that a client that may not sign anything cannot fill the logs with its requests.
pub(crate) fn excerpt(message: &str) -> String {
    match message.char_indices().nth(LONGEST) {
        None => message.to_owned(),
        Some(_) => message.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, excerpt};

    #[test]
    fn a_message_is_cut_by_characters_and_only_once() {
        for character in ["a", "ä", "\u{1f512}"] {
            assert_eq!(excerpt(&character.repeat(LONGEST)), character.repeat(LONGEST));
            let short = excerpt(&character.repeat(LONGEST + 1));
            assert_eq!(short, character.repeat(LONGEST - 1) + "…");
            assert_eq!(excerpt(&short), short);
        }
    }
}
