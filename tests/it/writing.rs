//! In-place editing of title and description: concurrent edits, repeated submissions, checklist items, preview, images.

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Reply, TestHq};

const TASK: &str = "/w/marlow-cargo/tasks/MC-1";
const API: &str = "/api/v1/tasks/MC-1";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n only its beginning counts here";

async fn with_text(text: &str) -> (TestHq, Person) {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let new = [("title", "Offer"), ("description", text)];
    let made = mira.form("/w/marlow-cargo/tasks", &new).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    (hq, mira)
}

/// Submits the page's form.
async fn save(who: &Person, title: (&str, &str), description: (&str, &str)) -> Reply {
    let fields = [
        ("title", title.1),
        ("title_base", title.0),
        ("description", description.1),
        ("description_base", description.0),
    ];
    who.form(TASK, &fields).await
}

async fn said(who: &Person) -> (String, String) {
    let task = who.get(API).await.json();
    let text = |name: &str| task[name].as_str().expect("a text").to_owned();
    (text("title"), text("description"))
}

fn code(reply: &Reply) -> (u16, Value) {
    (reply.status.as_u16(), reply.json()["code"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_write_in_different_fields_and_lines_both_stay() {
    let old = "one\r\ntwo\r\nthree";
    let (hq, mira) = with_text(old).await;
    let theirs = save(&mira, ("Offer", "Offer for Jana"), (old, "ONE\r\ntwo\r\nthree")).await;
    assert_eq!(theirs.status, StatusCode::SEE_OTHER, "{}", theirs.text);
    let mine = save(&mira, ("Offer", "Offer"), (old, "one\r\ntwo\r\nTHREE\r\nfour\r\n")).await;
    assert_eq!(mine.status, StatusCode::SEE_OTHER, "{}", mine.text);
    let both = ("Offer for Jana".to_owned(), "ONE\ntwo\nTHREE\nfour".to_owned());
    assert_eq!(said(&mira).await, both);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_line_is_shown_to_whoever_comes_second_and_the_rest_is_kept() {
    let (hq, mira) = with_text("one\ntwo\nthree").await;
    let theirs = save(&mira, ("Offer", "Their offer"), ("one\ntwo\nthree", "one\nTheirs\nTHREE"));
    assert_eq!(theirs.await.status, StatusCode::SEE_OTHER);
    let page = mira.clone().htmx("task-text");
    let reply = save(&page, ("Offer", "Offer"), ("one\ntwo\nthree", "ONE\nMine\nthree")).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert!(!reply.text.contains("<html"), "htmx gets the form alone");
    assert_eq!(reply.texts("[role=alert] .theirs p")[0], "Theirs");
    let field = |name: &str| reply.text_of(&format!("#task-text textarea[name={name}]"));
    assert_eq!(field("title"), "Their offer");
    assert_eq!(
        field("description").split_whitespace().collect::<Vec<_>>(),
        ["ONE", "Mine", "THREE"]
    );
    assert_eq!(said(&mira).await.1, "one\nTheirs\nTHREE", "nobody has chosen yet");
    let chosen =
        save(&page, ("Their offer", "Their offer"), ("one\nTheirs\nTHREE", "ONE\nMine\nTHREE"));
    assert_eq!(chosen.await.status, StatusCode::OK);
    assert_eq!(said(&mira).await.1, "ONE\nMine\nTHREE");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_have_their_words_made_one_with_what_they_did_not_read() {
    let (hq, mira) = with_text("one\ntwo\nthree").await;
    let read = mira.get(API).await;
    let tag = read.header("etag").expect("a tag").to_owned();
    let rev: u64 = tag.trim_matches('"').parse().expect("a number");
    let patch = |body: Value| {
        let mira = mira.clone();
        async move { mira.json("PATCH", API, &body).await }
    };
    let theirs = patch(json!({ "description": "ONE\ntwo\nthree", "priority": "high" })).await;
    assert_eq!(theirs.status, StatusCode::OK, "{}", theirs.text);

    let mine = json!({ "description": "one\ntwo\nTHREE", "base": { "rev": rev } });
    let mine = patch(mine).await;
    assert_eq!(mine.json()["description"], "ONE\ntwo\nTHREE", "{}", mine.text);
    assert_eq!(mine.json()["priority"], "high");

    let clash = json!({
        "title": "Better", "description": "uno\ntwo\nthree",
        "base": { "title": "Offer", "description": "one\ntwo\nthree" },
    });
    let clash = patch(clash).await;
    assert_eq!(code(&clash), (409, json!("text_clash")), "{}", clash.text);
    let told = &clash.json()["clash"];
    assert_eq!(told.as_array().map(Vec::len), Some(1));
    assert_eq!(told[0]["field"], "description");
    assert_eq!(told[0]["places"], json!([{ "mine": "uno", "theirs": "ONE" }]));
    assert_eq!(told[0]["now"], "ONE\ntwo\nTHREE");
    assert_eq!(told[0]["both"], "uno\nONE\ntwo\nTHREE");
    assert_eq!(told[0]["mine"], "uno\ntwo\nTHREE");
    assert_eq!(said(&mira).await.0, "Offer", "nothing of what clashed was written");

    let unknown = patch(json!({ "title": "x", "base": { "rev": 9_999_999 } })).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unknown.text);
    assert_eq!(unknown.json()["errors"][0]["field"], "base.rev");
    let strict = mira.clone().with("if-match", &tag);
    let stale = strict.json("PATCH", API, &json!({ "title": "x", "base": { "rev": rev } })).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "If-Match stays strict");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_although_its_answer_was_lost_is_not_brought_back() {
    let (hq, mira) = with_text("one").await;
    let put = |text: &str, base: &str, again: bool| {
        let base = json!({ "description": base, "again": again });
        let (mira, body) = (mira.clone(), json!({ "description": text, "base": base }));
        async move { mira.json("PATCH", API, &body).await }
    };
    assert_eq!(put("two", "one", false).await.status, StatusCode::OK);
    assert_eq!(put("three", "two", false).await.status, StatusCode::OK);
    let late = put("two", "one", true).await;
    assert_eq!((late.status, &late.json()["description"]), (StatusCode::OK, &json!("three")));
    assert_eq!(code(&put("two", "one", false).await), (409, json!("text_clash")));
    // A person may restore earlier text on purpose.
    let back = put("one", "three", true).await;
    assert_eq!(back.json()["description"], "one", "{}", back.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_a_checklist_are_ticked_in_the_text_where_they_stand() {
    let (hq, mira) = with_text("Before:\n\n- [ ] one\n- [x] two\n\n`- [ ] code`").await;
    let page = mira.get(TASK).await;
    assert_eq!(page.text_of("#task-checks"), "1 of 2 done");
    let boxes = "#task-text button[role=checkbox]";
    assert_eq!(page.attrs(boxes, "aria-checked"), ["false", "true"]);
    assert_eq!(page.attrs(boxes, "aria-label"), ["one", "two"]);
    let ticks = page.attrs(boxes, "value");
    let at = page.attr("#task-text form", "action");
    let press = |who: &Person, tick: &str| {
        let (who, at, tick) = (who.clone(), at.clone(), tick.to_owned());
        async move { who.form(&at, &[("tick", tick.as_str())]).await }
    };
    let done = press(&mira, &ticks[0]).await;
    assert_eq!(done.location(), Some("/w/marlow-cargo/tasks/MC-1#task-text"), "{}", done.text);
    let text = "Before:\n\n- [x] one\n- [x] two\n\n`- [ ] code`";
    assert_eq!(said(&mira).await.1, text);
    assert_eq!(press(&mira, &ticks[0]).await.status, StatusCode::SEE_OTHER, "twice is once");
    assert_eq!(said(&mira).await.1, text);
    for path in ["tasks", "tasks?layout=board"] {
        let list = mira.get(&format!("/w/marlow-cargo/{path}")).await;
        let mark = list.text_of("[title='2 of 2 checklist items done']");
        assert_eq!(mark, "2/2", "{path}");
    }

    // If the text above has changed, the item is found by its line; if the item itself has changed, it is not found.
    let moved = json!({ "description": "Today:\n\nsoon\n\n- [x] one more\n- [x] two" });
    assert_eq!(mira.json("PATCH", API, &moved).await.status, StatusCode::OK);
    let htmx = mira.clone().htmx("task-text");
    let open = press(&htmx, &ticks[1]).await;
    assert_eq!(open.status, StatusCode::OK, "{}", open.text);
    assert_eq!(open.attrs(boxes, "aria-checked"), ["true", "false"]);
    let lost = press(&htmx, &ticks[0]).await;
    assert_eq!(lost.status, StatusCode::CONFLICT);
    assert_eq!(lost.attrs(boxes, "aria-checked"), ["true", "false"], "the text as it is now");
    assert!(lost.header("hx-trigger").is_some_and(|ask| ask.contains("has changed; find the")));
    let page = press(&mira, &ticks[0]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.text.contains("has changed; find the item"), "{}", page.text);
    let wrong = press(&mira, "7").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);

    mira.form(&format!("{TASK}/archive"), &[]).await;
    let page = mira.get(TASK).await;
    assert!(page.attrs(boxes, "value").is_empty(), "what rests is not ticked");
    assert_eq!(page.text_of("#task-checks"), "1 of 2 done");
    assert_eq!(press(&mira, &ticks[1]).await.status, StatusCode::CONFLICT);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_tick_items_by_number_and_words() {
    let (hq, mira) = with_text("- [ ] one\n- [ ] two\n- [ ] two").await;
    let tick = |body: Value| {
        let mira = mira.clone();
        async move { mira.json("POST", &format!("{API}/tick"), &body).await }
    };
    let done = tick(json!({ "item": 2, "done": true })).await;
    assert_eq!(done.json()["description"], "- [ ] one\n- [x] two\n- [ ] two", "{}", done.text);
    let moved = tick(json!({ "item": 3, "text": "one", "done": true })).await;
    assert_eq!(moved.json()["description"], "- [x] one\n- [x] two\n- [ ] two", "{}", moved.text);
    for body in [
        json!({ "item": 0, "done": true }),
        json!({ "item": 4, "done": true }),
        json!({ "item": 1, "text": "two", "done": false }),
        json!({ "item": 1, "text": "three", "done": false }),
    ] {
        assert_eq!(code(&tick(body.clone()).await), (409, json!("item_not_found")), "{body}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_preview_is_drawn_as_the_page_is_and_writes_nothing() {
    let (hq, mira) = with_text("old").await;
    let preview = format!("{TASK}/preview");
    let words = "# Plan for MC-1\n\n- [ ] x\n\n<script>alert(1)</script>";
    let drawn = mira.form(&preview, &[("description", words)]).await;
    assert_eq!(drawn.status, StatusCode::OK, "{}", drawn.text);
    assert_eq!(drawn.text_of(".md h2"), "Plan for MC-1");
    assert_eq!(drawn.attr(".md h2 a", "href"), TASK);
    assert!(!drawn.text.contains("<script") && !drawn.text.contains("<html"), "{}", drawn.text);
    let long = "x".repeat(64 * 1024 + 1);
    let refused = mira.form(&preview, &[("description", long.as_str())]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(said(&mira).await.1, "old");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_the_task_are_shown_in_its_description() {
    let (hq, mira) = with_text("").await;
    let bytes = "application/octet-stream";
    let (api, at) = (hq.api().await, format!("{API}/files?name=plan.png"));
    let file = api.bytes("POST", &at, bytes, PNG.to_vec()).await.json();
    let url = format!("/w/marlow-cargo/files/{}/content", file["id"].as_str().expect("an id"));
    let text = format!("![The plan]({url})\n\n![far](https://far.example/x.png)");
    let reply = mira.json("PATCH", API, &json!({ "description": text })).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let page = mira.get(TASK).await;
    assert_eq!(page.attrs("#task-text img", "src"), [url]);
    assert_eq!(page.attrs("#task-text img", "alt"), ["The plan"]);
    assert_eq!(page.attrs("#task-text .md a", "href"), ["https://far.example/x.png"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_while_somebody_writes_is_one_line_of_what_happened() {
    let (hq, mira) = with_text("").await;
    for text in ["a", "a plan", "a plan for June"] {
        let reply = mira.json("PATCH", API, &json!({ "description": text })).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    }
    let page = mira.get("/w/marlow-cargo/activity").await;
    let lines = page.texts(".feed li .what");
    let told = lines.iter().filter(|line| line.contains("changed the description of")).count();
    assert_eq!(told, 1, "{lines:?}");
    hq.finish().await;
}
