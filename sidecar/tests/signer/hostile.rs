//! Clients that are slow, broken or hostile, and an honest one beside them, whose signatures must not wait.

use crate::authentication::clients;
use crate::payload::{attestation, block, preattestation};
use crate::process::{Signer, wait_for};
use crate::raw_http::{RawConnection, post, sign_path};
use crate::test_env::{FLOOR, TestEnv};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tezos_signer_core::authentication::signed_bytes;
use tezos_signer_core::config::KeyConfig;

fn faults(signer: &Signer, fault: &str) -> u64 {
    signer.metric(&format!("tezos_signer_connection_faults_total{{fault=\"{fault}\"}}")).unwrap()
}

/// Signs with a new connection each time, as Octez does, and returns the longest time that one took.
fn sign_many(address: SocketAddr, key: &KeyConfig, level: u32, count: u32) -> Duration {
    let one = |round| {
        let started = Instant::now();
        let payload = attestation(level, round, 1);
        let mut connection = RawConnection::tcp(address);
        assert_eq!(connection.get("/authorized_keys").status, 200);
        connection.sign(key, &payload).signature(key, &payload);
        started.elapsed()
    };
    (0..count).map(one).max().unwrap()
}

/// A signature takes milliseconds; on a busy machine many of them. A slow client takes ten seconds.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn two_hundred_slow_heads_and_bodies_hold_up_nobody_and_are_told() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let (key, address) = (env.tz3(), signer.signing_address());
    let started = Instant::now();
    let slow: Vec<_> = (0..200)
        .map(|number| {
            let mut connection = RawConnection::tcp(address);
            let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 90\r\n", sign_path(&key));
            connection.send(if number % 2 == 0 { head } else { head + "\r\n\"11" });
            (number, connection)
        })
        .collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let honest = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            let mut level = FLOOR;
            while !done.load(Ordering::SeqCst) {
                level += 1;
                longest = longest.max(sign_many(address, &key, level, 10));
            }
            longest
        });
        for (number, mut connection) in slow {
            // One more byte now and then resets no clock.
            let _ = connection.try_send("x");
            let answer = connection.answer();
            let part = if number % 2 == 0 { "request head" } else { "body" };
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(answer.body.contains(part) && answer.body.contains("10 seconds"), "{answer:?}");
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(connection.is_closed());
        }
        done.store(true, Ordering::SeqCst);
        let longest = honest.join().unwrap();
        println!("slow clients answered after {:?}; the longest honest signature took {longest:?}", started.elapsed());
        assert!(longest < SOON, "{longest:?}");
    });
    assert_eq!(faults(&signer, "head_timeout"), 100);
}

/// It is open to the network, beside a signing port on loopback.
#[test]
fn the_admin_port_keeps_few_connections_and_no_endless_heads() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let address = signer.admin_address();
    let mut endless = RawConnection::tcp(address);
    endless.send(format!("GET /livez HTTP/1.1\r\nx: {}", "a".repeat(20_000)));
    let answer = endless.answer();
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let silent: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = RawConnection::tcp(address);
            let _ = connection.try_send("GET /livez HTTP/1.1\r\nx: a");
            connection
        })
        .collect();
    assert_eq!(RawConnection::tcp(address).get("/livez").status, 200);
    let key = env.tz3();
    signer.signature(&key, &attestation(FLOOR + 1, 0, 1));
    // Those that it kept are told that they are late.
    let kept = silent.into_iter().filter_map(|mut connection| connection.try_answer().ok()).count();
    assert!((1..=64).contains(&kept), "{kept} of 200 were kept");
}

#[test]
fn an_idle_connection_outlives_the_time_outs() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let (mut used, mut unused) =
        (RawConnection::tcp(signer.signing_address()), RawConnection::tcp(signer.signing_address()));
    assert_eq!(used.get("/authorized_keys").status, 200);
    // Another one runs into its time-out meanwhile: that is how long it takes.
    let mut slow = RawConnection::tcp(signer.signing_address());
    slow.send("GET /");
    assert_eq!(slow.answer().status, 400);
    for (round, connection) in [&mut used, &mut unused].into_iter().enumerate() {
        let payload = attestation(FLOOR + 1, u32::try_from(round).unwrap(), 1);
        connection.sign(&key, &payload).signature(&key, &payload);
    }
}

