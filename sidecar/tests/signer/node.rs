//! `nodeEndpoint`: a record that the chain knows more than, without an audit log that could tell. The node is played by a small server
//! with answers in the shape of Octez v25's, because a node cannot be had here.

use crate::payload::{attestation, block};
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tezos_signer_core::config::KeyConfig;

const NEXT: u32 = FLOOR + 1;

/// Far above the record: the baker was away for long.
const HEAD: u32 = NEXT + 5000;

/// Answers by path. Lives as long as the test program.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, Value>>>,
    /// The headers of each request.
    asked: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Node {
    /// Of a chain in whose blocks nobody votes that we know.
    pub(crate) fn start(chain: &str) -> Self {
        let listener = crate::ports::listener();
        let node = Self { address: listener.local_addr().unwrap(), answers: Arc::default(), asked: Arc::default() };
        node.answer_with("head/header", json!({"chain_id": chain, "level": HEAD, "proto": 24}));
        for level in NEXT..NEXT + 100 {
            node.answer_with(
                &format!("{level}/operations/0"),
                votes(&[("tz1iS7kehbR1CKAd38HrssP38BBz8GC9Zhy4", level - 1)]),
            );
            node.answer_with(
                &format!("{level}/metadata"),
                json!({"baker_consensus_key": "tz1iS7kehbR1CKAd38HrssP38BBz8GC9Zhy4"}),
            );
        }
        let (answers, headers) = (node.answers.clone(), node.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let asked = lines.next().unwrap_or_default();
                headers.lock().unwrap().push(lines.by_ref().take_while(|line| !line.is_empty()).collect());
                let answer = asked.split(' ').nth(1).and_then(|path| answers.lock().unwrap().get(path).cloned());
                let status = if answer.is_some() { "200 OK" } else { "404 Not Found" };
                let body = answer.unwrap_or_default().to_string();
                let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        });
        node
    }

    pub(crate) fn answer_with(&self, path: &str, answer: Value) {
        self.answers.lock().unwrap().insert(format!("/chains/main/blocks/{path}"), answer);
    }

    fn configure(&self, env: &TestEnv) {
        env.set_config(json!({"nodeEndpoint": format!("http://{}", self.address)}));
    }
}

/// One operation of each key.
pub(crate) fn votes(of: &[(&str, u32)]) -> Value {
    let operation = |(key, level): &(&str, u32)| {
        json!({"contents": [{
            "kind": "attestation_with_dal", "slot": 6689, "level": level, "round": 0, "dal_attestation": "0",
            "metadata": {
                "delegate": "tz1iS7kehbR1CKAd38HrssP38BBz8GC9Zhy4",
                "consensus_power": {"slots": 1, "baking_power": null},
                "consensus_key": key,
            },
        }]})
    };
    of.iter().map(operation).collect()
}

fn compared(signer: &Signer, key: &KeyConfig) {
    let name = key.record_name();
    wait_for("the comparison", || {
        let log = signer.log();
        log.lines().any(|line| line.contains("compared with the chain") && line.contains(name.as_str())).then_some(())
    });
}

#[test]
fn a_vote_or_block_of_the_key_above_its_record_holds_it_back_until_the_record_is_raised() {
    for baked in [false, true] {
        let env = TestEnv::new();
        let (key, other) = (env.tz3(), env.tz2());
        let node = Node::start("NetXdQprcVkpaWU");
        node.configure(&env);
        let signer = Signer::start(&env);
        compared(&signer, &key);
        signer.signature(&key, &attestation(NEXT, 0, 1));
        drop(signer);
        let name = concat!("user-agent: tezos-signer/", env!("CARGO_PKG_VERSION"));
        assert!(node.asked.lock().unwrap().iter().all(|headers| headers.iter().any(|header| header == name)));

        // What was signed after the copy was made, and forgotten with it.
        let hash = key.hash().to_string();
        if baked {
            node.answer_with(&format!("{}/metadata", NEXT + 1), json!({"baker_consensus_key": hash}));
        } else {
            node.answer_with(&format!("{}/operations/0", NEXT + 2), votes(&[("tz1iS7", NEXT + 1), (&hash, NEXT + 1)]));
        }
        let signer = Signer::start_unready(&env);
        compared(&signer, &key);
        let output = wait_for("the refusal", || {
            let answer = signer.sign(&key, &attestation(HEAD + 1, 0, 1));
            (answer.status != 502).then_some(answer)
        });
        let output = output.refused(409);
        let proof = if baked {
            format!(
                "block {} of the chain proves that the block at level {} round 0 or later was signed",
                NEXT + 1,
                NEXT + 1
            )
        } else {
            format!(
                "block {} of the chain proves that the attestation at level {} round 0 was signed",
                NEXT + 2,
                NEXT + 1
            )
        };
        assert!(output.starts_with(&proof) && output.contains("docs/record.md"), "{output}");
        assert_eq!(signer.admin("/status").json()["ready"], false);
        wait_for("the other key", || (signer.sign(&other, &block(NEXT, 0, 1)).status == 200).then_some(()));

        env.run(&["watermarks", "raise", "--level", &HEAD.to_string()]).succeeded();
        wait_for("a signature", || (signer.sign(&key, &attestation(HEAD + 1, 0, 1)).status == 200).then_some(()));
    }
}

#[test]
fn what_the_record_knows_and_a_long_absence_hold_nobody_back() {
    let env = TestEnv::new();
    let key = env.tz3();
    let node = Node::start("NetXdQprcVkpaWU");
    node.configure(&env);
    let signer = Signer::start(&env);
    signer.signature(&key, &attestation(NEXT, 0, 1));
    drop(signer);
    // Its newest vote, in the block above it.
    node.answer_with(&format!("{}/operations/0", NEXT + 1), votes(&[(&key.hash().to_string(), NEXT)]));
    let signer = Signer::start(&env);
    compared(&signer, &key);
    signer.signature(&key, &attestation(HEAD + 1, 0, 1));
}

#[test]
fn a_node_that_is_not_there_or_of_another_chain_is_told_and_delays_nothing() {
    let env = TestEnv::new();
    let key = env.tz3();
    // Nobody listens, for as long as this is held.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = Node::start("NetXnHfVqm9iesp");
    for (endpoint, reported) in [
        (nobody.local_addr().unwrap(), "cannot be reached"),
        (other.address, "is a node of the chain \\\"NetXnHfVqm9iesp\\\""),
    ] {
        env.set_config(json!({"nodeEndpoint": format!("http://{endpoint}")}));
        let signer = Signer::start(&env);
        signer.sign(&key, &attestation(NEXT, 0, 1)).signature(&key, &attestation(NEXT, 0, 1));
        wait_for("the word", || {
            let log = signer.log();
            log.lines()
                .any(|line| line.contains("not compared with the chain yet") && line.contains(reported))
                .then_some(())
        });
    }
}
