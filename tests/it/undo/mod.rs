//! Undo: does nothing that its actor could not do directly, reports that its preview is outdated, and keeps its order
//! with pending file changes.

mod busy; // concurrent writes
mod circles; // dependencies through relations and subtasks
mod groups; // streams, recurring tasks, and their people
mod kinds; // every kind of record, through real rules
mod leavers; // nothing returns to former members
mod limits; // size of one undo
mod manifest; // manifest files of agents
mod orders; // orders to revert files: order, races, crashes, size
mod stamps; // fields that only record a change

use features::agents::model::Agent;
use features::comments::model::Comment;
use features::comments::rules::{self as comments, Reach};
use features::files::model::TaskFile;
use features::files::rules::{self as files, NewFile};
use features::runs::model::{Input, InputState};
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use kernel::{Actor, Assignee, Cause, Role, RunId, TaskId, TypedId as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{ReadExt as _, Record};

use support::hq::{Person, Reply};
use support::model::{Gate, Turn};
use support::office::Office;

/// Sequence number of a record's last entry.
fn entry<R: Record>(office: &Office, id: R::Id) -> u64 {
    let found = office.ws().read(|snap| snap.get_rev::<R>(id)).expect("a readable store");
    found.expect("it is there").1
}

async fn ok(reply: Reply) -> Value {
    assert!(reply.status.is_success(), "{}", reply.text);
    reply.json()
}

async fn last_of(api: &Person, table: &str, id: &str) -> u64 {
    let told = ok(api.get(&format!("/api/v1/history/{table}/{id}")).await).await;
    told["items"][0]["seq"].as_u64().expect("an entry")
}

async fn preview(who: &Person, seq: u64) -> Value {
    ok(who.post("/api/v1/undo/preview", &json!({ "entry": seq })).await).await
}

async fn undo(who: &Person, seq: u64) -> Reply {
    who.post("/api/v1/undo", &json!({ "entry": seq })).await
}

/// All codes of a preview: of records, of fields, of work.
fn codes(preview: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |list: &Value| {
        for one in list.as_array().expect("a list") {
            found.push(one["code"].as_str().expect("a code").to_owned());
        }
    };
    add(&preview["kept"]);
    add(&preview["held"]);
    for one in preview["back"].as_array().expect("records") {
        add(&one["kept"]);
    }
    found.sort();
    found
}

/// A table row: what is undone, by whom, the number of reverted records, and why the rest stays.
struct Line<'a> {
    what: &'static str,
    entry: u64,
    who: &'a Person,
    back: usize,
    codes: &'static [&'static str],
}

/// Checks each row with a preview, and with a real undo where nothing may happen.
async fn hold(lines: Vec<Line<'_>>) {
    for Line { what, entry, who, back, codes: expected } in lines {
        let seen = preview(who, entry).await;
        assert_eq!(seen["back"].as_array().map(Vec::len), Some(back), "{what}: {seen}");
        assert_eq!(codes(&seen), expected, "{what}: {seen}");
        if back == 0 && seen["cancels"] == 0 {
            let refused = undo(who, entry).await;
            assert_eq!(refused.json()["code"], "nothing_to_undo", "{what}: {}", refused.text);
        }
    }
}

async fn paused(office: &Office, name: &str) -> Agent {
    let agent = office.agent(name).await;
    let id = agent.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await
}

async fn made(office: &Office, title: &str) -> Task {
    let new = NewTask::titled(title);
    office.act(move |tx| tasks::create(tx, new)).await
}

