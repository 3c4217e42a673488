//! Lines between agents: who reports to whom, what goes down them and what goes up.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::comments::model::Comment;
use features::inbox::model::Item;
use features::inbox::rules as inbox;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::{self as tasks, NewTask};
use kernel::{
    Actor, Assignee, Cause, DeliverableState, ItemKind, ItemState, Outcome, Problem as _, Role,
    RunId, TaskId, TaskStatus, TypedId as _, Verdict,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Range, ReadExt as _, StoreError, WriteTx};

use support::hq::{Person, TestHq};
use support::model::{Gate, Turn};
use support::office::Office;

const HOME: &str = "/w/marlow-cargo";

async fn make(api: &Person, name: &str, reports_to: &str) -> Value {
    let body = json!({ "name": name, "reports_to": reports_to });
    let made = api.post("/api/v1/agents", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

async fn under(api: &Person, agent: &str, to: &str) -> Value {
    let path = format!("/api/v1/agents/{agent}");
    api.json("PATCH", &path, &json!({ "reports_to": to })).await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_report_to_whom_people_choose_and_never_in_a_circle() {
    let hq = TestHq::start().await;
    let (api, mira) = (hq.api().await, hq.owner());
    let vera = api.post("/api/v1/agents", &json!({ "name": "Vera" })).await.json();
    assert_eq!(vera["manager"]["kind"], "person", "who makes it is its manager: {vera}");
    let ada = make(&api, "Ada", "vera").await;
    assert_eq!(
        (&ada["manager"]["kind"], &ada["manager"]["handle"]),
        (&json!("agent"), &json!("vera"))
    );
    assert_eq!(ada["reports_to"], vera["id"]);
    make(&api, "Otto", "@ada").await;
    let nobody = make(&api, "Nils", "none").await;
    assert_eq!((&nobody["reports_to"], &nobody["manager"]), (&Value::Null, &Value::Null));

    for (agent, to, code) in [
        ("vera", "vera", "manager_self"),
        ("vera", "otto", "manager_circle"),
        ("vera", "ada", "manager_circle"),
        ("vera", "whoever", "manager_not_found"),
    ] {
        let refused = under(&api, agent, to).await;
        assert_eq!(refused["code"], code, "{agent} to {to}: {refused}");
        assert_eq!(refused["errors"][0]["field"], "reports_to", "{refused}");
    }
    let listed = api.get("/api/v1/agents").await.json();
    let handles: Vec<_> = listed["items"]
        .as_array()
        .expect("agents")
        .iter()
        .map(|one| {
            (
                one["slug"].as_str().expect("a slug"),
                one["manager"]["handle"].as_str().unwrap_or("-"),
            )
        })
        .collect();
    let owner = vera["manager"]["handle"].as_str().expect("a handle");
    assert_eq!(handles, [("ada", "vera"), ("nils", "-"), ("otto", "ada"), ("vera", owner)]);

    // The picker on the page leaves out the agent and all below it.
    let page = mira.get(&format!("{HOME}/agents/ada")).await;
    let offered = page.attrs("#m-manager button", "value");
    assert!(
        offered.contains(&"vera".to_owned()) && offered.contains(&"nils".to_owned()),
        "{offered:?}"
    );
    assert!(
        !offered.contains(&"ada".to_owned()) && !offered.contains(&"otto".to_owned()),
        "{offered:?}"
    );
    let moved = mira.form(&format!("{HOME}/agents/otto/manager"), &[("to", "vera")]).await;
    assert_eq!(moved.location(), Some(&*format!("{HOME}/agents/otto")), "{}", moved.text);
    let page = mira.get(&format!("{HOME}/agents/vera")).await;
    assert!(page.text.contains("Direct reports") && page.text.contains("Otto"), "{}", page.text);
    let wrong = mira.form(&format!("{HOME}/agents/vera/manager"), &[("to", "otto")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    let viewer = hq.another("Vic", Some(Role::Viewer)).await;
    let refused = viewer.form(&format!("{HOME}/agents/otto/manager"), &[("to", "none")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    // The form for a new agent has it, too.
    let form = [("name", "Pia"), ("emoji", "🌱"), ("template", "default"), ("reports_to", "otto")];
    let made = mira.form(&format!("{HOME}/agents"), &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    assert_eq!(api.get("/api/v1/agents/pia").await.json()["manager"]["handle"], "otto");
    let form = [("name", "Kit"), ("emoji", "🌱"), ("template", "default"), ("reports_to", "who")];
    let wrong = mira.form(&format!("{HOME}/agents"), &form).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("obody here is called"), "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_stands_on_people_and_shows_who_is_below_whom() {
    let hq = TestHq::start().await;
    let (api, mira) = (hq.api().await, hq.owner());
    for (name, to) in
        [("Vera", ""), ("Ada", "vera"), ("Otto", "ada"), ("Juno", "vera"), ("Nils", "none")]
    {
        match to {
            "" => drop(api.post("/api/v1/agents", &json!({ "name": name })).await),
            to => drop(make(&api, name, to).await),
        }
    }
    let page = mira.get(&format!("{HOME}/agents?view=chart")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(page.text_of("h1"), "Agents");
    // Below Mira stands Vera, below Vera Ada and Juno, below Ada Otto.
    let below =
        |chief: &str| page.attrs(&format!("#agent-{chief} ~ details > ul > li > .node"), "id");
    assert_eq!(below("vera"), ["agent-ada", "agent-juno"]);
    assert_eq!(below("ada"), ["agent-otto"]);
    assert!(below("otto").is_empty());
    let roots = page.attrs(".org > ul > li > .node", "id");
    assert_eq!(roots.len(), 2, "{roots:?}");
    assert_eq!(roots[1], "person-nobody", "Nils reports to nobody");
    assert_eq!(page.attrs("#agent-ada ~ details > summary", "aria-label"), ["Those below Ada: 1"]);
    // Both views lead to each other, and a filter stays in its view.
    let views = page.attrs(".seg a", "href");
    assert_eq!(views, [format!("{HOME}/agents"), format!("{HOME}/agents?view=chart")]);
    let filters = page.attrs(".views a", "href");
    assert!(filters.contains(&format!("{HOME}/agents?view=chart&state=idle")), "{filters:?}");
    let list = mira.get(&format!("{HOME}/agents")).await;
    assert!(list.text_of("#agent-ada").contains("Vera"), "{}", list.text);
    hq.finish().await;
}

/// The entry that wrote an agent last.
fn entry(hq: &TestHq, slug: &str) -> u64 {
    let found: Result<_, StoreError> = hq.ws().read(|snap| {
        let agent = features::agents::queries::by_slug(snap, slug)?.expect("it is there");
        snap.get_rev::<Agent>(agent.id)
    });
    found.expect("a readable store").expect("it is there").1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_goes_back_unless_it_would_close_and_moves_up_when_a_manager_goes() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    make(&api, "Vera", "none").await;
    make(&api, "Ada", "vera").await;
    make(&api, "Otto", "ada").await;
    let manager = |slug: &'static str| {
        let api = &api;
        async move {
            let agent = api.get(&format!("/api/v1/agents/{slug}")).await.json();
            agent["manager"]["handle"].as_str().unwrap_or("-").to_owned()
        }
    };
    under(&api, "otto", "vera").await;
    let undone = api.post("/api/v1/undo", &json!({ "entry": entry(&hq, "otto") })).await;
    assert!(undone.status.is_success(), "{}", undone.text);
    assert_eq!(manager("otto").await, "ada");

    // Otto has left the line; by now Ada reports to him.
    under(&api, "otto", "none").await;
    let left = entry(&hq, "otto");
    under(&api, "ada", "otto").await;
    let seen = api.post("/api/v1/undo/preview", &json!({ "entry": left })).await;
    assert!(seen.text.contains("manager_circle"), "{}", seen.text);
    let refused = api.post("/api/v1/undo", &json!({ "entry": left })).await;
    assert!(!refused.status.is_success(), "{}", refused.text);
    assert_eq!((manager("otto").await.as_str(), manager("ada").await.as_str()), ("-", "otto"));

    // Vera above Otto above Ada: when Otto goes, Ada reports to Vera.
    under(&api, "otto", "vera").await;
    let gone = api.post("/api/v1/agents/otto/archive", &json!({})).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    assert_eq!(manager("ada").await, "vera");
    let refused = under(&api, "ada", "otto").await;
    assert_eq!(refused["code"], "agent_state", "{refused}");
    let undone = api.post("/api/v1/undo", &json!({ "entry": entry(&hq, "otto") })).await;
    assert!(undone.status.is_success(), "{}", undone.text);
    assert_eq!(manager("ada").await, "otto", "undone as one");
    hq.finish().await;
}

/// Ada leads Bo, who leads Cy; Dan stands beside them. All of them rest.
struct Team {
    office: Office,
    ada: Agent,
    bo: Agent,
    cy: Agent,
    dan: Agent,
}

impl Team {
    async fn open() -> Self {
        let office = Office::open().await;
        let (ada, bo) = (office.agent("Ada").await, office.agent("Bo").await);
        let (cy, dan) = (office.agent("Cy").await, office.agent("Dan").await);
        office.under(&bo, &ada).await;
        office.under(&cy, &bo).await;
        for id in [ada.id, bo.id, cy.id, dan.id] {
            office.act(move |tx| agents::pause(tx, id)).await;
        }
        Self { office, ada, bo, cy, dan }
    }

    /// Acts as an agent.
    async fn by<T: Send + 'static>(
        &self,
        agent: &Agent,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, TaskError> + Send + 'static,
    ) -> Result<T, TaskError> {
        let by = Actor::Agent { agent: agent.id, run: RunId::from_bytes([77; 16]) };
        self.office.ws().write(&(by, Cause::Timer), body).await
    }

    /// An agent makes a task for another.
    async fn give(&self, from: &Agent, to: &Agent) -> Result<Task, TaskError> {
        let assignee = Some(Assignee::Agent(to.id));
        self.by(from, move |tx| {
            tasks::create(tx, NewTask { assignee, ..NewTask::titled("A part") })
        })
        .await
    }

    async fn escalations(&self, agent: &Agent, count: usize) -> Vec<Item> {
        let id = agent.id;
        self.office
            .until("trouble that goes up", move |snap| {
                let mut items: Vec<Item> = snap.list(&Range::all())?;
                items.retain(|item| item.agent == id && item.kind == ItemKind::TaskEscalation);
                Ok((items.len() == count).then_some(items))
            })
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_give_work_down_the_line_and_nowhere_else() {
    let team = Team::open().await;
    let Team { office, ada, bo, cy, dan } = &team;
    let api = office.hq.api().await;
    let rules = async |word: &str| {
        let body = json!({ "delegation": word });
        let now = api.json("PATCH", "/api/v1/settings/tasks", &body).await.json();
        assert_eq!(
            (&now["delegation"], &now["missed_after_days"]),
            (&json!(word), &json!(3)),
            "{now}"
        );
    };
    assert!(team.give(ada, bo).await.is_ok());
    assert!(team.give(ada, ada).await.is_ok(), "to itself");
    let told = team.give(ada, cy).await.expect_err("only by way of Bo").to_string();
    assert!(told.contains("you can give it to: bo."), "{told}");
    rules("line").await;
    let indirect = team.give(ada, cy).await.expect("by way of Bo");
    let refused = team.give(ada, dan).await.expect_err("beside her");
    assert_eq!(refused.code(), "not_a_report");
    let told = refused.to_string();
    assert!(told.contains("Dan does not report to you"), "{told}");
    assert!(told.contains("you can give it to: bo, cy"), "{told}");
    let told = team.give(bo, ada).await.expect_err("not upwards").to_string();
    assert!(told.contains("your manager @ada with task_escalate"), "{told}");
    let told = team.give(cy, dan).await.expect_err("leads nobody").to_string();
    assert!(told.contains("nobody reports to you"), "{told}");
    let to_person = Some(Assignee::Person(office.owner()));
    let asked = team.by(dan, move |tx| {
        tasks::create(tx, NewTask { assignee: to_person, ..NewTask::titled("Decide") })
    });
    assert!(asked.await.is_ok(), "people can be asked by all");

    // What another has is changed hands by those above, or by who made it.
    let (id, me) = (indirect.id, Some(Assignee::Agent(dan.id)));
    let taken = team.by(dan, move |tx| tasks::assign(tx, id, me)).await;
    assert_eq!(taken.expect_err("it is Cy's").code(), "not_your_task");
    let me = Some(Assignee::Agent(bo.id));
    team.by(bo, move |tx| tasks::assign(tx, id, me)).await.expect("Cy reports to Bo");
    // People give to whom they like.
    let to = Some(Assignee::Agent(dan.id));
    office.act(move |tx| tasks::assign(tx, id, to)).await;

    rules("open").await;
    assert!(team.give(dan, ada).await.is_ok());
    team.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_report_is_stuck_with_late_with_or_fails_with_goes_to_its_manager() {
    let team = Team::open().await;
    let Team { office, ada, bo, cy, dan } = &team;
    // Blocked, with words: the manager reads them.
    let stuck = office.task("Find a phone number", bo).await;
    let (id, agent) = (stuck.id, bo.id);
    let escalated = team.by(bo, move |tx| {
        tasks::lines::escalate(tx, id, agent, "  The shop has none.  ").map(|_| ())
    });
    escalated.await.expect("its own task");
    let items = team.escalations(ada, 1).await;
    assert_eq!(items[0].task, Some(stuck.id));
    assert!(items[0].reasons[0].summary.contains("Bo needs your help"), "{items:?}");
    assert_eq!(items[0].reasons[0].text, "The shop has none.");
    assert_eq!(office.get::<Task>(stuck.id).status, TaskStatus::Blocked);
    let told = office.hq.owner().get(&format!("{HOME}/activity")).await.text;
    assert!(told.contains("escalated") && told.contains("to Ada"), "{told}");
    // Ada passes it on: she answers to a person, who is not woken by an item.
    let chief = ada.id;
    let on = team.by(ada, move |tx| tasks::lines::escalate(tx, id, chief, "Nor do I know it."));
    assert_eq!(on.await.expect("it is her report's").1, office.get::<Agent>(ada.id).reports_to);
    let none = team.by(bo, move |tx| tasks::lines::escalate(tx, id, agent, " ").map(|_| ())).await;
    assert_eq!(none.expect_err("no words").code(), "invalid");
    let other = dan.id;
    let odd =
        team.by(dan, move |tx| tasks::lines::escalate(tx, id, other, "Look.").map(|_| ())).await;
    assert_eq!(odd.expect_err("none of Dan's business").code(), "not_your_task");

    // Blocked without words, by another way.
    let quiet = office.task("Call them", cy).await.id;
    team.by(cy, move |tx| tasks::set_status(tx, quiet, TaskStatus::Blocked))
        .await
        .expect("its own");
    let items = team.escalations(bo, 1).await;
    assert!(items[0].reasons[0].summary.contains("Cy is stuck"), "{items:?}");
    // When Bo clears the way, Cy hears of it, for nothing else would wake him.
    for item in office.items(cy.id) {
        office.act(move |tx| inbox::cancel(tx, item.id, "in a test")).await;
    }
    team.by(bo, move |tx| tasks::set_status(tx, quiet, TaskStatus::InProgress))
        .await
        .expect("he may");
    let back = office.items(cy.id).into_iter().find(|item| item.kind == ItemKind::BlockerResolved);
    let back = back.expect("Cy goes on");
    assert!(back.reasons[0].summary.contains("Bo wants you to go on"), "{back:?}");

    // Late: once for a date.
    let due = office.hq.now() + jiff::SignedDuration::from_hours(2);
    let to = Some(Assignee::Agent(cy.id));
    office
        .act(move |tx| {
            let new = NewTask {
                assignee: to,
                due_at: Some(due),
                due_has_time: true,
                ..NewTask::titled("Soon")
            };
            tasks::create(tx, new)
        })
        .await;
    office.hq.advance(Duration::from_secs(3 * 3600)).await;
    let items = team.escalations(bo, 2).await;
    let late = items.iter().filter(|item| item.reasons[0].summary.contains("Cy is late")).count();
    assert_eq!(late, 1, "{items:?}");
    team.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_says_nothing_is_the_managers_to_look_at() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let bo = office.agent_on("Bo", "for-bo").await;
    office.under(&bo, &ada).await;
    let id = ada.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    office.model.usually(Turn::text("Hm."));
    let task = office.task("Compare two offers", &bo).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::NoOutcome));
    let items = office.items(ada.id);
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!((items[0].kind, items[0].task), (ItemKind::TaskEscalation, Some(task.id)));
    assert!(items[0].reasons[0].summary.contains("Bo has failed with"), "{items:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_nobody_is_on_is_woken_taken_over_or_closed() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    let mut left: Vec<Task> = Vec::new();
    for title in ["Wake me", "Take me", "Close me"] {
        left.push(office.task(title, &ada).await);
    }
    // What would begin them is gone.
    for item in office.items(ada.id) {
        office.act(move |tx| inbox::cancel(tx, item.id, "in a test")).await;
    }
    let mira = office.hq.owner();
    let chips = async |path: &str| {
        let page = mira.get(&format!("{HOME}/{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        page.text.matches("Nobody is on this").count()
    };
    assert_eq!(chips("tasks").await, 0, "not before ten minutes have passed");
    office.hq.advance(Duration::from_secs(11 * 60)).await;
    for place in ["tasks", "tasks?layout=board", "tasks?q=waiting:me", ""] {
        assert_eq!(chips(place).await, 3, "{place}");
    }
    let path = |n: usize| format!("{HOME}/tasks/MC-{}", left[n].number);
    let page = mira.get(&path(0)).await;
    assert!(page.text.contains("Nobody is on this:"), "{}", page.text);
    let offered = page.attrs("#task-head form.acts button", "value");
    assert_eq!(offered, ["wake", "take", "close"]);

    let back = format!("{HOME}/");
    for (n, act) in ["wake", "take", "close"].into_iter().enumerate() {
        let done = mira.form(&format!("{}/care", path(n)), &[("act", act), ("back", &back)]).await;
        assert_eq!(done.location(), Some(back.as_str()), "{act}: {}", done.text);
    }
    let woken = office.items(ada.id).into_iter().find(|item| item.kind == ItemKind::StartNow);
    let woken = woken.expect("it is woken");
    assert_eq!((woken.task, woken.state), (Some(left[0].id), ItemState::Pending));
    let owner = Some(Assignee::Person(office.owner()));
    assert_eq!(office.get::<Task>(left[1].id).assignee, owner);
    assert_eq!(office.get::<Task>(left[2].id).status, TaskStatus::Cancelled);
    assert_eq!(chips("tasks").await, 0);
    let odd = mira.form(&format!("{}/care", path(0)), &[("act", "kill")]).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    office.hq.finish().await;
}

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

/// The task of this title, as soon as it is there.
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
    // Otto cannot go on; Ada clears the way; he delivers.
    let help = json!({ "reason": "I have no phone number." });
    script("for-otto", vec![Turn::call("task_escalate", help), done("blocked")]);
    let go_on = json!({ "status": "in_progress", "description": "Use the list in the shop." });
    // Otto has ended by then: what Ada clears is not blocked before.
    let gate = Gate::new();
    script("for-ada", vec![Turn::call("task_update", go_on).behind(&gate), done("leave")]);
    script("for-otto", vec![deliver("Prices", "The first shop is cheaper."), done("in_review")]);
    // Ada hears that it waits for a review.
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
    assert!(item.reasons[0].summary.contains("\"Prices\" waits for a review"), "{item:?}");

    // Approved: Ada gets the result, and delivers what she makes of it.
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

    // Everybody is told where they stand; who leads has the tool to give work away at hand.
    let requests = office.model.requests();
    let told = |words: &str| requests.iter().any(|request| request.text().contains(words));
    assert!(told("Your manager: Vera (@vera)") && told("Nobody reports to you."));
    assert!(told("- Ada (@ada): Does what tests need"));
    let offered = |words: &str| {
        let request = requests.iter().find(|request| request.text().contains(words));
        request.expect("a request").tools().contains(&"task_delegate".to_owned())
    };
    assert!(offered("Your manager: Vera (@vera)") && !offered("Nobody reports to you."));
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
    // Nobody is done before both have their part.
    let (given, gate) = (Gate::new(), Gate::new());
    say("for-otto", done("complete").behind(&given));
    say("for-mia", done("complete").behind(&gate));
    let task = office.task("Win the florists", &ada).await.id;
    assert_eq!(office.worked(task, 1).await.outcome, Some(Outcome::Done));
    given.open();
    let prices = called(&office, "Ask for prices").await;
    assert_eq!(office.worked(prices, 1).await.outcome, Some(Outcome::Done));

    // The first result waits for the second, and says so.
    let items = office.items(ada.id);
    let back = items.iter().find(|item| item.kind == ItemKind::DelegationResult).expect("an item");
    assert_eq!((back.state, back.not_before.is_some()), (ItemState::Pending, true));
    let told = office.hq.owner().get("/api/v1/agents/ada").await.json();
    assert_eq!(told["activity"], "held", "{told}");

    // Both come at once; what is asked of the same agent in like words again is refused with the reason.
    say("for-ada", delegate("otto", "Ask for the prices, again"));
    say("for-ada", done("complete"));
    gate.open();
    let second = office.worked(task, 2).await;
    let item = office.get::<Item>(second.item.expect("an item"));
    assert_eq!((item.id, item.reasons.len()), (back.id, 2), "{:?}", item.reasons);
    let results = office.results(second.id);
    let (_, went, said) =
        results.iter().find(|(tool, ..)| tool == "task_delegate").expect("a call");
    assert!(!went && said.contains("asks the same agent for the same and is done"), "{said}");
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
    // A task that is given away from work counts like a part of it.
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
    assert!(results.iter().any(|(_, _, said)| said.contains("10 parts of MC-1 were given out")));
    let told = office.hq.owner().get("/api/v1/notifications").await.text;
    assert!(told.contains("Ada has made 10 parts of MC-1"), "{told}");

    // A word of a person lets it go on.
    office.model.push(part(12));
    office.model.push(done("leave").for_model("for-ada"));
    office.comment(task, "Go on with the last one, please.").await;
    let second = office.worked(task, 2).await;
    let results = office.results(second.id);
    assert!(results.iter().any(|(tool, went, _)| tool == "task_create" && *went), "{results:?}");
    office.hq.finish().await;
}
