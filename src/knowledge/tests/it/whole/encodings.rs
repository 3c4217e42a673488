//! Encodings of files: detected, shown, and selected by people.

use std::time::Duration;

use serde_json::{Value, json};
use support::hq::{Person, TestHq};

use super::{HERE, found, id, patched, read, titles};

/// Bytes that are Cyrillic letters both in Windows-1251 and in KOI8-R.
const WORDS: &[u8] = b"\xd1\xea\xeb\xe0\xe4\n";

/// The item, once its file was read in this encoding.
async fn read_in(api: &Person, at: &str, encoding: &str) -> Value {
    loop {
        let now = api.get(at).await.json();
        if now["file"]["reading"] == "done" && now["file"]["encoding"] == encoding {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_encoding_of_a_file_is_shown_and_chosen_and_an_undo_takes_it_back() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let file = read(&api, ("warehouse.log", WORDS)).await;
    let (path, at) =
        (format!("knowledge/{}", id(&file)), format!("/api/v1/knowledge/{}", id(&file)));
    let first = file["file"]["encoding"].as_str().expect("an encoding").to_owned();
    assert_eq!(file["file"]["encoding_chosen"], false, "{file}");

    let other = if first == "koi8-r" { "ibm866" } else { "koi8-r" };
    let chosen = patched(&api, &path, json!({ "encoding": other })).await;
    assert_eq!(chosen.status, 200, "{}", chosen.text);
    let now = read_in(&api, &at, other).await;
    assert_eq!(now["file"]["encoding_chosen"], true, "{now}");
    assert_ne!(now["text"], file["text"]);

    // On the page the encoding is selected by name, and the text is extracted again.
    let owner = hq.owner();
    let about = format!("{HERE}/{path}/about");
    owner.form(&about, &[("encoding", "windows-1251")]).await;
    let now = read_in(&api, &at, "windows-1251").await;
    assert_eq!(now["text"], "Склад\n");
    hq.settle().await;
    assert_eq!(titles(&api, "q=%D1%81%D0%BA%D0%BB%D0%B0%D0%B4&by=words").await, ["warehouse.log"]);
    let page = hq.owner().get(&format!("{HERE}/{path}")).await;
    let option = "<option value=\"windows-1251\" selected>Cyrillic (Windows-1251)</option>";
    assert!(page.text.contains(option) && page.text.contains("Склад"), "{}", page.text);

    hq.restart().await;
    let api = hq.api().await;
    let now = read_in(&api, &at, "windows-1251").await;
    assert_eq!((&now["text"], &now["file"]["encoding_chosen"]), (&json!("Склад\n"), &json!(true)));

    let history = api.get(&format!("/api/v1/history/knowledge_items/{}", id(&file))).await.json();
    let undone = api.post("/api/v1/undo", &json!({ "entry": history["items"][0]["seq"] })).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    read_in(&api, &at, other).await;
    let back = patched(&api, &path, json!({ "encoding": "" })).await;
    assert_eq!(back.status, 200, "{}", back.text);
    let now = read_in(&api, &at, &first).await;
    assert_eq!((&now["text"], &now["file"]["encoding_chosen"]), (&file["text"], &json!(false)));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoding_that_is_none_or_does_not_fit_is_refused_and_changes_nothing() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let file = read(&api, ("list.csv", b"Name;Ort\nZo\xeb;K\xf6ln\n")).await;
    let path = format!("knowledge/{}", id(&file));
    let refused = async |encoding: &str| {
        let refused = patched(&api, &path, json!({ "encoding": encoding })).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        refused.text
    };
    let response = refused("klingon").await;
    assert!(
        response.contains("klingon") && response.contains("koi8-r") && response.contains("big5"),
        "{response}"
    );
    assert!(refused("utf-8").await.contains("choose another encoding"));
    let owner = hq.owner();
    owner.form(&format!("{HERE}/{path}/about"), &[("encoding", "klingon")]).await;
    let page = owner.get(&format!("{HERE}/{path}")).await;
    assert!(page.text.contains("t a known encoding; use utf-8"), "{}", page.text);
    let now = api.get(&format!("/api/v1/{path}")).await.json();
    assert_eq!((&now["text"], &now["file"]), (&file["text"], &file["file"]));

    let picture = read(&api, ("dot.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")).await;
    let path = format!("knowledge/{}", id(&picture));
    let no = patched(&api, &path, json!({ "encoding": "big5" })).await;
    assert_eq!(no.status, 422, "{}", no.text);
    assert_eq!(found(&api, "q=").await["total"], 2);
    hq.finish().await;
}
