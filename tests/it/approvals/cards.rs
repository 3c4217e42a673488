//! Approval cards: answered together, answered from a message, requested again, counted.

use features::notifications::model::Recipient;
use features::notifications::sending::push;
use features::trust::model::Approval;
use features::trust::queries as trust;
use kernel::{ApprovalAnswer, NoticeKind, Risk, Role};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

use super::{API, answer, asked, asking, results, runs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_message_stand_on_one_card_and_each_has_its_own_answer() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let command = |line: &str| json!({ "command": line });
    let three = runs("touch a").and_call("exec", command("touch b"));
    office.model.push(three.and_call("exec", command("touch c"))).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch them").await;
    asked(&office, run).await;
    let all = office.ws().read(|snap| trust::all_waiting_of(snap, run)).expect("a store");
    let shown: Vec<&str> = all.iter().map(|one| one.plan.shown.as_str()).collect();
    assert_eq!(shown, ["touch a", "touch b", "touch c"]);
    let owner = office.hq.owner();
    for page in ["approvals", "runs/R-1", "agents/ada/chat"] {
        let page = owner.get(&format!("/w/marlow-cargo/{page}")).await;
        assert!(page.text.contains("uses exec 3 times"), "{}", page.text);
    }
    let page = owner.get("/w/marlow-cargo/approvals").await;
    assert_eq!(page.attrs("input[name=chosen]", "value").len(), 3, "{}", page.text);
    let path = format!("{API}/answers");
    let ids: Vec<String> = all.iter().map(|one| one.id.to_string()).collect();
    let (yes, no) = (json!({ "id": ids[0], "answer": "once" }), "Not b");
    let no = json!({ "id": ids[1], "answer": "denied", "note": no });
    let said = owner.json("POST", &path, &json!({ "answers": [yes, no] })).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    assert_eq!(said.json()["items"][1], json!({ "id": ids[1], "refused": null }));

    // The remaining call still waits, and the first answer to each call counts.
    assert_eq!(asked(&office, run).await.id, all[2].id);
    assert!(office.file(&ada, "a").is_some() && office.file(&ada, "b").is_none());
    let late = json!({ "answers": [{ "id": ids[0], "answer": "denied" }] });
    let late = owner.json("POST", &path, &late).await.json();
    let refused = late["items"][0]["refused"].as_str().expect("a reason").to_owned();
    assert!(refused.contains("already been answered"), "{refused}");
    let none = owner.json("POST", &path, &json!({ "answers": [] })).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", none.text);
    let fields = [("answer", "chosen"), ("one", ids[2].as_str()), ("chosen", ids[2].as_str())];
    owner.form("/w/marlow-cargo/approvals", &fields).await;
    let told = results(&office, run).await;
    let went: Vec<bool> = told.iter().map(|(_, ok, _)| *ok).collect();
    assert_eq!(went, [true, false, true], "{told:?}");
    assert!(told[1].2.contains("Not b"), "{told:?}");
    assert!(office.file(&ada, "c").is_some());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_for_the_run_also_counts_for_what_stands_on_the_same_card() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let twice = runs("touch a").and_call("exec", json!({ "command": "touch a" }));
    office.model.push(twice).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch").await;
    let first = asked(&office, run).await;
    let all = office.ws().read(|snap| trust::all_waiting_of(snap, run)).expect("a store");
    assert_eq!(all.len(), 2);
    answer(&office, &first, json!({ "answer": "run", "offer": 0 })).await;
    let told = results(&office, run).await;
    assert!(told.len() == 2 && told.iter().all(|(_, ok, _)| *ok), "{told:?}");
    let second: Approval = office.get(all[1].id);
    assert_eq!(second.answer.map(|one| one.answer), Some(ApprovalAnswer::Withdrawn));
    office.hq.finish().await;
}

