//! The commands that read and change records, against an API server that does not answer each time: a person in a hurry is not sent away
//! after one call's time.

use crate::own_process::in_own_process;
use crate::scripted_api::{Fault, NAMESPACE, ScriptedApi};
use crate::test_env::{CommandResult, FLOOR, TestEnv};
use serde_json::json;
use std::ops::RangeInclusive;
use std::time::Instant;
use tezos_signer::store::{ConfigMapStore, Store as _};
use tezos_signer_core::record::Record;

/// How long a command asks an API server that does not answer, in seconds: ten, and as long as a program takes to start on a busy machine.
const LIMIT: RangeInclusive<u64> = 8..=14;

/// A request that is answered as it should be.
const fn answered() -> Fault {
    Fault::AnswerEdited(|_| {})
}

/// A configuration, and an API server that has the records of its keys.
struct ScriptedCluster {
    env: TestEnv,
    api: ScriptedApi,
}

impl ScriptedCluster {
    async fn new(env: TestEnv) -> Self {
        let cluster = Self::without_records(env).await;
        let store = ConfigMapStore::connect(NAMESPACE).await.unwrap();
        for key in [cluster.env.tz3(), cluster.env.tz2()] {
            store
                .create(&key.record_name(), &Record::starting_above(i64::from(FLOOR).try_into().unwrap()))
                .await
                .unwrap();
        }
        cluster.api.asked();
        cluster
    }

    async fn without_records(env: TestEnv) -> Self {
        let api = ScriptedApi::offer(&env).await;
        env.set_config(json!({"watermarks": {"configMap": {"namespace": NAMESPACE}}}));
        Self { env, api }
    }

    /// Runs `watermarks` with these arguments, while the next requests have these faults; returns what was asked for the record too.
    fn watermarks(&self, arguments: &[&str], faults: impl IntoIterator<Item = Fault>) -> (CommandResult, Vec<String>) {
        self.api.fail_next(faults);
        let ended = tokio::task::block_in_place(|| self.env.run(&[&["watermarks"], arguments].concat()));
        (ended, self.api.asked().into_iter().map(|asked| asked.method).collect())
    }

    fn row(&self, row: &str) -> serde_json::Value {
        self.api.object(self.env.tz3().record_name().as_str())["data"][row].clone()
    }
}

#[test]
fn a_change_is_made_however_its_first_calls_fail() {
    in_own_process(async |env| {
        let cluster = ScriptedCluster::new(env).await;
        let hash = cluster.env.tz3().hash().to_string();
        let busy = || Fault::Refused(503, "ServiceUnavailable", Some(1));
        let cases: [(&str, Vec<Fault>, &[&str]); 7] = [
            ("the read hangs, twice", vec![Fault::Hangs, Fault::Hangs], &["GET", "GET", "GET", "PUT"]),
            ("the read fails", vec![Fault::Refused(500, "InternalError", None)], &["GET", "GET", "PUT"]),
            ("the read is turned away, and again", vec![busy(), busy()], &["GET", "GET", "GET", "PUT"]),
            ("the write hangs", vec![answered(), Fault::Hangs], &["GET", "PUT", "GET", "PUT"]),
            ("the write was done", vec![answered(), Fault::Cut], &["GET", "PUT", "GET"]),
            (
                "the write hangs, and so does the read after it",
                vec![answered(), Fault::Hangs, Fault::Hangs],
                &["GET", "PUT", "GET", "GET", "PUT"],
            ),
            (
                "somebody else writes",
                vec![answered(), Fault::Refused(409, "Conflict", None), answered(), Fault::Hangs],
                &["GET", "PUT", "GET", "PUT", "GET", "PUT"],
            ),
        ];
        for (i, (what, faults, methods)) in (1_u32..).zip(cases) {
            let level = (FLOOR + 1000 - i).to_string();
            let (ended, asked) = cluster.watermarks(&["ceiling", "--level", &level, "--key", &hash], faults);
            let output = ended.succeeded();
            assert!(output.contains(&format!("level {level}")), "{what}: {output}");
            assert_eq!(asked, methods, "{what}");
            assert_eq!(cluster.row("ceiling"), level, "{what}");
        }
        let (ended, _) = cluster.watermarks(&["suspend", "--key", &hash], [Fault::Hangs, answered(), Fault::Hangs]);
        ended.succeeded();
        assert_eq!(cluster.row("suspend"), "true");
    });
}

