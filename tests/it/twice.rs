//! Forms that are submitted twice, by a double click or after a lost response.

use features::agents::model::Agent;
use features::comments::model::Comment;
use features::connections::model::{Connection, SpareKeys};
use features::files::model::TaskFile;
use features::routines::model::{Firing, Routine};
use features::runs::model::{Input, Run, Session};
use features::streams::model::Stream;
use features::tasks::model::label::Label;
use features::tasks::model::series::Series;
use features::tasks::model::{Task, template::Template};
use features::usage::model::price::EnteredPrice;
use features::users::model::ApiToken;
use features::views::model::View;
use features::workspace::model::Invite;
use kernel::AgentStatus;
use reqwest::StatusCode;
use serde_json::json;
use store::{Range, ReadExt as _, Record};

use support::hq::{Person, Reply, TestHq};
use support::model::{Gate, Turn};
use support::work::{all, scene};

const BASE: &str = "/w/marlow-cargo";
const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";

/// Submits a page's form twice at once, like a double click; returns both responses.
async fn sent_twice(
    mira: &Person,
    page: &str,
    to: &str,
    fields: &[(&str, &str)],
) -> (Reply, Reply) {
    let shown = mira.get(page).await;
    let key = shown.attr(&format!("form[action=\"{to}\"] input[name=once]"), "value");
    let fields: Vec<_> = fields.iter().copied().chain([("once", key.as_str())]).collect();
    tokio::join!(mira.form(to, &fields), mira.form(to, &fields))
}

/// The same, where both redirect to one page of the workspace.
async fn pressed_twice(mira: &Person, page: &str, to: &str, fields: &[(&str, &str)]) -> String {
    let (page, to) = (format!("{BASE}/{page}"), format!("{BASE}/{to}"));
    let (first, second) = sent_twice(mira, &page, &to, fields).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.text);
    assert_eq!(first.location(), second.location(), "{}", second.text);
    first.location().expect("where it leads").to_owned()
}

