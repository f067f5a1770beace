//! An etcd and an API server of one test's own, whose data can be put back to what it was: the program `target/tools/controlplane`
//! (e2e/cmd/controlplane), which ends them when this is dropped, also by a panic.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

pub(crate) struct ControlPlane {
    process: Child,
    /// Taken when dropped: its end ends the program.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    kubeconfig: PathBuf,
    _directory: TempDir,
}

impl ControlPlane {
    /// Returns when the API server is ready.
    pub(crate) fn start() -> Self {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        let program = checkout.join("target/tools/controlplane");
        assert!(program.exists(), "there is no {}: `make build` builds it", program.display());
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(&program);
        command.arg(&checkout).arg(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let commands = process.stdin.take();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let kubeconfig = line(&mut answers).into();
        Self { process, commands, answers, kubeconfig, _directory: directory }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// Copies all that etcd has, which is stopped meanwhile.
    pub(crate) fn back_up(&mut self) {
        self.run("back-up");
    }

    /// Puts the copy in the place of what etcd has.
    pub(crate) fn restore(&mut self) {
        self.run("restore");
    }

    fn run(&mut self, command: &str) {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        assert_eq!(line(&mut self.answers), "done", "{command}: why is in the output of the program");
    }
}

fn line(from: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.commands.take();
        let _ = self.process.wait();
    }
}
