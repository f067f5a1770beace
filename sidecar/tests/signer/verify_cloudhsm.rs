//! What only a real CloudHSM cluster can show, tried and printed as a table: `make verify-cloudhsm CONFIG=signer.yaml`.
//! docs/cloudhsm.md says what each line is for. The tests run all of it on SoftHSM2 and on the module with CloudHSM's rules,
//! so that it is known to work before somebody pays for a cluster.
//!
//! It makes two keys in the token, unless they are there, and leaves them. Records are in a directory of its own: the keys of a
//! baker are not used, not a file of its signer is touched.

use crate::faulty_module::FaultyModule;
use crate::payload::attestation;
use crate::process::Signer;
use crate::test_env::TestEnv;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::mechanism::vendor_defined::CKM_VENDOR_DEFINED;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use pkcs11_faults::control::{Control, PointOn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};
use tezos_signer_core::config::{KeyConfig, KeySelector, KeySource, SignerConfig, TokenSelector};
use tezos_signer_core::key::{Digest, Message, Signature};

/// The user's configuration file; only its section `hsm` is used.
const CONFIG: &str = "VERIFY_CLOUDHSM_CONFIG";
/// For how many seconds votes are signed while the user breaks something.
const WATCH: &str = "VERIFY_CLOUDHSM_WATCH";
/// The configuration of a process that only probes.
const PROBE: &str = "VERIFY_CLOUDHSM_PROBE";

const CURVES: [&str; 2] = ["p256", "secp256k1"];
const LABEL: &str = "tezos-signer-verify";
const SIGNATURES: usize = 200;

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    what: String,
    found: String,
}

impl Row {
    fn new(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into() }
    }
}

