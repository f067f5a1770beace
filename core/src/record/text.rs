//! The text form of a record: words separated by single spaces, which an admission policy can parse. Each state has exactly
//! one text. Anything unknown is an error, because a signer that ignored it could sign in spite of it.

use super::Record;
use super::annotations::LEASE_ANNOTATION;
use super::rows::RowError;
use super::slots::SlotsError;
use crate::cause::Cause;
use crate::json;
use crate::position::ConsensusKind;
use std::collections::BTreeMap;

/// Why a text is not a watermark record. Nothing is signed with such a record, and a retry does not help before it is another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A later release has written the record: upgrade the signer. Or somebody has edited it.
    #[error("the record's version is {0:?}, but this signer supports \"1\" only: upgrade the signer")]
    Version(String),
    /// A key of `data` that this release does not know: upgrade the signer, or remove what somebody has added.
    #[error("the record has an unknown row {0:?}: upgrade the signer, or remove the row if it was added by hand")]
    UnknownRow(String),
    /// A row cannot be read: correct it, by hand or from a backup.
    #[error("the record's row {row} is {text:?}: {source}")]
    Row {
        /// Its key in `data`.
        row: &'static str,
        /// The text of the row.
        text: String,
        /// What is wrong with it.
        source: RowError,
    },
    /// The file of a record is not a JSON object of texts, or has a name twice: restore it.
    #[error("it is not the JSON object of a record: {0}")]
    Json(#[source] Cause),
    /// The file of a record is of this release, but its two slots are not what a signer leaves: restore it.
    #[error(transparent)]
    Slots(#[from] SlotsError),
    /// The lease annotation of a ConfigMap is not the JSON object of a lease: remove the annotation, and a signer writes it anew.
    #[error("the record's annotation {LEASE_ANNOTATION} cannot be parsed: {0}")]
    Lease(#[source] Cause),
}

/// The row that says that nothing is signed.
pub const SUSPEND_ROW: &str = "suspend";

/// The row above whose level nothing is signed.
pub const CEILING_ROW: &str = "ceiling";

const VERSION_ROW: &str = "version";
const AUDIT_ROW: &str = "audit";

const VERSION: &str = "1";

impl Record {
    /// Reads a record as it stands in a file: the JSON object of [`Record::to_data`]. A row that stands there twice is an error, because
    /// the one that counts might be the lower one.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        let data: BTreeMap<String, String> =
            json::from_str(text).map_err(|error| RecordError::Json(Cause::of(error)))?;
        Self::from_data(&data)
    }

    /// Reads `data` of a record.
    pub fn from_data(data: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        let version = data.get(VERSION_ROW).map_or("", String::as_str);
        if version != VERSION {
            return Err(RecordError::Version(version.to_owned()));
        }
        let mut record = Self::default();
        for (name, text) in data {
            let wrong = |row, source: RowError| RecordError::Row { row, text: text.clone(), source };
            match name.as_str() {
                VERSION_ROW => {}
                AUDIT_ROW => {
                    record.audit = Some(text.parse().map_err(|error| wrong(AUDIT_ROW, RowError::Audit(error)))?);
                }
                CEILING_ROW => {
                    record.ceiling = Some(text.parse().map_err(|error| wrong(CEILING_ROW, RowError::Position(error)))?);
                }
                SUSPEND_ROW => {
                    record.suspend = match text.as_str() {
                        "true" => true,
                        "false" => false,
                        _ => return Err(wrong(SUSPEND_ROW, RowError::Suspend)),
                    }
                }
                name => {
                    let kind = ConsensusKind::ALL.into_iter().find(|kind| kind.as_str() == name);
                    let kind = kind.ok_or_else(|| RecordError::UnknownRow(name.to_owned()))?;
                    let row = text.parse().map_err(|error| wrong(kind.as_str(), error))?;
                    *record.rows.slot(kind) = Some(row);
                }
            }
        }
        Ok(record)
    }

    /// The text form: `data` of a ConfigMap.
    pub fn to_data(&self) -> BTreeMap<String, String> {
        self.to_data_after(&Self::default(), &BTreeMap::new())
    }

    /// The same, where `data` is that of `before`: a row that is in both is copied, since the text of a signature takes microseconds to make.
    pub(super) fn to_data_after(
        &self,
        before: &Self,
        data_before: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut data = BTreeMap::from([(VERSION_ROW.to_owned(), VERSION.to_owned())]);
        for kind in ConsensusKind::ALL {
            if let Some(row) = self.rows.get(kind) {
                let same = data_before.get(kind.as_str()).filter(|_| before.rows.get(kind) == Some(row));
                data.insert(kind.to_string(), same.cloned().unwrap_or_else(|| row.to_string()));
            }
        }
        if let Some(audit) = &self.audit {
            data.insert(AUDIT_ROW.to_owned(), audit.to_string());
        }
        if let Some(ceiling) = &self.ceiling {
            data.insert(CEILING_ROW.to_owned(), ceiling.to_string());
        }
        if self.suspend {
            data.insert(SUSPEND_ROW.to_owned(), "true".to_owned());
        }
        data
    }
}
