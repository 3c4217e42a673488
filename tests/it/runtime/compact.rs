//! Compaction: triggers, kept content, cost, and the state after a stop or kill.

use features::connections::model::Cooldown;
use features::runs::model::{
    Compaction, CompactionRequest, CompactionWhy, Context, EventKind, Input, InputState, Run,
    Session, SummaryBy,
};
use features::runs::rules::{context, queue as dropped};
use kernel::{Outcome, RunId, RunState};
use serde_json::{Value, json};
use store::{Range, ReadExt as _};

use super::failover::{fall_back, named, second, switches};
use support::model::{Gate, Seen, Tokens, Turn};
use support::office::Office;

/// Headings of a summary.
pub const HEADINGS: [&str; 9] = [
    "Goal",
    "Constraints and preferences",
    "Decisions",
    "Done",
    "In progress",
    "Pending asks",
    "Key identifiers",
    "Open errors",
    "Next step",
];

/// A summary with this text below each heading.
fn summary(body: &str) -> Turn {
    let sections = HEADINGS.iter().map(|heading| format!("## {heading}\n{body}\n"));
    Turn::text(&sections.collect::<String>())
}

fn down() -> Turn {
    Turn::error(500, "api_error", "down")
}

/// Token usage that nearly fills the scripted model's context window.
fn full() -> Tokens {
    Tokens { input: 24_000, cache_read: 0, cache_write: 0, output: 20 }
}

/// A conversation of several long messages.
async fn talked(office: &Office, ada: &features::agents::model::Agent, count: usize) -> RunId {
    let words = "a rather long remark about vans and what they cost. ".repeat(40);
    let mut last = None;
    for n in 0..count {
        office.model.push(Turn::text(&format!("Answer {n}.")));
        let run = office.say(ada, &format!("Remark {n}: {words}")).await;
        office.ended(run).await;
        last = Some(run);
    }
    last.expect("something was said")
}

fn compacted(events: &[EventKind]) -> Vec<(String, Compaction)> {
    let made = events.iter().filter_map(|kind| match kind {
        EventKind::Compacted { summary, how } => Some((summary.clone(), how.clone())),
        _ => None,
    });
    made.collect()
}

async fn ask(office: &Office, run: RunId, focus: &'static str) -> RunId {
    let session = office.get::<Run>(run).session;
    office.act(move |tx| context::ask_compaction(tx, session, focus)).await
}

