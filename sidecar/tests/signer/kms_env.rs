//! A directory of its own for one test whose keys are in KMS, and the commands and processes that run there.

use crate::kms_stand_in::{KmsStandIn, REGION, Spec};
use crate::process::Signer;
use crate::test_env::{FLOOR, TestEnv, permit};
use serde_json::{Value, json};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::SigningPublicKey;

/// What nobody may see anywhere.
pub(crate) const SECRET_ACCESS_KEY: &str = "aSecretAccessKeyThatNobodyMaySee";
pub(crate) const SESSION_TOKEN: &str = "aSessionTokenThatNobodyMaySee";

/// Credentials that any endpoint accepts.
pub(crate) const ACCESS_KEY: &str = "AKIATEST";

/// What an environment of AWS tools has on this machine must not reach the signer, and an instance's metadata is not asked for.
pub(crate) const NO_AWS: [(&str, &str); 4] = [
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ("AWS_PROFILE", "default"),
];

/// The key of the configuration for a key of KMS.
pub(crate) fn key(public_key: &SigningPublicKey, kms_key: &str) -> Value {
    json!({"publicKey": public_key.to_string(), "kmsKey": kms_key, "chain": "NetXdQprcVkpaWU"})
}

/// With these keys at an endpoint, credentials in a file, and without records.
pub(crate) fn env_of(endpoint: &str, keys: &[Value]) -> TestEnv {
    let env = TestEnv::without_token(json!({"keys": keys}));
    write_credentials(&env, ACCESS_KEY);
    env.set_config(json!({
        "awsKms": {"region": REGION, "endpoint": endpoint, "credentialsFile": env.path.join("credentials")},
    }));
    env
}

/// Writes the credentials file anew.
pub(crate) fn write_credentials(env: &TestEnv, access_key: &str) {
    let text = format!(
        "[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {SECRET_ACCESS_KEY}\naws_session_token = {SESSION_TOKEN}\n"
    );
    std::fs::write(env.path.join("credentials"), text).unwrap();
    permit(&env.path.join("credentials"), 0o600);
}

/// One key of each scheme that KMS has, in [`Spec::ALL`]'s order, at a stand-in; with records.
pub(crate) fn three_keys() -> (KmsStandIn, TestEnv) {
    let kms = KmsStandIn::start();
    let keys = Spec::ALL.map(|spec| {
        let (arn, public_key) = kms.add_key(&format!("{spec:?}").to_lowercase(), spec);
        key(&public_key, &arn)
    });
    let env = env_of(&kms.endpoint(), &keys);
    initialise(&env);
    (kms, env)
}

pub(crate) fn initialise(env: &TestEnv) {
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
}

/// Starts the signer, and waits until it can sign.
pub(crate) fn start(env: &TestEnv) -> Signer {
    let signer = start_unready(env);
    crate::process::wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer
}

pub(crate) fn start_unready(env: &TestEnv) -> Signer {
    Signer::start_with(env, &NO_AWS)
}

/// The ARN or alias of a configured key.
pub(crate) fn kms_key(key: &KeyConfig) -> String {
    key.source.to_string()
}
