//! Key derivation from labels.

use super::{free_key, key_of};

#[test]
fn labels_of_every_script_have_keys() {
    for (label, key) in [
        ("Bikes wanted", "bikes_wanted"),
        ("  Éva's Über-Büro! ", "evas_ueber_buero"),
        ("Стадия сделки", "стадия_сделки"),
        ("契約", "契約"),
        ("C++", "c"),
        ("–", ""),
        (" ", ""),
    ] {
        assert_eq!(key_of(label), key, "{label}");
    }
    assert_eq!(key_of(&"длина".repeat(9)).len(), 40);
    let star = key_of("⭐");
    assert!(star.len() == 10 && star.starts_with("f_"), "{star}");
    assert_ne!(star, key_of("🔥"));
}

#[test]
fn a_key_that_is_taken_gets_a_number() {
    let taken = |key: &str| ["c", "c_2"].contains(&key);
    assert_eq!(free_key("C#", taken), "c_3");
    assert_eq!(free_key("Rust", taken), "rust");
}
