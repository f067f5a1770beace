//! What the module does with each field of its control file, and what it sees, over a SoftHSM2 token of each test's own.
//! A PKCS#11 library exists once in a process and reads the environment, so each test runs in a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki_sys::{
    CK_NOTIFICATION, CK_RV, CK_SESSION_HANDLE, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKR_ARGUMENTS_BAD,
    CKR_BUFFER_TOO_SMALL, CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_GENERAL_ERROR, CKR_OK,
};
use pkcs11_faults::control::{Control, Rule, State};
use std::any::type_name_of_val;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

const PIN: &str = "1234-throwaway";
const HOME: &str = "PKCS11_FAULTS_TEST_HOME";

/// The longest that anything waited for may take. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// The module, initialised, over a token with two P-256 keys, `one` and `two`.
struct Bench {
    control: PathBuf,
    library: Pkcs11,
    slot: Slot,
}

/// Runs `test`, a closure in a `#[test]` function, in a process with a token of its own.
fn on_bench(test: impl FnOnce(&Bench)) {
    if let Some(home) = std::env::var_os(HOME) {
        return test(&Bench::start(Path::new(&home)));
    }
    let home = tempfile::tempdir().unwrap();
    let conf = home.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", home.path().display())).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "test", "--so-pin", PIN, "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .expect("softhsm2-util of the Debian package softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let name = type_name_of_val(&test);
    let name = name.strip_prefix("module::").and_then(|name| name.strip_suffix("::{{closure}}")).expect(name);
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(HOME, home.path())
        .env("SOFTHSM2_CONF", &conf)
        .env("PKCS11_FAULTS_CONTROL", home.path().join("faults.json"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

fn module() -> PathBuf {
    // Cargo puts it beside the tests of its crate.
    std::env::current_exe().unwrap().with_file_name("libpkcs11_faults.so")
}

fn initialize(library: &Pkcs11) -> Result<(), Error> {
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
}

impl Bench {
    fn start(home: &Path) -> Self {
        let library = Pkcs11::new(module()).unwrap();
        initialize(&library).unwrap();
        let slot = library.get_slots_with_initialized_token().unwrap()[0];
        let bench = Self { control: home.join("faults.json"), library, slot };
        let session = bench.session();
        let p256 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        for label in ["one", "two"] {
            let label = Attribute::Label(label.into());
            let public = [Attribute::Token(true), Attribute::EcParams(p256.to_vec()), label.clone()];
            let private = [Attribute::Token(true), Attribute::Sign(true), label];
            session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
        }
        // It stays open until the test ends, and so does the login.
        std::mem::forget(session);
        bench
    }

    fn set(&self, control: &Control) {
        control.write(&self.control).unwrap();
    }

    fn rules<const N: usize>(&self, rules: [Rule; N]) {
        self.set(&Control { rules: rules.into(), ..Control::default() });
    }

    fn state(&self) -> State {
        State::read(&self.control)
    }

    fn session(&self) -> Session {
        let session = self.library.open_rw_session(self.slot).unwrap();
        match session.login(UserType::User, Some(&PIN.into())) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
            Err(error) => panic!("{error}"),
        }
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.state()) {
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}: {:?}", self.state());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn key(session: &Session, label: &str) -> ObjectHandle {
    let found = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())]);
    found.unwrap()[0]
}

fn sign(session: &Session, key: ObjectHandle) -> Result<(), Error> {
    session.sign(&Mechanism::Ecdsa, key, &[7; 32]).map(|signature| assert_eq!(signature.len(), 64))
}

/// Signs in another thread, and tells when that is over.
fn sign_elsewhere(session: Session, key: ObjectHandle) -> Receiver<Result<Session, Error>> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(sign(&session, key).map(|()| session)));
    told
}

/// The function that failed, and with what.
fn failure<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Pkcs11(code, function)) => format!("C_{function:?} {code:?}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it has not failed"),
    }
}

#[test]
fn a_call_hangs_until_its_rule_is_gone_and_others_go_on() {
    on_bench(|bench| {
        let (session, other) = (bench.session(), bench.session());
        let (first, second) = (key(&session, "one"), key(&other, "one"));
        let hang = Rule::hang("C_Sign").times(1);
        bench.rules([hang.clone()]);
        let hanging = sign_elsewhere(session, first);
        bench.wait_for("the hang", |state| state.hanging == 1);
        sign(&other, second).unwrap();
        // Another rule beside it does not let it go.
        bench.rules([hang, Rule::new("C_SignInit", CKR_DEVICE_ERROR)]);
        assert_eq!(failure(sign(&other, second)), "C_SignInit DeviceError");
        assert_eq!(hanging.recv_timeout(Duration::from_millis(50)).err(), Some(RecvTimeoutError::Timeout));
        bench.rules([]);
        hanging.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(bench.state().hanging, 0);
        assert_eq!(bench.state().violations, Vec::<String>::new());
    });
}

