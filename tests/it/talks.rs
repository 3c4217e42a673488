//! Comments on a task: edit, quote, reply, resolve, react, delete and restore.

use features::agents::rules as agents;
use features::comments::model::{Comment, Reaction};
use kernel::{CommentId, Role};
use reqwest::StatusCode;
use serde_json::json;
use store::{Range, ReadExt as _};

use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;

const TASK: &str = "/w/marlow-cargo/tasks/MC-1";

async fn opened() -> (TestHq, Person, Person) {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let made = mira.post("/api/v1/tasks", &json!({ "title": "Prices" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    (hq, mira, tom)
}

async fn say(person: &Person, body: &str) -> String {
    let made = person.post("/api/v1/tasks/MC-1/comments", &json!({ "body": body })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

async fn answer(person: &Person, to: &str, body: &str) -> String {
    let body = json!({ "body": body, "reply_to": to });
    let made = person.post("/api/v1/tasks/MC-1/comments", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_windows_of_an_author_do_not_write_over_each_other() {
    let (hq, mira, tom) = opened().await;
    let id = say(&mira, "First").await;
    let path = format!("{TASK}/comments/{id}");
    let part = mira.clone().htmx(&format!("w-{id}"));
    let form = part.get(&format!("{path}/edit")).await;
    assert_eq!(form.text_of("textarea"), "First", "{}", form.text);
    let was = form.attr("input[name=was]", "value");
    let one = part.form(&path, &[("was", was.as_str()), ("body", "One window")]).await;
    assert_eq!(one.status, StatusCode::OK, "{}", one.text);
    assert_eq!(one.text_of(".words .md"), "One window", "its new words stand in its place");
    let other = part.form(&path, &[("was", was.as_str()), ("body", "The other")]).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.text);
    assert_eq!(other.text_of(".theirs"), "One window");
    assert_eq!(other.text_of("textarea"), "The other", "what was typed is not lost");
    let was = other.attr("input[name=was]", "value");
    let kept = part.form(&path, &[("was", was.as_str()), ("body", "The other")]).await;
    assert_eq!(kept.text_of(".words .md"), "The other");
    // The same without script, and for a member without permission.
    let stale = mira.form(&path, &[("was", was.as_str()), ("body", "A third")]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.text);
    assert_eq!(stale.text_of("#f-body"), "A third");
    let refused = tom.form(&path, &[("was", ""), ("body", "Mine")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(part.get(&path).await.text_of(".words .md"), "The other", "Cancel brings it back");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_that_was_deleted_comes_back_with_its_talk() {
    let (hq, mira, tom) = opened().await;
    let first = say(&mira, "Which ones?").await;
    let second = answer(&tom, &first, "The blue ones").await;
    let third = answer(&mira, &second, "How many?").await;
    let heart = json!({ "reaction": "heart" });
    let reacted = tom.post(&format!("/api/v1/comments/{first}/reactions"), &heart).await;
    assert_eq!(reacted.status, StatusCode::OK, "{}", reacted.text);
    let shown = mira.get("/api/v1/tasks/MC-1/comments").await.json();
    let parents: Vec<_> = (0..3).map(|n| shown["items"][n]["parent"].clone()).collect();
    assert_eq!(parents, [json!(null), json!(first), json!(first)], "one step deep");

    let part = mira.clone().htmx("task-time");
    let gone = part.form(&format!("{TASK}/comments/{first}/delete"), &[]).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    let told = gone.header("hx-trigger").expect("a toast").to_owned();
    let undo = told.split('"').find(|word| word.contains("/undo/entry/")).expect("a way back");
    let left = mira.get("/api/v1/tasks/MC-1/comments").await.json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(left["items"][0]["parent"], json!(null), "the first answer begins it now");
    assert_eq!(left["items"][1]["parent"], json!(second));
    let reactions = hq.ws().read(|snap| snap.list::<Reaction>(&Range::all())).expect("readable");
    assert!(reactions.is_empty(), "they go with it");

    let back = mira.form(undo, &[]).await;
    assert!(back.status.is_success() || back.status.is_redirection(), "{}", back.text);
    let again = mira.get("/api/v1/tasks/MC-1/comments").await.json();
    assert_eq!(again["items"][0]["id"], json!(first));
    assert_eq!(again["items"][0]["reactions"][0]["by"][0]["handle"], "tom");
    assert_eq!(again["items"][2]["id"], json!(third));
    assert_eq!(again["items"][2]["parent"], json!(first));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_and_an_answer_begin_in_the_box_and_keep_what_was_typed() {
    let (hq, mira, tom) = opened().await;
    let first = say(&tom, "@mira **blue** ones\n\nsix of them").await;
    let part = mira.clone().htmx("say");
    let asked = format!("{TASK}/compose?quote={first}");
    let quoted = part.form(&asked, &[("body", "So:"), ("note_only", "on")]).await;
    let text = quoted.text_of("#say-body");
    assert!(text.starts_with("So: > **Tom:** > @mira **blue** ones"), "{text}");
    let page = mira.get(&format!("{TASK}?quote={first}")).await;
    assert!(page.text_of("#say-body").starts_with("> **Tom:**"), "also without script");
    let asked = format!("{TASK}/compose?reply={first}");
    let reply = part.form(&asked, &[("body", "Yes")]).await;
    assert_eq!(reply.text_of("#say .answering .meta"), "Reply to Tom");
    assert_eq!(reply.attr("input[name=parent]", "value"), first);
    let sent = [("body", "Yes"), ("parent", first.as_str())];
    assert_eq!(part.form(&format!("{TASK}/comment"), &sent).await.status, StatusCode::OK);
    let page = mira.get(TASK).await;
    assert_eq!(page.texts(".answers .md"), ["Yes"]);
    // Quoting a mention notifies nobody again.
    let said = say(&tom, "> @mira look\n\nagreed").await;
    let id: CommentId = said.parse().expect("an id");
    let comment = hq.ws().read(|snap| snap.get::<Comment>(id)).expect("readable");
    assert!(comment.is_some_and(|comment| comment.called.is_empty()));
    let wrong = [("body", "Yes"), ("parent", "nobody")];
    let wrong = mira.form(&format!("{TASK}/comment"), &wrong).await;
    assert_eq!(wrong.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_are_counted_once_for_each_and_taken_back_by_their_maker() {
    let (hq, mira, tom) = opened().await;
    let first = say(&mira, "Done").await;
    let path = format!("{TASK}/comments/{first}/react");
    for person in [&mira, &tom, &tom] {
        let pressed = person.form(&path, &[("reaction", "+party")]).await;
        assert_eq!(pressed.status, StatusCode::SEE_OTHER, "{}", pressed.text);
    }
    let page = tom.get(TASK).await;
    let label = page.attr(".reactions .chip", "aria-label");
    assert_eq!(label, "Hooray: Mira Lindqvist, Tom");
    assert_eq!(page.attr(".reactions .chip", "aria-pressed"), "true");
    let back = page.attr(".reactions .chip", "value");
    assert_eq!(back, "-party");
    let part = tom.clone().htmx("task-time").form(&path, &[("reaction", back.as_str())]).await;
    assert!(part.header("hx-trigger").expect("an event").contains("hq:tasks:"));
    let url = format!("/api/v1/comments/{first}/reactions");
    let left = tom.post(&url, &json!({ "reaction": "👀" })).await.json();
    assert_eq!(left["reactions"][0]["by"].as_array().map(Vec::len), Some(1));
    assert_eq!(left["reactions"][1]["reaction"], "eyes");
    let odd = tom.post(&url, &json!({ "reaction": "shrug" })).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", odd.text);
    assert!(odd.text.contains("use one of: thumbs_up"), "{}", odd.text);
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(viewer.form(&path, &[("reaction", "+party")]).await.status, StatusCode::FORBIDDEN);
    assert!(viewer.get(TASK).await.texts(".reactions button").is_empty());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_talk_is_settled_by_anybody_and_an_answer_opens_it_again() {
    let (hq, mira, tom) = opened().await;
    let first = say(&mira, "Which colour?").await;
    let second = answer(&tom, &first, "Blue").await;
    let url = format!("/api/v1/comments/{second}/settle");
    let settled = tom.post(&url, &json!({})).await.json();
    assert_eq!(settled["id"], json!(first), "the talk, not the answer");
    assert_eq!(settled["settled_by"]["handle"], "tom");
    let page = mira.get(TASK).await;
    let line = page.text_of(".settled > summary");
    assert!(line.contains("Which colour?") && line.contains("resolved by Tom"), "{line}");
    assert!(line.contains("1 reply"), "{line}");
    answer(&mira, &first, "Really?").await;
    assert!(mira.get(TASK).await.texts(".settled").is_empty());
    let path = format!("{TASK}/comments/{first}/settle");
    mira.form(&path, &[("state", "settled")]).await;
    let open = mira.form(&path, &[("state", "open")]).await;
    assert_eq!(open.status, StatusCode::SEE_OTHER);
    let shown = mira.get(&format!("/api/v1/comments/{first}")).await.json();
    assert_eq!(shown["settled_at"], json!(null));
    mira.form(&format!("{TASK}/archive"), &[]).await;
    let away = tom.post(&url, &json!({})).await;
    assert_eq!(away.status, StatusCode::CONFLICT, "{}", away.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mention_that_goes_and_comes_back_calls_nobody_twice() {
    let (hq, mira, tom) = opened().await;
    let id = say(&mira, "Look").await;
    let path = format!("/api/v1/comments/{id}");
    for body in ["@tom look", "look", "@tom look now"] {
        let edited = mira.json("PATCH", &path, &json!({ "body": body })).await;
        assert_eq!(edited.status, StatusCode::OK, "{}", edited.text);
    }
    let told = tom.get("/api/v1/notifications").await.json();
    assert_eq!(told["items"].as_array().map(Vec::len), Some(1), "{told}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_people_and_tasks_are_offered_while_somebody_types() {
    let (hq, mira, _tom) = opened().await;
    mira.post("/api/v1/tasks", &json!({ "title": "Leasing offers" })).await;
    let offered = async |q: &str| {
        let asked = serde_urlencoded::to_string([("q", q)]).expect("a query");
        let all = mira.get(&format!("/w/marlow-cargo/names?{asked}")).await.json();
        let all = all.as_array().expect("a list").clone();
        all.iter().map(|one| one["put"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(offered("@to").await, ["@tom"]);
    assert_eq!(offered("@").await.len(), 2);
    assert_eq!(offered("#leas").await, ["MC-2"]);
    assert_eq!(offered("#1").await.first().map(String::as_str), Some("MC-1"));
    assert!(offered("nothing").await.is_empty());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_told_of_a_thread_in_the_words_of_the_page() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    let task = office.task("Compare two offers", &ada).await;
    office.comment(task.id, "Which colour?").await;
    let comment = office.all::<Comment>().pop().expect("a comment").id;
    let done = Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }));
    office
        .model
        .usually(done)
        .push(Turn::call("comment_resolve", json!({ "comment": comment.to_string() })));
    office.act(move |tx| agents::resume(tx, id)).await;
    let run = office.worked(task.id, 1).await;
    let results = office.results(run.id);
    let resolved = results.iter().find(|(name, ..)| name == "comment_resolve");
    assert!(resolved.is_some_and(|(_, ok, text)| *ok && text == "Resolved."), "{results:?}");
    office.hq.finish().await;
}