#[test]
fn what_is_not_http_is_answered_counted_and_closed() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let path = sign_path(&env.tz3());
    let long = "x".repeat(40_000);
    for (what, bytes, statuses) in [
        ("garbage", b"\x00\x01\xff\xfe garbage\r\n\r\n".to_vec(), &[400][..]),
        ("a long header", format!("GET / HTTP/1.1\r\nlong: {long}\r\n\r\n").into(), &[431]),
        ("a long path", format!("GET /{long} HTTP/1.1\r\n\r\n").into(), &[414, 431]),
        ("many headers", format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)).into(), &[431]),
        ("a space before the colon", b"GET / HTTP/1.1\r\nhost : x\r\n\r\n".to_vec(), &[400]),
        (
            "two lengths",
            format!("POST {path} HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n\"\"").into(),
            &[400],
        ),
        ("a negative length", format!("POST {path} HTTP/1.1\r\ncontent-length: -1\r\n\r\n\"\"").into(), &[400]),
        ("HTTP/3.0", b"GET / HTTP/3.0\r\n\r\n".to_vec(), &[400]),
    ] {
        let before = faults(&signer, "malformed");
        let mut connection = RawConnection::tcp(signer.signing_address());
        connection.send(bytes);
        let answer = connection.answer();
        assert!(statuses.contains(&answer.status), "{what}: {answer:?}");
        assert!(connection.is_closed(), "{what}");
        wait_for(what, || (faults(&signer, "malformed") > before).then_some(()));
    }
    // A client that goes away in the middle of a head.
    let mut connection = RawConnection::tcp(signer.signing_address());
    connection.send("GET /autho");
    drop(connection);
    wait_for("an incomplete head", || (faults(&signer, "incomplete") > 0).then_some(()));

    let before = faults(&signer, "malformed");
    let mut connection = RawConnection::tcp(signer.signing_address());
    connection.send(format!("POST {path} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"));
    let answer = connection.answer();
    assert_eq!(answer.status, 400, "chunks of no form: {answer:?}");
    assert!(answer.body.starts_with("the body did not arrive"), "{answer:?}");
    assert!(connection.is_closed());
    assert_eq!(faults(&signer, "malformed"), before, "a handler has seen it");
    sign_many(signer.signing_address(), &env.tz3(), FLOOR + 1, 1);
}

#[test]
fn the_answer_to_a_body_that_is_too_large_arrives_however_much_is_sent() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let path = sign_path(&env.tz3());
    for (size, chunked, asks) in
        [(64 * 1024 + 1, false, false), (8 << 20, false, false), (8 << 20, true, false), (8 << 20, false, true)]
    {
        let mut connection = RawConnection::tcp(signer.signing_address());
        let length = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {size}") };
        let expect = if asks { "expect: 100-continue\r\n" } else { "" };
        connection.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{expect}{length}\r\n\r\n"));
        if !asks {
            // Octez' client sends all before it reads.
            let body = vec![b' '; size];
            connection.send(if chunked {
                [format!("{size:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
            } else {
                body
            });
        }
        let answer = connection.answer();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, "the body is larger than 65536 bytes"),
            "{size} {chunked}"
        );
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    // The largest that is read, and then the connection goes on.
    let mut connection = RawConnection::tcp(signer.signing_address());
    connection.send(post(&path, &"0".repeat(64 * 1024 - 2)));
    let answer = connection.answer();
    assert_eq!(answer.refused(403), "magic byte 0x00 not allowed");
    assert_eq!(connection.get("/authorized_keys").status, 200);
}

#[test]
fn a_flood_of_connections_pushes_out_itself_and_no_new_client_is_refused() {
    let env = TestEnv::new();
    env.set_config(json!({"maxConcurrentRequests": 4, "maxConnections": 20}));
    let signer = Signer::start(&env);
    let (key, address) = (env.tz3(), signer.signing_address());
    let mut baker = RawConnection::tcp(address);
    assert_eq!(baker.get("/authorized_keys").status, 200);
    let mut flood: Vec<_> = (0..19).map(|_| RawConnection::tcp(address)).collect();
    wait_for("the grace of new connections to end", || {
        // More of them: those that never asked and are older go, the baker stays.
        flood.push(RawConnection::tcp(address));
        std::thread::sleep(Duration::from_millis(100));
        (flood.len() > 60).then_some(())
    });
    assert!(faults(&signer, "displaced") > 0);
    let longest = sign_many(address, &key, FLOOR + 1, 30);
    assert!(longest < SOON, "{longest:?}");
    drop(flood);
    // Half-open again and again while the honest one signs.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut open = std::collections::VecDeque::new();
            while !done.load(Ordering::SeqCst) {
                let Ok(stream) = TcpStream::connect(address) else { continue };
                open.push_back(stream);
                if open.len() > 100 {
                    open.pop_front();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let longest = sign_many(address, &key, FLOOR + 2, 50);
        done.store(true, Ordering::SeqCst);
        assert!(longest < SOON, "{longest:?}");
    });
    let payload = attestation(FLOOR + 3, 0, 1);
    RawConnection::tcp(address).sign(&key, &payload).signature(&key, &payload);
}

