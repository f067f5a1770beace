//! `keys list` and `keys generate` on tokens that show their keys in other forms than SoftHSM2, or not at all.

use crate::faulty_module::FaultyModule;
use crate::test_env::TestEnv;
use pkcs11_faults::control::{Control, Habits, PointOn, Rule, Shown};
use serde_json::{Value, json};

const LABEL: u64 = 0x3;
const KEY_TYPE: u64 = 0x100;
const ID: u64 = 0x102;
const SIGN: u64 = 0x108;
const EC_PARAMS: u64 = 0x180;
const EC_POINT: u64 = 0x181;

const DEVICE_ERROR: u64 = 0x30;
const KEY_FUNCTION_NOT_PERMITTED: u64 = 0x68;

/// More than any attribute has.
const ALL: u64 = 1000;

fn shown(attribute: u64, before: &[u8], skip: u64, after: &[u8]) -> Shown {
    Shown { attribute, before: before.to_vec(), skip, after: after.to_vec(), ..Shown::default() }
}

fn missing(attribute: u64) -> Shown {
    Shown { attribute, missing: true, ..Shown::default() }
}

/// On the private object of the key with this label.
fn of_private(key: &str, shown: Shown) -> Shown {
    Shown { on_private: true, key: Some(key.to_owned()), ..shown }
}

/// On both objects of each pair.
fn on_both(shown: &Shown) -> Vec<Shown> {
    vec![shown.clone(), Shown { on_private: true, ..shown.clone() }]
}

/// A token that shows attributes so, and does not sign: what is not read is not learned by trial signatures either.
fn without_signatures(habits: Habits) -> Control {
    Control { habits, rules: vec![Rule::new("C_SignInit", KEY_FUNCTION_NOT_PERMITTED)], ..Control::default() }
}

fn list(env: &TestEnv, module: &FaultyModule, control: &Control) -> Vec<Value> {
    module.set(control);
    let printed = module.run(env, &["keys", "list", "--output", "json"]).succeeded();
    let keys = serde_json::from_str(&printed).unwrap();
    assert_eq!(module.state().violations, Vec::<String>::new());
    keys
}

fn key<'a>(keys: &'a [Value], label: &str) -> &'a Value {
    keys.iter().find(|key| key["label"] == label).unwrap_or_else(|| panic!("no key {label}: {keys:?}"))
}

/// Of an entry that cannot be used: it has the fields of the others, as null.
fn problem(keys: &[Value], label: &str) -> String {
    let key = key(keys, label);
    for field in ["publicKey", "publicKeyHash", "curve"] {
        assert!(key.as_object().unwrap()[field].is_null(), "{key}");
    }
    key["problem"].as_str().unwrap_or_else(|| panic!("{key}")).to_owned()
}

#[test]
fn keys_are_listed_with_their_ids_in_whatever_form_curve_and_point_are_shown() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let plain = list(&env, &module, &Control::default());
    assert_eq!(plain.len(), 2);
    for (label, config) in [("tz2", env.tz2()), ("tz3", env.tz3())] {
        let key = key(&plain, label);
        assert_eq!(key["publicKey"], config.public_key.to_string());
        assert_eq!(key["publicKeyHash"], config.hash().to_string());
        assert_eq!(key["curve"], config.public_key.curve().to_string());
        assert!(key["id"].as_str().is_some_and(|id| id.len() == 32) && key.get("problem").is_none(), "{key}");
    }
    let points = [
        shown(EC_POINT, &[], 2, &[]),
        shown(EC_POINT, &[3, 0x42, 0], 2, &[]),
        shown(EC_POINT, &[4, 0x81, 0x41], 2, &[]),
        shown(EC_POINT, &[4, 0x82, 0, 0x41], 2, &[]),
        shown(EC_POINT, &[], 0, &[0, 0, 0]),
        shown(EC_POINT, &[], 2, &[0]),
        shown(EC_POINT, &[4, 0x40], 3, &[]),
        shown(EC_POINT, &[], 3, &[]),
    ];
    let params = [
        missing(EC_PARAMS),
        shown(EC_PARAMS, &[], ALL, &[]),
        shown(EC_PARAMS, &[0xa0, 0x0a], 0, &[]),
        shown(EC_PARAMS, b"\x13\x05curve", ALL, &[]),
    ];
    for habit in points.iter().chain(&params) {
        let habits = Habits { shown: on_both(habit), ..Habits::default() };
        // The private object of SoftHSM2 has no point.
        assert_eq!(list(&env, &module, &without_signatures(habits)), plain, "{habit:?}");
    }
    let both = Habits { shown: [on_both(&points[1]), on_both(&params[0])].concat(), ..Habits::default() };
    assert_eq!(list(&env, &module, &without_signatures(both)), plain);
}

