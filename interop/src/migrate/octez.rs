//! octez-signer, whose configuration is the command line that starts it: in a systemd unit ([`systemd`]), in a script ([`shell`]), or in a
//! manifest of containers ([`containers`]). Its keys are in its wallet and not in a PKCS#11 token, so they are left to be filled in.

mod containers;
mod environment_file;
mod options;
mod shell;
mod systemd;
mod words;

use super::object::shown;
use super::{Address, Draft, DraftKey, MigrateError, START_ANEW};
use options::{Options, Setting};
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::text::without_mark;
use words::{Environment, Program, Word};

/// Whether a text is what `systemctl cat` prints.
pub(super) fn is_output_of_cat(text: &str) -> bool {
    systemd::is_output_of_cat(text)
}

/// How deep a script may stand in a word of another one: `sh -c "su -c '…'"`.
const MAX_DEPTH: usize = 4;

/// A command line that starts octez-signer: the program, and the words after it.
type CommandLine = (Program, Vec<Word>);

pub(super) fn read(text: &str, environment_file: &dyn Fn(&str) -> Option<String>) -> Result<Draft, MigrateError> {
    let text = without_mark(text);
    let mut draft = Draft::default();
    let mut environment = Environment::default();
    let found = if systemd::is_unit(text) {
        read_unit(text, environment_file, &mut draft, &mut environment)?
    } else if let Some(commands) = containers::read(text) {
        starting(commands.map_err(|reason| MigrateError(reason.into()))?, &mut environment, 0)?
    } else {
        read_script(text, &mut draft, &mut environment)?
    };
    match &found[..] {
        [(program, words)] => {
            let options = options::read(*program, words, &environment);
            take_over(&mut draft, *program, &options, &environment);
            draft.report_open_listener();
            Ok(draft)
        }
        [] => Err(MigrateError(
            "it has no command that starts octez-signer: expected … octez-signer … launch … signer …, in a systemd unit, a script or a \
             manifest of containers"
                .into(),
        )),
        all => Err(MigrateError(
            format!("it has {} commands that start octez-signer: leave only the one that is in use", all.len()).into(),
        )),
    }
}

fn read_unit(
    text: &str,
    environment_file: &dyn Fn(&str) -> Option<String>,
    draft: &mut Draft,
    environment: &mut Environment,
) -> Result<Vec<CommandLine>, MigrateError> {
    if text.lines().any(|line| line.trim_start().starts_with("ExecStart={")) {
        return Err(MigrateError(
            "it is the output of `systemctl show`, which does not say where a word ends: give that of `systemctl cat` instead".into(),
        ));
    }
    let unit = systemd::read(text, environment_file);
    for (what, why) in &unit.notes {
        draft.change(what, why);
    }
    for path in unit.read {
        draft.lose(
            format!("EnvironmentFile {path}"),
            "read on this host: its values were taken over where the command line uses them",
        );
    }
    for path in &unit.environment.unread {
        let why = "not known here, so what it sets was left open. Run the command on the host of octez-signer, where the file is";
        draft.lose(format!("environment: {path}"), why);
    }
    if !is_output_of_cat(text) {
        draft.lose(
            "drop-ins of the unit",
            "they are not in this file, and can replace its command line: if `systemctl cat` prints any, give its output instead",
        );
    }
    *environment = unit.environment;
    let started = unit.commands.first().and_then(|words| words.first()).map(|word| shown(word.file_name()));
    let found = starting(unit.commands, environment, 0)?;
    match (&found[..], unit.notes.first(), started) {
        ([], _, Some(program)) => Err(MigrateError(
            format!("its ExecStart starts {program}, and not octez-signer … launch … signer. If that is a script, give the script").into(),
        )),
        ([], Some((what, why)), None) => Err(MigrateError(format!("{what}: {why}").into())),
        _ => Ok(found),
    }
}

fn read_script(text: &str, draft: &mut Draft, environment: &mut Environment) -> Result<Vec<CommandLine>, MigrateError> {
    let commands = shell::read(text, environment).map_err(|reason| MigrateError(reason.into()))?;
    for command in commands.iter().filter(|command| command.words[0].text.starts_with('-')) {
        draft.change(
            format!("line {}", command.line),
            "it begins with an option, but a shell does not read it as a part of the command before it, which a comment or a missing \
             backslash has ended. It was not taken over",
        );
    }
    let found = starting(commands.into_iter().map(|command| command.words).collect(), environment, 0)?;
    for path in &environment.unread {
        draft.lose(
            format!("environment: {path}"),
            "a script that was not read, so the variables that it may set were left open",
        );
    }
    Ok(found)
}