/// Whatever strangers do, from the baker's own address: within the grace of new connections, and with requests that are answered.
#[test]
fn a_connection_that_has_carried_a_signature_is_not_closed_for_strangers() {
    let env = TestEnv::new();
    env.set_config(json!({"maxConcurrentRequests": 4, "maxConnections": 20}));
    let signer = Signer::start(&env);
    let (key, address) = (env.tz3(), signer.signing_address());
    let mut baker = RawConnection::tcp(address);
    for (level, what) in (FLOOR + 1..).zip([
        "",
        "GET /auth",
        "GET /authorized_keys HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /keys/x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n\"\"",
        "POST /keys/x HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n\"\"",
    ]) {
        let payload = attestation(level, 0, 1);
        baker.sign(&key, &payload).signature(&key, &payload);
        let before = faults(&signer, "displaced");
        let strangers: Vec<_> = (0..200)
            .map(|_| {
                let mut connection = RawConnection::tcp(address);
                let _ = connection.try_send(what);
                if what.ends_with("\r\n\r\n") || what.ends_with("2\r\n\r\n\"\"") {
                    let _ = connection.try_answer();
                }
                connection
            })
            .collect();
        wait_for("displaced strangers", || (faults(&signer, "displaced") >= before + 150).then_some(()));
        let payload = attestation(level, 1, 1);
        baker.sign(&key, &payload).signature(&key, &payload);
        drop(strangers);
    }
}

#[test]
fn refused_requests_take_no_place_from_a_client_that_may_ask() {
    let env = TestEnv::new();
    let [friend, ..] = clients();
    env.set_config(json!({"authorizedKeys": [friend.key], "maxConcurrentRequests": 1}));
    env.add_to_tz3("\"allow\": [\"attestation\"]");
    let signer = Signer::start(&env);
    let (key, address) = (env.tz3(), signer.signing_address());
    let query = |payload: &[u8]| {
        let authentication = (friend.sign)(&signed_bytes(&key.hash(), payload));
        format!("{}?authentication={authentication}", sign_path(&key))
    };
    let forbidden = block(FLOOR + 1, 0, 1);
    let unauthenticated = post(&sign_path(&key), &hex::encode(attestation(FLOOR + 1, 0, 1)));
    let forbidden = post(&query(&forbidden), &hex::encode(&forbidden));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for request in [&unauthenticated, &unauthenticated, &forbidden, &forbidden] {
            let done = &done;
            scope.spawn(move || {
                let mut connection = RawConnection::tcp(address);
                while !done.load(Ordering::SeqCst) {
                    for _ in 0..20 {
                        connection.send(request);
                    }
                    for _ in 0..20 {
                        let answer = connection.answer();
                        assert!([401, 403].contains(&answer.status), "{answer:?}");
                    }
                }
            });
        }
        let mut connection = RawConnection::tcp(address);
        let statuses: Vec<_> = (0..60)
            .map(|round| {
                let payload = attestation(FLOOR + 1, round, 1);
                connection.send(post(&query(&payload), &hex::encode(&payload)));
                connection.answer().status
            })
            .collect();
        done.store(true, Ordering::SeqCst);
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    });
}

/// A line for each refused request fills whatever the disk or the pipe has not taken yet; the line before a signature still has
/// its place.
#[test]
fn lines_of_refused_requests_leave_room_in_the_audit_log_for_a_signature() {
    let env = TestEnv::new();
    env.set_config(json!({"requestDeadlineMilliseconds": 20000}));
    let mut signer = Signer::start_with_piped_output(&env, &[]);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    let mut output = signer.output();
    let (key, address) = (env.tz3(), signer.signing_address());
    let mut stranger = RawConnection::tcp(address);
    for _ in 0..3000 {
        assert_eq!(stranger.get("/nothing").status, 404);
    }
    let payload = attestation(FLOOR + 1, 0, 1);
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| RawConnection::tcp(address).sign(&key, &payload));
        std::thread::sleep(Duration::from_millis(300));
        // It ends with the signer.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        asks.join().unwrap().signature(&key, &payload);
    });
}

#[test]
fn without_free_files_the_listener_lives_on_and_makes_room() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let (key, address) = (env.tz3(), signer.signing_address());
    // Warm: whatever it opens for a signature it has opened.
    sign_many(address, &key, FLOOR + 1, 1);
    let process = Pid::from_raw(i32::try_from(signer.id()).unwrap());
    let open = std::fs::read_dir(format!("/proc/{}/fd", signer.id())).unwrap().count() as u64;
    let few = Rlimit { current: Some(open + 10), maximum: Some(open + 10) };
    prlimit(process, Resource::Nofile, few).unwrap();
    let flood: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    wait_for("a displaced connection", || signer.log().contains("cannot be accepted").then_some(()));
    // It gets an answer while the flood is there, and takes no more than its part of the processor.
    let mut connection = RawConnection::tcp(address);
    assert_eq!(connection.get("/authorized_keys").status, 200);
    assert!(signer.log().matches("cannot be accepted").count() < 4, "{}", signer.log());
    drop(flood);
    assert_eq!(connection.get("/authorized_keys").status, 200);
}

