//! Several replicas, of which one serves a key: whichever is asked, the answer is the same, and another takes over when that one
//! is gone. Needs a real API server: `E2E_KUBECONFIG=<file> cargo test -p tezos-signer forwarding::`.

use crate::authentication::clients;
use crate::certificates::{Authority, Certificate};
use crate::faulty_module::FaultyModule;
use crate::home::FLOOR;
use crate::payload::attestation;
use crate::process::wait_for;
use crate::replicas::{LEASE, Replica, Replicas};
use crate::wire::{Wire, WireAnswer};
use pkcs11_faults::control::{Control, Rule};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tezos_signer_core::authentication::signed_bytes;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::record::HOLDER_ADDRESS_ANNOTATION;

/// The design's: until a client gets a signature again after its holder has vanished.
const FAILOVER: Duration = Duration::from_secs(LEASE.as_secs() + 1);

/// For how long one that ends goes on forwarding.
const LINGER: Duration = Duration::from_secs(10);

/// How many hand-overs in the long form, where this names a number.
const HAND_OVERS: &str = "HAND_OVERS";

const DEVICE_ERROR: u64 = 0x30;

/// Replicas by these names, and who serves the P-256 key.
fn started<const N: usize>(replicas: &Replicas, names: [&str; N]) -> ([Replica; N], usize) {
    let started = names.map(|name| replicas.start(name));
    let key = replicas.home.tz3();
    let holder = wait_for("a holder", || {
        let holder = replicas.holder(&key);
        started.iter().position(|replica| replica.name == holder)
    });
    (started, holder)
}

/// A request as another replica would forward it, or as somebody who wants to be taken for one.
fn hop(key: &KeyConfig, payload: &[u8], query: &str, holder: Option<&str>) -> String {
    let holder = holder.map_or_else(String::new, |holder| format!("Tezos-Signer-Holder: {holder}\r\n"));
    let body = format!("\"{}\"", hex::encode(payload));
    format!(
        "POST /keys/{}{query} HTTP/1.1\r\nhost: x\r\n{holder}Tezos-Signer-Client: 192.0.2.1:9\r\ncontent-length: {}\r\n\r\n{body}",
        key.hash(),
        body.len()
    )
}

fn answer_to_hop(replica: &mut Replica, request: String) -> WireAnswer {
    let mut wire = Wire::tcp(replica.signer.peer_address());
    wire.send(request);
    wire.answer()
}

#[test]
fn whichever_replica_is_asked_the_answer_is_the_same_and_stands_in_the_logs() {
    let Some(replicas) = Replicas::new() else { return };
    let (started, holder) = started(&replicas, ["a", "b", "c"]);
    let (tz3, tz2) = (replicas.home.tz3(), replicas.home.tz2());
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
        let status = replica.signer.admin("/status").json();
        assert_eq!((&status["ready"], &status["reasons"]), (&json!(true), &json!([])), "{status}");
        assert_eq!(status["keys"][0]["held"], replica.name == started[holder].name);
        let address = status["keys"][0]["holderAddress"].as_str().unwrap();
        assert_eq!(address, replicas.lease(&tz3).holder_address.unwrap().to_string());
    }
    let standby = &started[(holder + 1) % 3];
    assert_eq!(
        (standby.forwarded("signed"), standby.forwarded("refused")),
        (2 + u64::from(of_tz2(&started, standby)), 1)
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
    let logs = ["a", "b", "c"].map(|name| replicas.home.path.join(name).join("audit.log"));
    let verify: Vec<&str> =
        ["audit", "verify"].into_iter().chain(logs.iter().map(|log| log.to_str().unwrap())).collect();
    let said = replicas.run(&replicas.home, &verify).succeeded();
    assert!(
        said.contains("3 logs, ") && said.contains(" 7 signatures that a record vouches for: nothing wrong"),
        "{said}"
    );
}

/// Whether `replica` does not serve the secp256k1 key, so that what it was asked for with it was forwarded too.
fn of_tz2(started: &[Replica], replica: &Replica) -> bool {
    let status = started[0].signer.admin("/status").json();
    status["keys"][1]["holder"] != replica.name
}

#[test]
fn a_client_is_authenticated_where_it_asks_and_again_where_it_is_answered() {
    let Some(replicas) = Replicas::new() else { return };
    let [friend, stranger, ..] = clients();
    replicas.home.set_config(json!({"authorizedKeys": [friend.key]}));
    let (mut started, holder) = started(&replicas, ["a", "b"]);
    let key = replicas.home.tz3();
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
        answer_to_hop(holder, hop(&key, &vote, &query, Some(&name))).refused(401);
    }
    answer_to_hop(holder, hop(&key, &vote, &by(&friend, &vote), Some(&name))).signature(&key, &vote);
}

