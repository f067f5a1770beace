//! Signatory's vaults. Those with the driver `pkcs11` (`pkg/vault/pkcs11/vault.go`, `docs/pkcs11.md`) name the library, and may name keys;
//! those with `awskms` (`pkg/vault/aws/awskms.go`, `docs/aws_kms.md`) name the region, and no keys: Signatory takes every key of the account.
//! The first of both is taken over, because a signer has one place of keys.

use super::super::object::{Object, shown};
use super::super::{Draft, DraftKey, DraftPlace, MigrateError};
use serde_yaml::Value;
use tezos_signer_core::key::{PublicKey, PublicKeyHash};

/// The keys that vaults name.
#[derive(Default)]
pub(super) struct VaultKeys {
    keys: Vec<VaultKey>,
    place: Option<Place>,
}

/// Where the keys of the first vault are, which is the one that is taken over.
#[derive(PartialEq, Eq)]
enum Place {
    Library { path: Option<String>, slot: Option<String> },
    AwsKms { region: Option<String> },
}

/// What is said of a vault that is not the first.
const ONE_PLACE: &str =
    "a signer has one token or one region of AWS KMS: run another signer for the keys of this vault";

struct VaultKey {
    path: String,
    label: Option<String>,
    id: Option<String>,
    public_key: Option<PublicKey>,
    is_used: bool,
}

impl VaultKeys {
    pub(super) fn read(&mut self, draft: &mut Draft, vaults: Option<&Value>) -> Result<(), MigrateError> {
        Object::read(draft, "vaults", vaults, |draft, vaults| {
            for (name, vault) in vaults.rest() {
                let path = vaults.at(&name);
                let unusable =
                    "this signer supports only PKCS#11 tokens and AWS KMS: the keys of this vault cannot be used";
                match vault.get("driver").and_then(Value::as_str) {
                    Some("pkcs11") => self.read_vault(draft, &path, vault, Self::read_token)?,
                    Some("awskms" | "aws") => self.read_vault(draft, &path, vault, Self::read_kms)?,
                    Some(driver) => draft.change(format!("{path} ({})", shown(driver)), unusable),
                    None => draft.change(format!("{path} (no driver)"), unusable),
                }
            }
            Ok(())
        })
    }