fn count<R: Record>(hq: &TestHq) -> usize {
    all::<R>(hq).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_or_a_series_that_is_sent_twice_is_made_once() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let oil = [("title", "Oil the chains")];
    assert_eq!(
        pressed_twice(&mira, "tasks/new", "tasks", &oil).await,
        format!("{BASE}/tasks/MC-1")
    );
    assert_eq!(count::<Task>(&hq), 1);
    // A newly opened form is a new request, and so is different input.
    pressed_twice(&mira, "tasks/new", "tasks", &oil).await;
    assert_eq!(count::<Task>(&hq), 2);
    let quick = [("title", "Pump the tyres"), ("quick", "/w/marlow-cargo/tasks")];
    pressed_twice(&mira, "tasks", "tasks", &quick).await;
    assert_eq!(count::<Task>(&hq), 3);
    let weekly = [("title", "Count the vans"), ("cadence_type", "weekdays")];
    let series = pressed_twice(&mira, "tasks/new", "tasks", &weekly).await;
    assert_eq!(count::<Series>(&hq), 1);
    let series = series.strip_prefix("/w/marlow-cargo/").expect("a page of the workspace");
    let before = count::<Task>(&hq);
    pressed_twice(&mira, series, &format!("{series}/spawn"), &[]).await;
    assert_eq!(count::<Task>(&hq), before + 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_a_template_are_made_once_and_so_is_the_template() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let form = [("name", "Monthly close"), ("title_1", "Collect receipts"), ("title_2", "Report")];
    let (new, home) = ("settings/task-templates/new", "settings/task-templates");
    let page = pressed_twice(&mira, new, home, &form).await;
    assert_eq!(count::<Template>(&hq), 1);
    let preview = format!("tasks/from-template/{}", page.rsplit('/').next().expect("an id"));
    pressed_twice(&mira, &preview, &preview, &[("stream", "")]).await;
    assert_eq!(count::<Task>(&hq), 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_labels_and_views_are_made_once() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    pressed_twice(&mira, "streams?new=1", "streams", &[("name", "Spring")]).await;
    pressed_twice(&mira, "settings/labels", "settings/labels", &[("name", "Brakes")]).await;
    let view = [("noun", "tasks"), ("name", "Late"), ("q", "is:open")];
    let to = pressed_twice(&mira, "tasks", "views", &view).await;
    assert_eq!(to, format!("{BASE}/tasks?view=late"));
    assert_eq!((count::<Stream>(&hq), count::<Label>(&hq), count::<View>(&hq)), (1, 1, 1));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_is_made_once_and_runs_once() {
    let (hq, _model) = scene().await;
    let mira = hq.owner();
    let form = [
        ("name", "Inbox check"),
        ("agent", "ada"),
        ("when", "schedule"),
        ("cadence_type", "weekdays"),
        ("action", "wake"),
        ("instruction", "Look at what came in."),
    ];
    let page = pressed_twice(&mira, "routines/new", "routines", &form).await;
    assert_eq!(count::<Routine>(&hq), 1);
    let page = page.strip_prefix("/w/marlow-cargo/").expect("a page of the workspace");
    pressed_twice(&mira, page, &format!("{page}/run"), &[]).await;
    assert_eq!(count::<Firing>(&hq), 1);
    hq.settle().await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_and_what_they_try_are_made_once() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    mira.form(&format!("{BASE}/onboarding/agent/skip"), &[]).await;
    pressed_twice(&mira, "", "try", &[]).await;
    assert_eq!((count::<Agent>(&hq), count::<Task>(&hq)), (1, 1));
    let form = [
        ("template", "assistant"),
        ("name", "Bo Ness"),
        ("slug", ""),
        ("emoji", "🔭"),
        ("description", "Finds things out"),
        ("thinking", "medium"),
    ];
    pressed_twice(&mira, "agents/new", "agents", &form).await;
    let made = all::<Agent>(&hq);
    assert_eq!(made.len(), 2);
    assert!(made.iter().all(|one| one.status == AgentStatus::Ready), "{made:?}");
    hq.settle().await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_accounts_and_their_keys_are_made_once() {
    let (hq, model) = scene().await;
    let mira = hq.owner();
    let (new, home) = ("settings/connections/new", "settings/connections");
    let before = count::<Connection>(&hq);
    let url = model.openai_url();
    let kind = ("kind", "openai-compatible");
    let form = [kind, ("name", "Gateway"), ("base_url", url.as_str()), ("key", "sk-first-of-them")];
    pressed_twice(&mira, &format!("{new}?kind=openai-compatible"), home, &form).await;
    assert_eq!(count::<Connection>(&hq), before + 1);
    let form = [("kind", "chatgpt"), ("name", "My plan"), ("client_id", "app-1")];
    let accounts = format!("{home}/accounts");
    pressed_twice(&mira, &format!("{new}?kind=chatgpt"), &accounts, &form).await;
    assert_eq!(count::<Connection>(&hq), before + 2);
    let all_of_them = all::<Connection>(&hq);
    let gateway = all_of_them.iter().find(|one| one.name == "Gateway").expect("it is there");
    let page = format!("{home}/{}", gateway.id);
    pressed_twice(&mira, &page, &format!("{page}/keys"), &[("more_key", "sk-second-one")]).await;
    let spare = all::<SpareKeys>(&hq);
    assert_eq!(spare.iter().map(|one| one.keys.len()).sum::<usize>(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_is_entered_once() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let page = "settings/usage/prices";
    let form = [("model", "harbour-2"), ("input", "1.50"), ("output", "6")];
    pressed_twice(&mira, page, page, &form).await;
    assert_eq!(count::<EnteredPrice>(&hq), 1);
    hq.finish().await;
}

/// One response shows the secret; the other one says that it cannot be copied any more.
fn shown_once(answers: (Reply, Reply)) {
    let (first, second) = answers;
    for answer in [&first, &second] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    let secrets = |one: &Reply| one.texts(".code[data-line] code");
    let (with, without) =
        if secrets(&first).is_empty() { (second, first) } else { (first, second) };
    assert_eq!(secrets(&with).len(), 1, "{}", with.text);
    assert_eq!(secrets(&without), [""; 0], "a second secret would open nothing");
    let words = |one: &Reply| one.texts("main .banner p").concat();
    assert!(words(&with).contains("It won’t be shown again"), "{}", with.text);
    let said = words(&without);
    assert!(said.contains("was sent twice and created one"), "{said}");
    assert!(said.contains("below and create another"), "{said}");
    for page in [&with, &without] {
        assert_eq!(
            page.attrs(
                "main tbody form[action$=revoke], main tbody form[action$=withdraw]",
                "action"
            )
            .len(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_made_once_and_its_secret_is_shown_once() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let path = "/w/marlow-cargo/settings/tokens";
    let open = || hq.running().app.system.read(|snap| snap.list::<ApiToken>(&Range::all()));
    let form = [("name", "Import"), ("scopes", "read"), ("days", "30")];
    shown_once(sent_twice(&mira, path, path, &form).await);
    assert_eq!(open().expect("a readable store").len(), 1);
    // A newly opened form is a new request, even with the same input.
    let page = mira.get(path).await;
    let key = page.attr("form[data-prove] input[name=once]", "value");
    let again = [form.as_slice(), &[("once", key.as_str())]].concat();
    let fresh = mira.form(path, &again).await.text_of(".code[data-line] code");
    assert!(fresh.starts_with("hq_pat_"), "{fresh}");
    assert_eq!(open().expect("a readable store").len(), 2);
    // Different input in the same form is a new request, too: a corrected form.
    let other = [("name", "Export"), ("scopes", "read"), ("days", "30"), ("once", key.as_str())];
    mira.form(path, &other).await;
    assert_eq!(open().expect("a readable store").len(), 3);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_made_once_and_its_link_is_shown_once() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let (page, to) = (format!("{BASE}/settings/members"), format!("{BASE}/settings/invites"));
    let form = [("role", "member"), ("email", "tom@marlow.example")];
    shown_once(sent_twice(&mira, &page, &to, &form).await);
    assert_eq!(count::<Invite>(&hq), 1);
    let (first, _) = sent_twice(&mira, &page, &to, &[("role", "viewer"), ("email", "")]).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(count::<Invite>(&hq), 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_is_added_once() {
    let mut hq = TestHq::start().await;
    let mira = hq.owner();
    let path = "/workspaces/new";
    let form = [("workspace", "Northwind"), ("emoji", "🧊"), ("zone", "UTC")];
    let key =
        mira.get(path).await.attr("form[action=\"/workspaces/new\"] input[name=once]", "value");
    let keyed = [form.as_slice(), &[("once", key.as_str())]].concat();
    let (first, second) = tokio::join!(mira.form(path, &keyed), mira.form(path, &keyed));
    for answer in [&first, &second] {
        assert_eq!(answer.location(), Some("/w/northwind/"), "{}", answer.text);
    }
    // The response was lost, and HQ was restarted since.
    hq.restart().await;
    let mira = hq.owner();
    assert_eq!(mira.form(path, &keyed).await.location(), Some("/w/northwind/"));
    assert_eq!(hq.running().app.workspaces.read().len(), 2);
    // A newly opened form requests another workspace, whose address is taken.
    let (first, second) = sent_twice(&mira, path, path, &form).await;
    for answer in [first, second] {
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    }
    assert_eq!(hq.running().app.workspaces.read().len(), 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_added_once() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    mira.form(&format!("{BASE}/tasks"), &[("title", "Compare prices")]).await;
    let page = mira.get(&format!("{BASE}/tasks/MC-1")).await;
    let to = page.attr(".adds .sender", "action");
    let body = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n\
                words\r\n--x--\r\n";
    let kind = "multipart/form-data; boundary=x";
    for _ in 0..2 {
        let sent = mira.bytes("POST", &to, kind, body.into()).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    }
    assert_eq!(count::<TaskFile>(&hq), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_conversation_and_a_fork_are_begun_once() {
    let (hq, _model) = scene().await;
    let mira = hq.owner();
    mira.form(CHAT, &[("body", "Hello")]).await;
    hq.settle().await;
    let before = count::<Session>(&hq);
    pressed_twice(&mira, "agents/ada/chat", "agents/ada/chat/begin", &[]).await;
    assert_eq!(count::<Session>(&hq), before + 1);
    let runs = count::<Run>(&hq);
    pressed_twice(&mira, "runs/R-1/fork", "runs/R-1/fork", &[("from", "")]).await;
    assert_eq!(count::<Run>(&hq), runs + 1);
    hq.settle().await;
    hq.finish().await;
}

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
    // Different text is another message, and so is the same text later.
    let again = mira.get(CHAT).await.attr("#talk-leaf", "value");
    let fields = [("body", "And more"), ("key", key.as_str()), ("leaf", &again)];
    assert_eq!(mira.form(CHAT, &fields).await.location(), Some(CHAT));
    hq.settle().await;
    mira.form(CHAT, &[("body", "Hello"), ("key", "another")]).await;
    hq.settle().await;
    assert_eq!(all::<Input>(&hq).len(), 3);
    // Keys are per person.
    let ben = hq.another("Ben", Some(kernel::Role::Member)).await;
    ben.form(CHAT, &[("body", "Hello"), ("key", "another")]).await;
    hq.settle().await;
    assert_eq!(all::<Input>(&hq).len(), 4);
    // An outdated page cannot send messages from any of its forms.
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
