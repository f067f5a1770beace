//! What `keys seal` is given: an encrypted secret with its password, from a file and at a terminal, and a sealing key that can be taken out of
//! its token.

use crate::process::wait_for;
use crate::sealed_env::{SEALING, SealedEnv, key_of};
use crate::test_env::{CommandResult, SOFTHSM};
use pkcs11_faults::control::Control;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// The secret of the vectors' consensus key, encrypted with [`PASSWORD`] by libsodium (PBKDF2 with SHA-512, 32768 rounds; secretbox with a nonce
/// of zeros).
const ENCRYPTED: &str = "BLesk1E4obwx5pFs9akrQNbvjDg4RbUtDW3w3uqoZLYohgRMzezuuev46wAt7xBtKPzGq6X3hQYt6G7t1Gwng6e6";

const PASSWORD: &str = "correct horse";

fn environment() -> SealedEnv {
    let sealed = SealedEnv::without_keys(&Control::default());
    std::fs::write(sealed.env.path.join("secret"), format!("encrypted:{ENCRYPTED}\n")).unwrap();
    sealed
}

fn seal_command(sealed: &SealedEnv, arguments: &[&str]) -> Command {
    let (name, value) = sealed.module.environment();
    let mut command = sealed.env.command();
    command.env(name, value).args(["keys", "seal", "--seal-with", SEALING, "--output", "json"]);
    command.arg("--secret-key").arg(sealed.env.path.join("secret"));
    command.arg("--config").arg(sealed.env.config_file()).args(arguments);
    command
}

fn assert_is_consensus_key(output: &str) {
    let public_key = key_of("consensus")["publicKey"].as_str().unwrap().to_owned();
    assert!(output.contains(&public_key) && output.contains("v1.pkcs11."), "{output}");
}

#[test]
fn an_encrypted_secret_is_opened_with_the_password_of_a_file_and_no_other() {
    let sealed = environment();
    let file = sealed.env.path.join("password");
    for (text, opens) in [
        (PASSWORD.to_owned(), true),
        (format!("{PASSWORD}\n"), true),
        (format!("{PASSWORD}\r\n"), true),
        (format!("{PASSWORD} \n"), false),
        ("correct horsf\n".to_owned(), false),
        (String::new(), false),
    ] {
        std::fs::write(&file, &text).unwrap();
        let command = seal_command(&sealed, &["--password-file", file.to_str().unwrap()]).output().unwrap();
        let result = CommandResult::from(command);
        if opens {
            assert_is_consensus_key(&result.succeeded());
        } else {
            let output = result.failed();
            assert!(output.contains("the password does not open it"), "{text:?}: {output}");
            assert!(!output.contains("correct") && !output.contains(ENCRYPTED), "{output}");
        }
    }
}

#[test]
fn at_a_terminal_the_password_is_asked_for_and_not_shown() {
    let sealed = environment();
    let seal = seal_command(&sealed, &[]);
    let words: Vec<String> = std::iter::once(seal.get_program()).chain(seal.get_args()).map(shell_word).collect();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    terminal.envs(seal.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let shown = Arc::new(Mutex::new(String::new()));
    let all = shown.clone();
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = screen.read(&mut bytes) {
            all.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    });
    wait_for("the prompt", || shown.lock().unwrap().contains("Password of the secret key: ").then_some(()));
    writeln!(keyboard, "{PASSWORD}").unwrap();
    let ended = child.wait().unwrap();
    drop(keyboard);
    reader.join().unwrap();
    let shown = shown.lock().unwrap().clone();
    assert!(ended.success(), "{shown}");
    assert_is_consensus_key(&shown);
    assert!(!shown.contains(PASSWORD), "{shown}");
}

fn shell_word(word: &std::ffi::OsStr) -> String {
    format!("'{}'", word.to_str().unwrap())
}

#[test]
fn without_terminal_or_file_nothing_is_waited_for() {
    let sealed = environment();
    // A session of its own has no terminal.
    let seal = seal_command(&sealed, &[]);
    let mut command = Command::new("setsid");
    command.args(["--wait".as_ref(), seal.get_program()]).args(seal.get_args());
    command.envs(seal.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let output = CommandResult::from(command.output().unwrap()).failed();
    assert!(output.contains("--password-file"), "{output}");
}

#[test]
fn a_sealing_key_that_can_be_taken_out_of_the_token_is_warned_of() {
    let sealed = environment();
    let made = Command::new("pkcs11-tool")
        .args(["--module", SOFTHSM, "--token-label", "test", "--login", "--pin", crate::test_env::PIN])
        .args(["--keygen", "--key-type", "AES:32", "--label", "loose", "--extractable", "--usage-decrypt"])
        .env("SOFTHSM2_CONF", sealed.env.softhsm_conf())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let result = sealed.try_seal("loose", key_of("consensus")["secretKey"].as_str().unwrap());
    assert!(
        result.stderr.contains("warning: the sealing key \"loose\" can be taken out of the token"),
        "{}",
        result.stderr
    );
    assert_is_consensus_key(&result.succeeded());
    assert!(!sealed.try_seal(SEALING, key_of("consensus")["secretKey"].as_str().unwrap()).stderr.contains("warning"));
}
