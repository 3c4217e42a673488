//! Reporting lines between agents: managers, and messages down and up.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::inbox::model::Item;
use features::inbox::rules as inbox;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::{self as tasks, NewTask};
use kernel::{
    Actor, Assignee, Cause, ItemKind, ItemState, Outcome, Problem as _, RunId, TaskStatus,
    TypedId as _,
};
use reqwest::StatusCode;
use serde_json::json;
use store::{Range, ReadExt as _, WriteTx};

use support::model::Turn;
use support::office::Office;

mod chart; // the reporting lines
mod parts; // work that agents delegate in parts

const HOME: &str = "/w/marlow-cargo";

/// Ada leads Bo, who leads Cy; Dan is in no line with them. All are paused.
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

    /// An agent creates a task for another.
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
    assert!(told.contains("you can assign it to: bo."), "{told}");
    rules("line").await;
    let indirect = team.give(ada, cy).await.expect("by way of Bo");
    let refused = team.give(ada, dan).await.expect_err("beside her");
    assert_eq!(refused.code(), "not_a_report");
    let told = refused.to_string();
    assert!(told.contains("Dan does not report to you"), "{told}");
    assert!(told.contains("you can assign it to: bo, cy"), "{told}");
    let told = team.give(bo, ada).await.expect_err("not upwards").to_string();
    assert!(told.contains("your manager @ada with task_escalate"), "{told}");
    let told = team.give(cy, dan).await.expect_err("leads nobody").to_string();
    assert!(told.contains("no one reports to you"), "{told}");
    let to_person = Some(Assignee::Person(office.owner()));
    let asked = team.by(dan, move |tx| {
        tasks::create(tx, NewTask { assignee: to_person, ..NewTask::titled("Decide") })
    });
    assert!(asked.await.is_ok(), "people can be asked by all");

    // Another agent's task is reassigned only by its managers or by its creator.
    let (id, me) = (indirect.id, Some(Assignee::Agent(dan.id)));
    let taken = team.by(dan, move |tx| tasks::assign(tx, id, me)).await;
    assert_eq!(taken.expect_err("it is Cy's").code(), "not_your_task");
    let me = Some(Assignee::Agent(bo.id));
    team.by(bo, move |tx| tasks::assign(tx, id, me)).await.expect("Cy reports to Bo");
    // People may assign tasks to any agent.
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
    // Blocked with a reason, which the manager reads.
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
    // Ada escalates it further: she reports to a person, who gets no inbox item.
    let chief = ada.id;
    let on = team.by(ada, move |tx| tasks::lines::escalate(tx, id, chief, "Nor do I know it."));
    assert_eq!(on.await.expect("it is her report's").1, office.get::<Agent>(ada.id).reports_to);
    let none = team.by(bo, move |tx| tasks::lines::escalate(tx, id, agent, " ").map(|_| ())).await;
    assert_eq!(none.expect_err("no words").code(), "invalid");
    let other = dan.id;
    let odd =
        team.by(dan, move |tx| tasks::lines::escalate(tx, id, other, "Look.").map(|_| ())).await;
    assert_eq!(odd.expect_err("none of Dan's business").code(), "not_your_task");

    // Blocked without a reason, through the ordinary status change.
    let quiet = office.task("Call them", cy).await.id;
    team.by(cy, move |tx| tasks::set_status(tx, quiet, TaskStatus::Blocked))
        .await
        .expect("its own");
    let items = team.escalations(bo, 1).await;
    assert!(items[0].reasons[0].summary.contains("Cy is stuck"), "{items:?}");
    // When Bo resolves the problem, Cy gets an item, because nothing else would wake him.
    for item in office.items(cy.id) {
        office.act(move |tx| inbox::cancel(tx, item.id, "in a test")).await;
    }
    team.by(bo, move |tx| tasks::set_status(tx, quiet, TaskStatus::InProgress))
        .await
        .expect("he may");
    let back = office.items(cy.id).into_iter().find(|item| item.kind == ItemKind::BlockerResolved);
    let back = back.expect("Cy goes on");
    assert!(back.reasons[0].summary.contains("Bo wants you to continue"), "{back:?}");

    // Overdue: reported once per due date.
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
    assert!(items[0].reasons[0].summary.contains("Bo ended without a result on"), "{items:?}");
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
    // The items that would start them are gone.
    for item in office.items(ada.id) {
        office.act(move |tx| inbox::cancel(tx, item.id, "in a test")).await;
    }
    let mira = office.hq.owner();
    let chips = async |path: &str| {
        let page = mira.get(&format!("{HOME}/{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        page.text.matches("Stalled").count()
    };
    assert_eq!(chips("tasks").await, 0, "not before ten minutes have passed");
    office.hq.advance(Duration::from_secs(11 * 60)).await;
    for place in ["tasks", "tasks?layout=board", "tasks?q=waiting:me", ""] {
        assert_eq!(chips(place).await, 3, "{place}");
    }
    let path = |n: usize| format!("{HOME}/tasks/MC-{}", left[n].number);
    let page = mira.get(&path(0)).await;
    assert!(page.text.contains("Stalled:"), "{}", page.text);
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