#[test]
#[ignore = "needs a CloudHSM cluster: make verify-cloudhsm CONFIG=signer.yaml"]
fn a_real_cluster() {
    let path = std::env::var(CONFIG).unwrap_or_else(|_| panic!("{CONFIG} must name the signer's configuration file"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let config: Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let seconds = std::env::var(WATCH).map_or(0, |text| text.parse().unwrap_or_else(|_| panic!("{WATCH}={text}")));
    let directory = tempfile::tempdir().unwrap();
    let env = TestEnv::from_parent(directory.path().to_owned());
    // A test environment names a SoftHSM2 token of its own; who tries this on one means that one.
    let environment =
        std::env::var("SOFTHSM2_CONF").map(|value| ("SOFTHSM2_CONF".to_owned(), value)).into_iter().collect();
    let rows = Subject { env: &env, environment }.verify(&config["hsm"], Duration::from_secs(seconds));
    print(&rows);
    println!("\nThe keys {LABEL}-… stay in the token. To delete them, as the same crypto user:");
    for curve in CURVES {
        println!(
            "  cloudhsm-cli interactive: key delete --filter attr.label={LABEL}-{curve} (the private, then the public key)"
        );
    }
}

/// Run by [`Subject::probe`], in a process of its own: a PKCS#11 library reads the environment, and exists once in a process.
#[test]
#[ignore = "a part of the others"]
fn probe_in_own_process() {
    let path = std::env::var(PROBE).unwrap();
    let config = SignerConfig::from_yaml(&std::fs::read_to_string(path).unwrap()).unwrap();
    for row in probe(&config) {
        println!("ROW {}", serde_json::to_string(&row).unwrap());
    }
}

#[test]
fn it_works_on_softhsm() {
    let env = TestEnv::without_keys();
    let subject = Subject { env: &env, environment: Vec::new() };
    let hsm = json!(env.config().keystore.hsm().unwrap());
    let rows = subject.verify(&hsm, Duration::from_secs(1));
    print(&rows);
    for curve in CURVES {
        assert_eq!(found(&rows, &format!("{curve}: sensitive, extractable, sign")), "true, false, true");
        assert_eq!(
            found(&rows, &format!("{curve}: CKA_EC_POINT of the public, private object")),
            "in an OCTET STRING, not shown"
        );
        assert_eq!(found(&rows, &format!("{curve}: a handle found in one session, used in another")), "works");
        assert!(found(&rows, &format!("{curve}: {SIGNATURES} signatures")).contains(" all right, "));
    }
    assert_eq!(found(&rows, "a read-only session"), "works");
    assert_eq!(found(&rows, "CKM_ECDSA, CKM_EC_KEY_PAIR_GEN, CKM_EDDSA"), "yes, yes, yes");
    assert_eq!(found(&rows, "mechanisms of the vendor"), "");
    assert!(found(&rows, "C_Finalize, C_Initialize, login, signature").starts_with("works"));
    assert!(found(&rows, "watched for 1 s").contains(" signed, 0 refused"), "{rows:?}");
    // A second run finds the keys of the first.
    let again = subject.verify(&hsm, Duration::ZERO);
    assert_eq!(found(&again, "p256: a key"), "found");
    assert_eq!(found(&rows, "p256: a key"), "made");
}

#[test]
fn it_works_where_cloudhsms_rules_hold_and_sees_a_node_that_is_lost() {
    let env = TestEnv::without_keys();
    let module = FaultyModule::install(&env);
    let rules = Control {
        cloud_hsm: true,
        handles_per_session: true,
        point: PointOn::Private,
        point_bare: true,
        ..Control::default()
    };
    module.set(&Control { point: PointOn::Public, ..rules.clone() });
    let environment = vec![("PKCS11_FAULTS_CONTROL".to_owned(), env.path.join("faults.json").display().to_string())];
    let subject = Subject { env: &env, environment };
    let hsm = json!(env.config().keystore.hsm().unwrap());
    subject.verify(&hsm, Duration::ZERO); // makes the keys, whose public half a token must show at that moment
    module.set(&rules);
    let rows = subject.probe();
    print(&rows);
    assert_eq!(found(&rows, "a read-only session"), "C_OpenSession: FunctionFailed");
    for curve in CURVES {
        assert_eq!(found(&rows, &format!("{curve}: CKA_EC_POINT of the public, private object")), "not shown, bare");
        let other = found(&rows, &format!("{curve}: a handle found in one session, used in another"));
        assert_eq!(other, "C_SignInit: KeyHandleInvalid");
    }
    let lost = Control { node_lost_for_ms: Some(3000), ..rules };
    let rows = subject.watch(Duration::from_secs(8), || module.set(&lost));
    print(&rows);
    let watched = found(&rows, "watched for 8 s");
    assert!(!watched.contains(" 0 refused") && !watched.starts_with("0 signed"), "{watched}");
    assert_eq!(module.state().violations, Vec::<String>::new());
}

fn found<'a>(rows: &'a [Row], what: &str) -> &'a str {
    let row = rows.iter().find(|row| row.what == what);
    &row.unwrap_or_else(|| panic!("no line {what:?} in {rows:#?}")).found
}

fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
    println!("{:width$}  FOUND", "WHAT");
    for row in rows {
        println!("{:width$}  {}", row.what, row.found);
    }
}

/// A token, reached by the configuration of a test environment.
struct Subject<'a> {
    env: &'a TestEnv,
    environment: Vec<(String, String)>,
}

