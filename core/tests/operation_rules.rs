//! Each rule of the operation layouts by itself: bytes that break it, and what the error says. Beside each stands what is
//! just within it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use tezos_signer_core::key::Curve;
use tezos_signer_core::payload::operation::{Action, Content, MAX_CONTENTS, Operation, OperationKind};
use tezos_signer_core::payload::{DecodeError, Payload, UnknownSuffix, decode};

/// tz3, tz1, KT1 and a rollup as they stand in payloads; keys of three kinds.
const TZ3: &str = "02958d9c510a47b4f6741d577c288b261cb23a25cf";
const TZ1: &str = "004e99eea7224c93d2f1e614bf86d74025b3e26a64";
const TO_TZ3: &str = "0002958d9c510a47b4f6741d577c288b261cb23a25cf";
const KT1: &str = "01c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c700";
const SR1: &str = "1111111111111111111111111111111111111111";
const EDPK: &str = "008742b0cf6be543a183bdd1069f9491bd144a9e94a418accd349312b6e5da133b";
const SPPK: &str = "01027d4fb1bd6eb3ee2a2e65fe4dd2fbc987a38a391ec23fbfbc878e95b2c8386003";
const BLPK: &str = "03b1835898e501798f26d7ee20cb772fedc4e4e0e963f6ef47a7925ac9cfb61d5100bde3ee7f1e9e37175842b3d378776d";
/// Fee, counter, gas and storage.
const NUMBERS: &str = "00010203";

fn payload(contents: &str) -> Vec<u8> {
    hex::decode(format!("03{}{contents}", "b1".repeat(32))).unwrap()
}

fn operation(contents: &str) -> Result<Operation, DecodeError> {
    match decode(&payload(contents), Curve::P256, UnknownSuffix::Refuse)? {
        Payload::Operation(operation) => Ok(operation),
        other => panic!("no operation: {other:?}"),
    }
}

/// A manager operation of tz3.
fn manager(tag: u8, body: &str) -> String {
    format!("{tag:02x}{TZ3}{NUMBERS}{body}")
}

fn refused(contents: &str, expected: &str) {
    match operation(contents) {
        Ok(operation) => panic!("{contents}: not refused with {expected:?} but {operation:?}"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(expected), "{contents}: expected {expected:?} in {text:?}");
        }
    }
}

fn accepted(contents: &str) -> Vec<OperationKind> {
    match operation(contents) {
        Ok(operation) => operation.contents().iter().map(Content::kind).collect(),
        Err(error) => panic!("{contents}: {error}"),
    }
}

/// `what` once in each of the two, as its error and its good form.
fn rule(good: &str, bad: &str, expected: &str) {
    accepted(good);
    refused(bad, expected);
}

#[test]
fn numbers_have_one_form_and_a_range() {
    let delegation = |numbers: &str| format!("6e{TZ3}{numbers}00");
    let top = "ffffffffffffffff7f"; // 2^63 − 1
    let all = "ffffffffffffffffff01"; // 2^64 − 1
    for (position, field) in ["the fee", "the counter", "the gas limit", "the storage limit"].into_iter().enumerate() {
        let with = |number: &str| {
            let mut numbers = ["00"; 4];
            numbers[position] = number;
            delegation(&numbers.concat())
        };
        rule(&with("7f"), &with("8000"), &format!("{field} is a number with a trailing zero byte"));
        rule(&with("8001"), &with("ff00"), &format!("{field} is a number with a trailing zero byte"));
        rule(&with("ff8001"), &with("ff8000"), &format!("{field} is a number with a trailing zero byte"));
        accepted(&with(top));
        for too_large in [
            "ffffffffffffffffff02",
            "ffffffffffffffffff03",
            "ffffffffffffffffff7f",
            "ffffffffffffffffff8101",
            "80808080808080808080808001",
        ] {
            refused(&with(too_large), &format!("{field} does not fit into 64 bits"));
        }
        if field == "the fee" {
            for too_large in [all, "80808080808080808001"] {
                refused(&with(too_large), "the fee is larger than Octez allows");
            }
        } else {
            accepted(&with(all));
        }
    }
    let signed = |number: &str| manager(113, &format!("{number}{KT1}"));
    rule(&signed("3f"), &signed("40"), "the amount of storage is negative");
    rule(&signed("bf01"), &signed("c001"), "the amount of storage is negative");
    rule(&signed("8001"), &signed("8000"), "with a trailing zero byte");
    rule(&signed("bfffffffffffffffff03"), &signed("bfffffffffffffffff04"), "does not fit into 64 bits");
    refused(&signed("bfffffffffffffffff7f"), "does not fit into 64 bits");
}

