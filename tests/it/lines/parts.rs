//! Delegation of work between agents, and its results.

use features::agents::model::Agent;
use features::comments::model::Comment;
use features::inbox::model::Item;
use features::tasks::model::Task;
use kernel::{DeliverableState, ItemKind, ItemState, Outcome, TaskId, TaskStatus, Verdict};
use serde_json::json;
use store::{Range, ReadExt as _};

use support::model::{Gate, Turn};
use support::office::Office;

fn deliver(title: &str, text: &str) -> Turn {
    Turn::call("deliverable_submit", json!({ "kind": "text", "title": title, "body": text }))
}

fn done(state: &str) -> Turn {
    Turn::call("work_done", json!({ "summary": "So far.", "task_state": state }))
}

fn delegate(to: &str, title: &str) -> Turn {
    let part = json!({ "to": to, "title": title, "description": "As discussed." });
    Turn::call("task_delegate", part)
}

/// The task with this title, once it exists.
async fn called(office: &Office, title: &'static str) -> TaskId {
    office
        .until(title, move |snap| {
            let all: Vec<Task> = snap.list(&Range::all())?;
            Ok(all.into_iter().find(|task| task.title == title).map(|task| task.id))
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agents_delegate_block_deliver_and_are_reviewed() {
    let office = Office::open().await;
    let vera = office.agent_on("Vera", "for-vera").await;
    let ada = office.agent_on("Ada", "for-ada").await;
    let otto = office.agent_on("Otto", "for-otto").await;
    office.under(&ada, &vera).await;
    office.under(&otto, &ada).await;
    let script = |agent: &str, turns: Vec<Turn>| {
        for turn in turns {
            office.model.push(turn.for_model(agent));
        }
    };
    script("for-vera", vec![delegate("ada", "Research"), done("leave")]);
    script("for-ada", vec![delegate("otto", "Ask the shops"), done("leave")]);
    // Otto is blocked; Ada resolves that; he delivers.
    let help = json!({ "reason": "I have no phone number." });
    script("for-otto", vec![Turn::call("task_escalate", help), done("blocked")]);
    let go_on = json!({ "status": "in_progress", "description": "Use the list in the shop." });
    // By then Otto has ended, so the task is blocked before Ada unblocks it.
    let gate = Gate::new();
    script("for-ada", vec![Turn::call("task_update", go_on).behind(&gate), done("leave")]);
    script("for-otto", vec![deliver("Prices", "The first shop is cheaper."), done("in_review")]);
    // Ada is informed that it waits for review.
    script("for-ada", vec![done("leave")]);
    let whole = office.task("Win the florists", &vera).await.id;
    assert_eq!(office.worked(whole, 1).await.outcome, Some(Outcome::Done));
    let research = called(&office, "Research").await;
    let shops = called(&office, "Ask the shops").await;
    let asked = office.worked(shops, 1).await;
    assert_eq!(asked.agent, otto.id);
    gate.open();
    let helped = office.worked(shops, 2).await;
    assert_eq!((helped.agent, helped.outcome), (ada.id, Some(Outcome::Done)));
    let delivered = office.worked(shops, 3).await;
    assert_eq!((delivered.agent, delivered.outcome), (otto.id, Some(Outcome::Done)));
    assert_eq!(office.delivered(shops)[0].state, DeliverableState::InReview);
    let heard = office.worked(research, 2).await;
    let item = office.get::<Item>(heard.item.expect("an item"));
    assert_eq!((item.agent, item.kind), (ada.id, ItemKind::DelegationResult));
    assert!(item.reasons[0].summary.contains("\"Prices\" is waiting for review"), "{item:?}");

    // Approved: Ada gets the result, and delivers her own.
    script("for-ada", vec![deliver("Offer", "Take the first shop."), done("in_review")]);
    script("for-vera", vec![done("leave")]);
    office.review(shops, Verdict::Approved, "").await;
    assert_eq!(office.get::<Task>(shops).status, TaskStatus::Done);
    let result = office.worked(research, 3).await;
    let item = office.get::<Item>(result.item.expect("an item"));
    assert!(item.reasons[0].text.contains("The first shop is cheaper."), "{item:?}");
    let heard = office.worked(whole, 2).await;
    assert_eq!((heard.agent, heard.outcome), (vera.id, Some(Outcome::Done)));
    script("for-vera", vec![done("complete")]);
    office.review(research, Verdict::Approved, "").await;
    let last = office.worked(whole, 3).await;
    assert_eq!((last.agent, last.outcome), (vera.id, Some(Outcome::Done)));
    assert_eq!(office.get::<Task>(whole).status, TaskStatus::Done);
    assert_eq!(office.model.left(), 0, "all was said");

    let kinds = |agent: &Agent| -> Vec<ItemKind> {
        office.items(agent.id).into_iter().map(|item| item.kind).collect()
    };
    let back = ItemKind::DelegationResult;
    assert_eq!(kinds(&vera), [ItemKind::TaskAssignment, back, back]);
    assert_eq!(kinds(&ada), [ItemKind::TaskAssignment, ItemKind::TaskEscalation, back, back]);
    assert_eq!(kinds(&otto), [ItemKind::TaskAssignment, ItemKind::BlockerResolved]);
    let words = office.all::<Comment>();
    assert!(words.iter().any(|one| one.body == "Escalated to Ada: I have no phone number."));

    // Each agent knows its place in the reporting line; a manager has the tool to delegate at hand.
    let requests = office.model.requests();
    let told = |words: &str| requests.iter().any(|request| request.text().contains(words));
    assert!(told("Your manager: Vera (@vera)") && told("No one reports to you."));
    assert!(told("- Ada (@ada): Does what tests need"));
    let offered = |words: &str| {
        let request = requests.iter().find(|request| request.text().contains(words));
        request.expect("a request").tools().contains(&"task_delegate".to_owned())
    };
    assert!(offered("Your manager: Vera (@vera)") && !offered("No one reports to you."));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_parts_are_gathered_and_no_part_is_given_out_twice() {
    let office = Office::open().await;
    let ada = office.agent_on("Ada", "for-ada").await;
    let otto = office.agent_on("Otto", "for-otto").await;
    let mia = office.agent_on("Mia", "for-mia").await;
    office.under(&otto, &ada).await;
    office.under(&mia, &ada).await;
    let say = |agent: &str, turn: Turn| office.model.push(turn.for_model(agent));
    say("for-ada", delegate("otto", "Ask for prices"));
    say("for-ada", delegate("mia", "Ask for dates"));
    say("for-ada", done("leave"));
    // Neither is done before both have their parts.
    let (given, gate) = (Gate::new(), Gate::new());
    say("for-otto", done("complete").behind(&given));
    say("for-mia", done("complete").behind(&gate));
    let task = office.task("Win the florists", &ada).await.id;
    assert_eq!(office.worked(task, 1).await.outcome, Some(Outcome::Done));
    given.open();
    let prices = called(&office, "Ask for prices").await;
    assert_eq!(office.worked(prices, 1).await.outcome, Some(Outcome::Done));

    // The first result waits for the second, and shows that.
    let items = office.items(ada.id);
    let back = items.iter().find(|item| item.kind == ItemKind::DelegationResult).expect("an item");
    assert_eq!((back.state, back.not_before.is_some()), (ItemState::Pending, true));
    let told = office.hq.owner().get("/api/v1/agents/ada").await.json();
    assert_eq!(told["activity"], "held", "{told}");

    // Both results come together; repeating a similar request to the same agent is refused with the reason.
    say("for-ada", delegate("otto", "Ask for the prices, again"));
    say("for-ada", done("complete"));
    gate.open();
    let second = office.worked(task, 2).await;
    let item = office.get::<Item>(second.item.expect("an item"));
    assert_eq!((item.id, item.reasons.len()), (back.id, 2), "{:?}", item.reasons);
    let results = office.results(second.id);
    let (_, went, said) =
        results.iter().find(|(tool, ..)| tool == "task_delegate").expect("a call");
    assert!(!went && said.contains("is the same request and is done"), "{said}");
    assert_eq!(office.get::<Task>(task).status, TaskStatus::Done);
    assert_eq!(office.runs_on(task).len(), 2);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_result_does_not_wait_for_ever() {
    let office = Office::open().await;
    let ada = office.agent_on("Ada", "for-ada").await;
    let otto = office.agent_on("Otto", "for-otto").await;
    let mia = office.agent_on("Mia", "for-mia").await;
    office.under(&otto, &ada).await;
    office.under(&mia, &ada).await;
    let id = mia.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let say = |agent: &str, turn: Turn| office.model.push(turn.for_model(agent));
    say("for-ada", delegate("otto", "Ask for prices"));
    say("for-ada", delegate("mia", "Ask for dates"));
    say("for-ada", done("leave"));
    let given = Gate::new();
    say("for-otto", done("complete").behind(&given));
    let task = office.task("Win the florists", &ada).await.id;
    assert_eq!(office.worked(task, 1).await.outcome, Some(Outcome::Done));
    given.open();
    office.worked(called(&office, "Ask for prices").await, 1).await;
    assert_eq!(office.runs_on(task).len(), 1);
    say("for-ada", done("leave"));
    office.hq.advance(std::time::Duration::from_secs(15 * 60 + 1)).await;
    let second = office.worked(task, 2).await;
    assert_eq!(second.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_parts_the_people_of_a_task_are_asked() {
    let office = Office::open().await;
    let ada = office.agent_on("Ada", "for-ada").await;
    let otto = office.agent_on("Otto", "for-otto").await;
    office.under(&otto, &ada).await;
    let id = otto.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    // A task that is delegated during work counts as a part of it.
    let part = |n: usize| {
        let title = format!("Ask shop {n}");
        let made = json!({ "title": title, "assignee": "otto" });
        let given = n.is_multiple_of(2);
        let turn = if given { Turn::call("task_create", made) } else { delegate("otto", &title) };
        turn.for_model("for-ada")
    };
    for n in 1..=11 {
        office.model.push(part(n));
    }
    office.model.push(done("leave").for_model("for-ada"));
    let task = office.task("Win the florists", &ada).await.id;
    let first = office.worked(task, 1).await;
    let results = office.results(first.id);
    let went = results.iter().filter(|(tool, went, _)| tool.starts_with("task_") && *went).count();
    assert_eq!(went, 10, "{results:?}");
    assert!(results.iter().any(|(_, _, said)| said.contains("10 subtasks of MC-1 were assigned")));
    let told = office.hq.owner().get("/api/v1/notifications").await.text;
    assert!(told.contains("Ada has created 10 subtasks of MC-1"), "{told}");

    // A person's message lets it continue.
    office.model.push(part(12));
    office.model.push(done("leave").for_model("for-ada"));
    office.comment(task, "Go on with the last one, please.").await;
    let second = office.worked(task, 2).await;
    let results = office.results(second.id);
    assert!(results.iter().any(|(tool, went, _)| tool == "task_create" && *went), "{results:?}");
    office.hq.finish().await;
}
