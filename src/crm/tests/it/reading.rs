//! Tests of reading a file: date order, encoding, and their manual choice.

use serde_json::{Value, json};
use support::hq::{Person, TestHq};

use crate::{HERE, over};

async fn act(api: &Person, at: &str, verb: &str) -> Value {
    let done = api.post(&format!("{at}/{verb}"), &json!({})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    done.json()
}

/// Starts an import; returns it when it is done.
async fn done(api: &Person, at: &str) -> Value {
    act(api, at, "begin").await;
    over(api, at.trim_start_matches("/api/v1/")).await
}

async fn contact(api: &Person, name: &str) -> Value {
    let shown = api.get(&format!("/api/v1/contacts/{name}")).await;
    assert_eq!(shown.status, 200, "{name}: {}", shown.text);
    shown.json()
}

/// Sends a file with these bytes as an import.
async fn sent(api: &Person, name: &str, bytes: &[u8]) -> (String, Value) {
    let path = format!("/api/v1/imports?of=contacts&name={name}");
    let sent = api.bytes("POST", &path, "application/octet-stream", bytes.to_vec()).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let import = sent.json();
    (format!("/api/v1/imports/{}", import["id"].as_str().expect("an id")), import)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_column_decides_whether_the_day_or_the_month_comes_first() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let dated = json!({ "columns": { "Since": "new:date" } });
    let (at, import) = sent(&api, "us.csv", include_bytes!("files/us-dates.csv")).await;
    let order = |import: &Value| {
        (import["columns"][2]["dates"].clone(), import["columns"][2]["dates_basis"].clone())
    };
    assert_eq!(order(&import), (json!("month_first"), json!("proven")), "{import}");
    assert_eq!(api.json("PATCH", &at, &dated).await.status, 200);
    let seen = act(&api, &at, "preview").await;
    assert_eq!((&seen["problems"], &seen["notes"]), (&json!([]), &Value::Null), "{seen}");
    assert_eq!(done(&api, &at).await["made"], 3);
    for (who, day) in [("u1", "2025-12-31"), ("u2", "2025-12-01"), ("u3", "2025-02-03")] {
        assert_eq!(contact(&api, &format!("{who}@example.org")).await["since"], day, "{who}");
    }

    // Without proof in the dates the preview shows the assumption, and all three ways can change it.
    let (at, import) = sent(&api, "open.csv", include_bytes!("files/all-ambiguous.csv")).await;
    assert_eq!(order(&import), (json!("day_first"), json!("assumed")), "{import}");
    let since = json!({ "columns": { "Since": "field:since" } });
    assert_eq!(api.json("PATCH", &at, &since).await.status, 200);
    let seen = act(&api, &at, "preview").await;
    let note = "Since: These dates are ambiguous. HQ reads the day first.";
    assert_eq!(seen["notes"], json!([note]));
    let page_at = at.replace("/api/v1", HERE);
    let page = owner.get(&page_at).await;
    assert_eq!(page.attr("[name='dates.2'] option[selected]", "value"), "day_first");
    assert!(page.text.contains("HQ reads the day first"), "{}", page.text);
    let form = [
        ("goes.0", "field:name"),
        ("goes.1", "field:email"),
        ("goes.2", "field:since"),
        ("dates.2", "month_first"),
        ("header_row", "1"),
        ("was_header_row", "1"),
        ("then", "look"),
    ];
    assert_eq!(owner.form(&page_at, &form).await.status, 303);
    let shown = api.get(&at).await.json();
    assert_eq!(order(&shown), (json!("month_first"), json!("chosen")), "{shown}");
    let back = api.json("PATCH", &at, &json!({ "dates": { "Since": "day_first" } })).await.json();
    assert_eq!(order(&back), (json!("day_first"), json!("chosen")), "{back}");
    for wrong in
        [json!({ "dates": { "Since": "upside" } }), json!({ "dates": { "Nix": "day_first" } })]
    {
        assert_eq!(api.json("PATCH", &at, &wrong).await.status, 422, "{wrong}");
    }
    let all = api.json("PATCH", &at, &json!({ "month_first": true })).await.json();
    assert_eq!(order(&all), (json!("month_first"), json!("chosen")), "{all}");
    assert_eq!(done(&api, &at).await["made"], 2);
    assert_eq!(contact(&api, "v1@example.org").await["since"], "2025-12-01");
    assert_eq!(contact(&api, "v2@example.org").await["since"], "2025-02-03");

    // An import that was started at once reports this at its end, with the matched records.
    let (at, _) = sent(&api, "again.csv", include_bytes!("files/all-ambiguous.csv")).await;
    assert_eq!(api.json("PATCH", &at, &since).await.status, 200);
    let now = done(&api, &at).await;
    assert_eq!((&now["skipped"], &now["notes"]), (&json!(2), &json!([note])), "{now}");
    let met = now["problems"][0]["says"].as_str().unwrap_or_default();
    assert!(met.starts_with("Skipped: ") && met.ends_with(" already exists."), "{now}");
    let page = owner.get(&at.replace("/api/v1", HERE)).await.text_of("#import-state");
    assert!(page.contains(note) && page.contains(met), "{page}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_in_its_encoding_which_is_shown_and_can_be_changed() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let (_, import) = sent(&api, "jp.csv", include_bytes!("files/shift_jis.csv")).await;
    assert_eq!(import["encoding"], "shift_jis", "{import}");
    assert_eq!(import["columns"][0]["header"], "氏名");

    let (at, import) = sent(&api, "ru.csv", include_bytes!("files/cp1251.csv")).await;
    assert_eq!(import["encoding"], "windows-1251", "{import}");
    let seen = act(&api, &at, "preview").await;
    assert_eq!(seen["notes"], json!(["the text was read as Cyrillic (Windows-1251)"]));
    let page_at = at.replace("/api/v1", HERE);
    let page = owner.get(&page_at).await;
    assert_eq!(page.attr("[name=encoding] option[selected]", "value"), "windows-1251");
    assert!(page.text_of("#preview-rows tbody").contains("Ирина Козлова"), "{}", page.text);

    // The page and the API can change it; an unsuitable encoding is refused and nothing changes.
    let form = |to: &'static str, was: &'static str| {
        [
            ("encoding", to),
            ("was_encoding", was),
            ("header_row", "1"),
            ("was_header_row", "1"),
            ("then", "look"),
        ]
    };
    assert_eq!(owner.form(&page_at, &form("koi8-u", "windows-1251")).await.status, 303);
    let page = owner.get(&page_at).await;
    assert_eq!(page.attr("[name=encoding] option[selected]", "value"), "koi8-u");
    assert!(!page.text_of("#preview-rows tbody").contains("Ирина"), "{}", page.text);
    let refused = owner.form(&page_at, &form("utf-8", "koi8-u")).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("This text is not Unicode (UTF-8)"), "{}", refused.text);
    for wrong in ["utf-8", "klingon"] {
        let refused = api.json("PATCH", &at, &json!({ "encoding": wrong })).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], "encoding", "{}", refused.text);
    }
    assert_eq!(api.get(&at).await.json()["encoding"], "koi8-u");
    let found = api.json("PATCH", &at, &json!({ "encoding": "" })).await.json();
    assert_eq!(found["encoding"], "windows-1251", "found again: {found}");
    let cp = json!({ "encoding": "cp1251", "columns": { "Notes": "field:notes" } });
    assert_eq!(api.json("PATCH", &at, &cp).await.json()["encoding"], "windows-1251");
    assert_eq!(done(&api, &at).await["made"], 2);
    let petr = contact(&api, "petr@example.org").await;
    assert_eq!(
        (&petr["name"], &petr["notes"]),
        (&json!("Пётр Ильин"), &json!("Перезвонить в пятницу"))
    );

    let odd = b"\xff\xfe\0\0a\0\0\0".to_vec();
    let path = "/api/v1/imports?of=contacts&name=odd.csv";
    let refused = api.bytes("POST", path, "application/octet-stream", odd).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("encoding couldn't be detected"), "{}", refused.text);
    hq.finish().await;
}