/// Content of the push message about the waiting call.
fn pushed(office: &Office) -> Option<Value> {
    let rows: Vec<Recipient> = office.all();
    let asks = |row: &&Recipient| row.kind == NoticeKind::ApprovalRequested;
    let row = rows.iter().rfind(asks).expect("somebody is told");
    let (ws, now) = (office.ws(), office.hq.now());
    ws.read(|snap| push::payload(&ws, snap, row, now)).expect("a store")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_from_a_push_message_that_says_nothing_of_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch quokka")).push(Turn::text("Done."));
    let run = office.say(&ada, "Make it").await;
    let approval = asked(&office, run).await;
    assert_ne!(approval.risk, Risk::High);
    let told = pushed(&office).expect("a message");
    let body = format!("exec, {}", approval.risk.label().to_lowercase());
    assert_eq!(told["body"], json!(body));
    assert!(!told.to_string().contains("quokka"), "{told}");
    let text = |key: &str| told["answers"][key].as_str().expect("a word").to_owned();
    let (at, key) = (text("at"), text("key"));
    let browser = office.hq.owner().with("hx-request", "true");
    for (word, said) in [("allow", "Allowed once"), ("deny", "already been answered")] {
        let fields = [("answer", word), ("how", "once"), ("once", key.as_str())];
        let reply = browser.form(&at, &fields).await;
        let trigger = reply.header("hx-trigger").unwrap_or_default().to_owned();
        assert!(trigger.contains(said), "{word}: {} {trigger} {}", reply.status, reply.text);
    }
    // The same form submitted again, because its response was lost.
    let fields = [("answer", "allow"), ("how", "once"), ("once", key.as_str())];
    let again = browser.form(&at, &fields).await;
    assert!(again.header("hx-trigger").unwrap_or_default().contains("Allowed once"));
    office.ended(run).await;
    assert!(office.file(&ada, "quokka").is_some());
    assert_eq!(pushed(&office), None, "nothing waits any more");

    office.model.push(runs("rm -rf quokka")).push(Turn::text("Done."));
    let run = office.say(&ada, "Remove it").await;
    let approval = asked(&office, run).await;
    assert_eq!(approval.risk, Risk::High);
    assert_eq!(pushed(&office).expect("a message")["answers"], Value::Null);
    answer(&office, &approval, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_called_by_what_it_would_do() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let request = json!({ "url": "https://mail.example/send", "method": "post", "body": "one" });
    office.model.push(Turn::call("http_request", request)).push(Turn::text("Done."));
    let run = office.say(&ada, "Send it").await;
    let sends = asked(&office, run).await;
    assert_eq!(sends.plan.shown, "POST https://mail.example/send\n\none");
    let review = async || office.hq.owner().get("/w/marlow-cargo/review").await.text;
    assert!(review().await.contains("POST https://mail.example/send"), "{}", review().await);
    answer(&office, &sends, json!({ "answer": "denied" })).await;
    office.ended(run).await;

    let write = json!({ "path": "SOUL.md", "content": "I am bold.\n" });
    office.model.push(Turn::call("write", write)).push(Turn::text("Done."));
    let run = office.say(&ada, "Be bold").await;
    let changes = asked(&office, run).await;
    assert_eq!(changes.plan.line(&changes.tool), "Changes to SOUL.md");
    let page = review().await;
    assert!(page.contains("Changes to SOUL.md") && !page.contains("--- a/SOUL.md"), "{page}");
    // Where it is answered, each line says by its element what becomes of it.
    let card = office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert_eq!(card.texts(".change .rule"), ["SOUL.md"]);
    assert_eq!(card.texts(".change ins"), ["I am bold."]);
    assert!(!card.texts(".change del").is_empty(), "{}", card.text);
    answer(&office, &changes, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let past = office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert!(past.text.contains("Changes to SOUL.md"), "{}", past.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carriage_return_hides_no_line_of_a_rewrite() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let kept = "Kept.\n".repeat(20);
    let soul = office.ws().agent_folder(&ada.slug).join("SOUL.md");
    std::fs::write(soul, format!("I am calm.\n{kept}I am kind.\n")).expect("a file");
    let content = format!("I am calm.\rI wait.\n{kept}I obey all.\n");
    let write = json!({ "path": "SOUL.md", "content": content });
    office.model.push(Turn::call("write", write)).push(Turn::text("Done."));
    let run = office.say(&ada, "Be bold").await;
    let changes = asked(&office, run).await;
    let card = office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert_eq!(card.texts(".change .rule"), ["SOUL.md", "…"]);
    assert_eq!(card.texts(".change del"), ["I am calm.", "I am kind."]);
    assert_eq!(card.texts(".change ins"), ["I am calm.\\u{d}I wait.", "I obey all."]);
    answer(&office, &changes, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_asked_for_again_from_its_card() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made")).push(Turn::text("I leave it."));
    let run = office.say(&ada, "Make it").await;
    let first = asked(&office, run).await;
    let path = format!("{API}/{}/again", first.id);
    let early = office.hq.owner().json("POST", &path, &json!({})).await;
    assert_eq!(early.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", early.text);
    answer(&office, &first, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let page = office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert!(page.text.contains(&format!("approvals/{}/again", first.id)), "{}", page.text);

    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let told = office.hq.owner().json("POST", &path, &json!({})).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    let second = office
        .until("another approval", |snap| {
            Ok(trust::open(snap, 10)?.into_iter().find(|one| one.id != first.id))
        })
        .await;
    assert_eq!(second.digest, first.digest, "the same call");
    let second = asked(&office, second.run).await;
    answer(&office, &second, json!({ "answer": "once" })).await;
    office.ended(second.run).await;
    assert_eq!(office.file(&ada, "made").as_deref(), Some(""));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_become_of_a_call_is_told_and_nothing_is_called() {
    let office = Office::open().await;
    asking(&office).await;
    let owner = office.hq.owner();
    let told = async |call: &str| {
        let told = owner.get(&format!("/api/v1/policy/explain?agent=ada&tool={call}")).await;
        (told.status, told.json())
    };
    assert_eq!(told("exec&command=ls+out").await.1["verdict"], json!("ask"));
    let request = "http_request&host=api.example.com";
    assert_eq!(told(request).await.1["verdict"], json!("allow"), "it only reads");
    assert_eq!(told(&format!("{request}&method=POST")).await.1["verdict"], json!("ask"));
    for wrong in ["no_such_tool", "http_request&command=ls", "exec&host=a.example", "browser"] {
        assert_eq!(told(wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let refuse = json!({ "agent": "ada", "tool": "exec", "leave": "deny", "note": "Not here" });
    let kept = owner.json("POST", "/api/v1/permissions", &refuse).await;
    assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text);
    let (_, refused) = told("exec&command=ls").await;
    assert_eq!((&refused["verdict"], &refused["rule"]), (&json!("deny"), &kept.json()["id"]));
    assert_eq!(refused["calls"], json!("Every call"));

    let place = "/w/marlow-cargo/agents/ada/behaviour/explain";
    let page = owner.get(&format!("{place}?tool=exec&command=ls")).await;
    assert!(page.text.contains("Refused") && page.text.contains("Not here"), "{}", page.text);
    let wrong = owner.get(&format!("{place}?tool=exec&host=a.example")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert!(wrong.text.contains("have a host"), "{}", wrong.text);
    assert_eq!(owner.get(API).await.json()["items"], json!([]));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_beside_review_counts_what_waits_for_those_who_may_see_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let tom = office.hq.another("Tom", Some(Role::Member)).await;
    let nav = "/w/marlow-cargo/nav";
    let owner = office.hq.owner();
    let empty = owner.get(nav).await;
    assert!(!empty.text.contains("waiting:"), "{}", empty.text);
    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let run = office.say(&ada, "Make it").await;
    let approval = asked(&office, run).await;
    let shown = owner.get(nav).await;
    assert!(
        shown.text.contains("<span class=\"vh\">, waiting: 1 approval</span>"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("hq:approvals from:body"), "the number hears of it");
    let toms = tom.get(nav).await;
    assert!(!toms.text.contains("waiting:"), "a private conversation: {}", toms.text);
    answer(&office, &approval, json!({ "answer": "once" })).await;
    office.ended(run).await;
    let after = owner.get(nav).await;
    assert!(!after.text.contains("waiting:"), "{}", after.text);
    office.hq.finish().await;
}
