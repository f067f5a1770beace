//! The `process_*` metrics of the crate prometheus, but with the fractions of `process_cpu_seconds_total`. In whole seconds, the rate of a
//! process that needs few milliseconds a second is zero, with a peak now and then.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Opts};

const CPU: &str = "process_cpu_seconds_total";

/// Collects the metrics of this process.
pub(super) struct Process(ProcessCollector);

impl Process {
    pub(super) fn new() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl Collector for Process {
    // The description of the CPU time is among them.
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let cpu = Counter::with_opts(Opts::new(CPU, "Total user and system CPU time spent in seconds."));
        if let (Ok(cpu), Some(seconds)) = (cpu, cpu_seconds()) {
            cpu.inc_by(seconds);
            families.retain(|family| family.name() != CPU);
            families.extend(cpu.collect());
        }
        families
    }
}

/// The CPU time of this process. The kernel counts it in ticks of 10 ms.
#[allow(clippy::cast_precision_loss, reason = "exact for a million years")]
fn cpu_seconds() -> Option<f64> {
    let stat = procfs::process::Process::myself().and_then(|process| process.stat()).ok()?;
    Some((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Registry, TextEncoder};
    use std::time::{Duration, Instant};

    #[test]
    fn the_cpu_time_has_fractions_and_is_there_once() {
        let registry = Registry::new();
        registry.register(Box::new(Process::new())).unwrap();
        let scraped = || {
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(CPU)?.trim().parse::<f64>().ok());
            let value = lines.next().unwrap();
            assert_eq!(lines.next(), None, "{text}");
            assert!(text.contains("process_resident_memory_bytes "), "{text}");
            value
        };
        let (before, begin) = (scraped(), Instant::now());
        let mut used = 0.0;
        // A busy machine may give this process a tick of 10 ms late.
        while used <= 0.0 && begin.elapsed() < Duration::from_mins(1) {
            used = scraped() - before;
        }
        assert!(used > 0.0 && used < 1.0, "{used}");
    }
}