#[test]
fn the_highest_amounts_are_those_of_octez() {
    let amount = |number: &str| manager(108, &format!("{number}{TO_TZ3}00"));
    rule(&amount("ffffffffffffffff7f"), &amount("80808080808080808001"), "the amount is larger than Octez allows");
    let balance = |number: &str| manager(109, &format!("{number}0000000002030b00000002030b"));
    rule(&balance("ffffffffffffffff7f"), &balance("80808080808080808001"), "the balance is larger than Octez allows");
    let limit = |number: &str| manager(112, &format!("ff{number}"));
    rule(&limit("ffffffffffffffff7f"), &limit("80808080808080808001"), "the limit is larger than Octez allows");
}

#[test]
fn keys_and_addresses_have_their_tags() {
    let from = |source: &str| format!("6e{source}{NUMBERS}00");
    for tag in ["00", "01", "02", "03"] {
        accepted(&from(&format!("{tag}{SR1}")));
    }
    refused(&from(&format!("04{SR1}")), "the source is of an ML-DSA-44 key (tz5)");
    refused(&from(&format!("05{SR1}")), "the source is 5, expected a tag from 0 (tz1) to 3 (tz4)");
    refused(&from(&format!("ff{SR1}")), "the source is 255");

    let to = |destination: &str| manager(108, &format!("00{destination}00"));
    for tag in ["00", "01", "02", "03", "04"] {
        accepted(&to(&format!("00{tag}{SR1}")));
    }
    refused(&to(&format!("0005{SR1}")), "the destination is 5");
    refused(&to(&format!("02{SR1}00")), "the destination is 2, expected a tag of 0 (tz…) or 1 (KT1…)");
    rule(&to(KT1), &to(&format!("01{SR1}01")), "the destination is 1, expected 0 as padding at its end");

    let storage_of = |destination: &str| manager(113, &format!("01{destination}"));
    rule(&storage_of(KT1), &storage_of(TO_TZ3), "the destination is 0, expected the tag 1 of a smart contract");
    refused(&storage_of(&format!("01{SR1}80")), "0 as padding at its end");

    let reveal = |key: &str| manager(107, &format!("{key}00"));
    for key in [EDPK, SPPK, BLPK] {
        accepted(&reveal(key));
    }
    accepted(&reveal("0203028fd70c328e4897e23350cce32fdf4efd222f6bec494c89d4d34b47c8f8d09f"));
    refused(
        &reveal("0204028fd70c328e4897e23350cce32fdf4efd222f6bec494c89d4d34b47c8f8d09f"),
        "not a point of its curve",
    );
    refused(&reveal(&SPPK.replacen("0102", "0105", 1)), "the public key is not a point of its curve");
    refused(&reveal(&format!("0102{}", "ff".repeat(32))), "the public key is not a point of its curve");
    refused(&reveal(&format!("0002{}", "00".repeat(31))), "the public key is not a point of its curve");
    refused(&reveal(&format!("04{}", "11".repeat(1312))), "the public key is of an ML-DSA-44 key (tz5)");
    refused(&reveal(&format!("05{}", "11".repeat(32))), "the public key is 5");
}

#[test]
fn a_companion_key_is_a_bls_key() {
    rule(&manager(115, &format!("{BLPK}00")), &manager(115, &format!("{SPPK}00")), "the companion key is no BLS key");
}

#[test]
fn options_are_0_or_255() {
    let delegation = |delegate: &str| manager(110, delegate);
    accepted(&delegation("00"));
    accepted(&delegation(&format!("ff{TZ1}")));
    for flag in ["01", "7f", "80", "fe"] {
        let bad = delegation(&format!("{flag}{TZ1}"));
        refused(&bad, "expected 0 or 255 for its presence");
        refused(&bad, "the delegate is");
    }
    refused(&manager(112, "0100"), "the limit is 1, expected 0 or 255");
    refused(&manager(108, &format!("00{TO_TZ3}01")), "the parameters is 1, expected 0 or 255");
    refused(&manager(109, "0001"), "the delegate is 1");
    refused(&manager(200, "000000000000000001310101"), "the whitelist is 1");
}