/// What became of it nobody knows, whatever the API server says afterwards.
#[test]
fn a_write_without_an_answer_is_not_forgotten_when_what_follows_is_refused() {
    in_own_process(async |env| {
        let cluster = ScriptedCluster::new(env).await;
        let hash = cluster.env.tz3().hash().to_string();
        let refused = || Fault::Refused(403, "Forbidden", None);
        for (what, faults) in [
            ("the read", vec![answered(), Fault::Hangs, refused()]),
            ("the next write", vec![answered(), Fault::Hangs, answered(), refused()]),
        ] {
            let (ended, _) = cluster.watermarks(&["suspend", "--key", &hash], faults);
            let output = ended.failed();
            assert!(output.contains("may have been changed") && output.contains("403"), "{what}: {output}");
        }
        let (ended, _) = cluster.watermarks(&["suspend", "--key", &hash], [answered(), refused()]);
        let output = ended.failed();
        assert!(!output.contains("may have been changed"), "the first one was certainly refused: {output}");
    });
}

#[test]
fn an_api_server_that_never_answers_ends_the_command_after_its_time_with_what_to_do() {
    in_own_process(async |env| {
        let cluster = ScriptedCluster::new(env).await;
        let before = cluster.row("attestation");
        let hash = cluster.env.tz3().hash().to_string();
        let raise = ["raise", "--level", &(FLOOR + 5).to_string(), "--key", &hash];
        let run = |arguments: &[&str], faults: Vec<Fault>| {
            let began = Instant::now();
            let (ended, asked) = cluster.watermarks(arguments, faults);
            (ended.failed(), asked, began.elapsed())
        };
        let hangs = || (0..40).map(|_| Fault::Hangs);

        let (output, asked, took) = run(&["show"], hangs().collect());
        for key in [cluster.env.tz3(), cluster.env.tz2()] {
            assert!(output.contains(&key.hash().to_string()), "{output}");
        }
        assert!(output.contains("the API server did not answer in time. Tried "), "{output}");
        assert!(asked.len() > 8 && asked.iter().all(|asked| asked == "GET"), "{asked:?}");
        // All records together.
        assert!(LIMIT.contains(&took.as_secs()), "{took:?}");

        cluster.api.heal();
        let (output, asked, took) = run(&raise, std::iter::once(answered()).chain(hangs()).collect());
        let name = cluster.env.tz3().record_name();
        for part in ["Tried ", &format!("The record {name} may have been changed"), "Run the command again"] {
            assert!(output.contains(part), "{part}: {output}");
        }
        assert_eq!(asked[..3], ["GET", "PUT", "GET"], "{asked:?}");
        assert!(LIMIT.contains(&took.as_secs()), "{took:?}");
        cluster.api.heal();
        assert_eq!(cluster.row("attestation"), before);
        cluster.watermarks(&raise, []).0.succeeded();
    });
}

#[test]
fn what_the_api_server_refuses_for_good_ends_the_command_at_once() {
    in_own_process(async |env| {
        let cluster = ScriptedCluster::new(env).await;
        let hash = cluster.env.tz3().hash().to_string();
        for (code, reason, output, tries) in [
            (401, "Unauthorized", "the API server rejected the request: 401", 2),
            (403, "Forbidden", "break-glass", 1),
            (422, "Invalid", "the API server rejected the request: 422: scripted 422", 1),
        ] {
            let refusals = (0..tries).map(|_| Fault::Refused(code, reason, None));
            let faults: Vec<_> = std::iter::once(answered()).chain(refusals).collect();
            let (ended, asked) = cluster.watermarks(&["suspend", "--key", &hash], faults);
            let text = ended.failed();
            assert!(text.contains(output), "{code}: {text}");
            assert_eq!(asked.len(), 1 + tries, "{code}: {asked:?}");
        }
    });
}

#[test]
fn records_are_made_however_the_first_calls_fail_and_one_of_somebody_else_is_refused() {
    in_own_process(async |env| {
        let cluster = ScriptedCluster::without_records(env).await;
        let initialise =
            |level: u32, faults: Vec<Fault>| cluster.watermarks(&["initialise", "--level", &level.to_string()], faults);
        // Of the first key the answer is lost, of the second the request.
        let (ended, asked) = initialise(FLOOR, vec![Fault::Cut, answered(), answered(), Fault::Hangs]);
        assert_eq!(ended.succeeded().matches("record made").count(), 2);
        assert_eq!(asked, ["POST", "POST", "GET", "POST", "POST"]);
        let (ended, _) = initialise(FLOOR + 1, vec![Fault::Hangs]);
        assert_eq!(ended.failed().matches("refused").count(), 2);
        assert!(cluster.row("block").as_str().unwrap().starts_with(&FLOOR.to_string()));
    });
}
