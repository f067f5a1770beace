//! Where the secret of a sealed key is: in one locked place of the running process and nowhere else, in no form that people would
//! recognise anywhere. Needs root, which reads the memory of the process.

use crate::sealed_env::{SealedEnv, key_of, signed};
use pkcs11_faults::control::Control;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

/// All that the process has in its memory, as far as it can be read.
fn memory(id: u32) -> Vec<u8> {
    let file = File::open(format!("/proc/{id}/mem")).unwrap();
    let mut memory = Vec::new();
    for line in read_to_string(format!("/proc/{id}/maps")).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        // Reserved space has no rights; the kernel's own pages cannot be read.
        if !rights.starts_with('r') || line.contains("[v") {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if file.read_exact_at(&mut bytes, from).is_ok() {
            memory.extend(bytes);
        }
    }
    memory
}

fn count(memory: &[u8], what: &[u8]) -> usize {
    let first = what[0];
    memory.iter().enumerate().filter(|(at, byte)| **byte == first && memory[*at..].starts_with(what)).count()
}

#[test]
fn the_secret_is_in_one_locked_place_of_a_process_that_cannot_be_dumped() {
    let sealed = SealedEnv::new(&Control::default());
    let signer = sealed.start();
    for what in ["preattestation round 0", "attestation round 0", "attestation round 3", "block round 0"] {
        signer.signature(&sealed.consensus(), &signed("consensus", what).0);
    }
    let id = signer.id();
    let limits = read_to_string(format!("/proc/{id}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // The files of a process that is not dumpable are root's: see the test with an ordinary user.
    let smaps = read_to_string(format!("/proc/{id}/smaps")).unwrap();
    let flags: Vec<_> = smaps.lines().filter(|line| line.starts_with("VmFlags:")).collect();
    let locked = flags.iter().filter(|flags| flags.contains(" lo") && flags.contains(" dd") && flags.contains(" dc"));
    assert!(locked.count() >= 1, "{flags:?}");
    let status = read_to_string(format!("/proc/{id}/status")).unwrap();
    assert!(status.contains("VmLck:\t       8 kB"), "two keys, a page each: {status}");

    // It stands still, so that nothing moves while it is read.
    kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), Signal::STOP).unwrap();
    let memory = memory(id);
    signer.thaw();
    assert!(count(&memory, key_of("consensus")["publicKeyHash"].as_str().unwrap().as_bytes()) > 0, "the dump is one");
    for name in ["consensus", "companion"] {
        let text = key_of(name)["secretKey"].as_str().unwrap().to_owned();
        let little = bs58::decode(&text).with_check(None).into_vec().unwrap()[4..].to_vec();
        let big: Vec<u8> = little.iter().rev().copied().collect();
        for form in [text.clone(), text[4..].to_owned(), hex::encode(&little), hex::encode(&big)] {
            for form in [form.clone(), form.to_uppercase()] {
                assert_eq!(count(&memory, form.as_bytes()), 0, "{name}");
            }
        }
        assert_eq!(count(&memory, &little) + count(&memory, &big), 1, "{name}");
        // Half of it, as a copy of which a part was overwritten.
        for half in [&little[..16], &little[16..], &big[..16], &big[16..]] {
            assert!(count(&memory, half) <= 1, "{name}");
        }
    }
    signer.signature(&sealed.consensus(), &signed("consensus", "block round 0").0);
}