#[test]
fn a_proof_of_possession_has_96_bytes() {
    let reveal = |proof: &str| manager(107, &format!("{BLPK}{proof}"));
    let proof = "b5".repeat(96);
    rule(
        &reveal(&format!("ff00000060{proof}")),
        &reveal(&format!("ff0000005f{proof}")),
        "the proof of possession is 95",
    );
    refused(&reveal(&format!("ff00000061{proof}b5")), "the proof of possession is 97, expected a length of 96");
    refused(&reveal(&format!("ff00000040{}", "b5".repeat(64))), "the proof of possession is 64");
}

/// Behind a public key of an older layout the next content follows at once. What is neither a proof nor a content is refused.
#[test]
fn what_follows_a_public_key_is_a_proof_or_the_next_content() {
    let delegation = manager(110, "00");
    for (tag, kind) in [(107, OperationKind::Reveal), (114, OperationKind::UpdateConsensusKey)] {
        for proof in ["", "00"] {
            let batch = format!("{}{delegation}", manager(tag, &format!("{SPPK}{proof}")));
            assert_eq!(accepted(&batch), [kind, OperationKind::Delegation]);
        }
        refused(&manager(tag, &format!("{SPPK}0000")), "operation tag 0 is unknown");
        refused(&manager(tag, &format!("{SPPK}01")), "the payload ends within the level");
        refused(&manager(tag, &format!("{SPPK}fe")), "operation tag 254 is unknown");
    }
}

#[test]
fn entrypoints_have_one_form() {
    let call = |entrypoint: &str| manager(108, &format!("00{KT1}ff{entrypoint}00000002030a"));
    for tag in 0..=9 {
        accepted(&call(&format!("{tag:02x}")));
    }
    for tag in [10, 11, 0x7f, 0x80, 254] {
        refused(&call(&format!("{tag:02x}")), &format!("the entrypoint is {tag}, expected a tag from 0 to 9, or 255"));
    }
    let named = |name: &[u8]| call(&format!("ff{:02x}{}", name.len(), hex::encode(name)));
    accepted(&named(b"a"));
    accepted(&named(b"_Ab.9%@"));
    rule(&named(&[b'x'; 31]), &named(&[b'x'; 32]), "the length of the entrypoint is 32, expected 1 to 31");
    refused(&named(b""), "the length of the entrypoint is 0, expected 1 to 31");
    for name in [&b"a b"[..], b"a\n", b"\x00", b"a\"", b"a-b", "é".as_bytes(), b"\xff"] {
        refused(&named(name), "the entrypoint has a character other than letters, digits, _ . % @");
    }
    // Octez would write the tag, and a signature over the name is never valid.
    let builtin = [
        "default",
        "root",
        "do",
        "set_delegate",
        "remove_delegate",
        "deposit",
        "stake",
        "unstake",
        "finalize_unstake",
        "set_delegate_parameters",
    ];
    for name in builtin {
        refused(&named(name.as_bytes()), "the entrypoint has a tag of its own, but is encoded as a name");
        accepted(&named(format!("{name}_").as_bytes()));
    }
}

/// So that no pseudo-operation can be written in a way that is taken for a plain transaction.
#[test]
fn a_pseudo_operation_is_a_transaction_of_an_account_to_itself_by_its_entrypoint() {
    let to = |destination: &str, entrypoint: &str| manager(108, &format!("01{destination}ff{entrypoint}00000002030b"));
    let pseudo = [
        ("06", OperationKind::Stake),
        ("07", OperationKind::Unstake),
        ("08", OperationKind::FinalizeUnstake),
        ("09", OperationKind::SetDelegateParameters),
    ];
    for (tag, kind) in pseudo {
        assert_eq!(accepted(&to(TO_TZ3, tag)), [kind]);
        for other in [
            &format!("00{TZ1}"),
            KT1,
            "0001958d9c510a47b4f6741d577c288b261cb23a25cf",
            "0004958d9c510a47b4f6741d577c288b261cb23a25cf",
        ] {
            assert_eq!(accepted(&to(other, tag)), [OperationKind::Transaction], "to {other}");
        }
    }
    refused(&to(TO_TZ3, "ff057374616b65"), "the entrypoint has a tag of its own");
    for plain in ["01", "05", "ff067374616b6573"] {
        assert_eq!(accepted(&to(TO_TZ3, plain)), [OperationKind::Transaction]);
    }
}