#[test]
fn the_peer_port_signs_only_for_those_who_mean_this_very_holder() {
    let Some(replicas) = Replicas::new() else { return };
    let (mut started, holder) = started(&replicas, ["a", "b"]);
    let (key, holder) = (replicas.home.tz3(), &mut started[holder]);
    let before = replicas.row(&key, "attestation");
    let vote = attestation(FLOOR + 1, 0, 1);
    let message = answer_to_hop(holder, hop(&key, &vote, "", Some("another"))).refused(502);
    assert!(message.contains("another signer is meant"), "{message}");
    assert_eq!(answer_to_hop(holder, hop(&key, &vote, "", None)).status, 400);
    for path in ["/authorized_keys", "/known_keys"] {
        answer_to_hop(holder, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).refused(404);
    }
    answer_to_hop(holder, format!("GET /keys/{} HTTP/1.1\r\nhost: x\r\n\r\n", key.hash())).refused(405);
    assert_eq!(replicas.row(&key, "attestation"), before);
    let name = holder.name.clone();
    answer_to_hop(holder, hop(&key, &vote, "", Some(&name))).signature(&key, &vote);

    // Where the holder was there is somebody else now, who serves nothing.
    let address = holder.signer.peer_address().to_string();
    replicas.name_holder(&key, "gone", Some(&address));
    for replica in &started {
        let message = replica.signer.sign(&key, &attestation(FLOOR + 2, 0, 1)).refused(502);
        assert!(message.contains("another signer is meant"), "{message}");
    }
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{} ", FLOOR + 1)));
}

/// Somebody at a holder's address, who answers each connection's first request with `answer`, and closes it without a word when
/// another comes.
fn somebody(answer: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
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
    let Some(replicas) = Replicas::new() else { return };
    let replica = replicas.start("a");
    let key = replicas.home.tz3();
    let of_another = replica.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    let vote = attestation(FLOOR + 2, 0, 1);
    let http = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-type: text/x-test\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    replicas.name_holder(&key, "said", Some(&somebody(&http("409 Conflict", "as it is"))));
    // From the second time on first on a connection that was kept, and is dead.
    for _ in 0..3 {
        let mut wire = Wire::tcp(replica.signer.signing_address());
        let answer = wire.sign(&key, &vote);
        assert_eq!((answer.status, answer.body.as_str()), (409, "as it is"));
        assert_eq!(answer.header("content-type"), Some("text/x-test"));
    }
    assert_eq!(replica.forwarded("refused"), 3);

    for (what, said, message) in [
        (
            "another signature",
            http("200 OK", &json!({"signature": of_another}).to_string()),
            "is no signature of this key",
        ),
        ("nonsense", http("200 OK", "{}"), "is no signature of this key"),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "no answer: "),
        ("nothing", String::new(), "did not answer in time"),
    ] {
        replicas.name_holder(&key, what, Some(&somebody(&said)));
        let asked = Instant::now();
        let mut wire = Wire::tcp(replica.signer.signing_address());
        let answer = wire.sign(&key, &vote);
        let told = answer.refused(502);
        assert!(told.contains(message), "{what}: {told}");
        assert_eq!(answer.header("connection"), Some("close"), "another replica may reach it");
        assert!(asked.elapsed() < Duration::from_secs(2), "{what}: {:?}", asked.elapsed());
    }
    // Nobody: refused at once, and tried until the deadline.
    replicas.name_holder(&key, "nobody", Some("127.0.0.1:1"));
    let told = replica.signer.sign(&key, &vote).refused(502);
    assert!(told.contains("no connection: Connection refused"), "{told}");
    assert!(replica.forwarded("unreachable") > 5);
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{} ", FLOOR + 1)));
}

