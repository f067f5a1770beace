//! Removes empty segments of a request's path. Octez' client appends its path to the configured URL, so
//! `http://127.0.0.1:6732/` becomes `//authorized_keys`. Octez' servers drop empty segments (`split_path` of resto), and so
//! do all ports here, before routing.

use axum::http::Uri;

/// The same URI without the empty segments of its path: `//keys///a/?b=//` becomes `/keys/a?b=//`. Percent-encoding stays as it
/// is: `%2F` is a letter of a segment and separates nothing.
pub(crate) fn without_empty(uri: Uri) -> Uri {
    let path = uri.path();
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return uri;
    }
    let mut text: String =
        path.split('/').filter(|segment| !segment.is_empty()).flat_map(|segment| ["/", segment]).collect();
    if text.is_empty() {
        text.push('/');
    }
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = text.parse().ok();
    Uri::from_parts(parts).unwrap_or(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_segments_go_wherever_they_stand_and_nothing_else_does() {
        for (from, to) in [
            ("/keys/a", "/keys/a"),
            ("/", "/"),
            ("//", "/"),
            ("///?a=b", "/?a=b"),
            ("//keys/a", "/keys/a"),
            ("/keys//a", "/keys/a"),
            ("/keys/a/", "/keys/a"),
            ("//keys///a//?version=3&x=//", "/keys/a?version=3&x=//"),
            ("/%2Fkeys/%2f/a", "/%2Fkeys/%2f/a"),
            ("/%2F/", "/%2F"),
            ("/./../keys//", "/./../keys"),
            ("http://host:6732//keys//a/", "http://host:6732/keys/a"),
            ("*", "*"),
        ] {
            assert_eq!(without_empty(from.parse().unwrap()).to_string(), to, "{from}");
        }
    }
}