#[test]
fn unit_for_the_default_entrypoint_is_written_as_none() {
    let call =
        |entrypoint: &str, value: &str| manager(108, &format!("00{KT1}ff{entrypoint}{:08x}{value}", value.len() / 2));
    rule(&call("00", "030a"), &call("00", "030b"), "the parameters are Unit for the default entrypoint");
    accepted(&call("01", "030b"));
    accepted(&call("00", "030b00"));
    refused(&call("00", ""), "the value of the parameters is empty");
}

#[test]
fn lengths_end_where_their_content_ends() {
    refused(&manager(111, "00000000"), "the value is empty");
    rule(&manager(111, "00000001aa"), &manager(111, "00000002aa"), "the payload ends within the value");
    refused(&manager(111, "ffffffffaa"), "the payload ends within the value");
    refused(&manager(111, "80000000aa"), "the payload ends within the value");
    refused(&manager(109, "00000000000000000001aa"), "the code is empty");
    refused(&manager(109, "000000000001aa00000000"), "the storage is empty");

    let proposals = |length: u32, count: usize| format!("05{TZ3}00000001{length:08x}{}", "aa".repeat(32 * count));
    rule(&proposals(32, 1), &proposals(0, 0), "the number of proposals is 0, expected 1 to 20");
    rule(&proposals(640, 20), &proposals(672, 21), "the number of proposals is 21, expected 1 to 20");
    refused(&proposals(31, 1), "the payload ends within the proposal");
    refused(&proposals(33, 1), "the payload ends within the proposals");
    refused(&proposals(32, 2), "32 bytes are left over");

    let messages = |bytes: &str| manager(201, bytes);
    accepted(&messages("00000000"));
    rule(&messages("000000050000000161"), &messages("000000050000000261"), "the payload ends within a message");
    refused(&messages("0000000400000001"), "the payload ends within a message");
    refused(&messages("0000000300000000"), "the payload ends within a message");
}

#[test]
fn enumerations_end() {
    let ballot = |period: &str, vote: &str| format!("06{TZ3}{period}{}{vote}", "aa".repeat(32));
    rule(
        &ballot("00000000", "02"),
        &ballot("00000000", "03"),
        "the ballot is 3, expected 0 (yay), 1 (nay) or 2 (pass)",
    );
    refused(&ballot("00000000", "ff"), "the ballot is 255");
    rule(&ballot("7fffffff", "00"), &ballot("80000000", "00"), "the voting period is -2147483648");
    refused(&format!("05{TZ3}ffffffff00000020{}", "aa".repeat(32)), "the voting period is -1");
    refused(&format!("01ffffffff{}", "aa".repeat(32)), "the level is -1");

    let originate = |kind: &str| manager(200, &format!("{kind}000000000000000131 00").replace(' ', ""));
    rule(&originate("02"), &originate("03"), "the kind of rollup is 3, expected 0 to 2");
    let refute = |rest: &str| manager(204, &format!("{SR1}{TZ1}{rest}"));
    rule(
        &refute("01010000000000"),
        &refute("02010000000000"),
        "the kind of refutation is 2, expected 0 (start) or 1 (move)",
    );
    refused(&refute("01010200000000"), "the step is 2, expected 0 or 1");
    assert_eq!(
        operation(&refute("010101000000")),
        Err(DecodeError::NotDecoded(OperationKind::SmartRollupRefute)),
        "a move that proves a step"
    );
    let dissection = |bytes: &str| refute(&format!("010100{:08x}{bytes}", bytes.len() / 2));
    rule(&dissection("0001"), &dissection("0101"), "the dissection is 1, expected 0 or 255");
    refused(&dissection("00"), "the payload ends within the dissection");
    refused(&dissection("008000"), "the dissection is a number with a trailing zero byte");
    let publish =
        |level: &str, ticks: &str| manager(203, &format!("{SR1}{}{level}{}{ticks}", "aa".repeat(32), "bb".repeat(32)));
    rule(
        &publish("7fffffff", "7fffffffffffffff"),
        &publish("7fffffff", "8000000000000000"),
        "the number of ticks is -9223372036854775808, expected a number that is not negative",
    );
    refused(&publish("ffffffff", "0000000000000000"), "the inbox level is -1");
}