#[test]
fn a_key_is_listed_by_the_names_of_its_private_object() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let plain = list(&env, &module, &Control::default());
    // What `serve` looks for is the label of the private object.
    let public = Habits { shown: vec![shown(LABEL, &[], 0, b"-public")], ..Habits::default() };
    assert_eq!(list(&env, &module, &without_signatures(public)), plain);
    // Public objects without an id belong by their label.
    let no_id = Habits { shown: vec![missing(ID)], ..Habits::default() };
    assert_eq!(list(&env, &module, &without_signatures(no_id)), plain);
    // By both names the signer finds the key.
    let id = format!("\"id\": {}", key(&plain, "tz3")["id"]);
    env.edit_config("\"label\": \"tz3\"", &id);
    module.set(&Control::default());
    module.run(&env, &["check"]).succeeded();

    let nameless = [of_private("tz2", missing(ID)), of_private("tz3", missing(ID)), of_private("tz3", missing(LABEL))];
    let keys = list(
        &env,
        &module,
        &Control { habits: Habits { shown: nameless.to_vec(), ..Habits::default() }, ..Control::default() },
    );
    assert_eq!(key(&keys, "tz2")["id"], Value::Null);
    assert_eq!(key(&keys, "tz2")["publicKey"], key(&plain, "tz2")["publicKey"]);
    assert!(problem(&keys, "").contains("neither CKA_LABEL nor CKA_ID"), "{keys:?}");
}

#[test]
fn a_key_without_a_public_object_is_listed_or_named_with_the_reason() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let plain = list(&env, &module, &Control::default());
    let hidden = Habits { hides_public_keys: true, ..Habits::default() };
    let unnamed = Habits { shown: on_both(&missing(EC_PARAMS)), ..hidden.clone() };
    for habits in [hidden.clone(), unnamed, Habits { der: true, always_authenticate: true, ..hidden.clone() }] {
        assert_eq!(list(&env, &module, &Control { habits, ..Control::default() }), plain);
    }
    let on_private = Control { point: PointOn::Private, ..without_signatures(hidden.clone()) };
    assert_eq!(list(&env, &module, &on_private), plain);

    let keys = list(&env, &module, &without_signatures(hidden.clone()));
    assert_eq!(keys.len(), 2);
    for label in ["tz2", "tz3"] {
        let problem = problem(&keys, label);
        assert!(
            problem.contains("public key cannot be read") && problem.contains("CKR_KEY_FUNCTION_NOT_PERMITTED"),
            "{problem}"
        );
        assert_eq!(key(&keys, label)["id"], key(&plain, label)["id"]);
    }
    let table = module.run(&env, &["keys", "list"]).succeeded();
    let row = table.lines().find(|line| line.starts_with("tz3")).unwrap();
    assert_eq!(row.split_whitespace().nth(3), Some("-"), "a program takes the problem for the public key: {table}");
    assert!(
        row.contains("CKR_KEY_FUNCTION_NOT_PERMITTED") && row.contains(key(&plain, "tz3")["id"].as_str().unwrap()),
        "{row}"
    );

    // One of two.
    let rules = vec![Rule::new("C_SignInit", KEY_FUNCTION_NOT_PERMITTED).of_key("tz2")];
    let keys = list(&env, &module, &Control { habits: hidden, rules, ..Control::default() });
    assert_eq!(keys[0], *key(&plain, "tz3"));
    problem(&keys, "tz2");
}

