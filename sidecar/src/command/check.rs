//! `check`: checks everything that signing needs, and reports each item and each key. It signs only trial digests, and
//! changes no record.

mod place;

use super::watermarks::read_all;
use super::{CommandError, Output, print_line, print_table};
use place::Place;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tezos_signer::audit::evidence;
use tezos_signer::config_file::ConfigFile;
use tezos_signer::records::session::RecordSessionError;
use tezos_signer::serve::ServeError;
use tezos_signer::{exit, file_permissions};
use tezos_signer_core::config::{KeyConfig, SignerConfig, WatermarkConfig};
use tezos_signer_core::position::ConsensusKind;
use tezos_signer_core::record::Record;

/// What the token's part of a key has come to, and the record's.
struct Tried<'a> {
    key: &'a KeyConfig,
    signed: Result<Duration, String>,
    record: Result<Record, String>,
}

/// Something else that signing needs.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    fit: bool,
    message: String,
}

pub(super) async fn run(from: &ConfigFile, output: Output) -> Result<(), CommandError> {
    let config = &from.config;
    // Everything is checked before anything is printed, so that all problems are reported at once.
    let Place { finding: of_place, signed, hangs } = place::examine(config).await?;
    let records = read_all(config).await;
    let witness = evidence::read(&config.audit).map_err(ServeError::from)?;

    let tried = config.keys.iter().enumerate().map(|(i, key)| {
        let signed = signed.get(&key.hash()).cloned();
        let signed = signed.unwrap_or_else(|| Err("it was not tried".to_owned()));
        let record = match &records {
            Ok(records) => records[i].1.as_ref().map_err(ToString::to_string).and_then(|snapshot| {
                let forgotten = witness.of(&key.record_name()).forgotten_by(&snapshot.record);
                let record = snapshot.record.clone();
                forgotten.map_or(Ok(record), |proof| Err(RecordSessionError::Forgotten { proof }.to_string()))
            }),
            Err(_) => Err("the records cannot be read".to_owned()),
        };
        Tried { key, signed, record }
    });
    let tried: Vec<Tried<'_>> = tried.collect();

    let mut findings = vec![of_place, of_store(config, records.as_ref().err())];
    if !file_permissions::are_of_a_pod() {
        findings.extend(file_permissions::examine(&from.config, &from.file).iter().map(of_file));
    }
    let all_fit = !tried.is_empty()
        && tried.iter().all(|tried| tried.signed.is_ok() && tried.record.is_ok())
        && findings.iter().all(|finding| finding.fit);
    print_report(&tried, &findings, all_fit, output)?;

    let result = if all_fit { Ok(()) } else { Err(CommandError::Unfit) };
    if hangs {
        let status = result.map_or_else(
            |error| {
                eprintln!("tezos-signer: {error}");
                error.exit_status()
            },
            |()| 0,
        );
        exit::end(status);
    }
    result
}

fn of_store(config: &SignerConfig, error: Option<&CommandError>) -> Finding {
    let message = match (&config.watermarks, error) {
        (_, Some(error)) => error.to_string(),
        (Some(WatermarkConfig::ConfigMap(config)), None) => {
            format!("ConfigMaps in {}, shared by all signers that use them", config.namespace)
        }
        _ => "files, which protect on this host only: no other host may sign with these keys".to_owned(),
    };
    Finding { what: "watermarks", fit: error.is_none(), message }
}

fn of_file(file: &file_permissions::File) -> Finding {
    let message = file.exposure.as_ref().map_or_else(|| file.path.display().to_string(), ToString::to_string);
    Finding { what: file.field, fit: file.exposure.is_none(), message }
}

fn print_report(tried: &[Tried<'_>], findings: &[Finding], fit: bool, output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        let problems: Vec<_> = findings.iter().filter(|finding| !finding.fit).map(|finding| &finding.message).collect();
        let keys: Vec<_> = tried.iter().map(json_of).collect();
        let all = json!({ "fit": fit, "problems": problems, "checks": findings, "keys": keys });
        print_line!("{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    let rows: Vec<_> = tried.iter().map(row_of).collect();
    let titles = ConsensusKind::ALL.map(|kind| kind.as_str().to_uppercase());
    let titles = [&["KEY", "CURVE", "TIME TO SIGN", "RECORD"][..], &titles.each_ref().map(String::as_str)].concat();
    print_table(&titles, &rows)?;
    print_line!("")?;
    let rows = findings.iter().map(|finding| {
        let state = if finding.fit { "well" } else { "WRONG" };
        vec![finding.what.to_owned(), state.to_owned(), finding.message.clone()]
    });
    print_table(&["WHAT", "STATE", ""], &rows.collect::<Vec<_>>())?;
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn json_of(tried: &Tried<'_>) -> Value {
    let rows = ConsensusKind::ALL.into_iter().filter_map(|kind| {
        let position = tried.record.as_ref().ok()?.rows.get(kind)?.position;
        Some((kind.to_string(), json!({ "level": position.level, "round": position.round })))
    });
    json!({
        "publicKeyHash": tried.key.hash(),
        "curve": tried.key.public_key.curve(),
        "selector": tried.key.source.to_string(),
        "millisecondsToSign": tried.signed.as_ref().ok().copied().map(milliseconds),
        "hsm": tried.signed.as_ref().err(),
        "record": tried.record.as_ref().err(),
        "rows": rows.collect::<serde_json::Map<_, _>>(),
    })
}

/// The key, the result, and the levels above which its next signatures must be.
fn row_of(tried: &Tried<'_>) -> Vec<String> {
    let level = |kind| match &tried.record {
        Ok(record) => {
            record.rows.get(kind).map_or("nothing is signed".to_owned(), |row| row.position.level.to_string())
        }
        Err(_) => "-".to_owned(),
    };
    let record = match &tried.record {
        Ok(record) if record.suspend => "suspended".to_owned(),
        Ok(record) => record.ceiling.map_or("there".to_owned(), |ceiling| format!("ceiling {ceiling}")),
        Err(error) => error.clone(),
    };
    let time = tried.signed.as_ref().map_or_else(Clone::clone, |time| format!("{:.1} ms", milliseconds(*time)));
    let [a, b, c] = ConsensusKind::ALL.map(level);
    vec![tried.key.hash().to_string(), tried.key.public_key.curve().to_string(), time, record, a, b, c]
}