#[test]
fn a_ticket_transfer_names_its_entrypoint() {
    let transfer = |contents: &str, ty: &str, entrypoint: &str| {
        manager(
            158,
            &format!("{:08x}{contents}{:08x}{ty}{KT1}05{TO_TZ3}{entrypoint}", contents.len() / 2, ty.len() / 2),
        )
    };
    accepted(&transfer("030b", "036c", "0000000764656661756c74"));
    accepted(&transfer("030b", "036c", "000000057374616b65"));
    accepted(&transfer("030b", "036c", &format!("0000001f{}", "61".repeat(31))));
    refused(&transfer("030b", "036c", &format!("00000020{}", "61".repeat(32))), "the length of the entrypoint is 32");
    refused(&transfer("030b", "036c", "00000000"), "the length of the entrypoint is 0");
    refused(&transfer("030b", "036c", "ffffffff61"), "the length of the entrypoint is 4294967295");
    refused(&transfer("030b", "036c", "0000000120"), "the entrypoint has a character");
    refused(&transfer("", "036c", "0000000161"), "the ticket contents is empty");
    refused(&transfer("030b", "", "0000000161"), "the ticket type is empty");
}

/// Tag 2 has two layouts, which no bytes fit both of.
#[test]
fn evidence_of_two_votes_has_one_layout() {
    let (first, second) = ("aa".repeat(139), "bb".repeat(139));
    let old = |tag: &str| format!("{tag}0000008b{first}0000008b{second}");
    assert_eq!(accepted(&old("02")), [OperationKind::DoubleAttestationEvidence]);
    assert_eq!(accepted(&old("07")), [OperationKind::DoublePreattestationEvidence]);
    for slot in ["0000", "0001", "0100", "ffff"] {
        let new = format!("02{slot}0000008b{first}0000008b{second}");
        assert_eq!(accepted(&new), [OperationKind::DoubleConsensusOperationEvidence], "slot {slot}");
        refused(&format!("{new}00"), "1 bytes are left over");
    }
    refused(&format!("{}00", old("02")), "1 bytes are left over");
    refused(&format!("{}00", old("07")), "1 bytes are left over");
    refused("070000000000000001aa", "the first vote is empty");
    refused("0700000001aa00000000", "the second vote is empty");
    refused("02000000000000", "the first vote is empty");
    refused("0200", "the payload ends within the slot");
    refused("030000000000000001aa", "the first header is empty");
    refused("0300000001aa00000000", "the second header is empty");
}

