//! What a process holds, and what must not grow.

use crate::process::Signer;

#[derive(Clone, Debug)]
pub(super) struct Vitals {
    pub(super) process: u32,
    pub(super) threads: usize,
    /// Those of the sessions.
    pub(super) hsm_threads: usize,
    pub(super) sessions: Option<u64>,
    pub(super) descriptors: usize,
    /// p11-kit-client.so 0.24.1 keeps the descriptor of each.
    pub(super) failed_initialisations: u64,
    pub(super) memory_kib: u64,
}

impl Vitals {
    pub(super) fn of(signer: &Signer) -> Self {
        let process = signer.id();
        let list = |what: &str| std::fs::read_dir(format!("/proc/{process}/{what}")).into_iter().flatten().flatten();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let memory =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        Self {
            process,
            threads: list("task").count(),
            hsm_threads: signer.session_threads(),
            sessions: signer.metric("tezos_signer_hsm_sessions"),
            descriptors: list("fd").count(),
            failed_initialisations: signer.metric_sum("tezos_signer_hsm_errors_total", r#"function="C_Initialize""#),
            memory_kib: memory.unwrap_or_default(),
        }
    }

    /// What has grown since `first`, beyond what connections and caches come and go with.
    pub(super) fn grown_since(&self, first: &Self) -> Vec<String> {
        let mut grown = Vec::new();
        let mut compare = |what: &str, before: u64, now: u64, allowed: u64| {
            if now > before + allowed {
                grown.push(format!("{what}: {before} at first, {now} at last"));
            }
        };
        compare("threads", first.threads as u64, self.threads as u64, 8);
        compare("threads of sessions", first.hsm_threads as u64, self.hsm_threads as u64, 0);
        compare("sessions", first.sessions.unwrap_or(0), self.sessions.unwrap_or(0), 0);
        compare(
            "file descriptors",
            first.descriptors as u64,
            self.descriptors as u64,
            12 + self.failed_initialisations,
        );
        compare("memory in KiB", first.memory_kib, self.memory_kib, first.memory_kib / 2 + 16 * 1024);
        grown
    }
}
