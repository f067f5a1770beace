//! Several replicas, of which one serves a key: whichever is asked, the answer is the same. What happens when the holder is gone is in
//! [`crate::failover`].

use crate::authentication::clients;
use crate::certificates::{Authority, Certificate};
use crate::payload::attestation;
use crate::process::wait_for;
use crate::raw_http::{RawAnswer, RawConnection};
use crate::replicas::{Replica, Replicas};
use crate::request_ids::ids_of_outcomes;
use crate::test_env::FLOOR;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};
use tezos_signer_core::authentication::signed_bytes;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::record::HOLDER_ADDRESS_ANNOTATION;

/// Replicas by these names, and who serves the P-256 key.
pub(crate) fn started<const N: usize>(replicas: &Replicas, names: [&str; N]) -> ([Replica; N], usize) {
    let started = names.map(|name| replicas.start(name));
    let key = replicas.env.tz3();
    let holder = wait_for("a holder", || {
        let holder = replicas.holder(&key);
        started.iter().position(|replica| replica.name == holder)
    });
    (started, holder)
}

/// A request as another replica would forward it, or as somebody who wants to be taken for one.
fn peer_request(key: &KeyConfig, payload: &[u8], query: &str, holder: Option<&str>) -> String {
    let holder = holder.map_or_else(String::new, |holder| format!("Tezos-Signer-Holder: {holder}\r\n"));
    let body = format!("\"{}\"", hex::encode(payload));
    format!(
        "POST /keys/{}{query} HTTP/1.1\r\nhost: x\r\n{holder}Tezos-Signer-Client: 192.0.2.1:9\r\ncontent-length: {}\r\n\r\n{body}",
        key.hash(),
        body.len()
    )
}

fn answer_to_peer_request(replica: &mut Replica, request: String) -> RawAnswer {
    let mut connection = RawConnection::tcp(replica.signer.peer_address());
    connection.send(request);
    connection.answer()
}

#[test]
fn whichever_replica_is_asked_the_answer_is_the_same_and_stands_in_the_logs() {
    let replicas = Replicas::new();
    let (started, holder) = started(&replicas, ["a", "b", "c"]);
    let (tz3, tz2) = (replicas.env.tz3(), replicas.env.tz2());
    let vote = attestation(FLOOR + 1, 0, 1);
    let signatures = started.each_ref().map(|replica| replica.signer.signature(&tz3, &vote));
    assert!(signatures.iter().all(|signature| *signature == signatures[0]), "{signatures:?}");
    for (replica, level) in started.iter().zip(FLOOR + 2..) {
        replica.signer.signature(&tz3, &attestation(level, 0, 1));
        replica.signer.signature(&tz2, &attestation(level, 0, 1));
        let message = replica.signer.sign(&tz3, &attestation(level, 0, 2)).refused(409);
        assert!(message.contains("a different attestation was already signed"), "{message}");
        assert_eq!(replica.signer.sign(&tz3, &vote[..10]).status, 400);
        assert_eq!(replica.signer.admin("/startupz").status, 200);
        let status = replica.signer.status();
        assert!(status.ready && status.reasons.is_empty(), "{status:?}");
        let shown = replica.signer.key_status(&tz3);
        assert_eq!(shown.held, replica.name == started[holder].name);
        assert_eq!(shown.holder_address, replicas.lease(&tz3).holder_address);
    }
    let standby = &started[(holder + 1) % 3];
    assert_eq!(
        (standby.forwarded("signed"), standby.forwarded("refused")),
        (2 + u64::from(!standby.signer.key_status(&tz2).held), 1)
    );
    assert_eq!(standby.forwarded("failed") + standby.forwarded("unreachable"), 0);

    let holder = started[holder].name.clone();
    for mut replica in started {
        let outcomes = replica.outcomes();
        let forwarded: Vec<_> = outcomes.iter().filter(|line| line["outcome"] == "forwarded").collect();
        if replica.name == holder {
            let through = |line: &&serde_json::Value| line["client"].as_str().unwrap().contains(" through 127.0.0.1:");
            assert!(outcomes.iter().any(|line| through(&line) && line["outcome"] == "signed"), "{outcomes:?}");
        } else {
            let statuses: Vec<_> = forwarded.iter().map(|line| line["status"].as_u64().unwrap()).collect();
            assert!(statuses.contains(&200) && statuses.contains(&409), "{forwarded:?}");
            let reason = forwarded[0]["reason"].as_str().unwrap();
            assert!(reason.starts_with(&format!("forwarded to {holder} at ")), "{reason}");
        }
        replica.signer.terminate();
        assert!(replica.signer.ended().success());
    }
    let annotations = replicas.record(&tz3).metadata.annotations.unwrap();
    assert!(
        replicas.holder(&tz3).is_empty() && !annotations.contains_key(HOLDER_ADDRESS_ANNOTATION),
        "{annotations:?}"
    );
    let logs = ["a", "b", "c"].map(|name| replicas.env.path.join(name).join("audit.log"));
    let verify: Vec<&str> =
        ["audit", "verify"].into_iter().chain(logs.iter().map(|log| log.to_str().unwrap())).collect();
    let output = replicas.run(&replicas.env, &verify).succeeded();
    assert!(
        output.contains("3 logs, ") && output.contains(" 7 signatures that a record anchors: nothing wrong"),
        "{output}"
    );
}