/// Those of the commands that start octez-signer, also where one is a text for a shell.
fn starting(
    commands: Vec<Vec<Word>>,
    environment: &mut Environment,
    depth: usize,
) -> Result<Vec<CommandLine>, MigrateError> {
    let mut found = Vec::new();
    for words in commands {
        let at = words.iter().position(|word| word.program().is_some());
        if let Some((program, rest)) = at.and_then(|at| Some((words[at].program()?, &words[at + 1..]))) {
            if rest.iter().any(|word| word.text == "launch" || word.is_list) {
                found.push((program, rest.to_vec()));
            }
            continue;
        }
        for word in
            words.iter().filter(|word| depth < MAX_DEPTH && word.text.contains("-signer") && word.text.contains(' '))
        {
            let commands = shell::read(&word.text, environment).map_err(|reason| MigrateError(reason.into()))?;
            let commands = commands.into_iter().map(|command| command.words).collect();
            found.extend(starting(commands, environment, depth + 1)?);
        }
    }
    Ok(found)
}

fn take_over(draft: &mut Draft, program: Program, options: &Options, environment: &Environment) {
    for part in &options.unread {
        draft.change(
            part.shown(),
            "not known here, and it may have any option: compare them with the file that was written. What is left open below may be set there",
        );
    }
    report_program(draft, program, environment);
    let transport = options.transport.as_ref().and_then(Word::value);
    take_transport(draft, transport, options);
    take_address(draft, transport, options);
    draft.require_authentication = options.requires_authentication != Setting::Absent;
    let directory = match &options.base_dir {
        Setting::Given(directory) => directory.shown(),
        Setting::Unknown => "its base directory".to_owned(),
        Setting::Absent if program == Program::BeforeOctez15 => "~/.tezos-signer of its user".to_owned(),
        Setting::Absent => "~/.octez-signer of its user".to_owned(),
    };
    match options.base_dir {
        Setting::Absent => {}
        Setting::Given(_) => {
            draft.lose("--base-dir", format!("its keys stay there; its high watermarks are imported from {directory}"));
        }
        Setting::Unknown => {
            draft.lose("--base-dir", "not known here. Its keys stay there; its high watermarks are imported from it");
        }
    }
    match options.checks_watermark {
        Setting::Given(()) => {}
        Setting::Absent => draft.lose(
            "no --check-high-watermark",
            format!("it has stored no watermarks, so there is nothing to import: {START_ANEW}. This signer always checks the watermark"),
        ),
        Setting::Unknown => draft.lose(
            "--check-high-watermark",
            format!(
                "not known whether it was set. If {directory} has files …_high_watermarks, import them; otherwise {START_ANEW}. This \
                 signer always checks the watermark"
            ),
        ),
    }
    take_magic_bytes(draft, &options.magic_bytes);
    for (option, why) in &options.others {
        draft.lose(option, *why);
    }
    draft.lose(
        "the keys",
        "the keys of its wallet are not in an HSM: generate a new key in the HSM, and make it the consensus key of the baker",
    );
}

fn report_program(draft: &mut Draft, program: Program, environment: &Environment) {
    let same_name = "The program, the package and the service of this signer have the same name: stop and remove the old ones before you \
                     install this signer";
    match program {
        Program::Octez => {}
        Program::BeforeOctez15 => {
            draft.lose("tezos-signer", format!("the name of octez-signer before Octez 15. {same_name}"));
        }
        Program::TezosPackaging => {
            draft.lose(
                "tezos-signer-start",
                format!(
                    "the script of serokell's packages (tezos-packaging), which takes options from its environment: TEZOS_CLIENT_DIR is \
                     --base-dir, MAGIC_BYTES is --magic-bytes, CHECK_HIGH_WATERMARK is --check-high-watermark. {same_name}"
                ),
            );
            let open = ["TEZOS_CLIENT_DIR", "MAGIC_BYTES", "CHECK_HIGH_WATERMARK"]
                .into_iter()
                .filter(|name| environment.get(name).is_none() && !environment.lacks(name))
                .collect::<Vec<_>>()
                .join(", ");
            if !open.is_empty() {
                draft.change(
                    open,
                    "not known here: look them up in the environment of the unit (/etc/default/tezos-signer-…)",
                );
            }
        }
    }
}