/// A comment by an agent, in a run of its own.
async fn said_by(office: &Office, agent: &Agent, task: TaskId, body: &'static str) -> Comment {
    let by = Actor::Agent { agent: agent.id, run: RunId::from_bytes([77; 16]) };
    let added = office
        .ws()
        .write(&(by, Cause::Timer), move |tx| comments::add(tx, task, body, Reach::NoteOnly))
        .await;
    added.expect("a comment")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_undoes_what_they_could_not_do_directly_with_words_and_decisions() {
    let office = Office::open().await;
    let mo = office.hq.another("Mo", Some(Role::Member)).await;
    let lea = office.hq.another("Lea", Some(Role::Member)).await;
    let ann = office.hq.another("Ann", Some(Role::Admin)).await;
    let writer = office.hq.token(&["read", "write"]).await;
    let ada = paused(&office, "Ada").await;
    let task = made(&office, "Compare prices").await;

    let path = format!("/api/v1/tasks/{}/comments", task.id);
    let first = ok(mo.post(&path, &json!({ "body": "Look here." })).await).await;
    let id = first["id"].as_str().unwrap().to_owned();
    let written = entry::<Comment>(&office, id.parse().unwrap());
    let change = json!({ "body": "Look there." });
    ok(mo.json("PATCH", &format!("/api/v1/comments/{id}"), &change).await).await;
    let edited = entry::<Comment>(&office, id.parse().unwrap());
    let second = ok(mo.post(&path, &json!({ "body": "And this." })).await).await;
    let second = second["id"].as_str().unwrap().to_owned();
    ok(mo.call("DELETE", &format!("/api/v1/comments/{second}")).await).await;
    let removed = last_of(&mo, "comments", &second).await;
    let agents = said_by(&office, &ada, task.id, "I found three.").await;
    let agents = entry::<Comment>(&office, agents.id);

    let piece = json!({ "title": "Prices", "text": "12, 14 and 17." });
    let delivered = mo.post(&format!("/api/v1/tasks/{}/deliverables", task.id), &piece).await;
    let piece = ok(delivered).await["id"].as_str().unwrap().to_owned();
    let verdict = json!({ "verdict": "approved" });
    ok(mo.post(&format!("/api/v1/deliverables/{piece}/reviews"), &verdict).await).await;
    // The review completed the task, and any comment reopens it.
    let reviewed = last_of(&mo, "deliverables", &piece).await;

    hold(vec![
        Line {
            what: "a word of another",
            entry: edited,
            who: &lea,
            back: 0,
            codes: &["comment_not_yours"],
        },
        Line { what: "one's own word", entry: edited, who: &mo, back: 1, codes: &[] },
        Line { what: "a word, as an admin", entry: edited, who: &ann, back: 1, codes: &[] },
        Line {
            what: "a word that was changed since",
            entry: written,
            who: &mo,
            back: 0,
            codes: &["changed"],
        },
        Line {
            what: "another removed it",
            entry: removed,
            who: &lea,
            back: 0,
            codes: &["comment_not_yours"],
        },
        Line { what: "one removed it oneself", entry: removed, who: &mo, back: 1, codes: &[] },
        Line {
            what: "an agent's word, by who manages agents",
            entry: agents,
            who: &lea,
            back: 1,
            codes: &[],
        },
        Line {
            what: "an agent's word, by a token that may only write",
            entry: agents,
            who: &writer,
            back: 0,
            codes: &["comment_not_yours"],
        },
        Line {
            what: "another's decision",
            entry: reviewed,
            who: &lea,
            back: 1,
            codes: &["review_not_yours", "review_stays"],
        },
        Line { what: "one's own decision", entry: reviewed, who: &mo, back: 3, codes: &[] },
        Line {
            what: "a decision, by a token that may only write",
            entry: reviewed,
            who: &writer,
            back: 1,
            codes: &["not_allowed", "not_allowed"],
        },
        Line { what: "a decision, as an admin", entry: reviewed, who: &ann, back: 3, codes: &[] },
    ])
    .await;

    // The same applies to deleting a comment directly.
    let direct = |who: Person| {
        let path = format!("/api/v1/comments/{id}");
        async move { who.call("DELETE", &path).await.status }
    };
    assert_eq!(direct(lea.clone()).await, StatusCode::FORBIDDEN);
    assert_eq!(direct(ann.clone()).await, StatusCode::OK);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_undoes_what_the_rules_of_a_record_forbid() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let bo = paused(&office, "Bo").await;

    // An archived task with what belongs to it, and the undo of the archiving itself.
    let away = made(&office, "Out of the way").await.id;
    let patch = |body: Value, id: TaskId| {
        let api = api.clone();
        async move { ok(api.json("PATCH", &format!("/api/v1/tasks/{id}"), &body).await).await }
    };
    patch(json!({ "description": "Words." }), away).await;
    let described = entry::<Task>(&office, away);
    let said = said_by(&office, &bo, away, "Words of an agent.").await;
    let spoken = office.act(move |tx| comments::add(tx, away, "One.", Reach::NoteOnly)).await.id;
    office.act(move |tx| comments::edit(tx, spoken, "Two.")).await;
    let reworded = entry::<Comment>(&office, spoken);
    let said = entry::<Comment>(&office, said.id);
    office.act(move |tx| tasks::archive(tx, away)).await;
    let archived = entry::<Task>(&office, away);

    // A paused agent, and an archived parent.
    let given = made(&office, "Given").await.id;
    let (agent, part) = (bo.id, Some(Some(made(&office, "Above").await.id)));
    office.act(move |tx| tasks::assign(tx, given, Some(Assignee::Agent(agent)))).await;
    let new = tasks::TaskPatch { parent: part, ..tasks::TaskPatch::default() };
    office.act(move |tx| tasks::update(tx, given, new)).await;
    let priority = Some(kernel::Priority::Urgent);
    let new = tasks::TaskPatch { parent: Some(None), priority, ..tasks::TaskPatch::default() };
    office.act(move |tx| tasks::update(tx, given, new)).await;
    let moved = entry::<Task>(&office, given);
    office.act(move |tx| tasks::assign(tx, given, None)).await;
    let taken = entry::<Task>(&office, given);
    let above = part.flatten().unwrap();
    office.act(move |tx| tasks::archive(tx, above)).await;
    office.act(move |tx| features::agents::rules::archive(tx, agent)).await;

    hold(vec![
        Line {
            what: "a task out of the way",
            entry: described,
            who: &api,
            back: 0,
            codes: &["task_archived"],
        },
        Line {
            what: "words on it",
            entry: reworded,
            who: &api,
            back: 0,
            codes: &["task_archived"],
        },
        Line {
            what: "words on it are removed all the same",
            entry: said,
            who: &api,
            back: 1,
            codes: &[],
        },
        Line { what: "it comes back", entry: archived, who: &api, back: 1, codes: &[] },
        Line {
            what: "work for who takes none",
            entry: taken,
            who: &api,
            back: 0,
            codes: &["agent_archived"],
        },
        Line {
            what: "below what is out of the way",
            entry: moved,
            who: &api,
            back: 1,
            codes: &["task_archived"],
        },
    ])
    .await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_undoes_settings_that_are_not_theirs_and_the_key_of_tasks_stays() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let mo = office.hq.another("Mo", Some(Role::Member)).await;
    let writer = office.hq.token(&["read", "write"]).await;
    let ada = paused(&office, "Ada").await;
    let renamed = features::agents::rules::Changes {
        description: Some("Another".into()),
        ..Default::default()
    };
    let ada = office.change(ada.id, renamed).await;
    let agent = entry::<Agent>(&office, ada.id);
    let settings = json!({ "name": "Marlow Bikes", "task_key": "MB" });
    ok(api.json("PATCH", "/api/v1/settings", &settings).await).await;
    let keyed = last_of(&api, "settings", "-").await;

    hold(vec![
        Line {
            what: "an agent, by who may only write",
            entry: agent,
            who: &writer,
            back: 0,
            codes: &["not_allowed"],
        },
        Line { what: "an agent, by a member", entry: agent, who: &mo, back: 1, codes: &[] },
        Line {
            what: "settings, by a member",
            entry: keyed,
            who: &mo,
            back: 0,
            codes: &["not_allowed"],
        },
        Line {
            what: "settings: the key of tasks stays",
            entry: keyed,
            who: &api,
            back: 1,
            codes: &["task_key_stays", "task_key_stays"],
        },
    ])
    .await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_back_as_far_as_their_task_has_room() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let task = made(&office, "Papers").await.id;
    let sent = api
        .bytes(
            "POST",
            &format!("/api/v1/tasks/{task}/files?name=a.txt"),
            "text/plain",
            b"a".to_vec(),
        )
        .await;
    let first: TaskFile = office.get(ok(sent).await["id"].as_str().unwrap().parse().unwrap());
    let new = move |n: usize| NewFile {
        name: format!("{n}.txt"),
        blob: first.blob,
        size: 1,
        media: "text/plain",
    };
    let more = office
        .act(move |tx| {
            (1..3).map(|n| files::attach(tx, task, new(n))).collect::<Result<Vec<_>, _>>()
        })
        .await;
    let gone = more.iter().map(|file| file.id).collect::<Vec<_>>();
    let both = gone.clone();
    office.act(move |tx| both.iter().try_for_each(|id| files::remove(tx, *id).map(drop))).await;
    let removed = last_of(&api, "task_files", &gone[0].to_string()).await;
    // One place is left.
    office
        .act(move |tx| (3..201).try_for_each(|n| files::attach(tx, task, new(n)).map(drop)))
        .await;
    let lines = vec![Line {
        what: "two into one place",
        entry: removed,
        who: &api,
        back: 1,
        codes: &["too_many_files"],
    }];
    hold(lines).await;
    ok(undo(&api, removed).await).await;
    assert_eq!(office.all::<TaskFile>().len(), 200);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_said_it_and_may_talk_takes_a_message_back() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("Thinking.").behind(&gate));
    office.say(&ada, "Hello").await;
    gate.reached().await;
    office.say(&ada, "And another thing").await;
    let input = office.all::<Input>().into_iter().max_by_key(|input| input.created_at).unwrap();
    assert_eq!(input.state, InputState::Accepted);
    let said = entry::<Input>(&office, input.id);
    let (api, writer) = (office.hq.api().await, office.hq.token(&["read", "write"]).await);
    let ann = office.hq.another("Ann", Some(Role::Admin)).await;
    hold(vec![
        Line {
            what: "without the right to talk",
            entry: said,
            who: &writer,
            back: 0,
            codes: &["needs_chat"],
        },
        Line {
            what: "what somebody else said",
            entry: said,
            who: &ann,
            back: 0,
            codes: &["message_not_yours"],
        },
        Line { what: "what one said", entry: said, who: &api, back: 0, codes: &[] },
    ])
    .await;
    assert_eq!(preview(&api, said).await["cancels"], 1);
    assert_eq!(office.get::<Input>(input.id).state, InputState::Accepted);
    assert_eq!(ok(undo(&api, said).await).await["cancelled"], 1);
    assert_eq!(office.get::<Input>(input.id).state, InputState::Cancelled);
    gate.open();
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_changed_since_the_preview_makes_it_stale() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ada = paused(&office, "Ada").await;
    let task = office.task("Compare prices", &ada).await;
    let made = entry::<Task>(&office, task.id);
    let seen = preview(&api, made).await;
    assert_eq!((&seen["cancels"], seen["back_count"].as_u64()), (&json!(1), Some(1)));
    let item = office.items(ada.id).pop().expect("an item").id;
    office.act(move |tx| features::inbox::rules::cancel(tx, item, "not now")).await;

    let stale = json!({ "entry": made, "basis": seen["basis"] });
    let refused = api.post("/api/v1/undo", &stale).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    let refused = refused.json();
    assert_eq!(refused["code"], "undo_differs");
    assert_eq!(office.get::<Task>(task.id).title, "Compare prices", "nothing was done");
    // The rejection contains a new preview, which may be confirmed.
    let fresh = &refused["preview"];
    assert_eq!(fresh["cancels"], 0, "{fresh}");
    let confirmed = json!({ "entry": made, "basis": fresh["basis"] });
    assert_eq!(ok(api.post("/api/v1/undo", &confirmed).await).await["back"], 1);
    office.hq.finish().await;
}
