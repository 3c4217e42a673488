//! Inbox items of agents: order, holds, actions of people, and no duplicate starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use features::agents::model::Agent;
use features::inbox::model::{Item, Reason};
use features::inbox::queries as inbox;
use features::inbox::rules::{self, InboxError, NewItem, waiting};
use features::runs::model::Run;
use jiff::SignedDuration;
use kernel::{
    Actor, AgentId, Cause, Event, ItemId, ItemKind, ItemState, Outcome, Part, Priority, RunState,
};
use reqwest::StatusCode;
use runtime::{EngineError, make_run};
use serde_json::{Value, json};
use store::{ReadExt as _, Record as _, StoreError, WriteTx};
use tokio::time::MissedTickBehavior;

use support::hq::Person;
use support::model::{Gate, Turn};
use support::office::Office;

/// Actor and cause without a person.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const ALL: &str = "/w/marlow-cargo/inbox";
const OF_ADA: &str = "/w/marlow-cargo/agents/ada/inbox";

/// Completes a task.
fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

/// Completes an item without a task.
fn told() -> Turn {
    Turn::call("work_done", json!({ "summary": "Told." }))
}

fn news(agent: AgentId, key: &str, priority: Priority) -> NewItem {
    let reason = Reason {
        summary: format!("Message {key}"),
        comment: None,
        deliverable: None,
        person: None,
        agent: None,
        text: "Look at this.".to_owned(),
    };
    NewItem {
        agent,
        kind: ItemKind::AgentMessage,
        task: None,
        key: format!("agent_message:{key}"),
        priority,
        by: BY.0,
        reason,
    }
}

/// Enqueues an item that no person has requested.
async fn tell(office: &Office, agent: &Agent, key: &str, priority: Priority) -> ItemId {
    let new = news(agent.id, key, priority);
    let made = office.ws().write(&BY, move |tx| rules::enqueue(tx, new)).await;
    made.expect("the rules allow it").expect("a new key")
}

async fn held(office: &Office, item: ItemId) -> String {
    let reason = office
        .until("what holds the item", |snap| {
            Ok(snap.get::<Item>(item)?.and_then(|item| item.held_reason))
        })
        .await;
    assert!(office.get::<Item>(item).held_since.is_some(), "since when is known");
    reason
}

async fn over(office: &Office, item: ItemId) -> Item {
    office
        .until("the end of the item", |snap| {
            Ok(snap.get::<Item>(item)?.filter(|item| item.ended_at.is_some()))
        })
        .await
}

async fn put(api: &Person, body: &Value) -> support::hq::Reply {
    api.json("PUT", "/api/v1/agents/ada/pace", body).await
}

