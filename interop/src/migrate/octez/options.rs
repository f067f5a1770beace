//! The options of octez-signer (`src/bin_signer/main_signer.ml` of Octez), from the words of the command line that starts it.

use super::words::{Environment, Program, Word};

/// A setting that a command line may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Setting<T> {
    /// It is certain that it has not.
    #[default]
    Absent,
    /// Nobody knows: a part of the command line that is not known may have it.
    Unknown,
    Given(T),
}

/// A command line.
#[derive(Default)]
pub(super) struct Options {
    /// `http`, `https`, `socket` or `local`: the word after `launch`.
    pub(super) transport: Option<Word>,
    /// Certificate and key of `launch https signer`.
    pub(super) files: Vec<Word>,
    pub(super) address: Setting<Word>,
    pub(super) port: Setting<Word>,
    pub(super) base_dir: Setting<Word>,
    pub(super) magic_bytes: Setting<Word>,
    pub(super) checks_watermark: Setting<()>,
    pub(super) requires_authentication: Setting<()>,
    /// Whatever else is in the line: its name, and what becomes of it.
    pub(super) others: Vec<(String, &'static str)>,
    /// Parts that may have any option.
    pub(super) unread: Vec<Word>,
}

const NO_VALUE: &str = "it has no value, because the command line ends there";

/// Reads the words after the program.
pub(super) fn read(program: Program, words: &[Word], environment: &Environment) -> Options {
    let mut options = Options::default();
    if program == Program::TezosPackaging {
        read_packaging(&mut options, environment);
    }
    let mut words = split_at_equals(words).into_iter();
    while let Some(word) = words.next() {
        let is_option = word.text.starts_with('-');
        let is_file = options.takes_file() && !is_option;
        if word.is_list || word.unknown.is_some() && !is_option && !is_file {
            options.unread.push(word);
            continue;
        }
        let option = word.text.as_str();
        let with_value = match option {
            "-a" | "--address" => Some(&mut options.address),
            "-p" | "--port" => Some(&mut options.port),
            "-d" | "--base-dir" => Some(&mut options.base_dir),
            "-M" | "--magic-bytes" => Some(&mut options.magic_bytes),
            _ => None,
        };
        if let Some(setting) = with_value {
            match words.next() {
                Some(value) => *setting = Setting::Given(value),
                None => options.others.push((option.to_owned(), NO_VALUE)),
            }
            continue;
        }
        match option {
            "launch" => options.transport = words.next(),
            "signer" => {}
            "-W" | "--check-high-watermark" => options.checks_watermark = Setting::Given(()),
            "-A" | "--require-authentication" => options.requires_authentication = Setting::Given(()),
            "-P" | "--pidfile" | "--pid-file" | "-f" | "--password-filename" | "--password-file" => {
                words.next();
                options
                    .others
                    .push((option.to_owned(), "not needed: a supervisor knows the process, and the PIN is in pinFile"));
            }
            "-t" | "--timeout" => {
                words.next();
                options.others.push((option.to_owned(), "not needed: see requestDeadlineMilliseconds"));
            }
            "-s" | "--socket" => {
                words.next();
                options.others.push((option.to_owned(), "the socket of octez-signer does not speak HTTP, and unixSocket does: set it if a client can use it"));
            }
            "--allow-list-known-keys" => {
                options.others.push((option.to_owned(), "set allowKnownKeys: true if a client needs it"));
            }
            "--allow-to-prove-possession" => options.others.push((
                option.to_owned(),
                "set allowProofOfPossession: true for each tz4 key that is to prove its possession",
            )),
            _ if is_option => {
                let name =
                    word.value().filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
                options.others.push((name.unwrap_or("an option").to_owned(), "unknown setting"));
            }
            _ if is_file => options.files.push(word),
            _ => options
                .others
                .push(("a word of the command line".to_owned(), "it is no option, and was not taken over")),
        }
    }
    if !options.unread.is_empty() {
        options.leave_open();
    }
    options.take_defaults(environment);
    options
}

/// `--option=value` as two words.
fn split_at_equals(words: &[Word]) -> Vec<Word> {
    let mut split = Vec::new();
    for word in words {
        match word.text.split_once('=') {
            Some((option, value)) if option.starts_with("--") && !option.contains('$') => {
                split.push(Word::known(option));
                split.push(Word { text: value.to_owned(), ..word.clone() });
            }
            _ => split.push(word.clone()),
        }
    }
    split
}

/// `tezos-signer-start` (serokell/tezos-packaging, `docker/package/scripts`) adds options for the variables of its environment that are not
/// empty.
fn read_packaging(options: &mut Options, environment: &Environment) {
    let setting = |name: &str| match environment.get(name) {
        Some("") => Setting::Absent,
        Some(value) => Setting::Given(Word::known(value)),
        None if environment.lacks(name) => Setting::Absent,
        None => Setting::Unknown,
    };
    options.base_dir = setting("TEZOS_CLIENT_DIR");
    options.magic_bytes = setting("MAGIC_BYTES");
    options.checks_watermark = match setting("CHECK_HIGH_WATERMARK") {
        Setting::Given(_) => Setting::Given(()),
        Setting::Unknown => Setting::Unknown,
        Setting::Absent => Setting::Absent,
    };
}

impl Options {
    /// Whether certificate and key are not both there yet.
    fn takes_file(&self) -> bool {
        self.files.len() < 2 && self.transport.as_ref().is_some_and(|transport| transport.text == "https")
    }

    /// What is not given may be in the part that was not read.
    fn leave_open(&mut self) {
        for setting in [&mut self.address, &mut self.port, &mut self.base_dir, &mut self.magic_bytes] {
            if *setting == Setting::Absent {
                *setting = Setting::Unknown;
            }
        }
        for setting in [&mut self.checks_watermark, &mut self.requires_authentication] {
            if *setting == Setting::Absent {
                *setting = Setting::Unknown;
            }
        }
    }

    /// The defaults of address and port are in the environment, if at all.
    fn take_defaults(&mut self, environment: &Environment) {
        let transport = match self.transport.as_ref().and_then(Word::value) {
            Some("http") => "HTTP",
            Some("https") => "HTTPS",
            Some("socket") => "TCP",
            _ => return,
        };
        for (setting, end) in [(&mut self.address, "HOST"), (&mut self.port, "PORT")] {
            let value = environment.get(&format!("TEZOS_SIGNER_{transport}_{end}"));
            if let (Setting::Absent, Some(value)) = (&*setting, value) {
                *setting = Setting::Given(Word::known(value));
            }
        }
    }
}