fn take_transport(draft: &mut Draft, transport: Option<&str>, options: &Options) {
    match (transport, &options.files[..]) {
        (Some("http"), _) => {}
        (Some("https"), files) => match files {
            [certificate, key] if certificate.value().is_some() && key.value().is_some() => {
                draft.tls = Some((certificate.text.clone(), key.text.clone()));
            }
            _ => draft.open_tls = true,
        },
        (Some(transport @ ("socket" | "local")), _) => draft.lose(
            format!("launch {transport} signer"),
            "this signer uses HTTP: configure http://HOST:PORT in the client, or unixSocket, which also uses HTTP",
        ),
        _ => draft.lose("launch", "the word after it is not known here: this signer uses HTTP, and HTTPS with tls"),
    }
}

fn take_address(draft: &mut Draft, transport: Option<&str>, options: &Options) {
    // A local socket has none.
    if transport == Some("local") {
        return;
    }
    let default_port = match transport {
        Some("https") => "443",
        Some("socket") => "7732",
        _ => "6732",
    };
    let value_of = |setting: &Setting<Word>, default: &'static str| match setting {
        Setting::Given(word) => word.value().map(str::to_owned),
        Setting::Absent => Some(default.to_owned()),
        Setting::Unknown => None,
    };
    let host = value_of(&options.address, "localhost").filter(|host| !host.is_empty());
    let port = value_of(&options.port, default_port);
    draft.listen = Address::of(host.as_deref(), port.as_deref());
    let written = [&options.address, &options.port].map(|setting| match setting {
        Setting::Given(word) if word.unknown.is_some() => Some(word.shown()),
        _ => None,
    });
    let written: Vec<_> = written.into_iter().flatten().collect();
    if let (Address::Open { sentence, .. }, false) = (&mut draft.listen, written.is_empty()) {
        *sentence = format!("{sentence}; there {}", written.join(" and "));
    }
}

fn take_magic_bytes(draft: &mut Draft, setting: &Setting<Word>) {
    let mut key = DraftKey::default();
    let open = |reason: &str| {
        Some(format!("the kinds that it may sign, such as [block, preattestation, attestation]: {reason}"))
    };
    match setting {
        Setting::Absent => {
            let why = "without it, all payloads were signed. This signer needs each kind of operation in allow: add the kinds that you need";
            draft.change("no --magic-bytes", why);
            key.allow = PayloadKind::CONSENSUS.to_vec();
        }
        Setting::Unknown => key.allow_unknown = open("--magic-bytes is not known here"),
        Setting::Given(word) => match word.value() {
            None => key.allow_unknown = open("the value of --magic-bytes is not known here"),
            Some(bytes) => {
                key.allow = kinds_of(draft, bytes);
                if key.allow.is_empty() {
                    key.allow_unknown = open("--magic-bytes allows neither blocks nor votes of today");
                }
            }
        },
    }
    draft.add(key);
}

/// The kinds of `0xHH,0xHH`, as OCaml reads numbers.
fn kinds_of(draft: &mut Draft, text: &str) -> Vec<PayloadKind> {
    let mut allow = Vec::new();
    for byte in text.split(',').map(str::trim).filter(|byte| !byte.is_empty()) {
        let lower = byte.to_ascii_lowercase();
        let number = match lower.get(..2) {
            Some("0x") => u8::from_str_radix(&lower[2..], 16).ok(),
            Some("0o") => u8::from_str_radix(&lower[2..], 8).ok(),
            Some("0b") => u8::from_str_radix(&lower[2..], 2).ok(),
            _ => lower.parse().ok(),
        };
        let kind = match number {
            Some(0x11) => ConsensusKind::Block,
            Some(0x12) => ConsensusKind::Preattestation,
            Some(0x13) => ConsensusKind::Attestation,
            Some(number @ (0x01 | 0x02)) => {
                draft.change(
                    format!("--magic-bytes {number:#04x}"),
                    "this signer does not sign blocks and votes from before Tenderbake",
                );
                continue;
            }
            Some(0x03) => {
                draft.change(
                    "--magic-bytes 0x03",
                    "all generic operations were signed. This signer needs each kind in allow: add the kinds that you need, see docs/keys.md",
                );
                continue;
            }
            Some(number) => {
                draft.change(
                    format!("--magic-bytes {number:#04x}"),
                    "this signer signs no payloads with this magic byte",
                );
                continue;
            }
            None => {
                draft.change("--magic-bytes", "one of its values is not a number from 0 to 255, and was left out");
                continue;
            }
        };
        let kind = PayloadKind::Consensus(kind);
        if !allow.contains(&kind) {
            allow.push(kind);
        }
    }
    allow
}
