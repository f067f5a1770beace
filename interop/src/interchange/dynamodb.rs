//! A DynamoDB table as a file: the output of `aws dynamodb scan --output json`, or the unpacked lines of an export to S3. The
//! items of a particular signer are not known here.
//!
//! An incomplete table is rejected if that can be detected, because the missing items could be the relevant ones.

use super::source::{Entries, ForeignError, SourceFile};
use serde::Deserialize;
use serde_json::Value;
use std::num::ParseIntError;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::json;

/// An item by its attributes.
pub(super) type Item = Entries<String, Attribute>;

/// The value of an attribute, of the types that signers use.
#[derive(Debug, Deserialize)]
pub(super) enum Attribute {
    /// A string attribute.
    S(String),
    /// A number, in decimal.
    N(String),
    /// Bytes, in base 64. Nothing is decided by any.
    B(#[allow(dead_code, reason = "read to know that it is one")] String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Scan {
    items: Vec<Item>,
    count: usize,
    scanned_count: usize,
    #[serde(rename = "ConsumedCapacity")]
    _consumed_capacity: Option<Value>,
    next_token: Option<Value>,
    last_evaluated_key: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ExportedLine {
    item: Item,
}

/// `reason` as that of the item at `index`.
pub(super) fn at_item(index: usize, reason: Cause) -> Cause {
    reason.map_text(|reason| format!("item {} of the table: {reason}", index + 1))
}

/// The first item if the file is a table; `None` if it is not. An empty table is an error.
pub(super) fn first_item(file: &SourceFile) -> Result<Option<Item>, ForeignError> {
    let is_line = serde_json::Deserializer::from_str(&file.text).into_iter::<Value>().next();
    let Some(Ok(first)) = is_line else { return Ok(None) };
    if first.get("Items").is_none() && first.get("Item").is_none() {
        return Ok(None);
    }
    let first = items(file)?.into_iter().next();
    first.map(Some).ok_or_else(|| file.error("the table is empty: is it the right one, in the right region?"))
}

/// The items of the table.
pub(super) fn items(file: &SourceFile) -> Result<Vec<Item>, ForeignError> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    if file.text.trim_start().starts_with(r#"{"Item":"#) {
        let item = |(number, line): (usize, &str)| {
            let line: Result<ExportedLine, _> = json::from_str(line);
            let located = |error| Cause::of(error).map_text(|error| format!("line {}: {error}", number + 1));
            line.map(|line| line.item).map_err(|error| file.error(located(error)))
        };
        return lines.map(item).collect();
    }
    let scan: Scan = file.json()?;
    if scan.next_token.is_some() || scan.last_evaluated_key.is_some() {
        return Err(file.error(
            "it is only a part of the table (NextToken or LastEvaluatedKey): scan the whole table, without --max-items and --no-paginate",
        ));
    }
    if scan.count != scan.items.len() || scan.scanned_count != scan.count {
        return Err(file.error(format!(
            "it has {} items, but Count is {} and ScannedCount {}: scan the table without a filter",
            scan.items.len(),
            scan.count,
            scan.scanned_count
        )));
    }
    Ok(scan.items)
}

impl Item {
    /// The names of its attributes.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, Cause> {
        match self.get(name) {
            Some(Attribute::S(text)) => Ok(text),
            _ => Err(format!("its attribute {name} is not a string").into()),
        }
    }

    /// A number of the protocol, which need not be there.
    pub(super) fn number<T>(&self, name: &str) -> Result<Option<T>, Cause>
    where
        T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
    {
        let wrong = |reason: Cause| reason.map_text(|reason| format!("its attribute {name}: {reason}"));
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::N(digits)) => {
                let number: i64 = digits.parse().map_err(|error: ParseIntError| {
                    wrong(Cause::of(error).map_text(|_| format!("{digits:?} is not a whole number")))
                })?;
                T::try_from(number).map(Some).map_err(|error| wrong(Cause::of(error)))
            }
            Some(_) => Err(wrong("it is no number".into())),
        }
    }

    fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.iter().find_map(|(found, value)| (found == name).then_some(value))
    }
}
