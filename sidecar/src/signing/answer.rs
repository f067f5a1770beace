//! The answer to a signing request.

use crate::peer::PeerAnswer;
use crate::records::session::Releasable;

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A signature that the record holds.
    Signature(Releasable),
    /// What the replica said that serves the key.
    Forwarded(PeerAnswer),
}