#[test]
fn keys_that_cannot_sign_are_named_with_the_reason_and_not_signed_with() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let p384 = shown(EC_PARAMS, &[6, 5, 0x2b, 0x81, 4, 0, 0x22], ALL, &[]);
    let ed448 = shown(EC_PARAMS, &[6, 3, 0x2b, 0x65, 0x71], ALL, &[]);
    let ed25519 = shown(EC_PARAMS, &[6, 3, 0x2b, 0x65, 0x70], ALL, &[]);
    for (habit, reason) in [
        (p384, "its curve is 1.3.132.0.34"),
        (shown(EC_PARAMS, b"\x13\x0fbrainpoolP256r1", ALL, &[]), "its curve is brainpoolP256r1"),
        (shown(SIGN, &[0], ALL, &[]), "CKA_SIGN is false"),
        (ed448, "its curve is 1.3.101.113"),
        (ed25519, "an Ed25519 signature does not show it"),
    ] {
        let habits = Habits { shown: vec![of_private("tz3", habit), missing(EC_POINT)], ..Habits::default() };
        let rules = vec![Rule::new("C_SignInit", KEY_FUNCTION_NOT_PERMITTED).of_key("tz3")];
        let keys = list(&env, &module, &Control { habits, rules, ..Control::default() });
        assert_eq!(module.state().struck, 0, "a trial signature: {keys:?}");
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0]["label"], "tz2");
        let problem = problem(&keys, "tz3");
        assert!(problem.contains(reason), "{problem}");
    }
    let rsa = of_private("tz3", shown(KEY_TYPE, &0_u64.to_ne_bytes(), ALL, &[]));
    let keys = list(
        &env,
        &module,
        &Control { habits: Habits { shown: vec![rsa], ..Habits::default() }, ..Control::default() },
    );
    assert_eq!(keys.iter().map(|key| &key["label"]).collect::<Vec<_>>(), ["tz2"]);
}

#[test]
fn a_list_fails_only_if_the_token_does() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    for function in ["C_FindObjectsInit", "C_GetAttributeValue"] {
        module.set(&Control { rules: vec![Rule::new(function, DEVICE_ERROR)], ..Control::default() });
        let said = module.run(&env, &["keys", "list"]).failed();
        assert!(said.contains(&format!("{function} returned CKR_DEVICE_ERROR")), "{said}");
    }
    let rules = vec![Rule::new("C_GetAttributeValue", DEVICE_ERROR).of_key("tz2")];
    let keys = list(&env, &module, &Control { rules, ..Control::default() });
    assert_eq!((keys.len(), &keys[0]["label"]), (2, &json!("tz3")));
    assert!(problem(&keys, "").contains("C_GetAttributeValue returned CKR_DEVICE_ERROR"));
}

#[test]
fn keys_are_listed_in_natural_order() {
    let env = TestEnv::with_keys(&[("k10", "p256"), ("k2", "secp256k1"), ("k1", "p256")]);
    let keys: Vec<Value> = serde_json::from_str(&env.run(&["keys", "list", "--output", "json"]).succeeded()).unwrap();
    assert_eq!(keys.iter().map(|key| &key["label"]).collect::<Vec<_>>(), ["k1", "k2", "k10"]);
}

#[test]
fn a_generated_key_is_shown_as_the_token_has_it() {
    let env = TestEnv::without_keys();
    let module = FaultyModule::install(&env);
    let generate = |label: &str, habits: Habits| {
        module.set(&Control { habits, ..Control::default() });
        module.run(&env, &["keys", "generate", "--label", label, "--curve", "p256", "--output", "json"])
    };
    let cut = generate("made-by-the-token", Habits { longest_label: Some(4), ..Habits::default() });
    assert!(cut.stderr.contains("the label \"made\" in place of \"made-by-the-token\""), "{}", cut.stderr);
    let made: Value = serde_json::from_str(&cut.succeeded()).unwrap();
    assert_eq!(made["label"], "made");
    assert_eq!(list(&env, &module, &Control::default()), [made]);

    // The token has an id of its own, and shows no point.
    let shown_id = |label: &str| of_private(label, shown(ID, &[0xab, 0xcd], ALL, &[]));
    let habits = Habits { shown: vec![shown_id("own"), missing(EC_POINT)], ..Habits::default() };
    let own: Value = serde_json::from_str(&generate("own", habits.clone()).succeeded()).unwrap();
    assert_eq!(own["id"], "abcd");
    let listed = list(&env, &module, &Control { habits, ..Control::default() });
    assert_eq!(*key(&listed, "own"), own);

    // A key without a label is found by its id.
    let habits = Habits { shown: vec![of_private("gone", missing(LABEL)), shown_id("gone")], ..Habits::default() };
    module.set(&Control { habits, ..Control::default() });
    let printed = module.run(&env, &["keys", "generate", "--label", "gone", "--curve", "secp256k1"]).succeeded();
    assert!(printed.contains("    id: \"abcd\"") && !printed.contains("label:"), "{printed}");

    let never = Habits { shown: vec![of_private("never", shown(SIGN, &[0], ALL, &[]))], ..Habits::default() };
    let said = generate("never", never).failed();
    assert!(said.contains("generated a key with label \"never\", but its CKA_SIGN is false"), "{said}");
}
