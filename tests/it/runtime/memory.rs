//! Memory of agents: notes, earlier messages, remains of a compaction, and shortened old results.

use std::time::Duration;

use features::runs::model::{Context, EventKind, Run, Session};
use features::runs::queries::search::{ConversationSearch, Searched, search};
use features::runs::rules::context;
use features::runs::rules::{NewInput, SessionSpec, sessions, talk};
use kernel::Role;
use serde_json::{Value, json};
use tool::rank::Query;

use super::compact::HEADINGS;
use support::model::{Tokens, Turn};
use support::office::Office;

fn shown(body: &Value) -> String {
    body["messages"].as_array().expect("messages").iter().map(Value::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_writes_down_is_found_again() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(
        Turn::call(
            "memory_append",
            json!({ "text": "Mira drinks tea\n- Otto drinks coffee", "lasting": true }),
        )
        .and_call("memory_append", json!({ "text": "The printer was called" })),
    );
    office
        .model
        .push(Turn::call("memory_append", json!({ "text": "Mira drinks tea", "lasting": true })));
    office.model.push(Turn::call("memory_replace", json!({ "old": "coffee", "new": "water" })));
    office.model.push(Turn::call("memory_search", json!({ "query": "who drinks water" })));
    office.model.push(Turn::call("memory_read", json!({ "path": "memory/2026-11-20.md" })));
    office.model.push(Turn::call("memory_read", json!({ "path": "IDENTITY.md" })));
    office.model.push(Turn::text("Noted."));
    let run = office.say(&ada, "Remember this").await;
    office.ended(run).await;
    let results = office.results(run);
    let said: Vec<&str> = results.iter().map(|(_, _, text)| text.as_str()).collect();
    assert_eq!(said[..2], ["written to MEMORY.md", "written to memory/2026-11-20.md"]);
    assert!(!results[2].1 && said[2].contains("already has these lines"), "{results:?}");
    assert_eq!(said[3], "changed MEMORY.md");
    assert!(said[4].contains("MEMORY.md:") && said[4].contains("Otto drinks water"), "{}", said[4]);
    assert_eq!(said[5], "- The printer was called");
    assert!(!results[6].1 && said[6].contains("not a memory file"), "{}", said[6]);
    assert_eq!(
        office.file(&ada, "MEMORY.md").expect("it is there"),
        "# Memory\n\n- Mira drinks tea\n- Otto drinks water\n"
    );
    // The memory file is committed with the run and is part of the next prompt.
    assert!(office.events(run).iter().any(|kind| matches!(kind, EventKind::Committed { .. })));
    office.model.push(Turn::text("Tea."));
    let run = office.say(&ada, "What does Mira drink?").await;
    office.ended(run).await;
    assert!(office.model.last().text().contains("Mira drinks tea"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_a_search_reads_is_found_by_the_index_under_the_same_rights() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::text("I see."));
    let first = office.say(&ada, "The zebra party is on Friday").await;
    office.ended(first).await;
    let (mira, old) = (office.owner(), office.get::<Run>(first).session);
    office.act(move |tx| sessions::reset(tx, old, mira).map(drop)).await;
    for text in ["One", "Two", "Three"] {
        let run = office.say(&ada, text).await;
        office.ended(run).await;
    }
    let (ws, query) = (office.ws(), Query::of("zebra crossing").expect("words"));
    let look = |events: u32, may: &dyn Fn(&Session) -> bool| -> Searched {
        let now = ws.app.clock.now();
        let wish = ConversationSearch {
            agent: ada.id,
            may,
            query: &query,
            since: None,
            most: 5,
            events,
            now,
        };
        search(&ws, &wish).expect("a readable store")
    };
    let read = look(1_000, &|_| true);
    assert_eq!((read.hits.len(), read.unseen()), (1, None), "it is read where it lies");
    // There is no index yet: the query starts building one.
    let none = look(4, &|_| true);
    assert!(none.hits.is_empty());
    assert_eq!(none.unseen().map(|(what, _)| what), Some("Messages"));
    assert!(ws.finding.until(ws.store.head(), Duration::from_secs(30)).await, "it is made");
    let found = look(4, &|_| true);
    assert_eq!((found.hits.len(), found.hits[0].session), (1, old), "one of the words is enough");
    assert!(found.hits[0].text.contains("zebra party"), "{found:?}");
    assert_eq!(found.unseen(), None);
    let others = look(4, &|session| session.id != old);
    assert!(others.hits.is_empty(), "{others:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_is_found_by_those_who_may_hear_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::text("I see."));
    let secret = office.say(&ada, "The zebra party is on Friday").await;
    office.ended(secret).await;
    let mira = office.owner();
    let session = office.get::<Run>(secret).session;
    office.act(move |tx| sessions::reset(tx, session, mira).map(drop)).await;

    // The same person in a new conversation.
    office.model.push(Turn::call("memory_search", json!({ "query": "zebra" })));
    let run = office.say(&ada, "What about animals?").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].2.contains("The zebra party is on Friday"), "{results:?}");
    let place = results[0].2.lines().next().and_then(|line| line.split(' ').next());
    let place = place.expect("a place").to_owned();
    assert!(place.starts_with("session:"), "{place}");
    office.model.push(Turn::call("memory_read", json!({ "path": place })));
    let run = office.say(&ada, "And around it?").await;
    office.ended(run).await;
    let around = &office.results(run)[0].2;
    assert!(around.contains("zebra party") && around.contains("You]\nI see."), "{around}");

    // Another member's conversation.
    office.hq.another("Eve", Some(Role::Member)).await;
    let ws = office.ws();
    let members: Vec<features::workspace::model::Member> = office.all();
    let eve = members.iter().find(|member| member.name == "Eve").expect("Eve").account;
    let via = kernel::Via::Socket { uid: 0 };
    let by = (kernel::Actor::Person { account: eve, via }, kernel::Cause::Timer);
    for call in [
        Turn::call("memory_search", json!({ "query": "zebra", "sources": ["sessions"] })),
        Turn::call("memory_read", json!({ "path": place })),
    ] {
        office.model.push(call).push(Turn::text("No."));
        let key = format!("agent:ada:person:{eve}");
        let spec = SessionSpec { agent: ada.id, key, owner: Some(eve), task: None };
        let new = NewInput::chat("What is on Friday?");
        let sent = ws.write(&by, move |tx| talk::say(tx, spec, new)).await.expect("it is said");
        office.ended(sent.run).await;
        let results = office.results(sent.run);
        assert!(!results[0].2.contains("party"), "{results:?}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_writes_down_first_what_is_worth_keeping() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let words = "a rather long remark about vans and what they cost. ".repeat(40);
    let mut last = None;
    for n in 0..6 {
        office.model.push(Turn::text(&format!("Answer {n}.")));
        let run = office.say(&ada, &format!("Remark {n}: {words}")).await;
        last = Some(office.ended(run).await);
    }
    let summary: String = HEADINGS.iter().map(|h| format!("## {h}\nvans\n")).collect();
    office
        .model
        .push(Turn::text(&format!("{summary}## For memory\n- Mira leases and never buys\n")));
    let session = last.expect("runs").session;
    let run = office.act(move |tx| context::ask_compaction(tx, session, "")).await;
    office.ended(run).await;
    let note = office.file(&ada, "memory/2026-11-20.md").expect("a note of the day");
    assert_eq!(note, "- Mira leases and never buys\n");
    let events = office.events(run);
    let at = |is: &dyn Fn(&EventKind) -> bool| events.iter().position(is).expect("it happened");
    let remembered = at(&|kind| matches!(kind, EventKind::Remembered { .. }));
    assert!(remembered < at(&|kind| matches!(kind, EventKind::Compacted { .. })));
    assert!(events.iter().any(|kind| matches!(kind, EventKind::Committed { files: 1, .. })));
    for kind in &events {
        if let EventKind::Compacted { summary, .. } = kind {
            assert!(!summary.contains("For memory"), "{summary}");
        }
    }
    office.model.push(Turn::text("Yes."));
    let run = office.say(&ada, "Lease or buy?").await;
    office.ended(run).await;
    assert!(office.model.last().text().contains("Mira leases and never buys"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_results_take_less_room_and_can_be_read_again() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (before, after) = ("x".repeat(1_500), "y".repeat(1_500));
    let long = format!("begin {before}\n{before}\nMIDDLE\n{after}\n{after} end");
    std::fs::write(office.ws().agent_folder(&ada.slug).join("long.md"), &long).expect("a file");
    office.model.push(Turn::call("read", json!({ "path": "long.md" })));
    for n in 0..3 {
        office
            .model
            .push(Turn::call("list", json!({ "path": if n == 1 { "memory" } else { "." } })));
    }
    let some = Tokens { input: 11_000, cache_read: 0, cache_write: 0, output: 20 };
    office.model.push(Turn::text("Read.").usage(some));
    let run = office.say(&ada, "Read it").await;
    office.ended(run).await;
    assert!(office.model.last().text().contains("MIDDLE"));

    // The provider still has the prompt cached.
    office.model.push(Turn::text("Soon.").usage(some));
    let run = office.say(&ada, "Soon after").await;
    office.ended(run).await;
    assert!(office.model.last().text().contains("MIDDLE"));
    office.hq.advance(Duration::from_secs(400)).await;
    office.model.push(Turn::call("read", json!({ "path": "result:1.1" })).usage(some));
    office.model.push(Turn::text("Later."));
    let run = office.say(&ada, "Long after").await;
    office.ended(run).await;
    let requests = office.model.requests();
    let [.., first, second] = requests.as_slice() else { panic!("two requests") };
    let text = shown(&first.body);
    assert!(!text.contains("MIDDLE") && text.contains("result:1.1"), "{text}");
    assert!(text.contains("begin xxx"), "its beginning stays");
    assert!(shown(&second.body).contains("MIDDLE"), "it was read again");
    assert!(0 < office.get::<Context>(office.get::<Run>(run).session).trimmed);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_read_search_and_correct_the_memory() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office
        .model
        .push(Turn::call("memory_append", json!({ "text": "Mira drinks tea", "lasting": true })));
    office.model.push(Turn::call("memory_append", json!({ "text": "The printer was called" })));
    office.model.push(Turn::text("The zebra is noted."));
    let run = office.say(&ada, "Remember this").await;
    office.ended(run).await;
    let (mira, api) = (office.hq.owner(), office.hq.api().await);
    let at = "/w/marlow-cargo/agents/ada/memory";
    let page = mira.get(at).await;
    assert_eq!(page.texts(".tree a span"), ["Long-term", "2026-11-20"]);
    assert!(page.text_of(".paper .md").contains("Mira drinks tea"), "{}", page.text);
    let found = mira.get(&format!("{at}?q=zebra+printer")).await;
    let text = found.text_of(".paper");
    assert!(
        text.contains("The printer was called") && text.contains("The zebra is noted."),
        "{text}"
    );
    assert!(mira.get(&format!("{at}?q=unicorn")).await.text.contains("No results"));

    let edit = mira.get(&format!("{at}?path=MEMORY.md&edit=1")).await;
    let hash = edit.attrs("input[name=hash]", "value").remove(0);
    let form = [
        ("path", "MEMORY.md"),
        ("hash", hash.as_str()),
        ("text", "# Memory\r\n\r\n- Mira drinks water\r\n"),
    ];
    let saved = mira.form(at, &form).await;
    assert!(
        saved.location().is_some_and(|to| to.ends_with("memory?path=MEMORY.md")),
        "{}",
        saved.text
    );
    assert_eq!(
        office.file(&ada, "MEMORY.md").as_deref(),
        Some("# Memory\n\n- Mira drinks water\n")
    );
    let again = mira.form(at, &form).await;
    assert!(
        again.text.contains("has changed; read it again") && again.text.contains("drinks water"),
        "{}",
        again.text
    );

    let list = api.get("/api/v1/agents/ada/memory").await.json();
    assert_eq!(list["items"][1]["day"], "2026-11-20");
    let note = api.get("/api/v1/agents/ada/memory/note?path=MEMORY.md").await.json();
    let body = json!({ "path": "MEMORY.md", "text": "- Mira sleeps\n", "hash": note["hash"] });
    let put = api.json("PUT", "/api/v1/agents/ada/memory/note", &body).await;
    assert_eq!(put.status, 200, "{}", put.text);
    assert_eq!(api.json("PUT", "/api/v1/agents/ada/memory/note", &body).await.status, 409);
    let other = json!({ "path": "SOUL.md", "text": "x", "hash": "" });
    assert_eq!(api.json("PUT", "/api/v1/agents/ada/memory/note", &other).await.status, 422);
    let long =
        json!({ "path": "MEMORY.md", "text": "x".repeat(30_000), "hash": put.json()["hash"] });
    assert_eq!(api.json("PUT", "/api/v1/agents/ada/memory/note", &long).await.status, 413);
    let found = api.get("/api/v1/agents/ada/memory/search?q=zebra").await.json();
    assert_eq!(
        (found["said"][0]["by"].clone(), found["complete"].clone()),
        (json!("agent"), json!(true))
    );
    assert_eq!(api.get("/api/v1/agents/ada/memory/search?q=%20").await.status, 422);
    office.hq.finish().await;
}
