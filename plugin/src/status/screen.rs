//! The table of `status`: one line for each key, the reason why it does not sign last, and below it what is not known.

use super::view::{KeyView, PositionView, SignerView};
use crate::output::{age, cut, table};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Draws the table. `everywhere`: with the namespaces. Reasons that do not fit into the line of their key are below the table.
pub(super) fn draw(views: &[SignerView], everywhere: bool, width: Option<usize>, now: Timestamp) -> String {
    if views.is_empty() {
        return "There are no TezosSigners here. --all-namespaces shows those of the whole cluster.\n".to_owned();
    }
    let mut titles = vec!["NAME", "KEY", "READY", "HOLDER", "BLOCK", "VOTE", "BEHIND", "HSM", "SIGNED", "WHY NOT"];
    if everywhere {
        titles.insert(0, "NAMESPACE");
    }
    let mut rows = Vec::new();
    for view in views {
        if view.keys.is_empty() {
            rows.push(row(view, None, everywhere, now));
        }
        rows.extend(view.keys.iter().map(|key| row(view, Some(key), everywhere, now)));
    }
    let mut text = table(&titles, &rows, None);
    if let Some(width) = width
        && text.lines().any(|line| line.chars().count() > width)
    {
        let reasons = reasons(&mut rows, usize::from(everywhere));
        text = table(&titles[..titles.len() - 1], &rows, Some(width));
        for reason in reasons {
            text.push_str(&(cut(&reason, Some(width)) + "\n"));
        }
    }
    // The same note of several TezosSigners of a namespace is printed once.
    let notes: BTreeSet<&String> = views.iter().flat_map(|view| &view.notes).collect();
    for note in notes {
        text.push_str(&(cut(&format!("Note: {note}"), width.map(|width| width * 2)) + "\n"));
    }
    text
}

/// Takes the reasons out of `rows`: one line for each TezosSigner and reason. `name` is the column of the name.
fn reasons(rows: &mut [Vec<String>], name: usize) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for row in rows {
        let Some(reason) = row.pop().filter(|reason| !reason.is_empty()) else { continue };
        let line = format!("{}: {reason}", row[..=name].join("/"));
        if !reasons.contains(&line) {
            reasons.push(line);
        }
    }
    reasons
}

fn row(view: &SignerView, key: Option<&KeyView>, everywhere: bool, now: Timestamp) -> Vec<String> {
    let unknown = || "-".to_owned();
    let word = |value: Option<bool>| value.map_or("?", |yes| if yes { "yes" } else { "no" }).to_owned();
    let paused = if view.paused { "paused; " } else { "" };
    let mut row = if let Some(key) = key {
        vec![
            view.name.clone(),
            short_address(&key.public_key_hash),
            word(key.ready),
            key.holder.as_deref().map_or_else(unknown, |holder| short_pod(holder, &view.name)),
            key.block.map_or_else(unknown, position),
            vote(key).map_or_else(unknown, position),
            key.behind.map_or_else(unknown, |behind| behind.to_string()),
            word(key.hsm),
            key.last_signature.map_or_else(unknown, |last| age(now.duration_since(last))),
            format!("{paused}{}", key.why_not.as_deref().unwrap_or_default()),
        ]
    } else {
        let ready = match view.ready.as_str() {
            "True" => "yes",
            "False" => "no",
            _ => "?",
        };
        let mut row = vec![view.name.clone(), unknown(), ready.to_owned()];
        row.extend((0..6).map(|_| unknown()));
        row.push(format!("{paused}{}", view.message));
        row
    };
    if everywhere {
        row.insert(0, view.namespace.clone());
    }
    row
}

/// The higher one of both votes.
fn vote(key: &KeyView) -> Option<PositionView> {
    [key.preattestation, key.attestation].into_iter().flatten().max_by_key(|row| (row.level, row.round))
}

/// `15181990`, with `/1` in round 1; `>15181990` for a floor.
fn position(row: PositionView) -> String {
    match row {
        PositionView { level, signed: false, .. } => format!(">{level}"),
        PositionView { level, round: 0, .. } => level.to_string(),
        PositionView { level, round, .. } => format!("{level}/{round}"),
    }
}

/// `tz3gE…VqaG`: the beginning and the end, by which people know an address.
fn short_address(address: &str) -> String {
    let letters: Vec<char> = address.chars().collect();
    if letters.len() <= 10 {
        return address.to_owned();
    }
    letters[..5].iter().chain(&['…']).chain(&letters[letters.len() - 4..]).collect()
}

/// The part of a pod's name that tells it from the other pods of its TezosSigner.
fn short_pod(pod: &str, signer: &str) -> String {
    match pod.strip_prefix(signer).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.rsplit('-').next()) {
        Some(last) if !last.is_empty() => format!("…{last}"),
        _ => cut(pod, Some(16)),
    }
}
