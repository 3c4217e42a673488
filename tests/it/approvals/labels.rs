//! Untrusted content: what was read and written after it, and the reviewer of mode `auto`.

use features::comments::model::Comment;
use features::runs::model::{Place, Run};
use features::runs::queries::taint;
use features::trust::model::Approval;
use kernel::{ApprovalAnswer, CallKind, TrustMode};
use reqwest::StatusCode;
use serde_json::json;

use support::model::Turn;
use support::office::Office;

use super::{answer, asked, asking, results, runs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_from_outside_makes_every_mode_ask_until_a_person_trusts_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.trust(ada.id, TrustMode::Full).await;
    let owner = office.hq.owner();
    let heeds = format!("/api/v1/agents/{}/autonomy", ada.slug);
    let set = owner.json("PUT", &heeds, &json!({ "autonomous": false })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let reads = || Turn::call("contact_list", json!({}));
    let first = [runs("echo one"), reads(), runs("echo two"), runs("echo three")];
    for turn in first.into_iter().chain([Turn::text("Done.")]) {
        office.model.push(turn);
    }
    let run = office.say(&ada, "Look and go on").await;
    let approval = asked(&office, run).await;
    assert!(approval.plan.shown.contains("echo two"), "{approval:?}");
    assert!(approval.why.contains("contact_list in step 2"), "{}", approval.why);
    let name = office.ws().read(|snap| store::ReadExt::get::<Run>(snap, run)).expect("a store");
    let name = name.expect("the run").name();
    let page = owner.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert!(page.text.contains("Trust this content"), "{}", page.text);
    let lifted = owner.call("DELETE", &format!("/api/v1/runs/{name}/outside")).await;
    assert_eq!(lifted.status, StatusCode::NO_CONTENT, "{}", lifted.text);
    answer(&office, &approval, json!({ "answer": "once" })).await;
    let told = results(&office, run).await;
    assert!(told.iter().all(|(_, ok, _)| *ok) && told.len() == 4, "{told:?}");

    let set = owner.json("PUT", &heeds, &json!({ "autonomous": true })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    for turn in [reads(), runs("echo four"), Turn::text("Done.")] {
        office.model.push(turn);
    }
    let run = office.say(&ada, "And again").await;
    let told = results(&office, run).await;
    assert!(told.iter().all(|(_, ok, _)| *ok) && told.len() == 2, "{told:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_after_words_from_outside_labels_who_reads_it_until_somebody_accepts_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.trust(ada.id, TrustMode::Full).await;
    let (owner, api) = (office.hq.owner(), "/api/v1/agents/ada");
    let heeds = json!({ "autonomous": false });
    let set = owner.json("PUT", &format!("{api}/autonomy"), &heeds).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let note = json!({ "text": "The quokka is paid first", "lasting": true });
    let reads = || Turn::call("contact_list", json!({}));
    let notes = Turn::call("memory_append", note);
    for turn in [reads(), notes, Turn::text("Done.")] {
        office.model.push(turn);
    }
    let run = office.say(&ada, "Look and note it").await;
    let told = results(&office, run).await;
    assert!(told.len() == 2 && told.iter().all(|(_, ok, _)| *ok), "{told:?}");

    // Another conversation has no label at its start, and gets one when it reads the file.
    let looks = || Turn::call("memory_read", json!({}));
    let done = || Turn::call("work_done", json!({ "summary": "x", "task_state": "complete" }));
    let says = Turn::call("comment_add", json!({ "body": "The quokka was paid" }));
    for turn in [looks(), runs("echo two"), says, done()] {
        office.model.push(turn);
    }
    let task = office.task("Prices", &ada).await;
    let run = office.run_on(task.id).await;
    let approval = asked(&office, run).await;
    assert!(approval.why.contains("memory_read in step 1"), "{}", approval.why);
    let all = office.model.requests();
    let first = all.iter().find(|seen| seen.text().contains("# Run card")).expect("a card");
    assert!(!first.text().contains("quokka") && first.text().contains("wait for a person"));
    answer(&office, &approval, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let comments: Vec<Comment> = office.all();
    let said = comments.iter().find(|one| one.body.contains("quokka")).expect("a comment");
    let place = Place::Comment(said.id);
    let marked = || office.ws().read(|snap| taint::is_written(snap, &place)).expect("a store");
    assert!(marked());

    // A person accepts the file.
    let page = owner.get("/w/marlow-cargo/agents/ada/memory").await;
    assert!(page.text.contains("wrote here after reading untrusted content"), "{}", page.text);
    let body = json!({ "path": "MEMORY.md" });
    let accepted = owner.post(&format!("{api}/memory/accept"), &body).await;
    assert_eq!(accepted.status, StatusCode::NO_CONTENT, "{}", accepted.text);
    let again = owner.post(&format!("{api}/memory/accept"), &body).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "{}", again.text);
    for turn in [looks(), runs("echo three"), done()] {
        office.model.push(turn);
    }
    let task = office.task("More prices", &ada).await;
    let run = office.run_on(task.id).await;
    let told = results(&office, run).await;
    assert!(told.len() == 3 && told.iter().all(|(_, ok, _)| *ok), "{told:?}");
    assert!(told[0].2.contains("quokka") && !told[0].2.contains("UNTRUSTED"), "{told:?}");

    // The label of the other conversation is removed as well, so its messages are trusted.
    let name = office.ws().read(|snap| store::ReadExt::get::<Run>(snap, approval.run));
    let name = name.expect("a store").expect("the run").name();
    let lifted = owner.call("DELETE", &format!("/api/v1/runs/{name}/outside")).await;
    assert_eq!(lifted.status, StatusCode::NO_CONTENT, "{}", lifted.text);
    assert!(!marked());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_auto_the_reviewer_lets_a_plain_call_pass_and_leaves_the_rest_to_people() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.trust(ada.id, TrustMode::Auto).await;
    office.model.push(runs("touch a")).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch it").await;
    let first = asked(&office, run).await;
    answer(&office, &first, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    assert!(office.usage(run).iter().all(|one| one.kind != CallKind::Review), "nobody reviews");

    let (owner, path) = (office.hq.owner(), "/api/v1/policy/reviewer");
    let half = json!({ "connection": null, "model": "mock" });
    let half = owner.json("PUT", path, &half).await;
    assert_eq!(half.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", half.text);
    let chosen = json!({ "connection": office.connection.to_string(), "model": "mock" });
    let set = owner.json("PUT", path, &chosen).await;
    assert_eq!(set.json(), chosen);
    let page = owner.get("/w/marlow-cargo/settings/policy").await;
    assert!(page.text.contains("Save reviewer"), "{}", page.text);
    office.model.push(runs("touch b")).push(Turn::text("yes"));
    office.model.push(runs("touch c")).push(Turn::text("No, it is not plain."));
    office.model.push(runs("touch d && touch e")).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch them").await;
    let second = asked(&office, run).await;
    assert_eq!(second.plan.shown, "touch c");
    assert!(office.file(&ada, "b").is_some());
    let all: Vec<Approval> = office.all();
    let passed = all.iter().find(|one| one.plan.shown == "touch b").expect("it is noted");
    let word = passed.answer.as_ref().map(|answer| answer.answer);
    assert_eq!(word, Some(ApprovalAnswer::Reviewed));
    assert!(passed.spent_at.is_some());
    answer(&office, &second, json!({ "answer": "denied" })).await;
    // Combined commands are not matched by the rule.
    let third = asked(&office, run).await;
    assert_eq!(third.plan.shown, "touch d && touch e");
    answer(&office, &third, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let reviews = office.usage(run).iter().filter(|one| one.kind == CallKind::Review).count();
    assert_eq!(reviews, 2);
    office.hq.finish().await;
}
