//! Passkeys with a software authenticator: add, use, every rejection, remove.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};

use support::hq::{OWNER, Person, Reply, TestHq};

const BASE: &str = "/w/marlow-cargo/settings/security";

/// An authenticator with one key.
struct Device {
    key: EcdsaKeyPair,
    origin: String,
    count: u32,
}

impl Device {
    fn new(hq: &TestHq) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self { key, origin: here(hq), count: 0 }
    }

    fn client(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let (origin, kind) = (&self.origin, format!("webauthn.{kind}"));
        serde_json::json!({ "type": kind, "challenge": challenge, "origin": origin })
            .to_string()
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(b"localhost").to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }

    /// Response to a request for a new key.
    fn create(&self, asked: &Value) -> (String, String) {
        let point = self.key.public_key().as_ref();
        let mut data = self.data(0x45);
        data.extend([0; 16]);
        data.extend([0, 4, 9, 9, 9, 9]);
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..65]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).expect("short"));
        object.extend(data);
        let client = self.client("create", asked["challenge"].as_str().expect("a question"));
        (URL_SAFE_NO_PAD.encode(client), URL_SAFE_NO_PAD.encode(object))
    }

    /// Form fields of a sign-in.
    fn sign(&self, challenge: &str, flags: u8) -> [(&'static str, String); 5] {
        let (client, data) = (self.client("get", challenge), self.data(flags));
        let mut message = data.clone();
        message.extend(Sha256::digest(&client));
        let signature = self.key.sign(&SystemRandom::new(), &message).expect("a signature");
        [
            ("credential", URL_SAFE_NO_PAD.encode([9; 4])),
            ("client_data", URL_SAFE_NO_PAD.encode(client)),
            ("data", URL_SAFE_NO_PAD.encode(data)),
            ("signature", URL_SAFE_NO_PAD.encode(signature.as_ref())),
            ("next", "/w/marlow-cargo/tasks".to_owned()),
        ]
    }
}

fn here(hq: &TestHq) -> String {
    hq.url().replace("127.0.0.1", "localhost")
}

/// A person who opens HQ under this machine's host name.
fn by_name(hq: &TestHq, person: Person) -> Person {
    person.with("host", here(hq).trim_start_matches("http://"))
}