fn said(seen: &Seen) -> String {
    seen.body["messages"].as_array().expect("messages").iter().map(Value::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_outlives_every_summary_until_it_is_done() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let plan = |second: &str| {
        let steps = json!([
            { "step": "Read the offers", "status": "completed" },
            { "step": "Write to zanzibar", "status": second }
        ]);
        Turn::call("progress_card", json!({ "steps": steps }))
    };
    // Also for a second attempt if the first one is incomplete.
    office.model.usually(summary("nothing of it"));
    office.model.push(plan("in_progress")).push(Turn::text("Planned."));
    let run = office.say(&ada, "Make a plan").await;
    office.ended(run).await;
    let told = office.results(run).remove(0);
    assert!(told.1 && told.2.starts_with("Write to zanzibar (1 of 2 done)\n"), "{told:?}");
    let kept = |runs: RunId| {
        let [(text, _)] = compacted(&office.events(runs)).try_into().expect("one compaction");
        text
    };
    for _ in 0..2 {
        let last = talked(&office, &ada, 5).await;
        let run = ask(&office, last, "").await;
        office.ended(run).await;
        let text = kept(run);
        assert!(text.ends_with("[x] Read the offers\n[>] Write to zanzibar"), "{text}");
    }
    office.model.push(plan("completed")).push(Turn::text("Done."));
    let run = office.say(&ada, "Finish it").await;
    office.ended(run).await;
    let last = talked(&office, &ada, 5).await;
    let run = ask(&office, last, "").await;
    office.ended(run).await;
    assert!(!kept(run).contains("## The plan"), "{}", kept(run));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_fills_its_window_goes_on_from_a_summary() {
    let office = Office::open().await;
    office.price(1_000_000, 1_000_000).await;
    let ada = office.agent("Ada").await;
    let rule = "Never write to suppliers directly. The list is in offers/north.md and offers/north.md counts.";
    office.model.push(Turn::text("I will not."));
    let first = office.say(&ada, rule).await;
    office.ended(first).await;
    talked(&office, &ada, 5).await;
    office.model.push(Turn::text("Nearly full.").usage(full()));
    let run = office.say(&ada, "And now?").await;
    office.ended(run).await;

    let kept = "Never write to suppliers directly; see offers/north.md";
    office.model.push(summary(kept)).push(Turn::text("Going on."));
    let run = office.say(&ada, "Go on").await;
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.summary.as_str()), (Some(Outcome::Done), "Going on."));
    let events = office.events(run);
    let [(text, how)] = compacted(&events).try_into().expect("one compaction");
    assert_eq!(how.by, SummaryBy::Model);
    assert!(how.tokens_after < how.tokens_before, "{how:?}");
    assert!(text.contains("Never write to suppliers"));
    assert!(
        events.iter().any(|kind| matches!(
            kind,
            EventKind::CompactionStarted { why: CompactionWhy::Full, .. }
        ))
    );

    let requests = office.model.requests();
    let [.., asked, after] = requests.as_slice() else { panic!("two requests") };
    assert!(asked.text().contains("Remark 0") && asked.tools().is_empty(), "no tools");
    let shown = said(after);
    assert!(
        shown.contains(
            "This summarizes the older \
        parts"
        ) && shown.contains("suppliers directly")
    );
    assert!(shown.contains("Nearly full.") && shown.contains("Go on"), "the newest part stays");
    assert!(!shown.contains("Remark 0"), "{shown}");
    // It is paid like any other call of the run.
    let usage = office.usage(run);
    assert_eq!((usage.len(), usage[0].kind), (2, kernel::CallKind::Compaction));
    assert_eq!(how.billed_micros, usage[0].billed_micros);
    assert_eq!((how.input_tokens, how.output_tokens), (usage[0].input, usage[0].output));
    // The next run starts with the summary, too, and creates no new one.
    office.model.push(Turn::text("Still."));
    let run = office.say(&ada, "Still there?").await;
    office.ended(run).await;
    assert!(compacted(&office.events(run)).is_empty());
    assert!(said(&office.model.last()).contains("suppliers directly"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_that_loses_a_rule_is_written_again_and_then_mended_by_rules() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I will not."));
    let first = office
        .say(&ada, "Never write to suppliers directly. See offers/north.md, offers/north.md.")
        .await;
    office.ended(first).await;
    let run = talked(&office, &ada, 5).await;

    office
        .model
        .push(summary("vans"))
        .push(summary("Never write to suppliers directly: offers/north.md"));
    let made = ask(&office, run, "the prices").await;
    office.ended(made).await;
    let [(_, how)] = compacted(&office.events(made)).try_into().expect("one compaction");
    assert_eq!((how.by, office.usage(made).len()), (SummaryBy::Mended, 2));
    let requests = office.model.requests();
    let [.., asked, again] = requests.as_slice() else { panic!("two requests") };
    assert!(asked.text().contains("the prices"), "the wish is told");
    assert!(
        again.text().contains("left something out") && again.text().contains("offers/north.md")
    );

    // A summary that stays incomplete is used with the missing parts.
    talked(&office, &ada, 5).await;
    office.model.push(summary("vans")).push(summary("only vans"));
    let made = ask(&office, run, "").await;
    office.ended(made).await;
    let [(text, how)] = compacted(&office.events(made)).try_into().expect("one compaction");
    assert_eq!(how.by, SummaryBy::Extract);
    assert!(text.contains("only vans") && text.contains("Never write to suppliers"), "{text}");

    // If the model fails again, an extract is used, and the run continues.
    talked(&office, &ada, 5).await;
    office.model.push(down()).push(down());
    let made = ask(&office, run, "").await;
    office.pass_retry(made, 1).await;
    assert_eq!(office.ended(made).await.outcome, Some(Outcome::Done));
    let [(text, how)] = compacted(&office.events(made)).try_into().expect("one compaction");
    assert_eq!(how.by, SummaryBy::Extract);
    assert!(text.contains("Never write to suppliers") && text.contains("Remark 2"), "{text}");
    assert_eq!(office.get::<Context>(how_session(&office, made)).compactions, 3);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_stays_word_for_word_when_a_summary_says_the_opposite() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I will not."));
    let first = office.say(&ada, "Never write to suppliers directly.").await;
    office.ended(first).await;
    for _ in 0..2 {
        let run = talked(&office, &ada, 5).await;
        office.model.push(summary("Always write to suppliers directly."));
        let made = ask(&office, run, "").await;
        office.ended(made).await;
        let [(text, how)] = compacted(&office.events(made)).try_into().expect("one compaction");
        assert_eq!(how.by, SummaryBy::Model);
        let rules =
            "\n## Constraints and preferences, word for word\n- Never write to suppliers directly.";
        assert!(text.ends_with(rules), "{text}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hiccup_is_no_reason_for_a_poor_summary() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let run = talked(&office, &ada, 6).await;
    office.model.push(down()).push(summary("vans"));
    let made = ask(&office, run, "").await;
    office.pass_retry(made, 1).await;
    assert_eq!(office.ended(made).await.outcome, Some(Outcome::Done));
    let [(_, how)] = compacted(&office.events(made)).try_into().expect("one compaction");
    assert_eq!(how.by, SummaryBy::Model);
    assert!(office.all::<Cooldown>().is_empty(), "the only one is not left alone for it");

    // A stop between the two attempts changes nothing.
    talked(&office, &ada, 5).await;
    office.model.push(down());
    let made = ask(&office, run, "").await;
    office.happened(made, |kind| matches!(kind, EventKind::CallFailed { .. })).await;
    office.stop(made).await;
    let ended = office.ended(made).await;
    assert!(matches!(ended.outcome, Some(Outcome::Stopped { .. })), "{:?}", ended.outcome);
    assert!(compacted(&office.events(made)).is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_of_the_list_writes_the_summary_when_the_first_is_down() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let run = talked(&office, &ada, 6).await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    office.model.push(down()).push(down());
    other.push(summary("vans"));
    let made = ask(&office, run, "").await;
    office.pass_retry(made, 1).await;
    assert_eq!(office.ended(made).await.outcome, Some(Outcome::Done));
    let [(_, how)] = compacted(&office.events(made)).try_into().expect("one compaction");
    assert_eq!((how.by, how.model.as_str()), (SummaryBy::Model, "spare"));
    let switched = ("mock (Scripted)".to_owned(), "spare (Second)".to_owned());
    assert_eq!(switches(&office, made), [switched]);
    assert_eq!(other.requests().len(), 1);
    office.hq.finish().await;
}

fn how_session(office: &Office, run: RunId) -> kernel::SessionId {
    office.get::<Run>(run).session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_during_a_compaction_is_answered_after_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let run = talked(&office, &ada, 6).await;
    let gate = Gate::new();
    office.model.push(summary("vans").behind(&gate)).push(Turn::text("Yes."));
    let made = ask(&office, run, "").await;
    gate.reached().await;
    assert_eq!(office.say(&ada, "Are you there?").await, made, "the same run reads it");
    gate.open();
    let ended = office.ended(made).await;
    assert_eq!((ended.outcome, ended.summary.as_str()), (Some(Outcome::Done), "Yes."));
    assert_eq!(compacted(&office.events(made)).len(), 1);
    assert!(said(&office.model.last()).contains("Are you there?"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_that_is_stopped_changes_nothing() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let run = talked(&office, &ada, 6).await;
    office.model.push(Turn::silence());
    let asked = office.model.requests().len();
    let made = ask(&office, run, "").await;
    office.model.asked(asked + 1).await;
    office.stop(made).await;
    let ended = office.ended(made).await;
    assert!(matches!(ended.outcome, Some(Outcome::Stopped { .. })), "{:?}", ended.outcome);
    let session = how_session(&office, made);
    assert_eq!(office.get::<Context>(session).asked, None, "nobody wants it any more");
    office.model.push(Turn::text("Whole."));
    let run = office.say(&ada, "What was first?").await;
    office.ended(run).await;
    assert!(said(&office.model.last()).contains("Remark 0"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_run_is_stopped_before_it_was_read_does_not_come_back_by_itself() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    talked(&office, &ada, 5).await;
    office.model.push(Turn::text("Nearly full.").usage(full()));
    let run = office.say(&ada, "And now?").await;
    office.ended(run).await;
    // The conversation is compacted before the message is read.
    office.model.push(Turn::silence());
    let asked = office.model.requests().len();
    let sent = office.send(&ada, "Go on", None).await;
    office.model.asked(asked + 1).await;
    office.stop(sent.run).await;
    let ended = office.ended(sent.run).await;
    assert!(matches!(ended.outcome, Some(Outcome::Stopped { .. })), "{:?}", ended.outcome);
    office.hq.settle().await;
    let input: Input = office.get(sent.message);
    assert!(matches!(input.state, InputState::Dropped(_)) && input.kept, "{input:?}");
    let session: Session = office.get(ended.session);
    assert_eq!(session.active_run, None, "nothing begins again by itself");
    assert_eq!(office.model.requests().len(), asked + 1);
    // Its author may restore it.
    let (by, message) = (office.owner(), sent.message);
    office.model.push(summary("vans")).push(Turn::text("Going on."));
    let back = office.act(move |tx| dropped::bring_back(tx, message, by)).await;
    assert_eq!(office.ended(back.run).await.summary, "Going on.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_goes_on_after_the_program_was_ended_in_its_middle() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let run = talked(&office, &ada, 6).await;
    let asked = office.model.requests().len();
    office.model.push(Turn::silence());
    let made = ask(&office, run, "the prices").await;
    office.model.asked(asked + 1).await;
    office.hq.stop().await;
    office.model.push(summary("vans"));
    office.hq.start_again().await;
    let ended = office.ended(made).await;
    assert_eq!((ended.outcome, ended.attempt), (Some(Outcome::Done), 2));
    assert_eq!(compacted(&office.events(made)).len(), 1);
    assert!(office.model.last().text().contains("the prices"));
    let session: Session = office.get(ended.session);
    assert_eq!(session.active_run, None);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_run_is_compacted_between_its_steps_and_keeps_its_card() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let text = "numbers and more numbers\n".repeat(300);
    for n in 0..5 {
        office
            .model
            .push(Turn::call("write", json!({ "path": format!("part{n}.md"), "content": text })));
    }
    office.model.push(Turn::call("list", json!({})).usage(full()));
    office.model.push(summary("part0.md part1.md part2.md part3.md part4.md"));
    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    let [(text, how)] = compacted(&office.events(run.id)).try_into().expect("one compaction");
    assert!(how.tokens_after < how.tokens_before, "{how:?}");
    assert!(
        text.contains("What this run is about") && text.contains("Compare two offers"),
        "{text}"
    );
    let last = office.model.last();
    let shown = last.body["messages"].as_array().expect("messages").clone();
    // Each displayed call has its result, and no result is orphaned.
    let calls: Vec<&str> = shown
        .iter()
        .flat_map(|m| m["tool_calls"].as_array().map_or(&[][..], Vec::as_slice))
        .filter_map(|call| call["id"].as_str())
        .collect();
    let results: Vec<&str> = shown.iter().filter_map(|m| m["tool_call_id"].as_str()).collect();
    assert_eq!(calls, results);
    assert!(!calls.is_empty() && calls.len() < 6, "{calls:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_conversation_is_not_compacted_and_says_so() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("Hello."));
    let run = office.say(&ada, "Hello").await;
    office.ended(run).await;
    let made = ask(&office, run, "").await;
    assert_eq!(office.ended(made).await.outcome, Some(Outcome::Done));
    assert!(office.events(made).iter().any(|k| matches!(k, EventKind::CompactionFailed { .. })));
    assert_eq!(office.get::<Context>(how_session(&office, made)).asked, None);
    assert_eq!(office.model.requests().len(), 1, "nobody was asked");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_is_asked_for_in_the_page_and_by_api() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let run = talked(&office, &ada, 6).await;
    let (mira, api) = (office.hq.owner(), office.hq.api().await);
    let session = how_session(&office, run);
    office.model.push(summary("vans"));
    let at = format!("/w/marlow-cargo/agents/{}/chat", ada.slug);
    let page = mira.form(&format!("{at}/compact"), &[("focus", "prices")]).await;
    assert_eq!(page.location(), Some(at.as_str()), "{}", page.text);
    office.hq.settle().await;
    let shown = mira.get(&at).await;
    assert!(
        shown.text_of("#talk details.rule summary").starts_with("Compacted,"),
        "{}",
        shown.text
    );
    let known = api.get(&format!("/api/v1/sessions/{session}")).await.json();
    assert_eq!(
        (known["compactions"].clone(), known["compaction_asked"].clone()),
        (json!(1), json!(false))
    );

    talked(&office, &ada, 5).await;
    office.model.push(summary("vans"));
    let asked = api.post(&format!("/api/v1/sessions/{session}/compact"), &json!({})).await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    office.hq.settle().await;
    let name = asked.json()["run"].as_str().expect("a run").to_owned();
    let steps = api.get(&format!("/api/v1/runs/{name}/steps?limit=100")).await.json();
    let kinds: Vec<&str> =
        steps["items"].as_array().unwrap().iter().filter_map(|s| s["kind"].as_str()).collect();
    assert!(kinds.contains(&"compaction_started") && kinds.contains(&"compacted"), "{kinds:?}");
    let stranger = office.hq.another("Eve", Some(kernel::Role::Member)).await;
    let own = stranger.with("x-hq-workspace", "marlow-cargo");
    let refused = own.post(&format!("/api/v1/sessions/{session}/compact"), &json!({})).await;
    assert_eq!(refused.status, 404, "somebody else's conversation");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_that_was_asked_for_too_late_gets_a_run_of_its_own() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    talked(&office, &ada, 6).await;
    let gate = Gate::new();
    office.model.push(Turn::text("Last word.").behind(&gate));
    let run = office.say(&ada, "One more").await;
    gate.reached().await;
    assert_eq!(ask(&office, run, "").await, run, "the run that works will do it");
    office.model.push(summary("vans"));
    gate.open();
    office.ended(run).await;
    let next = office
        .until("the next run", |snap| {
            let runs: Vec<Run> = snap.list(&Range::all())?;
            Ok(runs.into_iter().find(|r| r.number == 8 && r.state == RunState::Ended))
        })
        .await;
    assert_eq!(compacted(&office.events(next.id)).len(), 1);
    let none: Option<CompactionRequest> = office.get::<Context>(next.session).asked;
    assert_eq!(none, None);
    office.hq.finish().await;
}
