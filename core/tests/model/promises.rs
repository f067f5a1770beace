//! What users are promised, as a name for each. The checks stand where the event happens that could break one; they look at
//! what clients got and at the raw bytes they sent, and at nothing that the signer believes.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Promise {
    /// No two signatures for one kind, level and round.
    OneSignature,
    /// What one cluster commits of one kind is always above all that it has committed before.
    Rising,
    /// The same request gets the same signature, until a higher one of its kind is committed.
    Replayable,
    /// Nothing is released that the store did not hold.
    Committed,
    /// What is released verifies with the key, over what was asked.
    Verifies,
    /// One absurd level does not make all real ones too low.
    NotBricked,
    /// What the operator wrote into the record stays there. While it stands there, the store takes no signature that it forbids:
    /// none at all under `suspend`, no block or vote above the ceiling. And who has read `suspend` releases none.
    OperatorObeyed,
    /// Nobody is refused for a reason that people had lifted before the request came.
    NotRefusedForThePast,
    /// Weaker than the others: no signature is shown to the API server in a write that is bound to be refused, because
    /// another signer has the lease. Only between two looks at a clock, with nothing but the sending between them, is it not promised.
    NotShown,
    /// A process that lives says what became of each signature that it made.
    Explained,
    /// One fault costs one answer at most, which the client asks for again.
    FaultPaidOnce,
    /// Nobody is told that the record went back when it did not.
    NoFalseAlarm,
}

impl Promise {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::OneSignature,
        Self::Rising,
        Self::Replayable,
        Self::Committed,
        Self::Verifies,
        Self::NotBricked,
        Self::OperatorObeyed,
        Self::NotRefusedForThePast,
        Self::NotShown,
        Self::Explained,
        Self::FaultPaidOnce,
        Self::NoFalseAlarm,
    ];
}

/// One of them, broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) how: String,
}

impl Broken {
    pub(crate) fn new(promise: Promise, how: impl Into<String>) -> Self {
        Self { promise, how: how.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken: {}", self.promise, self.how)
    }
}
