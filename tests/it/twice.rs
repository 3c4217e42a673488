//! Forms that are sent twice: by a second press of the button, or because an answer was lost.

use hq::features::comments::model::Comment;
use hq::features::runs::model::{Input, Run};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::model::{Gate, Turn};
use crate::support::work::{all, scene};

const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_twice_is_said_once() {
    let (hq, _model) = scene().await;
    let mira = hq.owner();
    let page = mira.get(CHAT).await;
    let (key, leaf) =
        (page.attr("#say input[name=key]", "value"), page.attr("#talk-leaf", "value"));
    for _ in 0..2 {
        let fields = [("body", "Hello"), ("key", &key), ("leaf", &leaf)];
        let sent = mira.form(CHAT, &fields).await;
        assert_eq!(sent.location(), Some(CHAT), "{}", sent.text);
        hq.settle().await;
    }
    assert_eq!(all::<Input>(&hq).len(), 1, "it was said once");
    assert_eq!(all::<Run>(&hq).len(), 1);
    // Other words are another message, and so are the same words later.
    let again = mira.get(CHAT).await.attr("#talk-leaf", "value");
    let fields = [("body", "And more"), ("key", key.as_str()), ("leaf", &again)];
    assert_eq!(mira.form(CHAT, &fields).await.location(), Some(CHAT));
    hq.settle().await;
    mira.form(CHAT, &[("body", "Hello"), ("key", "another")]).await;
    hq.settle().await;
    assert_eq!(all::<Input>(&hq).len(), 3);
    // Somebody else's key is their own.
    let ben = hq.another("Ben", Some(hq::kernel::Role::Member)).await;
    ben.form(CHAT, &[("body", "Hello"), ("key", "another")]).await;
    hq.settle().await;
    assert_eq!(all::<Input>(&hq).len(), 4);
    // What a page shows that is out of date is not said from any of its forms.
    let late = mira.form(CHAT, &[("body", "Late"), ("leaf", &leaf)]).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert_eq!(all::<Input>(&hq).len(), 4);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_steered_and_a_task_commented_once() {
    let (hq, model) = scene().await;
    let (mira, api, gate) = (hq.owner(), hq.api().await, Gate::new());
    model.push(Turn::text("Slowly.").behind(&gate));
    let task = json!({ "title": "Count the vans", "assignee": "ada" });
    assert_eq!(api.post("/api/v1/tasks", &task).await.status, StatusCode::CREATED);
    let path = "/w/marlow-cargo/tasks/MC-1";
    gate.reached().await;
    let run = format!("/w/marlow-cargo/runs/{}", all::<Run>(&hq)[0].name());
    let key = mira.get(&run).await.attr("form.steer input[name=key]", "value");
    for _ in 0..2 {
        let say = [("body", "Only the red ones"), ("key", key.as_str())];
        let said = mira.form(&format!("{run}/say"), &say).await;
        assert_eq!(said.location(), Some(run.as_str()), "{}", said.text);
    }
    let key = mira.get(path).await.attr("#say input[name=key]", "value");
    let comment = [("body", "And the blue ones"), ("key", key.as_str())];
    let first = mira.form(&format!("{path}/comment"), &comment).await;
    let second = mira.form(&format!("{path}/comment"), &comment).await;
    assert_eq!(first.location(), second.location(), "the second one is told of the first");
    assert_eq!(all::<Comment>(&hq).len(), 1);
    assert_eq!(all::<Input>(&hq).len(), 2, "one steering word and one comment");
    gate.open();
    hq.settle().await;
    hq.finish().await;
}
