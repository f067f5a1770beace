//! `check`: tries what signing needs, and says of each key what is there. It signs nothing but trial digests, and changes no
//! record.

use super::watermarks::read_all;
use super::{CommandError, Output, print_table};
use tezos_signer::audit::tail;
use tezos_signer::custody::CustodyError;
use tezos_signer::ending;
use tezos_signer::hsm;
use tezos_signer::serve::ServeError;
use tezos_signer_core::config::SignerConfig;

pub(super) async fn run(config: &SignerConfig, output: Output) -> Result<(), CommandError> {
    // Both are tried before either is told: who repairs one thing wants to know of the other.
    let hsm::Examination { keys: examined, hangs } =
        hsm::examine(&config.hsm, &config.keys).map_err(CommandError::Runtime)?;
    let records = read_all(config).await;
    let witness = tail::read(&config.audit).map_err(ServeError::from)?;
    let token = examined.as_ref().err().map(ToString::to_string);
    let store = records.as_ref().err().map(ToString::to_string);

    let mut fit = token.is_none() && store.is_none() && !config.keys.is_empty();
    let (mut rows, mut keys) = (Vec::new(), Vec::new());
    for (i, key) in config.keys.iter().enumerate() {
        let signed = match &examined {
            Ok(examined) => examined[i].time_to_sign.as_ref().map_err(ToString::to_string),
            Err(_) => Err("the token cannot be used".to_owned()),
        };
        let record = match &records {
            Ok(records) => records[i].1.as_ref().map_err(ToString::to_string).and_then(|snapshot| {
                let forgotten = witness.of(&key.record_name()).forgotten_by(&snapshot.record);
                forgotten.map_or(Ok(()), |proof| Err(CustodyError::Forgotten { proof }.to_string()))
            }),
            Err(_) => Err("the records cannot be read".to_owned()),
        };
        fit &= signed.is_ok() && record.is_ok();
        let curve = key.public_key.curve();
        let milliseconds = signed.as_ref().map(|time| time.as_secs_f64() * 1000.0);
        keys.push(serde_json::json!({
            "publicKeyHash": key.hash(),
            "curve": curve,
            "selector": key.selector.to_string(),
            "millisecondsToSign": milliseconds.as_ref().ok(),
            "hsm": signed.as_ref().err(),
            "record": record.as_ref().err(),
        }));
        rows.push(vec![
            key.hash().to_string(),
            curve.to_string(),
            milliseconds.map_or_else(Clone::clone, |time| format!("{time:.1} ms")),
            record.map_or_else(|error| error, |()| "there".to_owned()),
        ]);
    }
    let problems: Vec<_> = token.iter().chain(&store).collect();
    if output == Output::Json {
        let all = serde_json::json!({ "fit": fit, "problems": problems, "keys": keys });
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print_table(&["KEY", "CURVE", "TIME TO SIGN", "RECORD"], &rows);
    }
    for problem in problems {
        eprintln!("tezos-signer: {problem}");
    }
    let result = if fit { Ok(()) } else { Err(CommandError::Unfit) };
    if hangs {
        let status = result.map_or_else(
            |error| {
                eprintln!("tezos-signer: {error}");
                error.exit_status()
            },
            |()| 0,
        );
        ending::end(status);
    }
    result
}
