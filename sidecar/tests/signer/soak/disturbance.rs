//! What goes wrong with the HSM or the network to it, thrown by dice: how it begins, how long it lasts, and how it ends.

use super::dice::Dice;
use super::subject::Hsm;
use crate::test_env::{PIN, TestEnv};
use pkcs11_faults::control::{Control, Rule, WrongSignature};
use std::time::Duration;

/// The codes of the PKCS#11 specification that a library may give in trouble.
const CODES: [(&str, u64); 25] = [
    ("CKR_HOST_MEMORY", 0x02),
    ("CKR_SLOT_ID_INVALID", 0x03),
    ("CKR_GENERAL_ERROR", 0x05),
    ("CKR_FUNCTION_FAILED", 0x06),
    ("CKR_ARGUMENTS_BAD", 0x07),
    ("CKR_DATA_INVALID", 0x20),
    ("CKR_DATA_LEN_RANGE", 0x21),
    ("CKR_DEVICE_ERROR", 0x30),
    ("CKR_DEVICE_MEMORY", 0x31),
    ("CKR_DEVICE_REMOVED", 0x32),
    ("CKR_FUNCTION_CANCELED", 0x50),
    ("CKR_KEY_HANDLE_INVALID", 0x60),
    ("CKR_KEY_FUNCTION_NOT_PERMITTED", 0x68),
    ("CKR_MECHANISM_INVALID", 0x70),
    ("CKR_OBJECT_HANDLE_INVALID", 0x82),
    ("CKR_OPERATION_ACTIVE", 0x90),
    ("CKR_OPERATION_NOT_INITIALIZED", 0x91),
    ("CKR_SESSION_CLOSED", 0xb0),
    ("CKR_SESSION_COUNT", 0xb1),
    ("CKR_SESSION_HANDLE_INVALID", 0xb3),
    ("CKR_TOKEN_NOT_PRESENT", 0xe0),
    ("CKR_USER_NOT_LOGGED_IN", 0x101),
    ("CKR_BUFFER_TOO_SMALL", 0x150),
    ("CKR_CRYPTOKI_NOT_INITIALIZED", 0x190),
    ("CKR_VENDOR_DEFINED", 0x8000_0001),
];
const DEVICE_ERROR: u64 = 0x30;
const USER_NOT_LOGGED_IN: u64 = 0x101;
const PIN_INCORRECT: u64 = 0xa0;

/// What is called for each signature, and only on the way to one or from one.
const SIGNING: [&str; 3] = ["C_SignInit", "C_Sign", "*"];
const OPENING: [&str; 12] = [
    "C_OpenSession",
    "C_Login",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_GetAttributeValue",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_GetSessionInfo",
    "C_CloseSession",
    "C_Finalize",
    "C_Initialize",
];

pub(super) struct Disturbance {
    pub(super) sort: &'static str,
    pub(super) what: String,
    /// `None`: until the process has ended, as it must.
    pub(super) lasts: Option<Duration>,
    /// TCP takes its time to notice that packets arrive again.
    pub(super) heals_slowly: bool,
    action: Action,
}

enum Action {
    Module(Box<Control>),
    Hold { resets: bool },
    Freeze,
    Delay(Duration),
    Truncate,
    Cut,
    Server,
    Cable,
}

/// As CloudHSM's library is when all is well.
pub(super) fn well() -> Control {
    Control { cloud_hsm: true, handles_per_session: true, ..Control::default() }
}

impl Disturbance {
    pub(super) fn of(hsm: &Hsm, dice: &mut Dice) -> Self {
        match hsm {
            Hsm::Module(_) => Self::of_module(dice),
            Hsm::Network(_) => Self::of_network(dice),
        }
    }