async fn asked(person: &Person, path: &str) -> Value {
    let reply = person.form(path, &[]).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

async fn add(hq: &TestHq, device: &Device, password: &str) -> Reply {
    let owner = by_name(hq, hq.owner());
    let question = asked(&owner, &format!("{BASE}/passkeys/begin")).await;
    let (client, object) = device.create(&question);
    let form = [
        ("name", "Laptop"),
        ("password", password),
        ("client_data", &client),
        ("attestation", &object),
    ];
    owner.form(&format!("{BASE}/passkeys"), &form).await;
    owner.get(BASE).await
}

async fn sign_in(person: &Person, device: &Device, challenge: &str, flags: u8) -> Reply {
    let fields = device.sign(challenge, flags);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    person.form("/login/passkey", &fields).await
}

async fn question(person: &Person) -> String {
    let asked = asked(person, "/login/passkey/begin").await;
    asked["challenge"].as_str().expect("a question").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_signs_in_by_itself_and_each_answer_is_good_once() {
    let hq = TestHq::start().await;
    let mut device = Device::new(&hq);
    let refused = add(&hq, &device, "not my password").await;
    assert!(refused.text_of("#toasts").contains("rong password"));
    let page = add(&hq, &device, OWNER.2).await;
    assert!(page.text_of("#toasts").contains("added"), "{}", page.text_of("#toasts"));
    assert!(page.text.contains("Laptop") && page.text.contains("localhost"));

    device.count = 5;
    let person = by_name(&hq, hq.nobody());
    let challenge = question(&person).await;
    let inside = sign_in(&person, &device, &challenge, 0x05).await;
    assert_eq!(inside.location(), Some("/w/marlow-cargo/tasks"), "{}", inside.text);
    assert_eq!(person.get("/w/marlow-cargo/tasks").await.status, StatusCode::OK);
    let thief = by_name(&hq, hq.nobody());
    let again = sign_in(&thief, &device, &challenge, 0x05).await;
    assert_eq!(again.location(), Some("/login"), "an answer is good once");
    let unasked = sign_in(&thief, &device, "bm9ib2R5IGFza2Vk", 0x05).await;
    assert_eq!(unasked.location(), Some("/login"));
    let challenge = question(&thief).await;
    let unverified = sign_in(&thief, &device, &challenge, 0x01).await;
    assert_eq!(unverified.location(), Some("/login"), "the device must check who it is");
    let challenge = question(&thief).await;
    let mut other = Device::new(&hq);
    assert_eq!(sign_in(&thief, &other, &challenge, 0x05).await.location(), Some("/login"));
    other.origin = "https://evil.example".into();
    let challenge = question(&thief).await;
    device.origin = "https://evil.example".into();
    let lured = sign_in(&thief, &device, &challenge, 0x05).await;
    assert_eq!(lured.location(), Some("/login"), "made for another site");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_goes_back_is_flagged_and_a_removed_key_opens_nothing() {
    let hq = TestHq::start().await;
    let mut device = Device::new(&hq);
    device.count = 7;
    add(&hq, &device, OWNER.2).await;
    device.count = 3;
    let person = by_name(&hq, hq.nobody());
    let challenge = question(&person).await;
    let inside = sign_in(&person, &device, &challenge, 0x05).await;
    assert_eq!(inside.location(), Some("/w/marlow-cargo/tasks"), "flagged, not refused");
    let page = person.get(BASE).await;
    assert!(page.text.contains("May have been copied"));
    let remove = page.attr("form[action*='/passkeys/'][action$='/remove']", "action");
    person.form(&remove, &[]).await;
    let late = by_name(&hq, hq.nobody());
    let challenge = question(&late).await;
    assert_eq!(sign_in(&late, &device, &challenge, 0x05).await.location(), Some("/login"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_browsers_give_no_passkeys_the_pages_say_so() {
    let hq = TestHq::start().await;
    assert!(
        hq.owner()
            .get(BASE)
            .await
            .text
            .contains("Browsers offer passkeys only at an https address")
    );
    let none = hq.nobody().form("/login/passkey/begin", &[]).await;
    assert_eq!(none.status, StatusCode::CONFLICT);
    assert!(hq.nobody().get("/login").await.attrs("form[data-passkey]", "action").is_empty());
    let named = by_name(&hq, hq.nobody());
    let form = named.get("/login").await.attr("form[data-passkey]", "action");
    assert_eq!(form, "/login/passkey");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_proves_that_it_is_still_the_same_person_and_its_use_is_noted() {
    let hq = TestHq::start().await;
    let mut device = Device::new(&hq);
    add(&hq, &device, OWNER.2).await;
    hq.advance(std::time::Duration::from_secs(11 * 60)).await;
    let owner = by_name(&hq, hq.owner());
    let state = owner.get("/api/v1/proof").await.json();
    assert_eq!((&state["until"], &state["passkey"]), (&Value::Null, &true.into()), "{state}");
    let begin = "/w/marlow-cargo/settings/prove/passkey";
    let asked = asked(&owner, begin).await;
    assert_eq!(asked["allowCredentials"][0]["id"], URL_SAFE_NO_PAD.encode([9; 4]), "{asked}");
    device.count = 6;
    let challenge = asked["challenge"].as_str().expect("a question").to_owned();
    let fields = device.sign(&challenge, 0x05);
    let mut answer = serde_json::Map::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "next") {
        answer.insert((*name).to_owned(), value.clone().into());
    }
    let body = serde_json::json!({ "passkey": answer });
    // A challenge for no particular account is not valid here.
    let stranger = by_name(&hq, hq.nobody());
    let open = question(&stranger).await;
    let other = device.sign(&open, 0x05);
    let other: Vec<(&str, &str)> = other.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let refused = owner.form("/w/marlow-cargo/settings/prove", &other).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let proved = owner.post("/api/v1/proof", &body).await;
    assert_eq!(proved.status, StatusCode::OK, "{}", proved.text);
    assert!(proved.json()["until"].is_string());
    let again = owner.post("/api/v1/proof", &body).await;
    assert_eq!(again.json()["code"], "no_proof", "an answer is good once: {}", again.text);
    let key = owner.get("/api/v1/factors").await.json()["passkeys"][0].clone();
    assert_eq!(key["count"], 6, "{key}");
    assert_eq!(key["last_used_at"], "2026-11-20T12:11:00Z", "{key}");

    let path = format!("/api/v1/factors/passkeys/{}", key["id"].as_str().expect("an id"));
    let named = owner.json("PATCH", &path, &serde_json::json!({ "name": " Work phone " })).await;
    assert_eq!(named.json()["name"], "Work phone", "{}", named.text);
    let none = owner.json("PATCH", &path, &serde_json::json!({ "name": " " })).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = owner.get(BASE).await;
    let rename = page.attr("form[action$='/rename']", "action");
    owner.form(&rename, &[("name", "Phone")]).await;
    assert!(owner.get(BASE).await.text.contains("Phone"));
    let tom = hq.another("Tom", Some(kernel::Role::Member)).await;
    assert_eq!(tom.call("DELETE", &path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(owner.call("DELETE", &path).await.status, StatusCode::OK);
    let left = owner.get("/api/v1/factors").await.json();
    assert_eq!(left["passkeys"], serde_json::json!([]));
    hq.finish().await;
}
