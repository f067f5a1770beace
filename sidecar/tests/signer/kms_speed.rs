//! What a signature of KMS costs beside the round trip: against a stand-in whose answers take a fixed time, through the library, medians of
//! one run.

use crate::kms_env::{ACCESS_KEY, SECRET_ACCESS_KEY};
use crate::kms_stand_in::{KmsStandIn, REGION, Spec};
use std::time::{Duration, Instant};
use tezos_signer::keystore::Keystore as _;
use tezos_signer::keystore::aws_kms::{AwsKms, KmsMetrics};
use tezos_signer_core::config::{AwsKmsConfig, KeyConfig, KeySource};
use tezos_signer_core::key::{ChainId, Message};

/// Of every answer of the stand-in.
const ROUND_TRIP: Duration = Duration::from_millis(20);

const SIGNATURES: usize = 50;

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A request of HTTP that is as large, on a connection that is open: what nobody can be faster than.
fn bare_round_trip(kms: &KmsStandIn, body: &serde_json::Value) -> Duration {
    let client = reqwest::blocking::Client::new();
    let ask = || {
        let begin = Instant::now();
        let request = client.post(kms.endpoint()).header("x-amz-target", "TrentService.Sign");
        let credential = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261130/{REGION}/kms/aws4_request");
        let answer = request.header("authorization", credential).body(body.to_string()).send().unwrap();
        assert!(answer.text().unwrap().contains("Signature"));
        begin.elapsed()
    };
    median((0..SIGNATURES).map(|_| ask()).collect())
}

#[test]
#[ignore = "measures times, and so needs the machine for itself: make bench-rust runs it alone"]
fn a_signature_costs_its_round_trip_and_at_most_a_millisecond() {
    let kms = KmsStandIn::start();
    let (arn, public_key) = kms.add_key("one", Spec::P256);
    kms.set_delay(ROUND_TRIP);
    let directory = tempfile::tempdir().unwrap();
    let credentials_file = directory.path().join("credentials");
    let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n");
    std::fs::write(&credentials_file, text).unwrap();
    let config = AwsKmsConfig {
        region: REGION.parse().unwrap(),
        endpoint: Some(kms.endpoint().parse().unwrap()),
        credentials_file: Some(credentials_file),
    };
    let key = KeyConfig::new(public_key, KeySource::AwsKms(arn.parse().unwrap()), ChainId::MAINNET);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let signed = runtime.block_on(async {
        let keystore = AwsKms::start(&config, std::slice::from_ref(&key), KmsMetrics::new().unwrap());
        let mut times = Vec::new();
        for number in 0..SIGNATURES {
            let message = Message::new(&number.to_be_bytes());
            let begin = Instant::now();
            keystore.sign(key.hash(), &message, tokio::time::Instant::now() + Duration::from_secs(5)).await.unwrap();
            times.push(begin.elapsed());
        }
        median(times)
    });
    let body = kms.take_asked().pop().unwrap().body;
    let bare = bare_round_trip(&kms, &body);
    let own = signed.saturating_sub(bare);
    println!("a signature of KMS: {signed:?}, a bare request: {bare:?}, so {own:?} are ours");
    assert!(own <= Duration::from_millis(1) || cfg!(debug_assertions), "{own:?}");
}
