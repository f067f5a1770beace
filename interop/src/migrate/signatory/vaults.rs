//! Signatory's vaults. Only those with the driver `pkcs11` are of use here (`pkg/vault/pkcs11/vault.go`, `docs/pkcs11.md`): they name the
//! library, and may name keys.

use super::super::object::{Object, shown};
use super::super::{Draft, DraftKey, MigrateError};
use serde_yaml::Value;
use tezos_signer_core::key::{PublicKey, PublicKeyHash};

/// The keys that vaults name.
#[derive(Default)]
pub(super) struct VaultKeys {
    keys: Vec<VaultKey>,
    library: Option<Library>,
}

/// The token of the first vault, which is the one that is taken over.
#[derive(PartialEq, Eq)]
struct Library {
    path: Option<String>,
    slot: Option<String>,
}

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
                let unusable = "this signer supports only PKCS#11 tokens: the keys of this vault cannot be used";
                match vault.get("driver").and_then(Value::as_str) {
                    Some("pkcs11") => self.read_pkcs11(draft, &path, vault)?,
                    Some(driver) => draft.change(format!("{path} ({})", shown(driver)), unusable),
                    None => draft.change(format!("{path} (no driver)"), unusable),
                }
            }
            Ok(())
        })
    }

    /// The reference has the fields in `config`, the examples beside `driver`.
    fn read_pkcs11(&mut self, draft: &mut Draft, path: &str, vault: &Value) -> Result<(), MigrateError> {
        Object::read(draft, path, Some(vault), |draft, beside| {
            beside.take("driver");
            let inner = beside.take("config").filter(|inner| !inner.is_null());
            if inner.is_none() {
                return self.read_fields(draft, path, beside);
            }
            Object::read(draft, path, inner, |draft, inner| self.read_fields(draft, path, inner))
        })
    }

    fn read_fields(&mut self, draft: &mut Draft, path: &str, vault: &mut Object<'_>) -> Result<(), MigrateError> {
        let library = Library { path: vault.text("library_path")?, slot: vault.text("slot")? };
        if self.library.as_ref().is_some_and(|first| *first != library) {
            draft.change(path, "a signer has one token: run another signer for the keys of this vault");
            vault.rest();
            return Ok(());
        }
        if library.path.is_none() {
            draft.lose(
                format!("{path}.library_path"),
                "missing, so Signatory took it from the variable PKCS11_PATH of its environment",
            );
        }
        if library.slot.is_some() {
            draft.lose(format!("{path}.slot"), "this signer finds a token by its label, not by its slot number");
        }
        draft.module.clone_from(&library.path);
        self.library = Some(library);
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