    /// The reference has the fields in `config`, the examples beside `driver`.
    fn read_vault(
        &mut self,
        draft: &mut Draft,
        path: &str,
        vault: &Value,
        read_fields: fn(&mut Self, &mut Draft, &str, &mut Object<'_>) -> Result<(), MigrateError>,
    ) -> Result<(), MigrateError> {
        Object::read(draft, path, Some(vault), |draft, beside| {
            beside.take("driver");
            let inner = beside.take("config").filter(|inner| !inner.is_null());
            if inner.is_none() {
                return read_fields(self, draft, path, beside);
            }
            Object::read(draft, path, inner, |draft, inner| read_fields(self, draft, path, inner))
        })
    }

    /// Whether this vault is taken over: it is the first, or names the same place.
    fn is_taken(&mut self, draft: &mut Draft, path: &str, vault: &mut Object<'_>, place: Place) -> bool {
        if self.place.as_ref().is_some_and(|first| *first != place) {
            draft.change(path, ONE_PLACE);
            vault.rest();
            return false;
        }
        self.place = Some(place);
        true
    }

    fn read_kms(&mut self, draft: &mut Draft, path: &str, vault: &mut Object<'_>) -> Result<(), MigrateError> {
        let region = vault.text("region")?;
        if !self.is_taken(draft, path, vault, Place::AwsKms { region: region.clone() }) {
            return Ok(());
        }
        for field in ["access_key_id", "secret_access_key"] {
            vault.lose(
                draft,
                field,
                "the configuration of this signer has no credentials: they come from EKS Pod Identity, IRSA, the instance profile, or the \
                 file of awsKms.credentialsFile (docs/kms.md). Remove them from Signatory's configuration",
            );
        }
        vault.lose(draft, "user_name", "the name of the IAM user is not needed");
        draft.change(
            format!("{path}: every key of the account"),
            "Signatory lists the keys of the region; this signer uses those that it is told: fill in kmsKey of each key",
        );
        draft.place = DraftPlace::AwsKms { region };
        // Of the first releases.
        if let Some(id) = vault.text("kms_key_id")? {
            draft.lose(
                format!("{path}.kms_key_id: {id}"),
                "kmsKey is the ARN of a key, which ends in its id, or an alias",
            );
        }
        Ok(())
    }

    fn read_token(&mut self, draft: &mut Draft, path: &str, vault: &mut Object<'_>) -> Result<(), MigrateError> {
        let (library, slot) = (vault.text("library_path")?, vault.text("slot")?);
        if !self.is_taken(draft, path, vault, Place::Library { path: library.clone(), slot: slot.clone() }) {
            return Ok(());
        }
        if library.is_none() {
            draft.lose(
                format!("{path}.library_path"),
                "missing, so Signatory took it from the variable PKCS11_PATH of its environment",
            );
        }
        if slot.is_some() {
            draft.lose(format!("{path}.slot"), "this signer finds a token by its label, not by its slot number");
        }
        draft.place = DraftPlace::Token { module: library };
        vault.lose(
            draft,
            "pin",
            "the configuration of this signer has no PIN: put it into the file of pinFile, and remove it from Signatory's configuration",
        );
        vault.lose(
            draft,
            "slots",
            "slots and their PINs: this signer finds one token by its label, and its PIN is in the file of pinFile. Keys in another \
             slot need another signer",
        );
        vault.lose(
            draft,
            "public_keys_search_options",
            "this signer selects each key by its label or id, and compares its public key with the key in the token",
        );
        // Of the first releases with this vault: all keys with this label or id.
        let whole = VaultKey::read(draft, path, vault)?;
        self.keys.extend(Some(whole).filter(VaultKey::is_named));
        for (number, key) in vault.list("keys")?.into_iter().flatten().enumerate() {
            self.read_pair(draft, &format!("{path}.keys[{number}]"), key)?;
        }
        Ok(())
    }

    fn read_pair(&mut self, draft: &mut Draft, path: &str, key: &Value) -> Result<(), MigrateError> {
        Object::read(draft, path, Some(key), |draft, pair| {
            let private = format!("{path}.private");
            let mut key = Object::read(draft, &private, pair.take("private"), |draft, private_key| {
                VaultKey::read(draft, &private, private_key)
            })?;
            path.clone_into(&mut key.path);
            if let Some(text) = pair.text("public_value")? {
                key.public_key = text.parse().ok();
                if key.public_key.is_none() {
                    draft.lose(format!("{path}.public_value"), "not a public key, and was left out");
                }
            }
            let compared =
                "this signer takes the public key from its configuration (publicKey) and compares it with the token";
            pair.lose(draft, "public", compared);
            pair.lose(draft, "extended_private", compared);
            pair.lose(draft, "slot", "this signer finds a token by its label, not by its slot number");
            self.keys.push(key);
            Ok(())
        })
    }

    /// Gives `key` the selector of the key of the vaults that has its address.
    pub(super) fn select(&mut self, key: &mut DraftKey, address: PublicKeyHash, is_only_key: bool) {
        let is_only_pair = is_only_key && self.keys.len() == 1;
        let has_address = |other: &&mut VaultKey| match &other.public_key {
            Some(public_key) => public_key.hash() == address,
            None => is_only_pair,
        };
        if let Some(found) = self.keys.iter_mut().find(has_address) {
            found.is_used = true;
            key.public_key.clone_from(&found.public_key);
            key.label.clone_from(&found.label);
            key.id.clone_from(&found.id);
            return;
        }
        let names: Vec<_> = self.keys.iter().filter(|key| key.public_key.is_none()).map(VaultKey::name).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            key.label_hint = Some(format!("Signatory's vaults name {names}, but not which address each has"));
        }
    }

    /// The keys of vaults that are not taken over: none of them is dropped without a word.
    pub(super) fn report_unused(&self, draft: &mut Draft) {
        for key in self.keys.iter().filter(|key| !key.is_used) {
            let why = match &key.public_key {
                Some(public_key) => {
                    format!("tezos has no key {} that is taken over, so this key was left out", public_key.hash())
                }
                None => "the file does not say which address it has: use it where label is to be filled in".to_owned(),
            };
            draft.lose(format!("{}: {}", key.path, key.name()), why);
        }
    }
}

impl VaultKey {
    /// The label or id in `fields`.
    fn read(draft: &mut Draft, path: &str, fields: &mut Object<'_>) -> Result<Self, MigrateError> {
        let label = fields.text("label")?.filter(|label| !label.is_empty());
        // The second name is of other releases.
        let id = match fields.text("id")? {
            Some(id) => Some(id),
            None => fields.text("object_id")?,
        };
        let id = id.filter(|id| !id.is_empty());
        if label.is_some() && id.is_some() {
            draft.lose(
                format!("{path}.id"),
                "a key is selected by its label or its id, not both: the label was taken over",
            );
        }
        Ok(Self { path: path.to_owned(), label, id, public_key: None, is_used: false })
    }

    fn is_named(&self) -> bool {
        self.label.is_some() || self.id.is_some()
    }

    fn name(&self) -> String {
        match (&self.label, &self.id) {
            (Some(label), _) => format!("label {label:?}"),
            (None, Some(id)) => format!("id {id}"),
            (None, None) => "a key without label and id".to_owned(),
        }
    }
}
