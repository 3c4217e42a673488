//! Audit entries about accounts and about HQ itself, and who may read them.

use std::path::Path;
use std::time::Duration;

use features::users::model::Account;
use kernel::{Actor, Cause, Part};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Range, ReadExt as _, StoreError};

use support::hq::{OWNER, Person, TestHq};
use support::invite::{accept, invite};
use support::program::{run, run_json};

use super::{BINARY, PAGE, items, verified};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_and_tokens_of_members_are_in_the_audit_and_those_of_strangers_are_not() {
    let hq = TestHq::start().await;
    let _eve = hq.another("Xanthippe", None).await;
    hq.token(&["read"]).await;
    let owner = hq.owner();
    let all = items(&owner, "source=accounts").await;
    let names: Vec<_> = all.iter().flat_map(|e| e["events"].as_array().expect("events")).collect();
    assert!(names.iter().any(|event| event["name"] == "token.created"));
    let signed_in = names.iter().filter(|event| event["name"] == "account.signed_in").count();
    assert_eq!(signed_in, 1, "Mira's own");
    let page = owner.get(&format!("{PAGE}?source=accounts")).await;
    assert!(
        page.texts(".audit .what").iter().any(|line| line == "Mira Lindqvist created an API token")
    );
    assert!(!page.text.contains("Xanthippe"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_tell_nothing_of_workspaces_that_somebody_has_nothing_to_do_with() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(kernel::Role::Admin)).await);
    let made = mira.post("/api/v1/workspaces", &json!({ "name": "Hidden Harbour" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let there = mira.clone().with("x-hq-workspace", "hidden-harbour");
    let token = json!({ "name": "Hidden courier", "scopes": ["read"] });
    assert_eq!(there.post("/api/v1/tokens", &token).await.status, StatusCode::CREATED);
    let places = [
        "/api/v1/audit?source=accounts".to_owned(),
        "/api/v1/audit?source=accounts&event=workspace.added".to_owned(),
        "/api/v1/audit/export?source=accounts".to_owned(),
        format!("{PAGE}?source=accounts"),
        format!("{PAGE}/export?source=accounts"),
    ];
    let (tom, mira) =
        (tom.with("x-hq-workspace", "marlow-cargo"), mira.with("x-hq-workspace", "marlow-cargo"));
    let all: Vec<_> = hq.running().app.workspaces.read().clone();
    let hidden = all.iter().find(|ws| ws.slug == "hidden-harbour").expect("it is there").id;
    for place in &places {
        let told = tom.get(place).await;
        assert_eq!(told.status, StatusCode::OK, "{place}: {}", told.text);
        for word in ["hidden-harbour", "Hidden Harbour", "Hidden courier", &hidden.to_string()] {
            assert!(!told.text.contains(word), "{word} in {place}: {}", told.text);
        }
        // Entries about Mira herself are shown in any case.
        let narrow = place.contains("event=");
        assert!(narrow || told.text.contains("signed"), "{place}: {}", told.text);
    }
    for place in [&places[0], &places[1], &places[2]] {
        assert!(mira.get(place).await.text.contains("hidden-harbour"), "{place}");
    }
    for place in [&places[0], &places[3]] {
        assert!(mira.get(place).await.text.contains("Hidden courier"), "{place}");
    }

    // Nor about tokens for another workspace in which he is only a viewer.
    let added = mira.clone().with("x-hq-workspace", "marlow-cargo");
    let made = added.post("/api/v1/workspaces", &json!({ "name": "Open Harbour" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let there = mira.clone().with("x-hq-workspace", "open-harbour");
    let token = json!({ "name": "Harbour courier", "scopes": ["read"] });
    assert_eq!(there.post("/api/v1/tokens", &token).await.status, StatusCode::CREATED);
    let link = invite(&there, &json!({ "role": "viewer" })).await;
    assert_eq!(accept(&tom, &link).await.status, StatusCode::SEE_OTHER);
    for place in [&places[0], &places[3]] {
        let told = tom.get(place).await.text;
        assert!(told.contains("open-harbour") && !told.contains("Harbour courier"), "{told}");
    }
    // A token gets no values of other workspaces, whoever owns it.
    let token = json!({ "name": "Audit", "scopes": ["read", "admin"] });
    let made = added.post("/api/v1/tokens", &token).await.json();
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let told = hq.nobody().with("authorization", &bearer).get(&places[0]).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    assert!(told.text.contains("Audit") && !told.text.contains("courier"), "{}", told.text);

    // Nor may Tom verify the store of all accounts.
    let found = verified(&tom).await;
    assert!(found["workspace"].is_object() && found.get("accounts").is_none(), "{found}");
    let found = verified(&mira).await;
    assert_eq!(found["accounts"]["faults_count"], 0, "{found}");
    let seen = tom.get("/api/v1/audit/verify").await.json();
    assert!(seen["result"].get("accounts").is_none(), "{seen}");
    for work in ["doctor", "check", "compact", "stats"] {
        let begun = tom.post(&format!("/api/v1/store/{work}"), &json!({})).await;
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
        let found = loop {
            let state = tom.get(&format!("/api/v1/store/{work}")).await.json();
            if !state["ended"].is_null() {
                break state["result"].clone();
            }
            tokio::task::yield_now().await;
        };
        assert!(found["workspace"].is_object() && found.get("accounts").is_none(), "{found}");
    }
    assert!(tom.get("/w/marlow-cargo/settings/health").await.text.contains("No damage found"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_of_an_account_goes_by_the_word_of_who_administers_every_workspace() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(kernel::Role::Admin)).await);
    let made = mira.post("/api/v1/workspaces", &json!({ "name": "Hidden Harbour" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let (tom, mira) =
        (tom.with("x-hq-workspace", "marlow-cargo"), mira.with("x-hq-workspace", "marlow-cargo"));
    let moved = async |zone: &str| {
        let to = mira.form("/w/marlow-cargo/settings/profile", &[("zone", zone)]).await;
        assert_eq!(to.status, StatusCode::SEE_OTHER, "{}", to.text);
    };
    moved("Asia/Tokyo").await;
    let all = hq.running().app.system.read(|snap| snap.list::<Account>(&Range::all()));
    let all = all.expect("accounts");
    let id = all.iter().find(|one| one.email == OWNER.1).expect("Mira").id.to_string();

    // Changes are described in words, for those who may see this account.
    let asked = format!("source=accounts&record=accounts%20{id}");
    let told = items(&tom, &asked).await;
    let zone = told[0]["changes"][0]["fields"][0].clone();
    assert_eq!(zone["label"], "Time zone", "{told:?}");
    assert_eq!(zone["after"], "Asia/Tokyo");
    assert_eq!(told[1]["changes"][0]["op"], "insert");
    let page = tom.get(&format!("{PAGE}?{asked}")).await;
    assert_eq!(page.texts(".changes ins").first().map(String::as_str), Some("becomes Asia/Tokyo"));

    let body = json!({ "table": "accounts", "id": id });
    let refused = tom.post("/api/v1/audit/redact", &body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("there is no table `accounts`"), "{}", refused.text);
    let offered = async |who: &Person| {
        let all = who.get(PAGE).await.attrs("select[name=table] option", "value");
        all.iter().any(|name| name == "accounts")
    };
    assert!(offered(&mira).await && !offered(&tom).await);
    let gone = mira.post("/api/v1/audit/redact", &body).await;
    assert!(gone.json()["removed"].as_u64() > Some(0), "{}", gone.text);
    // The account is a member of Tom's workspace.
    for person in [&mira, &tom] {
        let told = items(person, "source=accounts&event=record.redacted").await;
        assert_eq!(told.len(), 1, "{told:?}");
    }
    let page = tom.get(&format!("{PAGE}?source=accounts")).await;
    assert!(page.text.contains("removed all former versions of"), "{}", page.text);
    moved("Europe/Oslo").await;
    let by_command = run_json(Path::new(BINARY), &hq.data(), &["redact", "accounts", &id, "--yes"]);
    assert_eq!(by_command["removed"], 1);
    // The output names what remains, with what to do about it.
    for asked in [&["redact", "accounts", &id, "--yes"][..], &["redact", "--help"][..]] {
        let said = run(Path::new(BINARY), &hq.data(), asked);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["hq store compact", "backups", "upgrade", "restore"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    let found = verified(&mira).await;
    assert_eq!(found["accounts"]["faults_count"], 0, "{found}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hq_itself_did_with_workspaces_and_backups_is_told_to_who_may_know_of_it() {
    let mut hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(kernel::Role::Admin)).await);
    for name in ["Northwind", "Hidden Harbour"] {
        let made = mira.post("/api/v1/workspaces", &json!({ "name": name })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    let gone = mira.form("/w/northwind/settings/delete", &[("typed", "Northwind")]).await;
    assert!(gone.location().is_some(), "{}", gone.text);
    let token = json!({ "name": "Auditor", "scopes": ["read", "admin"] });
    let mut programs = Vec::new();
    for person in [mira, tom] {
        let here = person.with("x-hq-workspace", "marlow-cargo");
        let made = here.post("/api/v1/tokens", &token).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let bearer = format!("Bearer {}", made.json()["token"].as_str().expect("a token"));
        programs.push(hq.nobody().with("authorization", &bearer));
    }
    hq.advance_unnoticed(Duration::from_secs(8 * 86_400));
    server::timers::workspaces(&hq.running().app).await;
    let system = hq.running().app.system.clone();
    let noted = system.write(Actor::System(Part::Timer), Cause::Timer, |tx| {
        tx.emit(kernel::Event::BackupMade { backup: "20261129".to_owned() });
        Ok::<_, StoreError>(())
    });
    noted.await.expect("a write");
    drop(system);
    for (event, words) in [("workspace.removed", "northwind"), ("backup.made", "20261129")] {
        let query = format!("source=accounts&event={event}");
        let told = items(&programs[0], &query).await;
        let one = told.iter().find(|entry| entry["events"].to_string().contains(words));
        let actor = one.map(|entry| entry["actor"].clone());
        let timer = json!({ "kind": "system", "part": "timer" });
        assert_eq!(actor, Some(timer), "{event}: {told:?}");
        assert_eq!(items(&programs[1], &query).await, [] as [Value; 0], "{event}: not all are his");
        let all = items(&programs[1], "source=accounts").await;
        assert!(!json!(all).to_string().contains(words), "{event}: {all:?}");
    }
    let again = hq.nobody();
    let form = [("email", OWNER.1), ("password", OWNER.2)];
    again.form("/login", &form).await;
    let page = again.get(&format!("{PAGE}?source=accounts")).await;
    let lines = page.texts(".audit .what");
    for words in ["removed the workspace northwind", "created the backup 20261129"] {
        assert!(lines.iter().any(|line| line.contains(words)), "{words}: {lines:?}");
    }
    hq.stop().await;
    let export = run(Path::new(BINARY), &hq.data(), &["audit", "export", "--accounts"]);
    assert_eq!(export.status.code(), Some(2), "which workspace is not said");
    let words = ["audit", "export", "--accounts", "--workspace", "marlow-cargo"];
    let export = run(Path::new(BINARY), &hq.data(), &words);
    let text = String::from_utf8_lossy(&export.stdout).into_owned();
    assert!(text.contains("workspace.removed") && text.contains("backup.made"), "{text}");
}