/// Before Oxford a commitment followed the rollup. It is read as one only where nothing else can stand.
#[test]
fn a_cemented_commitment_is_read_where_it_can_be_nothing_else() {
    let cement = manager(202, SR1);
    let commitment = "c1".repeat(32);
    let kinds = |operation: &Operation| operation.contents().iter().map(Content::kind).collect::<Vec<_>>();
    let commitment_of = |operation: &Operation| match operation.contents().last().unwrap() {
        Content::Manager(manager) => match &manager.action {
            Action::SmartRollupCement { commitment, .. } => *commitment,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let oxford = operation(&cement).unwrap();
    assert!(commitment_of(&oxford).is_none());
    let nairobi = operation(&format!("{cement}{commitment}")).unwrap();
    assert_eq!(hex::encode(commitment_of(&nairobi).unwrap().as_bytes()), commitment);
    let last = operation(&format!("{}{cement}{commitment}", manager(110, "00"))).unwrap();
    assert_eq!(kinds(&last), [OperationKind::Delegation, OperationKind::SmartRollupCement]);

    // What is a content itself, of 31, 32 and 33 bytes.
    let delegation = |counter: &str| format!("6e{TZ3}8001{counter}800180800100");
    let [shorter, content, longer] = ["01", "8001", "808001"].map(delegation);
    assert_eq!([shorter.len(), content.len(), longer.len()], [62, 64, 66]);
    for unmistaken in [shorter, longer] {
        let batch = accepted(&format!("{cement}{unmistaken}"));
        assert_eq!(batch, [OperationKind::SmartRollupCement, OperationKind::Delegation]);
    }
    assert_eq!(accepted(&content), [OperationKind::Delegation]);
    refused(
        &format!("{cement}{content}"),
        "what follows the rollup of a smart_rollup_cement is not in its canonical encoding",
    );
    refused(&format!("{cement}{commitment}{}", manager(110, "00")), "operation tag 193");
}

#[test]
fn only_manager_operations_stand_beside_others() {
    let delegation = manager(110, "00");
    let ballot = format!("06{TZ3}00000001{}00", "aa".repeat(32));
    assert_eq!(operation(&format!("{delegation}{ballot}")), Err(DecodeError::Batch(OperationKind::Ballot)));
    assert_eq!(operation(&format!("{ballot}{delegation}")), Err(DecodeError::Trailing(delegation.len() / 2)));
    assert_eq!(operation(&format!("{ballot}{ballot}")), Err(DecodeError::Trailing(ballot.len() / 2)));
    let noop = "110000000161";
    assert_eq!(
        operation(&format!("{delegation}{delegation}{noop}")),
        Err(DecodeError::Batch(OperationKind::FailingNoop))
    );
    assert_eq!(operation(&format!("{noop}{delegation}")), Err(DecodeError::Trailing(delegation.len() / 2)));
}

#[test]
fn there_is_at_least_one_content_and_a_limit() {
    refused("", "the payload ends within the operation tag");
    let delegation = manager(110, "00");
    assert_eq!(accepted(&delegation.repeat(MAX_CONTENTS)).len(), MAX_CONTENTS);
    assert_eq!(operation(&delegation.repeat(MAX_CONTENTS + 1)), Err(DecodeError::TooManyContents));
    // Above what transactions of 53 bytes each can fill a payload with.
    const { assert!(MAX_CONTENTS * 53 > 32 * 1024) };
}

/// Every tag: decoded by some vector, or refused with the reason.
#[test]
fn every_other_tag_is_refused_with_a_reason() {
    let decoded = [1..=9, 17..=17, 107..=115, 158..=158, 200..=207, 230..=230];
    for tag in 0..=u8::MAX {
        let body = format!("{tag:02x}{}", "00".repeat(200));
        match tag {
            20 | 21 | 23 => refused(&body, "is a vote, which is signed with the magic byte 0x12 or 0x13"),
            24 => assert_eq!(operation(&body), Err(DecodeError::NotDecoded(OperationKind::DalEntrapmentEvidence))),
            30 | 31 => refused(&body, "is a list of votes"),
            40 | 41 => refused(&body, "is a vote of a tz4 (BLS) key"),
            150..=157 => refused(&body, "belongs to transaction rollups"),
            250 => assert_eq!(operation(&body), Err(DecodeError::NotDecoded(OperationKind::ZkRollupOrigination))),
            251 => assert_eq!(operation(&body), Err(DecodeError::NotDecoded(OperationKind::ZkRollupPublish))),
            252 => assert_eq!(operation(&body), Err(DecodeError::NotDecoded(OperationKind::ZkRollupUpdate))),
            255 => refused(&body, "is the first part of a signature"),
            tag if decoded.iter().any(|range| range.contains(&tag)) => {
                let error = operation(&body).map(drop);
                assert!(!matches!(error, Err(DecodeError::OperationTag { tag: found, .. }) if found == tag), "{tag}");
            }
            tag => refused(&body, &format!("operation tag {tag} is unknown to this signer")),
        }
    }
}

#[test]
fn what_stands_in_messages_is_the_text_of_json() {
    let call = operation(&manager(108, &format!("00{KT1}ff0600000002030a"))).unwrap();
    let [Content::Manager(manager)] = call.contents() else { panic!("{call:?}") };
    let Action::Transaction { entrypoint, parameters, .. } = &manager.action else { panic!("{call:?}") };
    assert_eq!((entrypoint.as_str(), entrypoint.to_string().as_str()), ("stake", "stake"));
    let value = parameters.as_ref().unwrap();
    assert_eq!(
        (value.as_slice(), value.to_string(), format!("{value:?}")),
        (&[3, 10][..], "030a".into(), "030a".into())
    );
}