#[test]
fn a_rule_strikes_so_often_or_each_so_manieth_call_and_begins_anew_with_another_control() {
    on_bench(|bench| {
        let session = bench.session();
        let key = key(&session, "one");
        let results = |count| (0..count).map(|_| u8::from(sign(&session, key).is_ok())).collect::<Vec<_>>();
        let busy = Rule::new("C_SignInit", CKR_DEVICE_MEMORY);
        bench.rules([busy.clone().times(2)]);
        assert_eq!(results(4), [0, 0, 1, 1]);
        bench.rules([busy.clone().each(3)]);
        assert_eq!(results(7), [1, 1, 0, 1, 1, 0, 1]);
        assert_eq!((bench.state().struck, bench.state().struck_by_rule), (2, vec![2]));
        bench.rules([busy.clone().each(2).times(1), busy.clone().times(1)]);
        assert_eq!(results(4), [0, 0, 1, 1]);
        assert_eq!(bench.state().struck_by_rule, [1, 1]);
        for serial in [1, 2] {
            bench.set(&Control { serial, rules: vec![busy.clone().times(1)], ..Control::default() });
            assert_eq!(results(2), [0, 1]);
        }
        bench.rules([busy]);
        assert_eq!(results(3), [0, 0, 0]);
        assert_eq!(failure(sign(&session, key)), "C_SignInit DeviceMemory");
    });
}

#[test]
fn a_slow_call_takes_its_time_and_is_well() {
    on_bench(|bench| {
        let session = bench.session();
        let key = key(&session, "one");
        bench.rules([Rule::slow("C_SignInit", 100)]);
        let begin = Instant::now();
        sign(&session, key).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(100));
    });
}

#[test]
fn a_rule_is_aimed_at_one_session_or_at_one_key() {
    on_bench(|bench| {
        let (second, third) = (bench.session(), bench.session());
        let (one, two) = (key(&second, "one"), key(&second, "two"));
        bench.rules([Rule::new("C_SignInit", CKR_DEVICE_ERROR).in_session(3)]);
        sign(&second, one).unwrap();
        assert_eq!(failure(sign(&third, key(&third, "one"))), "C_SignInit DeviceError");
        for function in ["C_SignInit", "C_Sign"] {
            bench.rules([Rule::new(function, CKR_DEVICE_ERROR).of_key("two")]);
            sign(&second, one).unwrap();
            assert_eq!(failure(sign(&second, two)), format!("{function} DeviceError"));
            bench.rules([]);
            // Where C_Sign failed, the operation that C_SignInit began is left.
            let _ = sign(&second, one);
        }
        for function in ["C_FindObjectsInit", "C_FindObjects"] {
            let session = bench.session();
            bench.rules([Rule::new(function, CKR_DEVICE_ERROR).of_key("two")]);
            key(&session, "one");
            let found = session.find_objects(&[Attribute::Label("two".into())]);
            assert_eq!(failure(found), format!("{function} DeviceError"));
        }
    });
}

#[test]
fn more_signatures_than_the_throttle_lets_through_fail_and_a_second_later_they_do_not() {
    on_bench(|bench| {
        let session = bench.session();
        let key = key(&session, "one");
        bench.set(&Control { throttle_per_second: Some(3), ..Control::default() });
        let begin = Instant::now();
        let results: Vec<_> = (0..5).map(|_| sign(&session, key)).collect();
        assert!(begin.elapsed() < Duration::from_secs(1), "too slow a machine for this test");
        assert!(results[..3].iter().all(Result::is_ok));
        for result in results.into_iter().skip(3) {
            assert_eq!(failure(result), "C_SignInit FunctionFailed");
        }
        std::thread::sleep(Duration::from_secs(1));
        sign(&session, key).unwrap();
    });
}

#[test]
fn a_key_on_too_few_hsms_is_found_and_does_not_sign() {
    on_bench(|bench| {
        let session = bench.session();
        bench.set(&Control { key_unavailable: true, ..Control::default() });
        let key = key(&session, "one");
        assert_eq!(failure(sign(&session, key)), "C_SignInit FunctionFailed");
        bench.rules([]);
        sign(&session, key).unwrap();
    });
}