#[test]
fn a_client_is_authenticated_where_it_asks_and_again_where_it_is_answered() {
    let replicas = Replicas::new();
    let [friend, stranger, ..] = clients();
    replicas.env.set_config(json!({"authorizedKeys": [friend.key]}));
    let (mut started, holder) = started(&replicas, ["a", "b"]);
    let key = replicas.env.tz3();
    let standby = &started[1 - holder];
    let by = |client: &crate::authentication::Client, vote: &[u8]| {
        format!("?authentication={}", (client.sign)(&signed_bytes(&key.hash(), vote)))
    };
    let ask = |replica: &Replica, vote: &[u8], query: &str| {
        replica.signer.post(&format!("/keys/{}{query}", key.hash()), format!("\"{}\"", hex::encode(vote)))
    };
    let vote = attestation(FLOOR + 1, 0, 1);
    ask(standby, &vote, "").refused(401);
    ask(standby, &vote, &by(&stranger, &vote)).refused(401);
    assert_eq!(standby.forwarded("signed") + standby.forwarded("refused"), 0, "it was refused at the door");
    ask(standby, &vote, &by(&friend, &vote)).signature(&key, &vote);

    // Whoever reaches the peer port is no friend for that.
    let (name, vote) = (started[holder].name.clone(), attestation(FLOOR + 2, 0, 1));
    let holder = &mut started[holder];
    for query in [String::new(), by(&stranger, &vote)] {
        answer_to_peer_request(holder, peer_request(&key, &vote, &query, Some(&name))).refused(401);
    }
    answer_to_peer_request(holder, peer_request(&key, &vote, &by(&friend, &vote), Some(&name))).signature(&key, &vote);
}

#[test]
fn the_peer_port_signs_only_for_those_who_mean_this_very_holder() {
    let replicas = Replicas::new();
    let (mut started, holder) = started(&replicas, ["a", "b"]);
    let (key, holder) = (replicas.env.tz3(), &mut started[holder]);
    let before = replicas.row(&key, "attestation");
    let vote = attestation(FLOOR + 1, 0, 1);
    let message = answer_to_peer_request(holder, peer_request(&key, &vote, "", Some("another"))).refused(502);
    assert!(message.contains("the request is for another signer"), "{message}");
    assert_eq!(answer_to_peer_request(holder, peer_request(&key, &vote, "", None)).status, 400);
    for query in ["?version=4", "?authentication=x"] {
        assert_eq!(
            answer_to_peer_request(holder, peer_request(&key, &vote, query, Some(&holder.name.clone()))).status,
            400
        );
    }
    for path in ["/authorized_keys", "/known_keys"] {
        answer_to_peer_request(holder, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).refused(404);
    }
    answer_to_peer_request(holder, format!("GET /keys/{} HTTP/1.1\r\nhost: x\r\n\r\n", key.hash())).refused(405);
    assert_eq!(replicas.row(&key, "attestation"), before);
    let name = holder.name.clone();
    answer_to_peer_request(holder, peer_request(&key, &vote, "", Some(&name)).replacen("/keys/", "//keys//", 1))
        .signature(&key, &vote);
    // What the holder refuses is passed on in a form that Octez reads.
    for replica in &started {
        replica.signer.sign(&key, &attestation(FLOOR + 1, 0, 2)).refused(409);
    }
    let holder = started.iter_mut().find(|replica| replica.name == name).unwrap();

    // Where the holder was there is somebody else now, who serves nothing.
    let address = holder.signer.peer_address().to_string();
    replicas.name_holder(&key, "gone", Some(&address));
    for replica in &started {
        let message = replica.signer.sign(&key, &attestation(FLOOR + 2, 0, 1)).refused(502);
        assert!(message.contains("the request is for another signer"), "{message}");
    }
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{} ", FLOOR + 1)));
}

