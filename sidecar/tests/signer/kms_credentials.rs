//! Where credentials of AWS come from, each by a stand-in on loopback: EKS Pod Identity, a web identity token (IRSA), the metadata service of
//! an instance, a shared file. And that they are replaced in time, beside the requests.

use crate::kms_env::{ACCESS_KEY, NO_AWS, SECRET_ACCESS_KEY, SESSION_TOKEN, three_keys};
use crate::kms_stand_in::KmsStandIn;
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get, post, put};
use jiff::Timestamp;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ROLE: &str = "arn:aws:iam::111122223333:role/baker";

/// Serves on loopback, for as long as the process lives.
fn serve(router: Router) -> SocketAddr {
    let listener = crate::ports::listener();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    address
}

/// Credentials as AWS' endpoints write them, which end after `lifetime`.
fn credentials(access_key: &str, lifetime: Duration) -> String {
    let expiration = Timestamp::now() + lifetime;
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": Timestamp::now(), "AccessKeyId": access_key,
        "SecretAccessKey": SECRET_ACCESS_KEY, "Token": SESSION_TOKEN, "Expiration": expiration,
    })
    .to_string()
}

/// Keys at a stand-in, and no file of credentials.
fn without_file() -> (KmsStandIn, TestEnv) {
    let (kms, env) = three_keys();
    env.set_config(json!({"awsKms": {"region": "eu-west-1", "endpoint": kms.endpoint()}}));
    (kms, env)
}

/// Starts with this environment beside one without AWS, signs, and returns which access key KMS has seen.
fn access_key_with(kms: &KmsStandIn, env: &TestEnv, environment: &[(&str, &str)]) -> String {
    let signer = started_with(env, environment);
    signer.signature(&env.config().keys[0], &attestation(FLOOR + 1, 0, 1));
    let log = signer.log();
    assert!(!log.contains(SECRET_ACCESS_KEY) && !log.contains(SESSION_TOKEN));
    let last = kms.take_asked().pop().unwrap();
    assert_eq!(last.token, SESSION_TOKEN);
    last.access_key
}

fn started_with(env: &TestEnv, environment: &[(&str, &str)]) -> Signer {
    let signer = Signer::start_with(env, &[&NO_AWS[..], environment].concat());
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer
}

/// As the agent of EKS Pod Identity, which wants the pod's token. It reports how often it was asked.
fn pod_identity(lifetime: Duration, is_down: Arc<AtomicBool>) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = async move |State((asked, is_down)): State<(Arc<AtomicUsize>, Arc<AtomicBool>)>,
                             headers: HeaderMap| {
        if is_down.load(Ordering::SeqCst) {
            return (StatusCode::INTERNAL_SERVER_ERROR, String::new());
        }
        assert_eq!(headers["authorization"], "the-token-of-the-pod");
        let number = asked.fetch_add(1, Ordering::SeqCst);
        (StatusCode::OK, credentials(&format!("AKIAPOD{number}"), lifetime))
    };
    let router = Router::new().route("/v1/credentials", get(answer)).with_state((asked.clone(), is_down));
    (format!("http://{}/v1/credentials", serve(router)), asked)
}

fn token_file(env: &TestEnv) -> String {
    let path = env.path.join("token");
    std::fs::write(&path, "the-token-of-the-pod").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn pod_identity_is_asked_with_the_token_of_the_pod() {
    let (kms, env) = without_file();
    let (endpoint, _) = pod_identity(Duration::from_hours(1), Arc::default());
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token_file(&env)),
    ];
    assert_eq!(access_key_with(&kms, &env, &environment), "AKIAPOD0");
}