#[test]
fn a_lost_node_fails_all_that_asks_the_hsm_and_comes_back_by_itself() {
    on_bench(|bench| {
        let session = bench.session();
        let key = key(&session, "one");
        bench.set(&Control { node_lost_for_ms: Some(300), ..Control::default() });
        assert_eq!(failure(sign(&session, key)), "C_SignInit DeviceError");
        let begin = Instant::now();
        assert_eq!(failure(bench.library.open_rw_session(bench.slot)), "C_OpenSession DeviceError");
        assert_eq!(failure(bench.library.get_token_info(bench.slot)), "C_GetTokenInfo DeviceError");
        while sign(&session, key).is_err() {
            assert!(begin.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(begin.elapsed() > Duration::from_millis(200));
    });
}

#[test]
fn a_library_that_needs_reinitialising_fails_until_it_is_also_when_its_first_fault_is_over() {
    on_bench(|bench| {
        let session = bench.session();
        let private = key(&session, "one");
        let rules = vec![Rule::new("C_SignInit", CKR_DEVICE_ERROR).times(1)];
        bench.set(&Control { rules, needs_reinitialising: true, ..Control::default() });
        assert_eq!(failure(sign(&session, private)), "C_SignInit DeviceError");
        let still = Control { needs_reinitialising: true, ..Control::default() };
        bench.set(&still);
        assert_eq!(failure(sign(&session, private)), "C_SignInit DeviceError");
        assert_eq!(failure(bench.library.open_rw_session(bench.slot)), "C_OpenSession DeviceError");
        drop(session);
        bench.library.clone().finalize().unwrap();
        assert_eq!(bench.state().sessions, 0);
        initialize(&bench.library).unwrap();
        let session = bench.session();
        sign(&session, key(&session, "one")).unwrap();

        // A control without it heals at once.
        bench.set(&Control { rules: vec![Rule::new("C_SignInit", CKR_DEVICE_ERROR)], ..still });
        assert_eq!(failure(sign(&session, key(&session, "one"))), "C_SignInit DeviceError");
        bench.rules([]);
        sign(&session, key(&session, "one")).unwrap();
        assert_eq!(bench.state().violations, Vec::<String>::new());
    });
}

unsafe extern "C" fn notify(_: CK_SESSION_HANDLE, _: CK_NOTIFICATION, _: *mut std::ffi::c_void) -> CK_RV {
    CKR_OK
}

#[test]
fn with_cloudhsms_rules_there_is_no_read_only_session_no_callback_no_change_of_attributes_and_an_end_of_sessions() {
    on_bench(|bench| {
        let session = bench.session();
        let private = key(&session, "one");
        let change = [Attribute::Id(vec![1])];
        let open_with_callback = || {
            let raw = unsafe { cryptoki_sys::Pkcs11::new(module()) }.unwrap();
            let (mut list, mut opened) = (std::ptr::null_mut(), 0);
            assert_eq!(unsafe { raw.C_GetFunctionList(&raw mut list) }, CKR_OK);
            let (open, close) = unsafe { ((*list).C_OpenSession.unwrap(), (*list).C_CloseSession.unwrap()) };
            let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
            let code = unsafe { open(bench.slot.into(), flags, std::ptr::null_mut(), Some(notify), &raw mut opened) };
            if code == CKR_OK {
                assert_eq!(unsafe { close(opened) }, CKR_OK);
            }
            code
        };
        // All of it works without those rules.
        drop(bench.library.open_ro_session(bench.slot).unwrap());
        assert_eq!(open_with_callback(), CKR_OK);
        session.update_attributes(private, &change).unwrap();

        bench.set(&Control { cloud_hsm: true, ..Control::default() });
        let refused = failure(bench.library.open_ro_session(bench.slot));
        assert_eq!(refused, "C_OpenSession FunctionFailed");
        assert_eq!(open_with_callback(), CKR_ARGUMENTS_BAD);
        assert_eq!(failure(session.update_attributes(private, &change)), "C_SetAttributeValue FunctionNotSupported");

        let before = bench.state().sessions;
        let many: Vec<_> = (before..1024).map(|_| bench.library.open_rw_session(bench.slot).unwrap()).collect();
        assert_eq!(failure(bench.library.open_rw_session(bench.slot)), "C_OpenSession SessionCount");
        assert_eq!((bench.state().sessions, bench.state().most_sessions), (1024, 1024));
        drop(many.into_iter().next());
        drop(bench.library.open_rw_session(bench.slot).unwrap());
        assert_eq!(bench.state().violations, Vec::<String>::new());
    });
}

#[test]
fn handles_are_valid_in_the_session_that_found_them_where_that_is_wanted() {
    on_bench(|bench| {
        let (session, other) = (bench.session(), bench.session());
        let found = key(&session, "one");
        sign(&other, found).unwrap();
        bench.set(&Control { handles_per_session: true, ..Control::default() });
        assert_eq!(failure(sign(&other, found)), "C_SignInit KeyHandleInvalid");
        assert_eq!(bench.state().violations.len(), 1);
    });
}

#[test]
fn what_no_caller_may_do_is_written_down() {
    on_bench(|bench| {
        let session = bench.session();
        let (raw, private) = (session.handle(), key(&session, "one"));
        bench.rules([Rule::hang("C_SignInit")]);
        let hanging = sign_elsewhere(session, private);
        bench.wait_for("the hang", |state| state.hanging == 1);
        let said = |expected: &str| {
            let violations = bench.state().violations;
            assert!(violations.last().is_some_and(|last| last.contains(expected)), "{violations:?}");
        };
        // Under a call that hangs: the library is finalized, and its session is used.
        let failed = bench.library.clone().finalize();
        assert_eq!(failure(failed), "C_Finalize GeneralError");
        said("C_Finalize with 1 calls in the module");
        let list = {
            let library = unsafe { cryptoki_sys::Pkcs11::new(module()) }.unwrap();
            let mut list = std::ptr::null_mut();
            assert_eq!(unsafe { library.C_GetFunctionList(&raw mut list) }, CKR_OK);
            unsafe { *list }
        };
        let close = || unsafe { list.C_CloseSession.unwrap()(raw) };
        assert_ne!(close(), CKR_OK);
        said("where another call is");
        bench.rules([]);
        drop(hanging.recv_timeout(PATIENCE).unwrap().unwrap());
        // A session after its end, also where another one is open in its place below.
        let _other = bench.session();
        assert_ne!(close(), CKR_OK);
        said("which is not open");
        std::fs::write(&bench.control, "{\"rules\": [], \"nonsense\": 1}").unwrap();
        bench.library.get_token_info(bench.slot).unwrap();
        said("is no control file");
        assert_eq!(bench.state().violations.len(), 4);
    });
}

#[test]
fn a_session_that_a_fault_keeps_open_is_counted_until_the_library_is_finalized() {
    on_bench(|bench| {
        let (session, other) = (bench.session(), bench.session());
        bench.rules([Rule::new("C_CloseSession", CKR_DEVICE_ERROR).times(1)]);
        drop(session);
        drop(other);
        assert_eq!((bench.state().open, bench.state().unclosed), (vec![1, 2], 1));
        bench.library.clone().finalize().unwrap();
        assert_eq!((bench.state().sessions, bench.state().unclosed), (0, 0));
    });
}

#[test]
fn nothing_is_found_where_a_rule_says_so() {
    on_bench(|bench| {
        let session = bench.session();
        assert_eq!(bench.state().open, [1, 2]);
        bench.rules([Rule::empty("C_GetSlotList"), Rule::empty("C_FindObjects").times(1)]);
        assert!(bench.library.get_slots_with_token().unwrap().is_empty());
        assert!(session.find_objects(&[]).unwrap().is_empty());
        assert!(!session.find_objects(&[]).unwrap().is_empty());
    });
}

#[test]
fn the_first_rule_that_fits_is_what_happens() {
    on_bench(|bench| {
        let info = || failure(bench.library.get_token_info(bench.slot));
        let too_small = Rule::new("C_GetTokenInfo", CKR_BUFFER_TOO_SMALL).times(1);
        bench.rules([too_small.clone(), Rule::new("*", CKR_GENERAL_ERROR)]);
        assert_eq!([info(), info()], ["C_GetTokenInfo BufferTooSmall", "C_GetTokenInfo GeneralError"]);
        bench.rules([Rule::new("*", CKR_GENERAL_ERROR), too_small]);
        assert_eq!([info(), info()], ["C_GetTokenInfo GeneralError", "C_GetTokenInfo GeneralError"]);
        // Codes that the specification does not have.
        bench.rules([Rule::new("*", 0x8000_1234).times(1), Rule::new("*", 0x7fff)]);
        assert_eq!(
            [info(), info()],
            ["C_GetTokenInfo VendorDefined(2147488308)", "C_GetTokenInfo UnknownErrorCode(32767)"]
        );
    });
}