#[test]
fn more_signatures_at_once_than_allowed_are_502_at_once_and_what_is_in_memory_is_served() {
    let env = TestEnv::new();
    env.set_config(json!({"maxConcurrentRequests": 2, "requestDeadlineMilliseconds": 20000}));
    let signer = Signer::start(&env);
    let (key, address) = (env.tz3(), signer.signing_address());
    // Each write of the record takes a second and more.
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-p", &signer.id().to_string()])
        .args(["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=1000000"])
        .spawn()
        .expect("strace of the Debian package strace");
    wait_for("strace", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", signer.id())).unwrap();
        let all_traced = tasks.flatten().all(|task| {
            // A thread that has ended needs none.
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        });
        (all_traced || strace.try_wait().unwrap().is_some()).then_some(())
    });
    assert!(strace.try_wait().unwrap().is_none(), "strace cannot trace here, which this test needs (ptrace)");
    let requests: Vec<_> = [env.tz2(), env.tz3()]
        .into_iter()
        .flat_map(|key| {
            [attestation(FLOOR + 1, 0, 1), preattestation(FLOOR + 1, 0, 1), block(FLOOR + 1, 0, 1)]
                .map(|payload| (key.clone(), payload))
        })
        .collect();
    let (given, refused) = std::thread::scope(|scope| {
        let asking: Vec<_> = requests
            .iter()
            .map(|(key, payload)| {
                scope.spawn(move || {
                    let started = Instant::now();
                    (RawConnection::tcp(address).sign(key, payload), started.elapsed())
                })
            })
            .collect();
        // While the two that are signed wait for the disk.
        let started = Instant::now();
        for path in ["/authorized_keys", &sign_path(&key)] {
            assert_eq!(RawConnection::tcp(address).get(path).status, 200);
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        let answers = asking.into_iter().map(|asking| asking.join().unwrap());
        answers.partition::<Vec<_>, _>(|(answer, _)| answer.status == 200)
    });
    assert_eq!((given.len(), refused.len()), (2, 4), "{given:?} {refused:?}");
    for (answer, took) in refused {
        assert!(answer.refused(502).contains("maxConcurrentRequests"), "{answer:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert!(given.iter().all(|(_, took)| *took > Duration::from_secs(1)), "{given:?}");
    strace.kill().unwrap();
    strace.wait().unwrap();
    assert_eq!(signer.metric_sum("tezos_signer_requests_total", "outcome=\"unavailable\""), 4);
    sign_many(address, &key, FLOOR + 2, 3);
}

#[test]
fn a_process_that_ends_closes_connections_with_a_word() {
    let env = TestEnv::new();
    env.edit_config("\"listen\": \"127.0.0.1:0\"", "\"listen\": \"0.0.0.0:0\"");
    let mut signer = Signer::start(&env);
    let address = SocketAddr::new([127, 0, 0, 1].into(), signer.signing_address().port());
    let mut idle = RawConnection::tcp(address);
    assert_eq!(idle.get("/authorized_keys").status, 200);
    let mut asking = RawConnection::tcp(address);
    signer.terminate();
    wait_for("the end to begin", || (signer.admin("/readyz").status == 503).then_some(()));
    let vote = attestation(FLOOR + 1, 0, 1);
    let answer = asking.sign(&env.tz3(), &vote);
    assert_eq!(
        (answer.refused(502).as_str(), answer.header("connection")),
        ("the signer is shutting down", Some("close"))
    );
    assert!(asking.is_closed());
    assert!(signer.ended().success());
    assert!(idle.is_closed());
}

/// A usual soft limit of 1024 is less than two listeners' connections.
#[test]
fn the_limit_of_open_files_is_raised_to_what_the_system_allows() {
    let env = TestEnv::new();
    let mut signer = Command::new("prlimit")
        .args(["--nofile=256:1024", env!("CARGO_BIN_EXE_tezos-signer"), "serve", "--config"])
        .arg(env.config_file())
        .env("SOFTHSM2_CONF", env.softhsm_conf())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limits = format!("/proc/{}/limits", signer.id());
    let is_raised = || {
        let text = std::fs::read_to_string(&limits).unwrap_or_default();
        text.lines().any(|line| {
            line.split_whitespace().collect::<Vec<_>>() == ["Max", "open", "files", "1024", "1024", "files"]
        })
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_raised() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let raised = is_raised();
    signer.kill().unwrap();
    signer.wait().unwrap();
    assert!(raised, "the soft limit stays");
}
