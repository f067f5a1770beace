//! Refusals that people read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use tezos_signer_core::payload::operation::OperationKind;
use tezos_signer_core::policy::{Forbidden, PayloadKind};

#[test]
fn every_kind_has_its_article() {
    let kinds = PayloadKind::CONSENSUS.into_iter().chain(OperationKind::ALL.map(PayloadKind::Operation));
    for kind in kinds {
        let (said, word) = (Forbidden::Kind(kind).to_string(), kind.to_string());
        let article = if "aeiou".contains(&word[..1]) { "an" } else { "a" };
        assert!(said.contains(&format!("sign {article} {word} ")), "{said}");
    }
    let of = |word: &str| Forbidden::Kind(word.parse().unwrap()).to_string();
    assert!(of("increase_paid_storage").contains("an increase_paid_storage"));
    assert!(of("attestation").contains("an attestation") && of("block").contains("a block"));
}
