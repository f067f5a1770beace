//! Signatory's configuration file (ecadlabs/signatory, `pkg/config/config.go`, and `PreparePolicy` in `pkg/signatory`). The vaults:
//! [`vaults`]. What a key may sign: [`policy`].

mod policy;
mod vaults;

use super::object::{Object, yaml_value};
use super::{Address, Draft, MigrateError, START_ANEW};
use serde_yaml::Value;
use tezos_signer_core::authentication::ClientKey;
use vaults::VaultKeys;

pub(super) fn read(text: &str) -> Result<Draft, MigrateError> {
    let value = yaml_value(text)?;
    if !value.is_mapping() {
        return Err(MigrateError("it is not a YAML mapping: expected Signatory's configuration file".into()));
    }
    if !value.get("tezos").is_some_and(Value::is_mapping) {
        return Err(MigrateError("tezos is missing: expected Signatory's configuration file".into()));
    }
    let mut draft = Draft::default();
    Object::read(&mut draft, "", Some(&value), |draft, config| {
        read_server(draft, config.take("server"))?;
        if config.take("policy_hook").is_some() {
            draft.change(
                "policy_hook",
                "not supported: what the hook would have refused is signed, because allow and its limits are the only policy of a key",
            );
        }
        let mut keys = VaultKeys::default();
        keys.read(draft, config.take("vaults"))?;
        policy::read(draft, config.take("tezos"), &mut keys)?;
        keys.report_unused(draft);
        let base_dir = config.text("base_dir")?;
        if base_dir.is_some() {
            draft.lose("base_dir", "this signer keeps its records in the directory of watermarks.file");
        }
        read_watermark(draft, config.take("watermark"), base_dir.as_deref())
    })?;
    draft.report_open_listener();
    Ok(draft)
}

fn read_server(draft: &mut Draft, server: Option<&Value>) -> Result<(), MigrateError> {
    Object::read(draft, "server", server, |draft, server| {
        draft.listen = read_address(server, "address", "port", ":6732")?;
        draft.admin = read_address(server, "utility_address", "utility_port", ":9583")?;
        if let Some(keys) = server.take("authorized_keys").filter(|keys| !keys.is_null()) {
            draft.require_authentication = true;
            draft.authorized_keys = public_keys(draft, "server.authorized_keys", keys);
        }
        if server.take("jwt").is_some() {
            draft.change(
                "server.jwt",
                "passwords and tokens are not supported, so clients are not asked for them: clients sign their requests \
                 (authorizedKeys)",
            );
        }
        Ok(())
    })
}

/// `port` is the name of the field in the first releases.
fn read_address(server: &mut Object<'_>, field: &str, port: &str, default: &str) -> Result<Address, MigrateError> {
    let (address, port) = (server.text(field)?, server.text(port)?);
    Ok(match (address, port) {
        (Some(address), _) => Address::of_text(&address),
        (None, Some(port)) => Address::of(Some(""), Some(&port)),
        (None, None) => Address::of_text(default),
    })
}

/// One, or a list, or a list of lists.
fn public_keys(draft: &mut Draft, field: &str, value: &Value) -> Vec<ClientKey> {
    match value {
        Value::Sequence(all) => all.iter().flat_map(|value| public_keys(draft, field, value)).collect(),
        value => {
            let key = value.as_str().and_then(|text| text.parse().ok());
            if key.is_none() {
                draft.lose(field, "an entry is not a public key, and was left out");
            }
            key.into_iter().collect()
        }
    }
}

/// Where Signatory's watermarks are. Without a driver it takes the files.
fn read_watermark(draft: &mut Draft, watermark: Option<&Value>, base_dir: Option<&str>) -> Result<(), MigrateError> {
    let base_dir = base_dir.unwrap_or("/var/lib/signatory").to_owned();
    let is_there = watermark.is_some_and(|watermark| !watermark.is_null());
    Object::read(draft, "watermark", watermark, |draft, watermark| {
        let instead = "replaced by the watermark record of this signer. Import the";
        let why = match watermark.text("driver")?.as_deref() {
            Some("file") => Ok(("file", format!("{instead} files: docs/moving/signatory.md"))),
            Some("aws") => Ok(("aws", format!("{instead} table: docs/moving/signatory.md"))),
            Some("mem") => Ok(("mem", format!("its watermarks were lost at each restart: {START_ANEW}"))),
            Some("gcp" | "firestore") => {
                Ok(("gcp", format!("its watermarks in Firestore cannot be imported: {START_ANEW}")))
            }
            Some(_) => Err("it is none of file, mem, aws and gcp, so it is not known where the watermarks are"),
            None if is_there => Err("watermark has no driver, so it is not certain where the watermarks are"),
            None => Ok(("file, the default", format!("{instead} files: docs/moving/signatory.md"))),
        };
        match why {
            Ok((driver, why)) => draft.lose(format!("watermark.driver: {driver}"), why),
            Err(reason) => draft.lose(
                "watermark.driver",
                format!(
                    "{reason}. Look into {base_dir}: if there is a directory watermark_v2, watermark_v1 or watermark, import it \
                     (docs/moving/signatory.md). If there is none, {START_ANEW}"
                ),
            ),
        }
        watermark.lose(draft, "config", "of Signatory's own storage of watermarks; needed only for the export");
        Ok(())
    })
}