/// Somebody at a holder's address, who answers each connection's first request with `answer`, and closes it without a word when
/// another comes.
fn answering_server(answer: &str) -> String {
    let listener = crate::ports::listener();
    let address = listener.local_addr().unwrap().to_string();
    let answer = answer.to_owned();
    // Both kinds of thread end with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                let (mut bytes, mut answered) = ([0; 4096], false);
                while let Ok(read @ 1..) = stream.read(&mut bytes) {
                    // The end of the body.
                    if bytes[read - 1] == b'"' && !answer.is_empty() {
                        if std::mem::replace(&mut answered, true) {
                            break;
                        }
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    address
}

#[test]
fn what_a_holder_says_is_passed_on_as_it_is_but_for_what_is_no_signature() {
    let replicas = Replicas::new();
    let replica = replicas.start("a");
    let key = replicas.env.tz3();
    let of_another = replica.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    let vote = attestation(FLOOR + 2, 0, 1);
    let http = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-type: text/x-test\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    replicas.name_holder(&key, "said", Some(&answering_server(&http("409 Conflict", "as it is"))));
    // From the second time on first on a connection that was kept, and is dead.
    for _ in 0..3 {
        let mut connection = RawConnection::tcp(replica.signer.signing_address());
        let answer = connection.sign(&key, &vote);
        assert_eq!((answer.status, answer.body.as_str()), (409, "as it is"));
        assert_eq!(answer.header("content-type"), Some("text/x-test"));
    }
    assert_eq!(replica.forwarded("refused"), 3);

    for (what, output, message) in [
        (
            "another signature",
            http("200 OK", &json!({"signature": of_another}).to_string()),
            "is not a signature of this key",
        ),
        ("nonsense", http("200 OK", "{}"), "is not a signature of this key"),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "no answer: "),
        ("nothing", String::new(), "did not answer in time"),
    ] {
        replicas.name_holder(&key, what, Some(&answering_server(&output)));
        let asked = Instant::now();
        let mut connection = RawConnection::tcp(replica.signer.signing_address());
        let answer = connection.sign(&key, &vote);
        let reported = answer.refused(502);
        assert!(reported.contains(message), "{what}: {reported}");
        assert_eq!(answer.header("connection"), Some("close"), "another replica may reach it");
        assert!(asked.elapsed() < Duration::from_secs(2), "{what}: {:?}", asked.elapsed());
    }
    // Nobody: refused at once, and tried until the deadline.
    replicas.name_holder(&key, "nobody", Some("127.0.0.1:1"));
    let reported = replica.signer.sign(&key, &vote).refused(502);
    assert!(reported.contains("no connection: Connection refused"), "{reported}");
    assert!(replica.forwarded("unreachable") > 5);
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{} ", FLOOR + 1)));
}

#[test]
fn two_replicas_that_each_take_the_other_for_the_holder_make_one_hop() {
    let (one, other) = (Replicas::new(), Replicas::new());
    let key = one.env.tz3();
    // The same keys, and a record each that they do not share: so each can be told something else.
    std::fs::copy(one.env.softhsm_conf(), other.env.softhsm_conf()).unwrap();
    other.env.set_config(json!({"keys": one.env.config().keys}));
    other.run(&other.env, &["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    for replicas in [&one, &other] {
        replicas.name_holder(&key, "somebody", None);
    }
    let mut a = one.start_unready(one.env_of("a"), "a", None);
    let mut b = other.start_unready(other.env_of("b"), "b", None);
    one.name_holder(&key, "b", Some(&b.signer.peer_address().to_string()));
    other.name_holder(&key, "a", Some(&a.signer.peer_address().to_string()));
    let before = (one.row(&key, "attestation"), other.row(&key, "attestation"));
    for (asked, hopped) in [(&a, &b), (&b, &a)] {
        let count = |replica: &Replica| replica.outcomes().len();
        let (at_first, at_second) = (count(asked), count(hopped));
        let started = Instant::now();
        let message = asked.signer.sign(&key, &attestation(FLOOR + 1, 0, 1)).refused(502);
        assert!(message.contains(&format!("({}", asked.name)), "the other's word, that this one is: {message}");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        wait_for("the lines", || (count(asked) == at_first + 1 && count(hopped) == at_second + 1).then_some(()));
    }
    assert_eq!((a.forwarded("unavailable"), b.forwarded("unavailable")), (1, 1));
    assert_eq!((one.row(&key, "attestation"), other.row(&key, "attestation")), before);
}

/// Puts a certificate, and an authority to trust, where all replicas look for them.
fn mount(replicas: &Replicas, certificate: &Certificate, authority: &Authority) {
    certificate.write(&replicas.env.path);
    std::fs::write(replicas.env.path.join("ca.crt"), authority.pem()).unwrap();
}

#[test]
fn between_replicas_both_sides_show_a_certificate_of_the_right_authority_and_name() {
    let replicas = Replicas::new();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.issue_for("signer.example", "replicas", 2090);
    mount(&replicas, &own, &authority);
    let file = |name| replicas.env.path.join(name);
    let tls = json!({"certificateFile": file("tls.crt"), "privateKeyFile": file("tls.key"), "caFile": file("ca.crt")});
    replicas.env.set_config(json!({"peer": {"listen": "127.0.0.1:0", "tls": tls}}));
    let (mut started, holder) = started(&replicas, ["a", "b"]);
    let key = replicas.env.tz3();
    started[1 - holder].signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    assert_eq!(started[1 - holder].forwarded("signed"), 1);

    let (name, address) = (started[holder].name.clone(), started[holder].signer.peer_address());
    let vote = attestation(FLOOR + 2, 0, 1);
    let ask = |certificate: Option<&Certificate>| {
        let mut connection = authority.connect_to("signer.example", address, certificate)?;
        connection.try_send(peer_request(&key, &vote, "", Some(&name)))?;
        connection.try_answer()
    };
    for (what, certificate) in [
        ("none", None),
        ("of another authority", Some(stranger.issue_for("signer.example", "replicas", 2090))),
        ("of another name", Some(authority.issue_for("baker.example", "replicas", 2090))),
        ("expired", Some(authority.issue_for("signer.example", "replicas", 2020))),
    ] {
        let answer = ask(certificate.as_ref());
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    let mut plain = RawConnection::tcp(address);
    plain.send(peer_request(&key, &vote, "", Some(&name)));
    assert_eq!(plain.answer().body, "this port speaks TLS: use https");
    ask(Some(&own)).unwrap().signature(&key, &vote);

    // A holder with a certificate of another authority is not asked, and when all have it, it is.
    let port = Authority::new();
    mount(&replicas, &port.issue_for("signer.example", "replicas", 2080), &port);
    let expiry = "tezos_signer_peer_tls_certificate_expiry_timestamp_seconds";
    let before = started[holder].signer.metric(expiry);
    wait_for("the new certificate", || {
        started.iter().all(|replica| replica.signer.metric(expiry) != before).then_some(())
    });
    assert!(ask(Some(&own)).is_err());
    let mut level = FLOOR + 2;
    for replica in &started {
        level += 1;
        replica.signer.signature(&key, &attestation(level, 0, 1));
    }
}

#[test]
fn a_certificate_without_a_name_or_of_files_that_are_missing_is_named_at_the_start() {
    let replicas = Replicas::new();
    let tls = json!({"certificateFile": "/nowhere", "privateKeyFile": "/nowhere", "caFile": "/nowhere"});
    replicas.env.set_config(json!({"peer": {"listen": "127.0.0.1:0", "tls": tls}}));
    let mut command = replicas.env.command();
    let ended = command.args(["serve", "--config"]).arg(replicas.env.config_file()).output().unwrap();
    let output = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(output.contains("peer.tls.certificateFile: /nowhere"), "{output}");
}

#[test]
fn a_forwarded_request_has_one_id_in_the_logs_of_both_replicas() {
    let replicas = Replicas::new();
    let (started, holder) = started(&replicas, ["a", "b"]);
    let standby = &started[1 - holder];
    standby.signer.signature(&replicas.env.tz3(), &attestation(FLOOR + 1, 0, 1));
    let ids = started.each_ref().map(|replica| {
        let log = replica.env.path.join("audit.log");
        wait_for("an outcome", || Some(ids_of_outcomes(&log)).filter(|ids| !ids.is_empty()))
    });
    assert_eq!(ids[0].len(), 1, "{ids:?}");
    assert_eq!(ids[0], ids[1]);
}
