//! The checks that the models of both forms of a record's file share: at most one signature for each position, and every released signature is in
//! the file.

use crate::promises::{Broken, Promise};
use crate::requests::Request;
use crate::symbols::{RecordId, SignatureId, Symbols};
use crate::world::insert;

/// The requests, each with how often it comes.
pub(crate) const ASKS: [(Request, u8); 3] = [
    (Request::Attestation(11, 0, 'a'), 2),
    (Request::Attestation(11, 0, 'b'), 1),
    (Request::Attestation(12, 0, 'a'), 1),
];

/// `signature` leaves the process.
pub(crate) fn release(
    symbols: &Symbols,
    released: &mut Vec<SignatureId>,
    signature: SignatureId,
    broken: &mut Vec<Broken>,
) {
    let place = symbols.place(signature.request);
    let other = released.iter().find(|other| **other != signature && symbols.place(other.request) == place);
    if let Some(other) = other {
        broken.push(Broken::new(Promise::OneSignature, format!("{other}, and {signature}")));
    }
    insert(released, signature);
}

/// Checks that `record`, as it is read from the file, holds every released signature.
pub(crate) fn check_held(
    symbols: &Symbols,
    released: &[SignatureId],
    record: Option<RecordId>,
    broken: &mut Vec<Broken>,
) {
    for signature in released {
        if !record.is_some_and(|record| symbols.answers(record, *signature)) {
            let how = format!("{signature} was released, and the file does not hold it any more");
            broken.push(Broken::new(Promise::Replayable, how));
        }
    }
}
