//! A directory of its own for one test: a SoftHSM2 token with a P-256 and a secp256k1 key, a configuration, and a directory
//! for the records. Runs the program's commands there.

use serde_json::{Map, Value};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use tezos_signer_core::config::{KeyConfig, SignerConfig};
use tezos_signer_core::record::RecordFile;

pub(crate) const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Like CloudHSM's: user and password. Long enough to be looked for in outputs.
pub(crate) const PIN: &str = "cu_user:a-PIN-that-nobody-may-see";

/// Where every record starts.
pub(crate) const FLOOR: u32 = 1000;

pub(crate) struct TestEnv {
    pub(crate) path: PathBuf,
    /// Gone when dropped.
    _directory: Option<TempDir>,
}

/// What a command printed, and how it ended.
pub(crate) struct CommandResult {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Debian 13 has `/tmp` in memory, where the signer does not want its records.
fn directory_on_disk() -> TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

impl TestEnv {
    /// With records that start above [`FLOOR`].
    pub(crate) fn new() -> Self {
        let env = Self::without_records();
        env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
        env
    }

    pub(crate) fn without_records() -> Self {
        Self::with_keys(&[("tz3", "p256"), ("tz2", "secp256k1")])
    }

    /// With keys of these labels and curves, and without records.
    pub(crate) fn with_keys(keys: &[(&str, &str)]) -> Self {
        let env = Self::without_keys();
        let made = keys.iter().map(|(label, curve)| {
            let made = env.run(&["keys", "generate", "--label", label, "--curve", curve, "--output", "json"]);
            serde_json::from_str(&made.succeeded()).unwrap()
        });
        env.configure(&made.collect::<Vec<_>>());
        env
    }

    pub(crate) fn without_keys() -> Self {
        let directory = directory_on_disk();
        let env = Self { path: directory.path().to_owned(), _directory: Some(directory) };
        std::fs::create_dir(env.tokens()).unwrap();
        std::fs::create_dir(env.records()).unwrap();
        permit(&env.records(), 0o700);
        let conf = format!("directories.tokendir = {}\nlog.level = ERROR\n", env.tokens().display());
        std::fs::write(env.softhsm_conf(), conf).unwrap();
        env.write_pin(PIN);
        env.add_token("test");
        env.configure(&[]);
        env
    }

    /// Without a token, and with these fields in the configuration: for keys that are elsewhere.
    pub(crate) fn without_token(fields: Value) -> Self {
        let directory = directory_on_disk();
        let env = Self { path: directory.path().to_owned(), _directory: Some(directory) };
        std::fs::create_dir(env.records()).unwrap();
        permit(&env.records(), 0o700);
        let config = serde_json::json!({
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "watermarks": {"file": env.records()},
        });
        std::fs::write(env.config_file(), config.to_string()).unwrap();
        env.set_config(fields);
        env
    }

    /// Makes a token with [`PIN`].
    pub(crate) fn add_token(&self, label: &str) {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN])
            .env("SOFTHSM2_CONF", self.softhsm_conf())
            .output()
            .expect("softhsm2-util of the Debian package softhsm2");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// The test environment that another process made and will remove.
    pub(crate) fn from_parent(path: PathBuf) -> Self {
        Self { path, _directory: None }
    }

    /// Another directory with the same token, keys and configuration, as a second cluster or host has the same HSM; without
    /// records.
    pub(crate) fn with_same_token(&self) -> Self {
        let directory = directory_on_disk();
        let env = Self { path: directory.path().to_owned(), _directory: Some(directory) };
        std::fs::create_dir(env.records()).unwrap();
        permit(&env.records(), 0o700);
        for file in [Self::softhsm_conf, Self::config_file] {
            std::fs::copy(file(self), file(&env)).unwrap();
        }
        env.set_config(serde_json::json!({"watermarks": {"file": env.records()}}));
        env
    }

