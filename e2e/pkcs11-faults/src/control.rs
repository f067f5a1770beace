//! The control file: what a test wants to go wrong; and the state file: what the module has seen. Nothing of PKCS#11 is here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What shall go wrong. The default: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools)] // switches of a test bench, each independent of the others
pub struct Control {
    /// Tells two controls apart that are otherwise the same: counts begin anew.
    pub serial: u64,
    /// Faults of single functions; the first that fits is what happens.
    pub rules: Vec<Rule>,
    /// CloudHSM's rules: read-write sessions only, no notify callback, no `C_SetAttributeValue`, at most 1024 sessions; AES-GCM encrypts
    /// with an initialisation vector of the token's own, which it writes into the caller's buffer, and that must be zeros.
    pub cloud_hsm: bool,
    /// Handles are valid only in the session that found them.
    pub handles_per_session: bool,
    /// More signatures than this within one second fail with `CKR_FUNCTION_FAILED`.
    pub throttle_per_second: Option<u32>,
    /// `C_SignInit` fails as for a key that is on too few HSMs.
    pub key_unavailable: bool,
    /// For so many milliseconds from when this is first read, everything that needs the HSM is `CKR_DEVICE_ERROR`.
    pub node_lost_for_ms: Option<u64>,
    /// After a `CKR_DEVICE_ERROR`, everything fails until the library is initialised again, also under a later control that
    /// says so.
    pub needs_reinitialising: bool,
    /// What is wrong with signatures.
    pub signature: Option<WrongSignature>,
    /// What is wrong with what `C_Decrypt` returns.
    pub plaintext: Option<WrongSignature>,
    /// Where `CKA_EC_POINT` is shown.
    pub point: PointOn,
    /// Without the DER OCTET STRING around it.
    pub point_bare: bool,
    /// What the token is like beside that.
    pub habits: Habits,
}

/// What tokens differ in, without being broken. The default: as SoftHSM2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools)] // as above
pub struct Habits {
    /// A slot before all others, whose `C_GetTokenInfo` returns this.
    pub other_slot: Option<u64>,
    /// The token has a clock, and no text in `utcTime`.
    pub utc_time_is_no_text: bool,
    /// How label and serial number are padded.
    pub padding: Padding,
    /// These are set in the token's flags, beside its own.
    pub token_flags: u64,
    /// What a wrong PIN is answered with, in place of `CKR_PIN_INCORRECT`.
    pub wrong_pin: Option<u64>,
    /// After so many wrong PINs in a row, each PIN is `CKR_PIN_LOCKED`.
    pub tries: Option<u64>,
    /// The token's flags do not tell how many tries are left.
    pub hides_tries: bool,
    /// `C_Login` takes no PIN: a person enters this one at the token.
    pub keypad: Option<String>,
    /// `C_Sign` wants a login since `C_SignInit`.
    pub always_authenticate: bool,
    /// There are no read-write sessions.
    pub write_protected: bool,
    /// There are no more sessions than this.
    pub max_sessions: Option<u64>,
    /// The library cannot lock: two calls at a time are a violation.
    pub cannot_lock: bool,
    /// What `C_Sign` without a buffer does.
    pub size_query: SizeQuery,
    /// `C_Sign` returns DER.
    pub der: bool,
    /// `C_GetFunctionList` returns `CKR_OK` and no list, as libraries do that lack their configuration.
    pub no_function_list: bool,
    /// Each call writes a line to file descriptor 1.
    pub prints: bool,
    /// Attributes of keys that are shown in another form; of several for one attribute, the first.
    pub shown: Vec<Shown>,
    /// Searches find no public key.
    pub hides_public_keys: bool,
    /// The token's number for pure Ed25519, in place of `CKM_EDDSA`, which it does not know.
    pub eddsa: Option<u64>,
    /// The list of mechanisms lacks the one for Ed25519.
    pub hides_eddsa: bool,
    /// With CloudHSM's rules: AES-GCM encrypts with the zeros that it was given.
    pub leaves_iv: bool,
    /// `C_GenerateKeyPair` cuts labels to so many bytes.
    pub longest_label: Option<u64>,
}

/// An attribute that is shown in another form: the real value without its first `skip` bytes, between `before` and `after`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shown {
    /// `CKA_…`.
    pub attribute: u64,
    /// On the private object of a pair; else on the public one.
    pub on_private: bool,
    /// Only for the key with this real `CKA_LABEL`.
    pub key: Option<String>,
    /// The object does not have it.
    pub missing: bool,
    /// How many bytes are left out.
    pub skip: u64,
    /// What is shown in front.
    pub before: Vec<u8>,
    /// What is shown behind.
    pub after: Vec<u8>,
}