#[test]
fn two_replicas_that_each_take_the_other_for_the_holder_make_one_hop() {
    let (Some(one), Some(other)) = (Replicas::new(), Replicas::new()) else { return };
    let key = one.home.tz3();
    // The same keys, and a record each that they do not share: so each can be told something else.
    std::fs::copy(one.home.softhsm_conf(), other.home.softhsm_conf()).unwrap();
    other.home.set_config(json!({"keys": one.home.config().keys}));
    other.run(&other.home, &["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    for replicas in [&one, &other] {
        replicas.name_holder(&key, "somebody", None);
    }
    let mut a = one.start_unready(one.home_of("a"), "a", None);
    let mut b = other.start_unready(other.home_of("b"), "b", None);
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
    certificate.write(&replicas.home.path);
    std::fs::write(replicas.home.path.join("ca.crt"), authority.pem()).unwrap();
}

#[test]
fn between_replicas_both_sides_show_a_certificate_of_the_right_authority_and_name() {
    let Some(replicas) = Replicas::new() else { return };
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.issue_for("signer.example", "replicas", 2090);
    mount(&replicas, &own, &authority);
    let file = |name| replicas.home.path.join(name);
    let tls = json!({"certificateFile": file("tls.crt"), "privateKeyFile": file("tls.key"), "caFile": file("ca.crt")});
    replicas.home.set_config(json!({"peer": {"listen": "127.0.0.1:0", "tls": tls}}));
    let (mut started, holder) = started(&replicas, ["a", "b"]);
    let key = replicas.home.tz3();
    started[1 - holder].signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    assert_eq!(started[1 - holder].forwarded("signed"), 1);

    let (name, address) = (started[holder].name.clone(), started[holder].signer.peer_address());
    let vote = attestation(FLOOR + 2, 0, 1);
    let ask = |certificate: Option<&Certificate>| {
        let mut wire = authority.connect_to("signer.example", address, certificate)?;
        wire.try_send(hop(&key, &vote, "", Some(&name)))?;
        wire.try_answer()
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
    let mut plain = Wire::tcp(address);
    plain.send(hop(&key, &vote, "", Some(&name)));
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
    let Some(replicas) = Replicas::new() else { return };
    let tls = json!({"certificateFile": "/nowhere", "privateKeyFile": "/nowhere", "caFile": "/nowhere"});
    replicas.home.set_config(json!({"peer": {"listen": "127.0.0.1:0", "tls": tls}}));
    let mut command = replicas.home.command();
    let ended = command.args(["serve", "--config"]).arg(replicas.home.config_file()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("peer.tls.certificateFile: /nowhere"), "{said}");
}

#[test]
fn a_holder_that_is_asked_to_end_is_replaced_at_once_and_forwards_until_it_has_ended() {
    let Some(replicas) = Replicas::new() else { return };
    let (mut started, holder) = started(&replicas, ["a", "b", "c"]);
    let key = replicas.home.tz3();
    started[holder].signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    let asked = Instant::now();
    started[holder].signer.terminate();
    // Of each replica, the first request.
    for (replica, level) in started.iter().zip(FLOOR + 2..) {
        let begun = Instant::now();
        replica.signer.signature(&key, &attestation(level, 0, 1));
        assert!(begun.elapsed() < Duration::from_secs(1), "{}: {:?}", replica.name, begun.elapsed());
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_ne!(replicas.holder(&key), started[holder].name);

    let ending = &mut started[holder];
    let mut wire = Wire::tcp(ending.signer.signing_address());
    let vote = attestation(FLOOR + 9, 0, 1);
    let answer = wire.sign(&key, &vote);
    answer.signature(&key, &vote);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(ending.signer.admin("/readyz").status, 503);
    assert!(ending.forwarded("signed") >= 1);
    assert!(ending.signer.ended().success());
    assert!(asked.elapsed() > Duration::from_secs(9), "{:?}: clients need time to hear of it", asked.elapsed());
}

#[test]
fn over_many_hand_overs_a_client_with_octez_retry_rule_loses_no_signature() {
    let Some(replicas) = Replicas::new() else { return };
    let key = replicas.home.tz3();
    let rounds = std::env::var(HAND_OVERS).map_or(20, |text| text.parse().unwrap());
    // Who is in the Service: the two that are ready, and the one that is ending, which clients have not forgotten yet.
    let service = Mutex::new(vec![Arc::new(replicas.start("0")), Arc::new(replicas.start("1"))]);
    let (level, stop, slowest) = (AtomicU32::new(FLOOR), AtomicBool::new(false), Mutex::new(Duration::ZERO));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let next = level.load(Ordering::SeqCst) + 1;
                let replica = {
                    let service = service.lock().unwrap();
                    service[usize::try_from(next).unwrap() % service.len()].clone()
                };
                let (vote, asked) = (attestation(next, 0, 1), Instant::now());
                let answer = replica.ask_as_octez(&key, &vote);
                let answer = answer
                    .unwrap_or_else(|| panic!("{}: the connection broke: {}", replica.name, replica.signer.log()));
                answer.signature(&key, &vote);
                let mut slowest = slowest.lock().unwrap();
                *slowest = asked.elapsed().max(*slowest);
                level.store(next, Ordering::SeqCst);
            }
        });
        let mut ended = Vec::new();
        for round in 0..rounds {
            let new = Arc::new(replicas.start(&(round + 2).to_string()));
            service.lock().unwrap().push(new);
            let holder = replicas.holder(&key);
            let old = service.lock().unwrap().iter().find(|replica| replica.name == holder).cloned();
            let old = old.unwrap_or_else(|| panic!("{holder} is not in the service"));
            old.signer.terminate();
            let before = level.load(Ordering::SeqCst);
            wait_for("signatures of the next holder", || {
                assert!(!client.is_finished(), "a signature was lost");
                (replicas.holder(&key) != old.name && level.load(Ordering::SeqCst) >= before + 3).then_some(())
            });
            service.lock().unwrap().retain(|replica| replica.name != old.name);
            ended.push(old);
            // The newest of them still linger.
            if ended.len() > 8 {
                ended.remove(0);
            }
        }
        stop.store(true, Ordering::SeqCst);
        client.join().unwrap();
    });
    let (signed, slowest) = (level.into_inner() - FLOOR, slowest.into_inner().unwrap());
    println!("{rounds} hand-overs, {signed} signatures, the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

/// Asks `replica` for the votes after `level` until one is signed, and returns how long that took since `begun`.
fn until_signed(replica: &Replica, key: &KeyConfig, level: u32, begun: Instant) -> Duration {
    wait_for("a signature", || {
        let answer = replica.signer.sign(key, &attestation(level, 0, 1));
        assert!(matches!(answer.status, 200 | 502), "{answer:?}");
        (answer.status == 200).then_some(begun.elapsed())
    })
}

#[test]
fn a_killed_holder_is_replaced_after_the_lease() {
    let Some(replicas) = Replicas::new() else { return };
    let (mut started, holder) = started(&replicas, ["a", "b", "c"]);
    let key = replicas.home.tz3();
    for (replica, level) in started.iter().zip(FLOOR + 1..) {
        replica.signer.signature(&key, &attestation(level, 0, 1));
    }
    let begun = Instant::now();
    started[holder].signer.kill();
    started[holder].signer.ended();
    // Both others compete; whichever is asked, one of them has won.
    for (other, level) in [(holder + 1) % 3, (holder + 2) % 3].into_iter().zip(FLOOR + 4..) {
        let took = until_signed(&started[other], &key, level, begun);
        println!("killed: {took:?}");
        assert!(took < FAILOVER, "{took:?}");
    }
    assert!(started[(holder + 1) % 3].forwarded("unreachable") > 0);
}

#[test]
fn a_frozen_holder_is_replaced_after_the_lease_and_releases_nothing_when_it_goes_on() {
    let Some(replicas) = Replicas::new() else { return };
    let homes = ["a", "b"].map(|name| replicas.home_of(name));
    let modules = homes.each_ref().map(FaultyModule::install);
    let mut names = ["a", "b"].into_iter();
    let mut of_modules = modules.iter();
    let started = homes.map(|home| replicas.start_unready(home, names.next().unwrap(), of_modules.next()));
    for replica in &started {
        wait_for("/readyz", || (replica.signer.admin("/readyz").status == 200).then_some(()));
    }
    let key = replicas.home.tz3();
    let name = replicas.holder(&key);
    let holder = started.iter().position(|replica| replica.name == name).unwrap();
    let (old, new) = (&started[holder], &started[1 - holder]);
    new.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));

    // Two requests in the holder's hands, its own and a forwarded one; the token takes its time with the first.
    let slow = Rule { delay_ms: 700, ..Rule::new("C_Sign", 0) };
    modules[holder].set(&Control { rules: vec![slow], ..Control::default() });
    let (direct, forwarded) = (attestation(FLOOR + 2, 0, 1), attestation(FLOOR + 3, 0, 1));
    std::thread::scope(|scope| {
        let direct = scope.spawn(|| old.signer.sign(&key, &direct));
        wait_for("the token", || (modules[holder].state().struck > 0).then_some(()));
        let forwarded = scope.spawn(|| new.signer.sign(&key, &forwarded));
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        old.signer.freeze();
        // Another vote for the same place.
        let rival = attestation(FLOOR + 4, 0, 2);
        let took = wait_for("a signature", || {
            let answer = new.signer.sign(&key, &rival);
            assert!(matches!(answer.status, 200 | 502), "{answer:?}");
            (answer.status == 200).then_some(begun.elapsed())
        });
        println!("frozen: {took:?}");
        assert!(took < FAILOVER, "{took:?}");
        modules[holder].set(&Control::default());
        old.signer.thaw();
        let direct = direct.join().unwrap();
        assert!(matches!(direct.status, 409 | 502), "{direct:?}");
        let forwarded = forwarded.join().unwrap();
        assert!(matches!(forwarded.status, 409 | 502), "{forwarded:?}");
    });
    assert_eq!(replicas.holder(&key), new.name);
    for place in [FLOOR + 2, FLOOR + 4] {
        old.signer.sign(&key, &attestation(place, 0, 1)).refused(409);
    }
    old.signer.signature(&key, &attestation(FLOOR + 5, 0, 1));
    assert!(old.forwarded("signed") >= 1);
}