/// Hours around now, for a form and for the API.
fn around(office: &Office) -> (String, String) {
    let at = |hours| {
        let at = office.hq.now() + SignedDuration::from_hours(hours);
        at.strftime("%H:%M").to_string()
    };
    (at(-1), at(2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_begun_twice_however_many_dispatchers_there_are() {
    const RIVALS: usize = 16;
    const TASKS: usize = 8;
    let office = Office::open().await;
    office.model.usually(done());
    let agents = [office.agent("Ada").await, office.agent("Otto").await, office.agent("Pia").await];
    let (ended, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut rivals = Vec::new();
    for _ in 0..RIVALS {
        let (ws, ended, begun) = (office.ws(), Arc::clone(&ended), Arc::clone(&begun));
        rivals.push(tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            // On a slow machine, leave time for the work that they compete for.
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !ended.load(Ordering::Relaxed) {
                let now = ws.app.clock.now();
                let due = ws.read(|snap| inbox::due(snap, now, 100)).expect("a readable store");
                for item in due {
                    let agent = ws.read(|snap| snap.get::<Agent>(item.agent)).expect("a read");
                    let agent = agent.expect("its agent");
                    match ws.write(&BY, move |tx| make_run(tx, &item, &agent)).await {
                        Ok(Some(_)) => {
                            begun.fetch_add(1, Ordering::Relaxed);
                        }
                        // Another taker was faster, or the agent is working.
                        Ok(None) | Err(EngineError::Inbox(InboxError::WrongState { .. })) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                tick.tick().await;
            }
        }));
    }
    for n in 0..TASKS {
        for agent in &agents {
            office.task(&format!("Piece {n} for {}", agent.name), agent).await;
        }
    }
    let count = TASKS * agents.len();
    office
        .until("all of it done", |snap| {
            let items: Vec<Item> = snap.list(&store::Range::all())?;
            let over = items.iter().filter(|item| item.ended_at.is_some()).count();
            Ok((over == count).then_some(()))
        })
        .await;
    ended.store(true, Ordering::Relaxed);
    for rival in rivals {
        rival.await.expect("it ends");
    }
    let runs = office.all::<Run>();
    assert!(begun.load(Ordering::Relaxed) <= count, "nobody began one that another had");
    assert_eq!(runs.len(), count, "one run for each item");
    for item in office.all::<Item>() {
        assert_eq!((item.state, item.attempts), (ItemState::Done, 1), "{item:#?}");
        let of = runs.iter().filter(|run| run.item == Some(item.id));
        let of: Vec<_> = of.map(|run| run.id).collect();
        assert_eq!(of, item.run.into_iter().collect::<Vec<_>>());
    }
    assert_eq!(office.model.requests().len(), count, "each was asked once");
    // No agent ever had two of them at once.
    let mut at_work: HashMap<AgentId, i32> = HashMap::new();
    for entry in office.ws().store.entries_after(0, usize::MAX).expect("the feed") {
        for event in &entry.events {
            match event {
                Event::RunStarted { agent, item: Some(_), .. } => {
                    let now = at_work.entry(*agent).or_default();
                    *now += 1;
                    assert_eq!(*now, 1, "entry {}", entry.seq);
                }
                Event::RunEnded { agent, item: Some(_), .. } => {
                    *at_work.entry(*agent).or_default() -= 1;
                }
                _ => {}
            }
        }
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_one_item_and_causes_join_what_waits() {
    const WRITERS: usize = 24;
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let (ws, same) = (office.ws(), n % 2 == 0);
        let new = match same {
            true => news(id, "the same", Priority::Low),
            false => {
                NewItem { kind: ItemKind::StartNow, ..news(id, &n.to_string(), Priority::Low) }
            }
        };
        writers.push(tokio::spawn(async move {
            let made = ws.write(&BY, move |tx| rules::enqueue(tx, new)).await;
            (same, made.expect("the rules allow it"))
        }));
    }
    let mut made = 0;
    for writer in writers {
        let (same, item) = writer.await.expect("it ends");
        made += usize::from(same && item.is_some());
        assert!(same || item.is_some(), "each other cause counts");
    }
    assert_eq!(made, 1, "a key is used once");
    let items = office.items(id);
    let reasons = |kind: ItemKind| {
        let of = items.iter().filter(move |item| item.kind == kind);
        of.map(|item| item.reasons.len()).collect::<Vec<_>>()
    };
    assert_eq!(reasons(ItemKind::AgentMessage), [1]);
    let joined = reasons(ItemKind::StartNow);
    assert_eq!(joined.iter().sum::<usize>(), WRITERS / 2, "none is lost: {joined:?}");
    assert_eq!(joined.len(), 2, "an item has ten reasons at most");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_hours_hold_what_can_wait_and_nothing_else() {
    let office = Office::open().await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    let ada = office.agent("Ada").await;
    let (from, until) = around(&office);
    let form =
        [("quiet_from", from.as_str()), ("quiet_until", until.as_str()), ("quiet_zone", "UTC")];
    let saved = owner.form("/w/marlow-cargo/agents/ada/pace", &form).await;
    assert_eq!(saved.location(), Some("/w/marlow-cargo/agents/ada/settings"), "{}", saved.text);
    let settings = owner.get("/w/marlow-cargo/agents/ada/settings").await;
    assert_eq!(settings.attr("#f-quiet_from", "value"), from);
    let pace = api.get("/api/v1/agents/ada/pace").await.json();
    assert_eq!(pace["quiet_hours"]["timezone"], "UTC", "{pace}");
    assert!(pace["quiet_until"].is_string(), "they go on now: {pace}");

    let item = tell(&office, &ada, "one", Priority::High).await;
    assert_eq!(held(&office, item).await, "quiet_hours");
    let page = owner.get(OF_ADA).await;
    assert!(page.text_of(".items").contains(": quiet hours"), "{}", page.text);
    assert!(page.text_of(".items").contains("Run now"), "{}", page.text);
    assert!(page.text_of("#inbox").contains("Quiet from"), "{}", page.text);
    let listed = api.get("/api/v1/inbox?state=pending").await.json();
    assert_eq!(listed["items"][0]["held_reason"], "quiet_hours", "{listed}");

    // Requests of people and urgent items start anyway.
    office.model.push(done()).push(told()).push(told());
    let task = office.task("Call the shop", &ada).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::Done));
    assert_eq!(office.get::<Item>(item).state, ItemState::Pending);
    let urgent =
        NewItem { kind: ItemKind::DelegationResult, ..news(ada.id, "urgent", Priority::Urgent) };
    let urgent = office.ws().write(&BY, move |tx| rules::enqueue(tx, urgent)).await;
    let urgent = urgent.expect("the rules allow it").expect("a new key");
    assert_eq!(over(&office, urgent).await.state, ItemState::Done);
    assert_eq!(office.get::<Item>(item).state, ItemState::Pending);

    // A person starts it before the morning.
    let now = owner.form(&format!("{ALL}/{item}/retry"), &[]).await;
    assert_eq!(now.location(), Some(OF_ADA));
    assert_eq!(over(&office, item).await.state, ItemState::Done);

    // The next one starts by itself when the hours are over.
    let next = tell(&office, &ada, "two", Priority::Low).await;
    assert_eq!(held(&office, next).await, "quiet_hours");
    office.hq.advance(HOUR).await;
    assert_eq!(office.get::<Item>(next).state, ItemState::Pending);
    office.model.push(told());
    office.hq.advance(HOUR + MINUTE).await;
    assert_eq!(over(&office, next).await.state, ItemState::Done);

    // Without quiet hours it starts at any hour.
    let (from, until) = around(&office);
    let hours = json!({ "quiet_hours": { "from": from, "until": until, "timezone": "UTC" } });
    assert_eq!(put(&api, &hours).await.status, StatusCode::OK);
    let last = tell(&office, &ada, "three", Priority::Low).await;
    assert_eq!(held(&office, last).await, "quiet_hours");
    office.model.push(told());
    assert_eq!(put(&api, &json!({})).await.json()["quiet_hours"], Value::Null);
    assert_eq!(over(&office, last).await.state, ItemState::Done);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_begins_as_many_in_an_hour_as_it_may() {
    let office = Office::open().await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    let ada = office.agent("Ada").await;
    assert_eq!(api.get("/api/v1/agents/ada/pace").await.json()["per_hour"], 30);
    let bad = [
        (json!({ "per_hour": 0 }), "per_hour"),
        (json!({ "per_hour": 1_001 }), "per_hour"),
        (json!({ "quiet_hours": { "from": "seven", "until": "9:00" } }), "quiet_hours.from"),
        (json!({ "quiet_hours": { "from": "09:00", "until": "09:00" } }), "quiet_hours.until"),
        (
            json!({ "quiet_hours": { "from": "09:00", "until": "10:00", "days": [8] } }),
            "quiet_hours.days",
        ),
        (
            json!({ "quiet_hours": { "from": "09:00", "until": "10:00", "timezone": "Mars" } }),
            "quiet_hours.timezone",
        ),
    ];
    for (body, field) in bad {
        let refused = put(&api, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    let nobody = api.json("PUT", "/api/v1/agents/nobody/pace", &json!({})).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);

    assert_eq!(put(&api, &json!({ "per_hour": 2 })).await.json()["per_hour"], 2);
    office.model.usually(told());
    for key in ["one", "two"] {
        let item = tell(&office, &ada, key, Priority::Medium).await;
        assert_eq!(over(&office, item).await.state, ItemState::Done);
    }
    let third = tell(&office, &ada, "three", Priority::Urgent).await;
    assert_eq!(held(&office, third).await, "rate_limit");
    let page = owner.get(ALL).await;
    let said = page.text_of(".items");
    assert!(said.contains("held until ") && said.contains(": the limit is 2 per hour"), "{said}");
    assert!(said.contains("Ada"), "{said}");
    office.hq.advance(59 * MINUTE).await;
    assert_eq!(office.get::<Item>(third).state, ItemState::Pending);
    office.hq.advance(2 * MINUTE).await;
    let third = over(&office, third).await;
    assert_eq!((third.state, third.held_reason), (ItemState::Done, None));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_move_cancel_and_drop_what_waits() {
    let office = Office::open().await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    let ada = office.agent("Ada").await;
    let id = ada.id;
    let empty = owner.get(ALL).await;
    assert!(empty.text.contains("Nothing is waiting"), "{}", empty.text);
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let mut items = Vec::new();
    for name in ["First", "Second", "Third", "Fourth"] {
        let task = office.task(name, &ada).await;
        let item = office.items(id).into_iter().find(|item| item.task == Some(task.id));
        items.push(item.expect("an item").id);
    }
    let shown = || async {
        let page = owner.get(OF_ADA).await;
        page.attrs(".items > li", "id")
    };
    let ids = |order: [usize; 4]| order.map(|n| format!("item-{}", items[n]));
    assert_eq!(shown().await, ids([0, 1, 2, 3]));
    let moved = owner.form(&format!("{ALL}/{}/front", items[2]), &[("from", "all")]).await;
    assert_eq!(moved.location(), Some(ALL));
    assert_eq!(shown().await, ids([2, 0, 1, 3]));
    office.hq.advance(MINUTE).await;
    let first = api.call("POST", &format!("/api/v1/inbox/{}/front", items[3])).await.json();
    assert!(first["front_at"].is_string(), "{first}");
    assert_eq!(shown().await, ids([3, 2, 0, 1]));

    let dropped = api.call("POST", &format!("/api/v1/inbox/{}/drop", items[0])).await;
    assert_eq!(dropped.json()["state"], "cancelled", "{}", dropped.text);
    for verb in ["front", "drop"] {
        let path = format!("/api/v1/inbox/{}/{verb}", items[0]);
        let again = api.call("POST", &path).await;
        assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
        let said = owner.form(&format!("{ALL}/{}/{verb}", items[0]), &[]).await;
        assert_eq!(said.location(), Some(OF_ADA), "a person is told in place");
    }
    let cancelled = owner.form(&format!("{ALL}/{}/cancel", items[1]), &[]).await;
    assert_eq!(cancelled.location(), Some(OF_ADA));
    let again = api.call("POST", &format!("/api/v1/inbox/{}/cancel", items[1])).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    assert!(again.text.contains("there is nothing left to cancel"), "{}", again.text);
    let again = owner.form(&format!("{ALL}/{}/cancel", items[1]), &[]).await;
    assert_eq!(again.location(), Some(OF_ADA), "a person is told in place");
    let page = owner.get(&format!("{ALL}?show=cancelled&agent=ada")).await;
    assert_eq!(page.attrs(".items > li", "id").len(), 2, "{}", page.text);
    let nobody = owner.get(&format!("{ALL}?agent=nobody")).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);

    office.model.usually(done());
    office.act(move |tx| features::agents::rules::resume(tx, id)).await;
    let (later, sooner) = (over(&office, items[2]).await, over(&office, items[3]).await);
    assert_eq!((later.state, sooner.state), (ItemState::Done, ItemState::Done));
    let number = |item: &Item| office.get::<Run>(item.run.expect("a run")).number;
    assert!(number(&sooner) < number(&later), "the last one moved was begun first");
    let listed = api.get("/api/v1/inbox?limit=3").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(3), "{listed}");
    let next = listed["next"].as_str().expect("a fourth");
    let rest = api.get(&format!("/api/v1/inbox?limit=3&after={next}")).await.json();
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1), "{rest}");
    assert_eq!(rest["next"], Value::Null);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_told_tried_again_or_dropped() {
    let office = Office::open().await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let item = tell(&office, &ada, "one", Priority::Medium).await;
    let gave_up = office.ws().write(&BY, move |tx| waiting::give_up(tx, item)).await;
    gave_up.expect("the rules allow it");
    let given = office.get::<Item>(item);
    assert_eq!(given.state, ItemState::DeadLetter);
    assert_eq!(given.last_error.as_deref(), Some("it didn't start within 72 hours"));
    let page = owner.get(&format!("{ALL}?show=failed")).await;
    assert!(page.text_of(".items").contains("72 hours"), "{}", page.text);
    office
        .until("people are told", |snap| {
            let all: Vec<features::notifications::model::Notification> =
                snap.list(&store::Range::all())?;
            Ok(all.into_iter().any(|one| one.title.contains(" failed ")).then_some(()))
        })
        .await;

    // After a retry it waits for its agent like any other item.
    let again = api.call("POST", &format!("/api/v1/inbox/{item}/retry")).await.json();
    assert_eq!((&again["state"], &again["attempts"]), (&json!("pending"), &json!(0)), "{again}");
    let gave_up = office.ws().write(&BY, move |tx| waiting::give_up(tx, item)).await;
    gave_up.expect("the rules allow it");
    assert_eq!(office.get::<Item>(item).state, ItemState::Pending, "a person wants it");

    let joined = tell(&office, &ada, "two", Priority::Medium).await;
    assert_eq!(joined, item, "it is joined by what comes meanwhile");

    // This one is dismissed.
    let new = NewItem { kind: ItemKind::DelegationResult, ..news(id, "three", Priority::Medium) };
    let other = office.ws().write(&BY, move |tx| rules::enqueue(tx, new)).await;
    let other = other.expect("the rules allow it").expect("a new key");
    let gave_up = office.ws().write(&BY, move |tx| waiting::give_up(tx, other)).await;
    gave_up.expect("the rules allow it");
    let dropped = owner.form(&format!("{ALL}/{other}/drop"), &[("from", "all")]).await;
    assert_eq!(dropped.location(), Some(ALL));
    let other = office.get::<Item>(other);
    assert_eq!(other.state, ItemState::Cancelled);
    let said = other.last_error.unwrap_or_default();
    assert!(said.starts_with("dropped after: it didn't start"), "{said}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_seems_old_because_the_clock_jumped_is_begun_and_not_given_up() {
    let mut office = Office::open().await;
    let gate = Gate::new();
    office.model.push(done().behind(&gate)).usually(done());
    let ada = office.agent("Ada").await;
    office.task("It takes a while", &ada).await;
    gate.reached().await;
    let waits = office.task("It waits behind it", &ada).await;
    // The machine was suspended for days, twice.
    for _ in 0..2 {
        office.hq.advance(80 * HOUR).await;
    }
    gate.open();
    assert_eq!(office.worked(waits.id, 1).await.outcome, Some(Outcome::Done));
    let item = office.items(ada.id).into_iter().find(|item| item.task == Some(waits.id));
    let item = item.expect("an item");
    assert_eq!((item.state, item.attempts), (ItemState::Done, 1));

    // The same if HQ was off meanwhile.
    office.hq.settle().await;
    let id = ada.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let asleep = office.task("It sleeps with the machine", &ada).await;
    office.hq.stop().await;
    office.hq.advance_unnoticed(80 * HOUR);
    office.hq.start_again().await;
    office.act(move |tx| features::agents::rules::resume(tx, id)).await;
    assert_eq!(office.worked(asleep.id, 1).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_failures_in_a_row_are_told_once() {
    use features::notifications::model::Notification;
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    // The agent never reports the end of its work.
    office.model.usually(Turn::text("Hm."));
    let told = || {
        let all = office.all::<Notification>().into_iter();
        all.filter(|one| one.title == "Ada failed 5 times in a row").count()
    };
    for n in 0..6 {
        let item = tell(&office, &ada, &n.to_string(), Priority::Medium).await;
        assert_eq!(over(&office, item).await.state, ItemState::Failed, "item {n}");
        assert_eq!(told(), usize::from(4 <= n), "after item {n}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_declines_what_no_person_asked_for() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let asked = office.task("Call the shop", &ada).await;
    let asked = office.items(id).into_iter().find(|item| item.task == Some(asked.id));
    let asked = asked.expect("an item").id;
    let said = tell(&office, &ada, "one", Priority::Medium).await;
    let ws = office.ws();
    let decline = |item: ItemId| ws.write(&BY, move |tx| rules::decline(tx, item, " It is done. "));
    let kept = decline(asked).await.expect_err("a person asked for it").to_string();
    assert!(kept.contains("requested by a person; do it, or say in a comment"), "{kept}");
    assert_eq!(office.get::<Item>(asked).state, ItemState::Pending);
    decline(said).await.expect("no person asked for it");
    let item = office.get::<Item>(said);
    let why = item.last_error.as_deref();
    assert_eq!((item.state, why), (ItemState::Cancelled, Some("declined: It is done.")));
    let again = decline(said).await.expect_err("it is over").to_string();
    assert!(again.contains("this item is cancelled"), "{again}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_wait_for_people_take_no_place_from_what_is_begun_next() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("ask_person", json!({ "question": "Which van?", "options": [] })));
    let run = office.say(&ada, "Choose a van").await;
    office.in_state(run, RunState::Waiting).await;
    let id = ada.id;
    let in_hands = move |tx: &mut WriteTx<'_>| {
        // As many as are read of the waiting items.
        for n in 0..inbox::list::MOST_OPEN {
            tx.put(&Item {
                id: tx.new_id(),
                agent: id,
                task: None,
                key: format!("in_hands:{n}"),
                state: ItemState::Leased,
                run: Some(run),
                ..Item::sample()
            })?;
        }
        Ok::<_, StoreError>(())
    };
    office.act(in_hands).await;

    let next = tell(&office, &ada, "next", Priority::Medium).await;
    let now = office.hq.now();
    let listed = office.ws().read(|snap| inbox::list::open(snap, Some(id), now)).expect("a store");
    assert!(listed.iter().any(|item| item.id == next), "people see what waits");
    office.model.push(told());
    assert_eq!(over(&office, next).await.state, ItemState::Done);
    office.hq.finish().await;
}