#[test]
fn no_output_of_a_whole_run_has_the_secret() {
    let sealed = SealedEnv::new(&Control::default());
    let audit = sealed.env.path.join("audit.log");
    sealed.env.set_config(json!({"audit": {"file": audit}}));
    let mut said = String::new();
    let secret = key_of("consensus")["secretKey"].as_str().unwrap().to_owned();
    let little = bs58::decode(&secret).with_check(None).into_vec().unwrap()[4..].to_vec();
    let wrong = format!("{}2", &secret[..secret.len() - 1]);
    for text in [&secret, &wrong, &secret[..40].to_owned(), &hex::encode(&little)] {
        let done = sealed.try_seal("sealing", text);
        said += &(done.stdout + &done.stderr);
    }
    let (name, value) = sealed.module.environment();
    let signer = crate::process::Signer::start_with(&sealed.env, &[(name, &value), ("RUST_LOG", "trace")]);
    crate::process::wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    let path = format!("/bls_prove_possession/{}", key_of("consensus")["publicKeyHash"].as_str().unwrap());
    said += &signer.get(&path).body;
    said += &signer.sign(&sealed.consensus(), &signed("consensus", "attestation round 0").0).body;
    said += &signer.admin("/status").body;
    said += &signer.admin("/metrics").body;
    let check = sealed.run(&["check", "--output", "json"]);
    said += &(check.stdout + &check.stderr);
    said += &signer.log();
    drop(signer);
    said += &read_to_string(audit).unwrap();
    assert!(said.contains("the sealed key is open") && said.contains("proofOfPossession"));
    let big: Vec<u8> = little.iter().rev().copied().collect();
    for form in [secret[4..].to_owned(), secret[4..24].to_owned(), hex::encode(&little), hex::encode(&big)] {
        assert!(!said.contains(&form) && !said.contains(&form.to_uppercase()));
    }
}

/// As in a pod: a process that is not dumpable has files in `/proc` that are root's.
#[test]
fn an_ordinary_user_unseals_and_has_the_metrics_of_its_process() {
    let log = serve_as_ordinary_user(&[]);
    assert!(!log.contains("could not be locked"), "{log}");
}

#[test]
fn memory_that_may_not_be_locked_is_warned_of_and_signed_with() {
    let log = serve_as_ordinary_user(&["prlimit", "--memlock=0:0"]);
    assert!(log.contains("could not be locked") && log.contains("LimitMEMLOCK"), "{log}");
}

/// Serves until it can sign, as a user without privileges, started by the command `by`. Returns its log.
fn serve_as_ordinary_user(by: &[&str]) -> String {
    let sealed = SealedEnv::new(&Control::default());
    let user = 65532;
    let owned = Command::new("chown").args(["-R", &format!("{user}:{user}")]).arg(&sealed.env.path).status().unwrap();
    assert!(owned.success());
    let program = sealed.env.path.join("tezos-signer");
    std::fs::copy(env!("CARGO_BIN_EXE_tezos-signer"), &program).unwrap();
    let module = sealed.env.path.join("libpkcs11_faults.so");
    let built = std::env::current_exe().unwrap().with_file_name("libpkcs11_faults.so");
    std::fs::copy(&built, &module).unwrap();
    sealed.env.edit_config(built.to_str().unwrap(), module.to_str().unwrap());
    let (name, value) = sealed.module.environment();
    let log = sealed.env.path.join("log");
    let mut command = Command::new(by.first().unwrap_or(&"env"));
    command.args(by.iter().skip(1)).arg("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(&program);
    command.args(["serve", "--config"]).arg(sealed.env.config_file());
    command.env("SOFTHSM2_CONF", sealed.env.softhsm_conf()).env(name, value);
    command.stdout(std::process::Stdio::null()).stderr(File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let address = crate::process::wait_for("the admin port", || {
        let text = read_to_string(&log).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut lines = lines.filter(|line| line["message"] == "listening" && line["field"] == "admin");
        Some(lines.next()?["address"].as_str()?.to_owned())
    });
    let get = |path: &str| reqwest::blocking::get(format!("http://{address}{path}")).unwrap();
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        crate::process::wait_for("/startupz", || (get("/startupz").status() == 200).then_some(()));
    }));
    let metrics = get("/metrics").text().unwrap();
    let reader = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{}/mem", child.id())).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(started.is_ok(), "{}", read_to_string(&log).unwrap());
    assert_eq!(reader, 0, "another process of the user could read its memory");
    let value = |name: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} "))?.parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{name}: {metrics}"))
    };
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_threads"] {
        assert!(value(name) > 0.0, "{name}: {metrics}");
    }
    // It may have used less than a tick of the kernel.
    value("process_cpu_seconds_total");
    read_to_string(&log).unwrap()
}