#[test]
fn a_request_that_a_frozen_holder_does_not_answer_is_signed_by_the_next_one() {
    let Some(replicas) = Replicas::new() else { return };
    replicas.home.set_config(json!({"requestDeadlineMilliseconds": 20_000}));
    let (started, holder) = started(&replicas, ["a", "b"]);
    let (key, standby) = (replicas.home.tz3(), &started[1 - holder]);
    standby.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    let begun = Instant::now();
    started[holder].signer.freeze();
    standby.signer.signature(&key, &attestation(FLOOR + 2, 0, 1));
    assert!(begun.elapsed() < FAILOVER, "{:?}", begun.elapsed());
    assert_eq!(standby.forwarded("displaced"), 1);
    // It was asked too, and answers nobody.
    started[holder].signer.thaw();
    started[holder].signer.signature(&key, &attestation(FLOOR + 3, 0, 1));
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{} ", FLOOR + 3)));
}

fn token_dies(rule: Rule) {
    let Some(replicas) = Replicas::new() else { return };
    let home = replicas.home_of("a");
    let module = FaultyModule::install(&home);
    let old = replicas.start_unready(home, "a", Some(&module));
    let key = replicas.home.tz3();
    wait_for("/readyz", || (old.signer.admin("/readyz").status == 200).then_some(()));
    let new = replicas.start("b");
    new.signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    assert_eq!(replicas.holder(&key), "a");

    let begun = Instant::now();
    module.set(&Control { rules: vec![rule], ..Control::default() });
    let took = until_signed(&old, &key, FLOOR + 2, begun);
    println!("token dead: {took:?}");
    assert!(took < FAILOVER, "{took:?}");
    assert_eq!(replicas.holder(&key), "b");
    assert!(old.forwarded("signed") >= 1);
    // A client loses nothing by it, and it is no reason to take the replica out of the Service.
    assert_eq!(old.signer.admin("/readyz").status, 200);
    module.set(&Control::default());
}

