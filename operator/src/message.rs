//! What all messages of conditions and events have in common: the important sentence comes first, a list names three items and counts the
//! others, the words of others are cut short, and so is the whole.

/// The longest message of a condition, in bytes. With the type of the condition before it, it fits into the note of an event, of which the
/// API server takes 1 kB, and into a screen of `kubectl get`.
pub(crate) const MAX_MESSAGE: usize = 900;

/// The longest part of a message that is somebody else's words, in bytes: a signer's, the kubelet's, the API server's, or the user's.
const MAX_EXCERPT: usize = 300;

/// How many items of a list are named.
const NAMED: usize = 3;

/// `text` in one line of at most `max` bytes. The end of a longer one is replaced by `…`.
pub(crate) fn cut(text: &str, max: usize) -> String {
    const ELLIPSIS: char = '…';
    let mut line = String::with_capacity(text.len().min(max));
    for letter in text.chars() {
        if line.len() + letter.len_utf8() > max {
            line.truncate(line.floor_char_boundary(max - ELLIPSIS.len_utf8()));
            line.push(ELLIPSIS);
            break;
        }
        line.push(if letter.is_control() { ' ' } else { letter });
    }
    line
}

/// The words of somebody else, for a part of a message.
pub(crate) fn excerpt(words: &str) -> String {
    cut(words.trim(), MAX_EXCERPT)
}

/// `a, b, c and 73 more`.
pub(crate) fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    list_by(", ", items)
}

/// `a; b; c and 73 more`, for items that have commas themselves.
pub(crate) fn list_by<T: AsRef<str>>(separator: &str, items: impl IntoIterator<Item = T>) -> String {
    let mut items = items.into_iter();
    let mut named = String::new();
    for (i, item) in items.by_ref().take(NAMED).enumerate() {
        named.push_str(if i == 0 { "" } else { separator });
        named.push_str(item.as_ref());
    }
    match items.count() {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_three_and_counts_the_others() {
        let of = |items: usize| list((0..items).map(|i| format!("key-{i}")));
        assert_eq!(of(0), "");
        assert_eq!(of(1), "key-0");
        assert_eq!(of(3), "key-0, key-1, key-2");
        assert_eq!(of(4), "key-0, key-1, key-2 and 1 more");
        assert_eq!(of(76), "key-0, key-1, key-2 and 73 more");
        assert_eq!(list_by("; ", ["a, b", "c"]), "a, b; c");
    }

    #[test]
    fn a_text_is_one_line_and_no_longer_than_it_may_be() {
        assert_eq!(cut("a\nb\u{7}", 10), "a b ");
        assert_eq!(cut("0123456789", 10), "0123456789");
        assert_eq!(cut("0123456789x", 10), "0123456…");
        for letter in ["x", "ä", "…", "🦀"] {
            let cut = cut(&letter.repeat(2000), MAX_MESSAGE);
            assert!(cut.len() <= MAX_MESSAGE && cut.len() > MAX_MESSAGE - 8 && cut.ends_with('…'), "{}", cut.len());
        }
    }
}
