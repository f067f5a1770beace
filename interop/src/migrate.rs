//! The configuration of another signer, turned into ours. What comes out is a text with comments, in which whatever the other
//! configuration does not say is left open, and a list of what has no counterpart. How each is read: [`python`], [`signatory`],
//! [`octez`]. A field of the other configuration is taken over or listed: a value that is not known is never taken for another one.
//!
//! INVARIANT M1: The signer does not start with a text in which a field is left open: a missing field is an error, a guess would not be.
//!
//! INVARIANT M2: No value of the other configuration that might be a secret is repeated, neither in the text nor in an error.

mod draft;
mod object;
mod octez;
mod python;
mod signatory;

use draft::{Address, Draft, DraftKey, DraftPlace};
use std::str::FromStr;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::ChainId;
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_core::position::ConsensusKind;

/// A signer whose configuration can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The Python signer's `keys.json`.
    Python,
    /// The YAML configuration of Signatory.
    Signatory,
    /// The command line of octez-signer, in a file: a systemd unit, a script, or a manifest of containers.
    Octez,
}

impl FromStr for Source {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "python" => Ok(Self::Python),
            "signatory" => Ok(Self::Signatory),
            "octez" => Ok(Self::Octez),
            _ => Err("unknown signer: expected python, signatory or octez".to_owned()),
        }
    }
}

/// Why a configuration was not read. A retry does not help before the file is the one that the message asks for. No value of it is repeated
/// here, and the error of a parser is not kept: it may quote a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MigrateError(#[source] Cause);

/// Something in the other configuration that is not in ours, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// The name of the field, or what it concerns.
    pub what: String,
    /// Why it has no counterpart, as a sentence.
    pub why: String,
    /// Whether something else is signed than before, or for somebody else.
    pub changes_signing: bool,
}

/// What became of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// The text of the configuration file of this signer.
    pub config: String,
    /// The values to fill in before it can be used: the texts after `FILL IN`, line by line.
    pub fill_in: Vec<String>,
    /// The parts of the other configuration that have no counterpart. Those that change what is signed, or for whom, are first.
    pub lost: Vec<Loss>,
}

/// Converts the text of a configuration of `source`. `chain` is the chain of the keys, if the configuration does not name it.
/// `environment_file` gives the text of a file that a systemd unit names as an `EnvironmentFile`, or `None` if it is not known.
pub fn migrate(
    source: Source,
    text: &str,
    chain: Option<ChainId>,
    environment_file: &dyn Fn(&str) -> Option<String>,
) -> Result<Migrated, MigrateError> {
    let draft = match source {
        Source::Python => python::read(text)?,
        Source::Signatory => signatory::read(text)?,
        Source::Octez => octez::read(text, environment_file)?,
    };
    Ok(draft.rendered(chain))
}

/// Whether a text is what `systemctl cat` prints of a unit, and so has its drop-ins in it.
pub fn is_output_of_systemctl_cat(text: &str) -> bool {
    octez::is_output_of_cat(text)
}

/// The remedy if a signer's watermarks cannot be imported. The key may have signed above the head already.
const START_ANEW: &str = "start ten levels above the head of the chain, watermarks initialise --level";

const CONSENSUS_NAMES: [(&str, ConsensusKind); 7] = [
    ("block", ConsensusKind::Block),
    ("preattestation", ConsensusKind::Preattestation),
    ("preendorsement", ConsensusKind::Preattestation),
    ("attestation", ConsensusKind::Attestation),
    ("attestation_with_dal", ConsensusKind::Attestation),
    ("endorsement", ConsensusKind::Attestation),
    ("endorsement_with_dal", ConsensusKind::Attestation),
];

/// By any of the names that signers have had for it.
fn consensus_kind(name: &str) -> Option<PayloadKind> {
    CONSENSUS_NAMES.into_iter().find_map(|(known, kind)| (known == name).then_some(PayloadKind::Consensus(kind)))
}
