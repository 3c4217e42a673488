//! Shared test vectors of the envelope format.

use serde_json::Value;

use super::keyring::{Binding, Keyring, SealError, Sealed, seal_body};
use super::master::MasterKey;

const NOWHERE: Binding<'static> = Binding { scope: "", owner: "", name: "" };

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/it/fixtures/secret-vectors.json")).unwrap()
}

fn list<'a>(vectors: &'a Value, path: &str) -> &'a [Value] {
    let found = vectors.pointer(path).and_then(Value::as_array).unwrap();
    assert!(!found.is_empty(), "no vectors below {path}");
    found
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {vector}"))
}

fn master(vector: &Value) -> MasterKey {
    match vector.get("raw_key_text") {
        Some(raw) => MasterKey::former_raw(raw.as_str().unwrap()).unwrap(),
        None => MasterKey::former(text(vector, "master_key")),
    }
}

fn sealed(vector: &Value) -> Sealed {
    Sealed::from_stored(text(vector, "encrypted"))
}

fn iv(vector: &Value) -> [u8; 12] {
    hex::decode(text(vector, "iv_hex")).unwrap().try_into().unwrap()
}

fn error_name(error: &SealError) -> &'static str {
    match error {
        SealError::BadFormat => "BadFormat",
        SealError::KeyMissing { .. } => "KeyMissing",
        SealError::AuthFailed => "AuthFailed",
        SealError::NotText => "NotText",
    }
}

/// The place that a vector's additional data stands for.
fn place(vector: &Value) -> Binding<'_> {
    let parts: Vec<&str> = match vector["aad"].as_str() {
        Some(data) => data.split('\x1f').collect(),
        None => vec!["hq-secret", "", "", ""],
    };
    assert_eq!((parts.len(), parts[0]), (4, "hq-secret"));
    Binding { scope: parts[1], owner: parts[2], name: parts[3] }
}

#[test]
fn derived_keys_are_those_of_the_vectors() {
    for vector in list(&vectors(), "/derived_keys") {
        let key = master(vector).envelope_key();
        assert_eq!(hex::encode(*key), text(vector, "derived_key_hex"));
    }
}

#[test]
fn every_valid_vector_opens_and_is_written_byte_by_byte() {
    let vectors = vectors();
    for group in ["/valid", "/raw_key_valid"] {
        for vector in list(&vectors, group) {
            let value = text(vector, "plaintext");
            let opened = Keyring::new(master(vector)).open(&sealed(vector), NOWHERE).unwrap();
            assert_eq!(opened.expose_text().unwrap(), value, "{}", vector["name"]);

            let body =
                seal_body(&master(vector).envelope_key(), &iv(vector), b"", value.as_bytes());
            assert_eq!(format!("enc:v1:{body}"), text(vector, "encrypted"), "{}", vector["name"]);
        }
    }
}

#[test]
fn historic_forms_are_read() {
    for vector in list(&vectors(), "/accepted_leniencies") {
        let opened = Keyring::new(master(vector)).open(&sealed(vector), NOWHERE).unwrap();
        assert_eq!(opened.expose_text().unwrap(), text(vector, "plaintext"));
    }
}

#[test]
fn every_forged_or_broken_vector_fails_with_its_error() {
    for vector in list(&vectors(), "/must_fail") {
        let error = Keyring::new(master(vector)).open(&sealed(vector), NOWHERE).unwrap_err();
        assert_eq!(error_name(&error), text(vector, "expected_error"), "{}", vector["name"]);
    }
}

#[test]
fn a_value_that_was_never_sealed_is_refused() {
    let ring = Keyring::new(MasterKey::former("test-service-role-key"));
    for vector in list(&vectors(), "/passthrough") {
        let stored = Sealed::from_stored(text(vector, "stored"));
        assert_eq!(ring.open(&stored, NOWHERE), Err(SealError::BadFormat));
    }
}

#[test]
fn bound_envelopes_open_in_their_place() {
    for vector in list(&vectors(), "/proposal_v2/valid") {
        let ring = Keyring::new(master(vector));
        assert_eq!(ring.key_id().as_str(), text(vector, "kid"));
        let opened = ring.open(&sealed(vector), place(vector)).unwrap();
        assert_eq!(opened.expose_text().unwrap(), text(vector, "plaintext"));
    }
}

#[test]
fn bound_envelopes_fail_elsewhere() {
    for vector in list(&vectors(), "/proposal_v2/must_fail") {
        let ring = Keyring::new(master(vector));
        let error = ring.open(&sealed(vector), place(vector)).unwrap_err();
        assert_eq!(error_name(&error), text(vector, "expected_error"), "{}", vector["name"]);
    }
}