    fn of_module(dice: &mut Dice) -> Self {
        let mut control = Control { serial: dice.below(u64::MAX), ..well() };
        let mut lasts = Some(dice.milliseconds(300, 3000));
        let signing = dice.pick(&SIGNING);
        let (name, code) = dice.pick(&CODES);
        let (sort, what) = match dice.below(14) {
            0 | 1 => {
                control.rules = vec![Rule::new(signing, code).times(1)];
                ("an error, once", format!("{signing} {name}"))
            }
            2 | 3 => {
                let times = 2 + dice.below(20);
                control.rules = vec![Rule::new(signing, code).times(times)];
                ("errors, a burst", format!("{signing} {name}, {times} times"))
            }
            4 => {
                control.rules = vec![Rule::new(signing, code)];
                ("errors, for a while", format!("{signing} {name}"))
            }
            5 => {
                let every = 2 + dice.below(5);
                control.rules = vec![Rule { every, ..Rule::new(signing, code) }];
                ("errors, now and then", format!("{signing} {name}, each {every}th"))
            }
            6 | 7 => {
                let function = dice.pick(&OPENING);
                let times = 1 + dice.below(8);
                control.rules =
                    vec![Rule::new("C_Sign", DEVICE_ERROR).times(8), Rule::new(function, code).times(times)];
                ("errors, also of the recovery", format!("C_Sign CKR_DEVICE_ERROR, {function} {name}, {times} times"))
            }
            8 => {
                let delay = 20 + dice.below(1500);
                control.rules = vec![Rule::slow(signing, delay)];
                ("slow", format!("{signing}, {delay} ms"))
            }
            9 => {
                let function = dice.pick(&["C_SignInit", "C_Sign", "C_FindObjects", "C_OpenSession", "*"]);
                control.rules = vec![Rule::new("C_Sign", DEVICE_ERROR).times(2), Rule::hang(function)];
                ("a hang that ends", function.to_owned())
            }
            10 => {
                let wrong = dice.pick(&[
                    WrongSignature::BitFlip,
                    WrongSignature::OtherKey,
                    WrongSignature::HighS,
                    WrongSignature::Short,
                    WrongSignature::Zero,
                ]);
                control.signature = Some(wrong);
                ("wrong signatures", format!("{wrong:?}"))
            }
            11 if dice.one_in(2) => {
                control.key_unavailable = true;
                ("key unavailable", String::new())
            }
            11 => {
                let limit = 1 + u32::try_from(dice.below(8)).unwrap();
                control.throttle_per_second = Some(limit);
                ("throttled", format!("{limit}/s"))
            }
            12 if dice.one_in(2) => {
                control.needs_reinitialising = true;
                control.rules = vec![Rule::new("C_Sign", DEVICE_ERROR).times(1)];
                lasts = Some(dice.milliseconds(1000, 4000));
                ("initialising is needed", String::new())
            }
            12 if dice.one_in(2) => {
                let refused =
                    [Rule::new("C_OpenSession", USER_NOT_LOGGED_IN).times(4), Rule::new("C_Login", PIN_INCORRECT)];
                control.rules = [vec![Rule::new("C_Sign", USER_NOT_LOGGED_IN).times(8)], refused.to_vec()].concat();
                ("PIN refused", String::new())
            }
            12 => {
                let lost = 200 + dice.below(2500);
                control.node_lost_for_ms = Some(lost);
                ("node lost", format!("{lost} ms"))
            }
            _ => {
                control.rules = vec![Rule::hang(signing)];
                lasts = None;
                ("a hang without end", signing.to_owned())
            }
        };
        Self { sort, what, lasts, heals_slowly: false, action: Action::Module(Box::new(control)) }
    }

    fn of_network(dice: &mut Dice) -> Self {
        let well = Self { sort: "", what: String::new(), lasts: None, heals_slowly: false, action: Action::Freeze };
        let lasts = Some(dice.milliseconds(200, 3000));
        match dice.below(10) {
            0 | 1 => Self { sort: "stalled", lasts, action: Action::Hold { resets: false }, ..well },
            2 => Self { sort: "aborted under a call", lasts, action: Action::Hold { resets: true }, ..well },
            3 => Self { sort: "an answer breaks off", lasts, action: Action::Truncate, ..well },
            4 => Self { sort: "cut", lasts, action: Action::Cut, ..well },
            5 | 6 => {
                let delay = dice.milliseconds(2, 150);
                Self { sort: "slow", what: format!("{delay:?} a message"), lasts, action: Action::Delay(delay), ..well }
            }
            7 => Self { sort: "the server restarts", lasts, action: Action::Server, ..well },
            8 => Self { sort: "the cable is out", lasts, heals_slowly: true, action: Action::Cable, ..well },
            _ => Self { sort: "a stall without end", ..well },
        }
    }

    /// Whether sessions may stay open in the library because it failed to close them.
    pub(super) fn strikes_closing(&self) -> bool {
        let closes = |rule: &Rule| rule.function == "*" || rule.function == "C_CloseSession";
        matches!(&self.action, Action::Module(control) if control.rules.iter().any(closes))
    }

    pub(super) fn begin(&self, hsm: &Hsm) {
        match (hsm, &self.action) {
            (Hsm::Module(module), Action::Module(control)) => module.set(control),
            (Hsm::Network(token), action) => match action {
                Action::Hold { .. } => token.proxy().hold(),
                Action::Freeze => token.proxy().freeze(),
                Action::Delay(delay) => token.proxy().delay(*delay),
                Action::Truncate => token.proxy().truncate(),
                Action::Cut => token.proxy().cut(),
                Action::Server => token.stop_server(),
                Action::Cable => token.network.unplug(),
                Action::Module(_) => unreachable!("no module on a network"),
            },
            (Hsm::Module(_), _) => unreachable!("no network under a module"),
        }
    }

    /// All is well afterwards.
    pub(super) fn end(&self, hsm: &Hsm, env: &TestEnv) {
        match hsm {
            Hsm::Module(module) => {
                module.set(&well());
                // One that was refused is tried again when its file has changed.
                env.write_pin(PIN);
            }
            Hsm::Network(token) => match self.action {
                Action::Hold { resets } => {
                    if resets {
                        token.proxy().reset();
                    }
                    token.proxy().release();
                }
                Action::Delay(_) => token.proxy().delay(Duration::ZERO),
                Action::Server => token.start_server(),
                Action::Cable => token.network.plug(),
                Action::Truncate => token.proxy().truncate_no_more(),
                Action::Freeze => token.proxy().thaw(),
                Action::Cut | Action::Module(_) => {}
            },
        }
    }
}
