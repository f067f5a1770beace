//! Runs a page of `docs/` as a script: the blocks of shell commands, by the headings that they stand under, in a directory that stands
//! for a host. Only paths and addresses are replaced.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct DocRunner {
    /// Heading and commands.
    blocks: Vec<(String, String)>,
    /// What is another text on this host.
    pub(crate) replaced: Vec<(String, String)>,
    directory: PathBuf,
    environment: Vec<(String, String)>,
}

impl DocRunner {
    pub(crate) fn read(page: &str, directory: &Path) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut heading, mut blocks, mut inside) = (String::new(), Vec::new(), None);
        for line in text.lines() {
            match (&mut inside, line) {
                (None, "```sh") => inside = Some(String::new()),
                (Some(_), "```") => blocks.push((heading.clone(), inside.take().unwrap())),
                (Some(block), line) => block.extend([line, "\n"]),
                (None, line) => {
                    if let Some(title) = line.strip_prefix("## ") {
                        title.clone_into(&mut heading);
                    }
                }
            }
        }
        assert!(!blocks.is_empty(), "{} has no commands", path.display());
        Self { blocks, replaced: Vec::new(), directory: directory.to_owned(), environment: Vec::new() }
    }

    /// Puts a program before all others.
    pub(crate) fn install(&mut self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let programs = self.directory.join("bin");
        std::fs::create_dir_all(&programs).unwrap();
        std::fs::write(programs.join(name), script).unwrap();
        std::fs::set_permissions(programs.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn set(&mut self, name: &str, value: &Path) {
        self.environment.push((name.to_owned(), value.to_str().unwrap().to_owned()));
    }

    /// Runs the commands under a heading, as they are: whatever is not to happen after a failure, the page itself must prevent.
    pub(crate) fn run(&self, heading: &str) -> Result<String, String> {
        let blocks = self.blocks.iter().filter(|(found, _)| found == heading);
        let mut script = blocks.map(|(_, block)| block.as_str()).collect::<String>();
        assert!(!script.is_empty(), "there are no commands under {heading:?}");
        for (from, to) in &self.replaced {
            script = script.replace(from, to);
        }
        let path = format!("{}:{}", self.directory.join("bin").display(), std::env::var("PATH").unwrap());
        let ended = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&self.directory)
            .env("PATH", path)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        if ended.status.success() { Ok(output) } else { Err(format!("{heading}: {output}\n{script}")) }
    }
}
