//! The options of octez-signer (`src/bin_signer/main_signer.ml` of Octez), from the command line that starts it. Its keys are
//! in its wallet and not in a PKCS#11 token, so they are left to be filled in.

use super::{Draft, DraftKey, MigrateError, START_ANEW, address, everybody_may_ask};
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_core::position::ConsensusKind;

pub(super) fn read(text: &str) -> Result<Draft, MigrateError> {
    let joined = text.replace("\\\n", " ");
    let line = joined.lines().find(|line| line.contains("octez-signer") && line.contains("launch"));
    let line = line.ok_or_else(|| {
        MigrateError("it has no line that starts octez-signer: expected … octez-signer … launch … signer …".into())
    })?;
    let mut draft = Draft::default();
    let mut allow = None;
    let (mut host, mut port, mut transport) = ("127.0.0.1", 6732, "");
    let mut checked = false;
    let mut tls = Vec::new();
    let words = words_of(line)?;
    let mut words = words.iter().map(String::as_str).skip_while(|word| !is_program(word)).skip(1).flat_map(|word| {
        let (option, value) =
            word.split_once('=').filter(|_| word.starts_with("--")).map_or((word, None), |(a, b)| (a, Some(b)));
        [Some(option), value].into_iter().flatten()
    });
    while let Some(word) = words.next() {
        match word {
            "launch" => transport = words.next().unwrap_or_default(),
            "signer" => {}
            "-a" | "--address" => host = words.next().unwrap_or_default(),
            "-p" | "--port" => {
                let number = words.next().and_then(|port| port.parse().ok());
                port = number.ok_or_else(|| MigrateError("--port is no port".into()))?;
            }
            "-W" | "--check-high-watermark" => checked = true,
            "-M" | "--magic-bytes" => allow = Some(magic_bytes(&mut draft, words.next().unwrap_or_default())),
            "-A" | "--require-authentication" => draft.require_authentication = true,
            "-d" | "--base-dir" => {
                let directory = words.next().unwrap_or_default();
                draft.lose(
                    "--base-dir",
                    format!("its keys stay there; its high watermarks are imported from {directory}"),
                );
            }
            "-P" | "--pid-file" | "-f" | "--password-filename" => {
                words.next();
                draft.lose(word, "not needed: a supervisor knows the process, and the PIN is in pinFile");
            }
            "--allow-list-known-keys" => draft.lose(word, "set allowKnownKeys: true if a client needs it"),
            "--allow-to-prove-possession" => {
                draft.lose(word, "only tz4 keys have a proof of possession, and this signer does not support them");
            }
            option if option.starts_with('-') => draft.lose(option, "unknown setting"),
            file if transport == "https" => tls.push(file.to_owned()),
            _ => {}
        }
    }
    match (transport, &tls[..]) {
        ("http", _) => {}
        ("https", [certificate, key]) => draft.tls = Some((certificate.clone(), key.clone())),
        ("https", _) => return Err(MigrateError("launch https signer needs a certificate and a key".into())),
        _ => draft.lose(
            format!("launch {transport} signer"),
            "this signer uses HTTP: configure http://HOST:PORT in the client, or unixSocket, which also uses HTTP",
        ),
    }
    draft.listen = Some(address(host, port).ok_or_else(|| MigrateError("--address is not an IP address".into()))?);
    if !checked {
        draft.lose(
            "no --check-high-watermark",
            format!(
                "it has stored no watermarks, so there is nothing to import: {START_ANEW}. This signer always checks the watermark"
            ),
        );
    }
    let allow = allow.unwrap_or_else(|| {
        let why = "without it, all payloads were signed. This signer needs each kind of operation in allow: add the kinds that you need";
        draft.lose("no --magic-bytes", why);
        PayloadKind::CONSENSUS.to_vec()
    });
    draft.keys.push(DraftKey { allow, ..DraftKey::default() });
    draft.lose(
        "the keys",
        "the keys of its wallet are not in an HSM: generate a new key in the HSM, and make it the consensus key of the baker",
    );
    everybody_may_ask(&mut draft);
    Ok(draft)
}

/// As a shell reads them; also of `sh -c "… octez-signer …"`, where all of it is one word.
fn words_of(line: &str) -> Result<Vec<String>, MigrateError> {
    let split = |text: &str| {
        shlex::split(text).ok_or_else(|| MigrateError("its command line has an unterminated quote".into()))
    };
    let mut words = split(line)?;
    if !words.iter().any(|word| is_program(word))
        && let Some(whole) = words.iter().find(|word| word.contains("octez-signer"))
    {
        words = split(whole)?;
    }
    if words.iter().any(|word| is_program(word)) {
        Ok(words)
    } else {
        Err(MigrateError("its command line has no program octez-signer".into()))
    }
}

fn is_program(word: &str) -> bool {
    word.ends_with("octez-signer")
}

fn magic_bytes(draft: &mut Draft, text: &str) -> Vec<PayloadKind> {
    let mut allow = Vec::new();
    for byte in text.split(',').map(str::trim) {
        let number = byte.strip_prefix("0x").map_or_else(|| byte.parse().ok(), |hex| u8::from_str_radix(hex, 16).ok());
        match number {
            Some(0x11) => allow.push(PayloadKind::Consensus(ConsensusKind::Block)),
            Some(0x12) => allow.push(PayloadKind::Consensus(ConsensusKind::Preattestation)),
            Some(0x13) => allow.push(PayloadKind::Consensus(ConsensusKind::Attestation)),
            Some(0x01 | 0x02) => draft.lose(format!("--magic-bytes {byte}"), "this signer does not sign blocks and votes from \
                 before Tenderbake"),
            Some(0x03) => draft.lose(
                "--magic-bytes 0x03",
                "all generic operations were signed. This signer needs each kind in allow: add the kinds that you need, see docs/keys.md",
            ),
            _ => draft.lose(format!("--magic-bytes {byte}"), "this signer signs no payloads with this magic byte"),
        }
    }
    allow
}