    fn configure(&self, keys: &[Value]) {
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| {
                serde_json::json!({"publicKey": key["publicKey"], "label": key["label"], "chain": "NetXdQprcVkpaWU"})
            })
            .collect();
        let config = serde_json::json!({
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "hsm": {"module": SOFTHSM, "token": "test", "pinFile": self.pin_file(), "sessions": 2},
            "keys": keys,
            "watermarks": {"file": self.records()},
        });
        // JSON is YAML.
        std::fs::write(self.config_file(), serde_json::to_string_pretty(&config).unwrap()).unwrap();
    }

    /// Changes one text of the configuration file, which must be there.
    pub(crate) fn edit_config(&self, from: &str, to: &str) {
        edit(&self.config_file(), from, to);
    }

    /// Sets fields at the top of the configuration.
    pub(crate) fn set_config(&self, fields: Value) {
        let Value::Object(fields) = fields else { panic!("{fields} is no object") };
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(self.config_file()).unwrap()).unwrap();
        config.as_object_mut().unwrap().extend(fields);
        std::fs::write(self.config_file(), serde_json::to_string_pretty(&config).unwrap()).unwrap();
    }

    /// Sets a field of the configuration's `hsm`.
    pub(crate) fn set_hsm(&self, field: &str, value: impl Into<Value>) {
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(self.config_file()).unwrap()).unwrap();
        config["hsm"][field] = value.into();
        std::fs::write(self.config_file(), serde_json::to_string_pretty(&config).unwrap()).unwrap();
    }

    /// For a signer that is stopped while another one uses the token: with one session, which is open once the signer is ready. A thread
    /// that is stopped while it opens a second one keeps SoftHSM2's lock of the token's files, and nobody else can log in.
    pub(crate) fn open_one_session(&self) {
        self.set_hsm("sessions", 1);
    }

    /// Adds fields to the P-256 key of the configuration, as JSON without its braces.
    pub(crate) fn add_to_tz3(&self, fields: &str) {
        self.edit_config("\"label\": \"tz3\"", &format!("\"label\": \"tz3\", {fields}"));
    }

    pub(crate) fn config(&self) -> SignerConfig {
        SignerConfig::from_yaml(&std::fs::read_to_string(self.config_file()).unwrap()).unwrap()
    }

    /// The P-256 key.
    pub(crate) fn tz3(&self) -> KeyConfig {
        self.config().keys[0].clone()
    }

    /// The secp256k1 key.
    pub(crate) fn tz2(&self) -> KeyConfig {
        self.config().keys[1].clone()
    }

    pub(crate) fn write_pin(&self, pin: &str) {
        std::fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        permit(&self.pin_file(), 0o600);
    }

    fn pin_file(&self) -> PathBuf {
        self.path.join("pin")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.path.join("signer.yaml")
    }

    pub(crate) fn softhsm_conf(&self) -> PathBuf {
        self.path.join("softhsm2.conf")
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.path.join("tokens")
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.path.join("records")
    }

    pub(crate) fn record_file(&self, key: &KeyConfig) -> PathBuf {
        self.records().join(format!("{}.json", key.record_name()))
    }

    /// One row of a record, in its words.
    pub(crate) fn row(&self, key: &KeyConfig, row: &str) -> String {
        self.rows(key).get(row).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The rows of a record, also of a plain one that no signer would use.
    pub(crate) fn rows(&self, key: &KeyConfig) -> Map<String, Value> {
        let text = std::fs::read_to_string(self.record_file(key)).unwrap();
        if RecordFile::is_of_slots(&text) {
            let rows = RecordFile::parse(text).unwrap().record().to_data();
            return rows.into_iter().map(|(row, text)| (row, text.into())).collect();
        }
        serde_json::from_str(&text).unwrap()
    }

    /// Puts a plain record in the place of a record, as a person does, and releases up to 0.2 did.
    pub(crate) fn set_rows(&self, key: &KeyConfig, rows: &Map<String, Value>) {
        std::fs::write(self.record_file(key), serde_json::to_string_pretty(rows).unwrap() + "\n").unwrap();
    }

    /// Makes a record what a release up to 0.2 has left. The next write is of a whole file.
    pub(crate) fn make_plain(&self, key: &KeyConfig) {
        self.set_rows(key, &self.rows(key));
    }

    /// Sets one row of a record by hand.
    pub(crate) fn set_row(&self, key: &KeyConfig, row: &str, text: &str) {
        let mut rows = self.rows(key);
        rows.insert(row.to_owned(), text.into());
        self.set_rows(key, &rows);
    }

    /// Runs a command with this configuration to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> CommandResult {
        self.command().args(arguments).arg("--config").arg(self.config_file()).output().unwrap().into()
    }

    /// The program, with its token, and the API server that was offered to it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tezos-signer"));
        command.env("KUBECONFIG", self.path.join("kubeconfig"));
        command.env("SOFTHSM2_CONF", self.softhsm_conf()).env_remove("RUST_LOG");
        command
    }
}

pub(crate) fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {text}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Says who may do what with a file.
pub(crate) fn permit(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

impl From<Output> for CommandResult {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl CommandResult {
    /// What was printed; it must have ended well.
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// All that was printed; it must have ended badly, but as a program does that knows what it is doing.
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        self.stdout + &self.stderr
    }
}