/// How a text in a field of fixed length is padded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Padding {
    /// As PKCS#11 has it.
    #[default]
    Blanks,
    /// With NULs.
    Nuls,
    /// A NUL, and then whatever was there.
    NulAndRubbish,
}

/// What `C_Sign` without a buffer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SizeQuery {
    /// It returns the length.
    #[default]
    Answers,
    /// It returns the length, and ends the operation.
    EndsTheOperation,
    /// It returns this, and ends the operation.
    Fails(u64),
}

/// One function's fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// `C_…`, or `*`.
    pub function: String,
    /// What it returns, `CKR_OK` (0) to let the call go on after the delay.
    #[serde(default)]
    pub code: u64,
    /// How often; `None`: until the control changes.
    #[serde(default)]
    pub count: Option<u64>,
    /// Only each n-th call; 0 and 1: each.
    #[serde(default)]
    pub every: u64,
    /// Before it returns.
    #[serde(default)]
    pub delay_ms: u64,
    /// It does not return before the rule is gone from the control file.
    #[serde(default)]
    pub hang: bool,
    /// It is well, but has found nothing: `C_GetSlotList` and `C_FindObjects`.
    #[serde(default)]
    pub empty: bool,
    /// Only in this session. See [`State::open`].
    #[serde(default)]
    pub session: Option<u64>,
    /// Only where it is about the key with this `CKA_LABEL`: an object that is named, or what the session last searched or
    /// signs with.
    #[serde(default)]
    pub key: Option<String>,
}

impl Rule {
    /// `function` returns `code`, until the control changes.
    pub fn new(function: &str, code: u64) -> Self {
        let function = function.to_owned();
        let (count, every, delay_ms, hang, empty) = (None, 0, 0, false, false);
        Self { function, code, count, every, delay_ms, hang, empty, session: None, key: None }
    }

    /// Only so often.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Only each so manieth call.
    #[must_use]
    pub fn each(mut self, every: u64) -> Self {
        self.every = every;
        self
    }

    /// Only in this session.
    #[must_use]
    pub fn in_session(mut self, session: u64) -> Self {
        self.session = Some(session);
        self
    }

    /// Only for the key with this label.
    #[must_use]
    pub fn of_key(mut self, label: &str) -> Self {
        self.key = Some(label.to_owned());
        self
    }

    /// `function` hangs, and fails with nothing when it is let go.
    pub fn hang(function: &str) -> Self {
        Self { hang: true, ..Self::new(function, 0) }
    }

    /// `function` finds nothing.
    pub fn empty(function: &str) -> Self {
        Self { empty: true, ..Self::new(function, 0) }
    }

    /// `function` takes so long.
    pub fn slow(function: &str, delay_ms: u64) -> Self {
        Self { delay_ms, ..Self::new(function, 0) }
    }
}

/// What `C_Sign` returns instead of a right signature, and `C_Decrypt` instead of a right plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WrongSignature {
    /// One bit of it is another.
    BitFlip,
    /// It is right, but of another key of the token.
    OtherKey,
    /// It is right, with s in the upper half.
    HighS,
    /// A byte is missing.
    Short,
    /// All bytes are zero.
    Zero,
}

/// Which object of a pair shows `CKA_EC_POINT`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PointOn {
    /// As SoftHSM2, and as AWS documents it.
    #[default]
    Public,
    /// As others have seen on CloudHSM.
    Private,
    /// Neither.
    Nowhere,
}

/// What the module has seen, since it was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The one of the control that is in force.
    pub serial: u64,
    /// How many sessions are open.
    pub sessions: u64,
    /// Which: they are numbered from 1, as they are opened.
    pub open: Vec<u64>,
    /// How many of them were to be closed, and a fault met that.
    pub unclosed: u64,
    /// The most that were.
    pub most_sessions: u64,
    /// How often the rules of the present control struck.
    pub struck: u64,
    /// How often each of them did.
    pub struck_by_rule: Vec<u64>,
    /// When one last did, in microseconds since 1970.
    pub struck_at_us: u64,
    /// How many calls hang.
    pub hanging: u64,
    /// How many wrong PINs there were in a row.
    pub wrong_pins: u64,
    /// Calls of the functions that change something, by name.
    pub calls: BTreeMap<String, u64>,
    /// What no caller may do, and this one did.
    pub violations: Vec<String>,
}

impl Control {
    /// Puts it in force, as one step: calls from now on read this one.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(new, path)
    }
}

impl State {
    /// The file that belongs to a control file.
    pub fn path(control: &Path) -> PathBuf {
        let mut path = control.as_os_str().to_owned();
        path.push(".state");
        path.into()
    }

    /// What was seen; nothing where no module was loaded yet.
    pub fn read(control: &Path) -> Self {
        std::fs::read(Self::path(control)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }
}
