//! The words and texts of operations: kinds, votes, amounts, hashes and addresses, as they stand in configurations and JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use tezos_signer_core::payload::operation::{
    Address, BlockHash, CommitmentHash, ContractHash, Counter, MlDsa44Hash, Mutez, OperationKind, ProtocolHash,
    RollupStateHash, SlotCommitment, SmartRollupAddress, Vote,
};

#[test]
fn a_kind_has_one_name_everywhere() {
    let mut names = BTreeSet::new();
    for kind in OperationKind::ALL {
        let name = kind.as_str();
        assert!(names.insert(name), "{name} twice");
        assert_eq!(name.parse::<OperationKind>().unwrap(), kind);
        assert_eq!(kind.to_string(), name);
        assert_eq!(serde_json::to_value(kind).unwrap(), name);
        assert_eq!(serde_json::from_value::<OperationKind>(name.into()).unwrap(), kind);
    }
    assert_eq!(names.len(), 38);
    for name in ["ballot", "reveal", "stake", "drain_delegate", "smart_rollup_add_messages", "set_delegate_parameters"]
    {
        assert!(names.contains(name));
    }
    let error = "endorsement".parse::<OperationKind>().unwrap_err().to_string();
    assert!(error.contains("endorsement") && error.contains("drain_delegate, seed_nonce_revelation"), "{error}");
}

#[test]
fn a_vote_has_one_name_everywhere() {
    for (vote, name) in [(Vote::Yay, "yay"), (Vote::Nay, "nay"), (Vote::Pass, "pass")] {
        assert_eq!(name.parse::<Vote>().unwrap(), vote);
        assert_eq!(vote.to_string(), name);
        assert_eq!(serde_json::to_value(vote).unwrap(), name);
        assert_eq!(serde_json::from_value::<Vote>(name.into()).unwrap(), vote);
    }
    assert_eq!("Yay".parse::<Vote>().unwrap_err().to_string(), "\"Yay\" is not a vote: expected yay, nay or pass");
}

#[test]
fn an_amount_is_decimal_digits_within_its_range() {
    let max = u64::try_from(i64::MAX).unwrap();
    for good in [0, 1, 10, max] {
        let mutez: Mutez = good.to_string().parse().unwrap();
        assert_eq!((mutez.get(), Mutez::new(good)), (good, Some(mutez)));
        assert_eq!(serde_json::to_value(mutez).unwrap(), good.to_string());
        assert_eq!(serde_json::from_value::<Mutez>(good.into()).unwrap(), mutez, "a number of a configuration");
        assert_eq!(serde_json::from_value::<Mutez>(good.to_string().into()).unwrap(), mutez);
    }
    assert_eq!(Mutez::MAX.get(), max);
    assert_eq!(Mutez::new(max + 1), None);
    assert_eq!(Counter::new(u64::MAX), Some(Counter::MAX));
    for bad in ["", "-1", "+1", "01", "00", " 1", "1.5", "9223372036854775808", "0x10"] {
        assert!(bad.parse::<Mutez>().is_err(), "{bad:?}");
        assert!(serde_json::from_value::<Mutez>(bad.into()).is_err(), "{bad:?}");
    }
    assert!(serde_json::from_str::<Mutez>("9223372036854775808").is_err());
    let error = serde_json::from_str::<Mutez>("-1").unwrap_err().to_string();
    assert!(error.contains("expected amount in mutez"), "{error}");
    assert_eq!(
        "1e6".parse::<Mutez>().unwrap_err().to_string(),
        "\"1e6\" is not a valid amount in mutez: expected a whole number from 0 to 9223372036854775807"
    );
    assert!(Mutez::new(2) > Mutez::new(1));
}

/// `text` is the text of `value` in every way, and only of its own type.
fn is_text<T>(value: &T, text: &str)
where
    T: Display + Debug + FromStr<Err: Debug> + PartialEq + serde::Serialize + serde::de::DeserializeOwned,
{
    assert_eq!(value.to_string(), text);
    assert_eq!(format!("{value:?}"), text);
    assert_eq!(&text.parse::<T>().unwrap(), value);
    assert_eq!(serde_json::to_value(value).unwrap(), text);
    assert_eq!(&serde_json::from_value::<T>(text.into()).unwrap(), value);
    assert!(serde_json::from_str::<T>("7").unwrap_err().to_string().contains("expected a text"));
    for wrong in ["", "KT1", "NetXdQprcVkpaWU", &text[1..]] {
        assert!(wrong.parse::<T>().is_err(), "{wrong:?}");
    }
}

/// The texts are those of `octez-codec` and Taquito.
#[test]
fn hashes_have_their_base58_text() {
    let bytes = hex::decode("0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8").unwrap();
    is_text(&BlockHash::from_bytes(bytes.try_into().unwrap()), "BKpbfCvh777DQHnXjU2sqHvVUNZ7dBAdqEfKkdw8EGSkD9LSYXb");
    let bytes = hex::decode("7663cf120f3dc8189d5dc7d4d7a0483bcc53f3f18e700f5a2f5076aa8b9dc55c").unwrap();
    is_text(
        &ProtocolHash::from_bytes(bytes.try_into().unwrap()),
        "PscqRYywd243M2eZspXZEJGsRmNchp4ZKfKmoyEZTRHeLQvVGjp",
    );
    is_text(&ContractHash::from_bytes([0xc7; 20]), "KT1So7MvaoCfszdGHrdnZ8ZTBtAartpcjVd5");
    for (text, start) in [
        (MlDsa44Hash::from_bytes([5; 20]).to_string(), "tz5"),
        (SmartRollupAddress::from_bytes([5; 20]).to_string(), "sr1"),
        (CommitmentHash::from_bytes([5; 32]).to_string(), "src1"),
        (RollupStateHash::from_bytes([5; 32]).to_string(), "srs1"),
        (SlotCommitment::from_bytes([5; 48]).to_string(), "sh"),
    ] {
        assert!(text.starts_with(start), "{text}");
    }
    assert_eq!(ContractHash::from_bytes([0xc7; 20]).as_bytes(), &[0xc7; 20]);
}

#[test]
fn an_address_is_an_account_or_a_contract() {
    let implicit = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
    is_text(&Address::Implicit(implicit.parse().unwrap()), implicit);
    is_text(&Address::Originated(ContractHash::from_bytes([0xc7; 20])), "KT1So7MvaoCfszdGHrdnZ8ZTBtAartpcjVd5");
    let tz5 = MlDsa44Hash::from_bytes([5; 20]);
    is_text(&Address::MlDsa44(tz5), &tz5.to_string());
    let rollup = SmartRollupAddress::from_bytes([5; 20]).to_string();
    assert!(rollup.parse::<Address>().unwrap_err().to_string().contains("an address (tz1… to tz5…, KT1…)"));
    let typo = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4u".parse::<Address>().unwrap_err().to_string();
    assert!(typo.contains("checksum"), "{typo}");
}