#[test]
fn a_web_identity_token_is_exchanged_for_the_role() {
    let (kms, env) = without_file();
    let answer = async |request: Request| {
        let body = axum::body::to_bytes(request.into_body(), 10_000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        for part in ["Action=AssumeRoleWithWebIdentity", "WebIdentityToken=the-token-of-the-pod", "role%2Fbaker"] {
            assert!(body.contains(part), "{body}");
        }
        let expiration = Timestamp::now() + Duration::from_hours(1);
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
             <Credentials><AccessKeyId>AKIAIRSA</AccessKeyId><SecretAccessKey>{SECRET_ACCESS_KEY}</SecretAccessKey>\
             <SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>{expiration}</Expiration></Credentials>\
             <AssumedRoleUser><Arn>{ROLE}</Arn><AssumedRoleId>AROA:one</AssumedRoleId></AssumedRoleUser>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
    };
    let sts = format!("http://{}", serve(Router::new().route("/", post(answer))));
    let environment =
        [("AWS_ROLE_ARN", ROLE), ("AWS_WEB_IDENTITY_TOKEN_FILE", &token_file(&env)), ("AWS_ENDPOINT_URL_STS", &sts)];
    assert_eq!(access_key_with(&kms, &env, &environment), "AKIAIRSA");
}

#[test]
fn the_profile_of_the_instance_is_taken_where_nothing_else_is() {
    let (kms, env) = without_file();
    let role = async || (StatusCode::OK, "baker".to_owned());
    let router = Router::new()
        .route(
            "/latest/api/token",
            put(async || ([("x-aws-ec2-metadata-token-ttl-seconds", "21600")], "the-token-of-the-instance")),
        )
        .route("/latest/meta-data/iam/security-credentials/", get(role))
        .route(
            "/latest/meta-data/iam/security-credentials/baker",
            get(async |headers: HeaderMap| {
                assert_eq!(headers["x-aws-ec2-metadata-token"], "the-token-of-the-instance");
                credentials("AKIAINSTANCE", Duration::from_hours(1))
            }),
        )
        .fallback(any(async || StatusCode::NOT_FOUND));
    let endpoint = format!("http://{}", serve(router));
    let environment =
        [("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str())];
    assert_eq!(access_key_with(&kms, &env, &environment), "AKIAINSTANCE");
}

#[test]
fn a_shared_file_is_taken_by_the_configuration_before_anything_else() {
    let (kms, env) = three_keys();
    let environment = [("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "x")];
    assert_eq!(access_key_with(&kms, &env, &environment), ACCESS_KEY);
}

#[test]
fn credentials_are_replaced_before_they_end_and_an_outage_of_their_issuer_costs_no_signature() {
    let (kms, env) = without_file();
    let is_down = Arc::new(AtomicBool::new(false));
    let (endpoint, refreshes) = pod_identity(Duration::from_secs(4), is_down.clone());
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token_file(&env)),
    ];
    let signer = started_with(&env, &environment);
    let (key, begin) = (&env.config().keys[0], Instant::now());
    let mut level = FLOOR;
    while begin.elapsed() < Duration::from_secs(9) {
        // An outage of a second and a half in every three seconds, which is shorter than what is left.
        is_down.store(begin.elapsed().as_millis() % 3000 > 1500, Ordering::SeqCst);
        level += 1;
        let sent = Instant::now();
        signer.signature(key, &attestation(level, 0, 1));
        assert!(sent.elapsed() < Duration::from_secs(1), "the request has waited for credentials");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(refreshes.load(Ordering::SeqCst) >= 3);
    let keys: std::collections::BTreeSet<_> = kms.take_asked().into_iter().map(|asked| asked.access_key).collect();
    assert!(keys.len() >= 3, "{keys:?}");
    // At last they end, and then begin again by themselves.
    is_down.store(true, Ordering::SeqCst);
    let reason = wait_for("their end", || {
        signer.key_status(key).hsm.or_else(|| {
            level += 1;
            signer.sign(key, &attestation(level, 0, 1));
            std::thread::sleep(Duration::from_millis(100));
            None
        })
    });
    assert!(reason.contains("there are no AWS credentials"), "{reason}");
    is_down.store(false, Ordering::SeqCst);
    wait_for("the recovery", || signer.key_status(key).hsm.is_none().then_some(()));
}

#[test]
fn without_credentials_the_signer_waits_and_says_where_they_come_from() {
    let (_kms, env) = without_file();
    let signer = Signer::start_with(&env, &NO_AWS);
    let key = &env.config().keys[0];
    let sentence = "there are no AWS credentials";
    let reason = wait_for(sentence, || signer.key_status(key).hsm.filter(|reason| reason.contains(sentence)));
    assert!(
        reason.contains("EKS Pod Identity, IRSA, the instance profile, or the file of awsKms.credentialsFile"),
        "{reason}"
    );
    assert_eq!(signer.admin("/startupz").status, 503);
    assert!(signer.sign(key, &attestation(FLOOR + 1, 0, 1)).refused(502).contains(sentence));
    let counted = signer.metric_sum("tezos_signer_kms_requests_total", "result=\"credentials\"");
    assert!(counted >= 2, "the alert counts them: {counted}");
    // A file that is missing is named.
    env.set_config(json!({"awsKms": {"region": "eu-west-1", "credentialsFile": env.path.join("absent")}}));
    let checked = env.run(&["check"]).failed();
    assert!(checked.contains("absent"), "{checked}");
}
