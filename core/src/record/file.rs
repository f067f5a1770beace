//! The file of a record: its text, what counts in it after a power loss, and the one piece of it that the next state replaces. Which calls
//! bring it to disk is the file store's part.
//!
//! A file has two [slots](super::slots) of [`SLOT`](super::SLOT) bytes. Each has one state of the record, with a number that grows by one with each write;
//! the higher number counts. A write replaces the slot with the older state, so the newest state stays whole on the disk until the next one is.
//!
//! The plain JSON object of a record is read too: releases up to 0.2 wrote it, and a person can put one in the place of a file. The first
//! write makes it a file of slots.

use super::Record;
use super::slots::{self, Newest, Slot};
use super::text::RecordError;
use std::collections::BTreeMap;

/// The contents of a record's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFile {
    text: String,
    record: Record,
    /// The record's text form.
    rows: BTreeMap<String, String>,
    /// `None` for the plain JSON object.
    newest: Option<Newest>,
}

impl RecordFile {
    /// The file of a record that has none yet: both slots have it.
    pub fn new(record: &Record) -> Self {
        let rows = record.to_data();
        let text = slots::text_of(1, &rows) + &slots::text_of(2, &rows);
        Self { text, record: record.clone(), rows, newest: Some(Newest { write: 2, slot: Slot::Second }) }
    }

    /// Whether `text` is that of a file of slots, whole or damaged.
    pub fn is_of_slots(text: &str) -> bool {
        slots::are_in(text)
    }

    /// Reads the text of a file, in either form.
    pub fn parse(text: String) -> Result<Self, RecordError> {
        if !Self::is_of_slots(&text) {
            let record = Record::from_json(&text)?;
            return Ok(Self { text, rows: record.to_data(), record, newest: None });
        }
        let (newest, rows) = slots::newest_of(&text)?;
        Ok(Self { record: Record::from_data(&rows)?, rows, newest: Some(newest), text })
    }

    /// The state of the record that counts.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// All of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file once `record` is written to it.
    #[must_use]
    pub fn followed_by(&self, record: &Record) -> Self {
        let Some(newest) = self.newest else { return Self::new(record) };
        let next = Newest { write: newest.write.saturating_add(1), slot: newest.slot.other() };
        let rows = record.to_data_after(&self.record, &self.rows);
        let mut text = self.text.clone();
        text.replace_range(next.slot.range(), &slots::text_of(next.write, &rows));
        Self { text, record: record.clone(), rows, newest: Some(next) }
    }

    /// The only piece in which this file differs from the one that it [follows](Self::followed_by): its offset in bytes, and its text. `None`
    /// for a plain object, which is replaced as a whole.
    pub fn newest_slot(&self) -> Option<(u64, &str)> {
        let range = self.newest?.slot.range();
        Some((range.start as u64, &self.text[range]))
    }
}