#[test]
fn a_holder_whose_token_gives_errors_is_replaced_and_forwards() {
    token_dies(Rule::new("*", DEVICE_ERROR));
}

#[test]
fn a_holder_whose_token_hangs_is_replaced_and_forwards() {
    token_dies(Rule { hang: true, ..Rule::new("C_Sign", 0) });
}

#[test]
fn a_holder_that_gives_its_token_up_forwards_for_a_while_before_it_ends_with_75() {
    let Some(replicas) = Replicas::new() else { return };
    let home = replicas.home_of("a");
    home.set_hsm("exitAfterHangSeconds", 3);
    let module = FaultyModule::install(&home);
    let mut old = replicas.start_unready(home, "a", Some(&module));
    let key = replicas.home.tz3();
    wait_for("/readyz", || (old.signer.admin("/readyz").status == 200).then_some(()));
    let new = replicas.start("b");
    assert_eq!(replicas.holder(&key), "a");
    module.set(&Control { rules: vec![Rule { hang: true, ..Rule::new("C_Sign", 0) }], ..Control::default() });
    until_signed(&old, &key, FLOOR + 1, Instant::now());
    wait_for("the end to begin", || (old.signer.admin("/readyz").status == 503).then_some(()));

    // Clients still come: they are told to ask elsewhere the next time, and lose nothing until they do.
    let (ending, mut level) = (Instant::now(), FLOOR + 1);
    while ending.elapsed() + Duration::from_secs(1) < LINGER {
        level += 1;
        let vote = attestation(level, 0, 1);
        let answer = Wire::tcp(old.signer.signing_address()).sign(&key, &vote);
        answer.signature(&key, &vote);
        assert_eq!(answer.header("connection"), Some("close"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(old.signer.ended().code(), Some(75), "{}", old.signer.log());
    assert_eq!(replicas.holder(&key), "b");
    assert!(replicas.row(&key, "attestation").starts_with(&format!("{level} ")));
    new.signer.signature(&key, &attestation(level + 1, 0, 1));
}