impl Subject<'_> {
    /// Everything, on the token that `hsm` names.
    fn verify(&self, hsm: &Value, watch: Duration) -> Vec<Row> {
        std::fs::create_dir_all(self.env.records()).unwrap();
        let write = |keys: &[Value]| {
            let config = json!({
                "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "hsm": hsm, "keys": keys,
                "watermarks": {"file": self.env.records()},
            });
            std::fs::write(self.env.config_file(), serde_json::to_string_pretty(&config).unwrap()).unwrap();
        };
        write(&[]);
        let (keys, mut rows) = self.keys();
        write(&keys);
        rows.extend(self.probe());
        if !watch.is_zero() {
            println!("signing for {} s: break something now", watch.as_secs());
            rows.extend(self.watch(watch, || {}));
        }
        rows
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.env.command();
        command.envs(self.environment.iter().cloned()).args(arguments).arg("--config").arg(self.env.config_file());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A key of each curve, made where it is missing.
    fn keys(&self) -> (Vec<Value>, Vec<Row>) {
        let listed = self.run(&["keys", "list", "--output", "json"]);
        let listed: Vec<Value> = match &listed {
            Ok(text) => serde_json::from_str(text).unwrap(),
            Err(output) => panic!("the token cannot be used: {output}"),
        };
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for curve in CURVES {
            let label = format!("{LABEL}-{curve}");
            let what = format!("{curve}: a key");
            let key = match listed.iter().find(|key| key["label"] == label.as_str()) {
                Some(key) => {
                    rows.push(Row::new(what, "found"));
                    key.clone()
                }
                None => {
                    match self.run(&["keys", "generate", "--label", &label, "--curve", curve, "--output", "json"]) {
                        Ok(text) => {
                            rows.push(Row::new(what, "made"));
                            serde_json::from_str(&text).unwrap()
                        }
                        Err(output) => {
                            rows.push(Row::new(what, output));
                            continue;
                        }
                    }
                }
            };
            keys.push(json!({"publicKey": key["publicKey"], "label": label, "chain": "NetXdQprcVkpaWU"}));
        }
        (keys, rows)
    }

    fn probe(&self) -> Vec<Row> {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "verify_cloudhsm::probe_in_own_process", "--ignored", "--nocapture"])
            .env(PROBE, self.env.config_file())
            .envs(self.env.command().get_envs().filter_map(|(name, value)| Some((name, value?))))
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().filter_map(|line| Some(serde_json::from_str(line.split_once("ROW ")?.1).unwrap())).collect()
    }

    /// Signs a vote each half second with the signer itself, as a supervisor that starts it again would have it run. `once_it_signs` is
    /// called then.
    fn watch(&self, time: Duration, once_it_signs: impl FnOnce()) -> Vec<Row> {
        // Records of an earlier run would refuse these levels.
        let _ = std::fs::remove_dir_all(self.env.records());
        std::fs::create_dir_all(self.env.records()).unwrap();
        self.run(&["watermarks", "initialise", "--level", "1000"]).unwrap();
        let environment: Vec<(&str, &str)> = self.environment.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let start = || Signer::start_with(self.env, &environment);
        let key = self.env.config().keys[0].clone();
        let mut signer = start();
        crate::process::wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
        once_it_signs();
        let (start_of_watch, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        let (mut given, mut refused, mut restarts, mut level) = (0_u32, 0_u32, 0_u32, 1000);
        let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
        while start_of_watch.elapsed() < time {
            level += 1;
            match signer.try_sign(&key, &attestation(level, 0, 1)) {
                Some(answer) if answer.status == 200 => {
                    given += 1;
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                Some(answer) => {
                    refused += 1;
                    let output = answer.json()[0]["msg"].as_str().unwrap_or(&answer.body).to_owned();
                    *reasons.entry(output).or_default() += 1;
                }
                None => {
                    restarts += 1;
                    signer = start();
                }
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        longest = longest.max(last.elapsed());
        let metrics = signer.admin("/metrics").body;
        let mut rows = vec![Row::new(
            format!("watched for {} s", time.as_secs()),
            format!(
                "{given} signed, {refused} refused, {restarts} restarts; longest without a signature: {:.1} s",
                longest.as_secs_f64()
            ),
        )];
        rows.extend(reasons.into_iter().map(|(output, times)| Row::new(format!("  refused, {times} times"), output)));
        let counted = metrics.lines().filter(|line| line.starts_with("tezos_signer_hsm_") && !line.ends_with(" 0"));
        rows.extend(counted.map(|line| Row::new("  counted", line)));
        rows
    }
}

fn code(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{}: {code:?}", call_name(*function)),
        other => other.to_string(),
    }
}

fn call_name(function: cryptoki::context::Function) -> String {
    format!("C_{function:?}")
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn probe(config: &SignerConfig) -> Vec<Row> {
    let library = Pkcs11::new(&config.keystore.hsm().unwrap().module).unwrap();
    let begin = Instant::now();
    initialize(&library).unwrap_or_else(|error| panic!("C_Initialize: {}", code(&error)));
    let mut rows = vec![Row::new("C_Initialize", milliseconds(begin.elapsed()))];
    let info = library.get_library_info().unwrap();
    let version = info.library_version();
    rows.push(Row::new(
        "the library",
        format!("{} {}.{}", info.library_description().trim(), version.major(), version.minor()),
    ));
    let slot = slot(&library, config, &mut rows);
    let mechanisms = library.get_mechanism_list(slot).unwrap();
    let has = |mechanism: MechanismType| if mechanisms.contains(&mechanism) { "yes" } else { "no" };
    rows.push(Row::new(
        "CKM_ECDSA, CKM_EC_KEY_PAIR_GEN, CKM_EDDSA",
        [MechanismType::ECDSA, MechanismType::ECC_KEY_PAIR_GEN, MechanismType::EDDSA].map(has).join(", "),
    ));
    let vendor = mechanisms.iter().map(|mechanism| **mechanism).filter(|number| *number >= CKM_VENDOR_DEFINED);
    rows.push(Row::new(
        "mechanisms of the vendor",
        vendor.map(|number| format!("{number:#x}")).collect::<Vec<_>>().join(", "),
    ));
    rows.push(Row::new(
        "a read-only session",
        library.open_ro_session(slot).map_or_else(|error| code(&error), |_| "works".to_owned()),
    ));
    let session = library.open_rw_session(slot).unwrap_or_else(|error| panic!("{}", code(&error)));
    rows.push(Row::new("the first login", milliseconds(log_in(&session, config))));
    for (key, curve) in config.keys.iter().zip(CURVES) {
        probe_key(&library, slot, &session, key, curve, &mut rows);
    }
    drop(session);
    if let Some(key) = config.keys.first() {
        rows.push(Row::new("C_Finalize, C_Initialize, login, signature", again(library, slot, config, key)));
    }
    rows
}

fn initialize(library: &Pkcs11) -> Result<(), Error> {
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
}

fn slot(library: &Pkcs11, config: &SignerConfig, rows: &mut Vec<Row>) -> Slot {
    let mut chosen = None;
    for slot in library.get_slots_with_initialized_token().unwrap() {
        let token = library.get_token_info(slot).unwrap();
        let found = format!("label {:?}, serial number {:?}", token.label(), token.serial_number());
        rows.push(Row::new(format!("slot {}", slot.id()), found));
        if match &config.keystore.hsm().unwrap().token {
            TokenSelector::Label(label) => token.label() == label,
            TokenSelector::Serial(serial) => token.serial_number() == serial,
        } {
            chosen = Some(slot);
        }
    }
    chosen.unwrap_or_else(|| panic!("no token with the {}", config.keystore.hsm().unwrap().token))
}

fn log_in(session: &Session, config: &SignerConfig) -> Duration {
    let text = std::fs::read_to_string(&config.keystore.hsm().unwrap().pin_file).unwrap();
    let begin = Instant::now();
    let pin = AuthPin::new(text.trim_end_matches(['\r', '\n']).into());
    session.login(UserType::User, Some(&pin)).unwrap_or_else(|error| panic!("{}", code(&error)));
    begin.elapsed()
}

fn objects(session: &Session, class: ObjectClass, key: &KeyConfig) -> Vec<ObjectHandle> {
    let KeySource::Pkcs11(KeySelector::Label(label)) = &key.source else { panic!("the keys have labels") };
    let wanted = [Attribute::Class(class), Attribute::Label(label.clone().into_bytes())];
    session.find_objects(&wanted).unwrap_or_else(|error| panic!("{}", code(&error)))
}

fn probe_key(library: &Pkcs11, slot: Slot, session: &Session, key: &KeyConfig, curve: &str, rows: &mut Vec<Row>) {
    let begin = Instant::now();
    let private = objects(session, ObjectClass::PRIVATE_KEY, key);
    rows.push(Row::new(format!("{curve}: to find it"), milliseconds(begin.elapsed())));
    let [private] = private[..] else { panic!("{} private keys with that label", private.len()) };
    rows.push(Row::new(format!("{curve}: sensitive, extractable, sign"), usage(session, private)));
    let public = objects(session, ObjectClass::PUBLIC_KEY, key);
    let public = public.first().map_or("no object", |public| point(session, *public));
    let points = format!("{public}, {}", point(session, private));
    rows.push(Row::new(format!("{curve}: CKA_EC_POINT of the public, private object"), points));

    let digest = Digest::of(b"verify-cloudhsm");
    let other = library.open_rw_session(slot).unwrap_or_else(|error| panic!("{}", code(&error)));
    let elsewhere = other.sign(&Mechanism::Ecdsa, private, digest.as_bytes());
    let what = format!("{curve}: a handle found in one session, used in another");
    rows.push(Row::new(what, elsewhere.map_or_else(|error| code(&error), |_| "works".to_owned())));

    let (mut times, mut high, mut wrong) = (Vec::new(), 0, 0);
    for number in 0..SIGNATURES {
        let message = Message::new(&number.to_be_bytes());
        let begin = Instant::now();
        match session.sign(&Mechanism::Ecdsa, private, message.digest().as_bytes()) {
            Ok(raw) => {
                times.push(begin.elapsed());
                match key.public_key.accept_signature(&message, &raw).map(|verified| verified.signature()) {
                    // Changed where s was in the upper half.
                    Ok(Signature::P256(low) | Signature::Secp256k1(low)) => high += u32::from(low[..] != raw[..]),
                    _ => wrong += 1,
                }
            }
            Err(error) => {
                rows.push(Row::new(
                    format!("{curve}: {SIGNATURES} signatures"),
                    format!("number {number}: {}", code(&error)),
                ));
                return;
            }
        }
    }
    times.sort_unstable();
    let right = if wrong == 0 { "all right".to_owned() } else { format!("{wrong} WRONG") };
    let (p50, p99) = (milliseconds(times[SIGNATURES / 2]), milliseconds(times[SIGNATURES * 99 / 100]));
    rows.push(Row::new(
        format!("{curve}: {SIGNATURES} signatures"),
        format!("p50 {p50}, p99 {p99}, {right}, {high} with s in the upper half"),
    ));
}

fn usage(session: &Session, private: ObjectHandle) -> String {
    let wanted = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::Sign];
    let attributes = session.get_attributes(private, &wanted).unwrap_or_default();
    let one = |wanted: AttributeType| {
        attributes.iter().find_map(|attribute| match (wanted, attribute) {
            (AttributeType::Sensitive, Attribute::Sensitive(value))
            | (AttributeType::Extractable, Attribute::Extractable(value))
            | (AttributeType::Sign, Attribute::Sign(value)) => Some(value.to_string()),
            _ => None,
        })
    };
    wanted.map(|attribute| one(attribute).unwrap_or_else(|| "not shown".to_owned())).join(", ")
}

fn point(session: &Session, object: ObjectHandle) -> &'static str {
    let attributes = session.get_attributes(object, &[AttributeType::EcPoint]).unwrap_or_default();
    match &attributes[..] {
        [Attribute::EcPoint(bytes)] => match bytes[..] {
            [4, 65, 4, ..] if bytes.len() == 67 => "in an OCTET STRING",
            [4, ..] if bytes.len() == 65 => "bare",
            [] => "not shown",
            _ => "of another form",
        },
        _ => "not shown",
    }
}

/// Whether a process can initialise the library anew: what the signer tries before it ends itself.
fn again(library: Pkcs11, slot: Slot, config: &SignerConfig, key: &KeyConfig) -> String {
    let begin = Instant::now();
    let kept = library.clone();
    if let Err(error) = library.finalize() {
        return code(&error);
    }
    if let Err(error) = initialize(&kept) {
        return code(&error);
    }
    let signed = kept.open_rw_session(slot).and_then(|session| {
        log_in(&session, config);
        let private = objects(&session, ObjectClass::PRIVATE_KEY, key);
        let private = private.first().copied().unwrap_or_else(|| panic!("the key is gone"));
        session.sign(&Mechanism::Ecdsa, private, Digest::of(b"again").as_bytes())
    });
    match signed {
        Ok(_) => format!("works, in {}", milliseconds(begin.elapsed())),
        Err(error) => code(&error),
    }
}

#[test]
fn a_token_that_cannot_be_reached_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let env = TestEnv::from_parent(directory.path().to_owned());
    let subject = Subject { env: &env, environment: Vec::new() };
    let hsm = json!({"module": "/nowhere.so", "token": "hsm1", "pinFile": "/nowhere"});
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| subject.verify(&hsm, Duration::ZERO)));
    let output = caught.unwrap_err();
    let output = output.downcast_ref::<String>().unwrap();
    assert!(output.contains("the token cannot be used") && output.contains("/nowhere.so"), "{output}");
}
