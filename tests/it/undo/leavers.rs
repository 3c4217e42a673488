//! Work reassigned from a leaving member keeps its new assignee, whatever is undone.

use features::agents::model::Agent;
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use features::users::rules::accounts;
use features::workspace::queries as people;
use kernel::{AccountId, Actor, Assignee, Cause, Manager, Part, Role, TaskId};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{codes, entry, ok, paused, preview, undo};
use support::hq::Person;
use support::office::Office;

/// Mo, who has two tasks and an agent, and Bea, who can take over.
struct Team {
    office: Office,
    api: Person,
    mo: AccountId,
    bea: AccountId,
    agent: Agent,
    task: TaskId,
}

impl Team {
    async fn open() -> Self {
        let office = Office::open().await;
        office.hq.another("Mo", Some(Role::Member)).await;
        office.hq.another("Bea", Some(Role::Member)).await;
        let all = office.ws().read(|snap| people::members(snap)).expect("a readable store");
        let named = |name: &str| all.iter().find(|one| one.name == name).expect("here").account;
        let (mo, bea) = (named("Mo"), named("Bea"));
        let agent = paused(&office, "Ada").await;
        let id = agent.id;
        let task = office
            .act(move |tx| {
                let mut agent = agent.clone();
                agent.reports_to = Some(mo.into());
                tx.put(&agent)?;
                let assignee = Some(Assignee::Person(mo));
                tasks::create(tx, NewTask { assignee, ..NewTask::titled("Part 1") })?;
                tasks::create(tx, NewTask { assignee, ..NewTask::titled("Part 2") })
            })
            .await
            .id;
        let (api, agent) = (office.hq.api().await, office.get(id));
        Self { office, api, mo, bea, agent, task }
    }

    fn has(&self) -> (Option<Assignee>, Option<Manager>) {
        let task = self.office.get::<Task>(self.task).assignee;
        (task, self.office.get::<Agent>(self.agent.id).reports_to)
    }

    fn of(account: AccountId) -> (Option<Assignee>, Option<Manager>) {
        (Some(Assignee::Person(account)), Some(account.into()))
    }

    /// Hands Mo's work over; returns the entry.
    async fn hand_over(&self) -> u64 {
        // Time must pass, so that the time before the change can be restored.
        self.office.hq.advance(std::time::Duration::from_secs(60)).await;
        let path = format!("/api/v1/members/{}/handover?to={}", self.mo, self.bea);
        ok(self.office.hq.owner().call("POST", &path).await).await;
        assert_eq!(self.has(), Self::of(self.bea));
        entry::<Task>(&self.office, self.task)
    }
}

/// The distinct reasons in a preview for which records stay.
fn words(preview: &Value) -> Vec<&str> {
    let kept = preview["kept"].as_array().expect("a list");
    let mut found: Vec<&str> = kept.iter().map(|one| one["why"].as_str().expect("words")).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_over_between_people_who_stay_goes_back() {
    let team = Team::open().await;
    let given = team.hand_over().await;
    let seen = preview(&team.api, given).await;
    assert_eq!((seen["back_count"].as_u64(), codes(&seen)), (Some(3), Vec::new()), "{seen}");
    ok(undo(&team.api, given).await).await;
    assert_eq!(team.has(), Team::of(team.mo));
    team.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_back_to_who_has_left() {
    let team = Team::open().await;
    let given = team.hand_over().await;
    let gone = format!("/api/v1/members/{}?to={}", team.mo, team.bea);
    ok(team.office.hq.owner().call("DELETE", &gone).await).await;
    let seen = preview(&team.api, given).await;
    assert_eq!(seen["back"], json!([]), "{seen}");
    assert_eq!(codes(&seen), ["member_left"; 3], "{seen}");
    assert_eq!(words(&seen), ["Mo has left the workspace."]);
    let refused = undo(&team.api, given).await;
    assert_eq!(refused.json()["code"], "nothing_to_undo", "{}", refused.text);
    assert_eq!(team.has(), Team::of(team.bea));

    // The page shows the same text.
    let page = team.office.hq.owner().get(&format!("/w/marlow-cargo/undo?entry={given}")).await;
    assert!(page.text.contains("Mo has left the workspace."), "{}", page.text);
    team.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_with_the_membership_stays_when_that_entry_is_undone() {
    let team = Team::open().await;
    let gone = format!("/api/v1/members/{}?to={}", team.mo, team.bea);
    ok(team.office.hq.owner().call("DELETE", &gone).await).await;
    let entry = entry::<Task>(&team.office, team.task);
    let seen = preview(&team.api, entry).await;
    assert_eq!(seen["back"], json!([]), "{seen}");
    // The membership, too: a member who left has to be invited again.
    assert_eq!(codes(&seen), ["member_left", "member_left", "member_left", "not_allowed"]);
    assert_eq!(team.has(), Team::of(team.bea));
    team.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_back_to_a_closed_account_until_it_is_opened_again() {
    let team = Team::open().await;
    let given = team.hand_over().await;
    let owner = team.office.hq.owner();
    team.office.hq.prove().await;
    let close = |how: &str| format!("/api/v1/members/{}/{how}", team.mo);
    ok(owner.call("POST", &close("disable")).await).await;
    let seen = preview(&team.api, given).await;
    assert_eq!(codes(&seen), ["account_closed"; 3], "{seen}");
    assert_eq!(words(&seen), ["Mo’s account is disabled."]);
    assert_eq!(undo(&team.api, given).await.status, StatusCode::CONFLICT);
    assert_eq!(team.has(), Team::of(team.bea));
    ok(owner.call("POST", &close("enable")).await).await;
    ok(undo(&team.api, given).await).await;
    assert_eq!(team.has(), Team::of(team.mo));
    team.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_back_to_an_account_that_is_closed_while_an_undo_is_made_ready() {
    let team = Team::open().await;
    let given = team.hand_over().await;
    let (app, mo) = (team.office.ws().app.clone(), team.mo);
    // The undo is planned and then waits for its turn; by then its information about accounts is out of date.
    let turn = app.people_turn.lock().await;
    let api = team.api.clone();
    let undone = tokio::spawn(async move { undo(&api, given).await });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let by = (Actor::System(Part::Cli), Cause::Timer);
    let closed = app.system.write(by.0, by.1, move |tx| accounts::disable(tx, mo)).await;
    closed.expect("an account that is closed");
    assert!(!undone.is_finished(), "it waits");
    drop(turn);
    let refused = undone.await.expect("an answer");
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert_eq!(refused.json()["code"], "nothing_to_undo", "{}", refused.text);
    assert_eq!(team.has(), Team::of(team.bea));
    team.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_a_change_goes_back_and_a_task_that_comes_back_is_nobodys() {
    let team = Team::open().await;
    let (agent, bea, task) = (team.agent.clone(), team.bea, team.task);
    // One change of several fields, including the agent's manager.
    let changed = Agent {
        name: "Ada B".into(),
        reports_to: Some(bea.into()),
        description: "Another".into(),
        ..agent.clone()
    };
    team.office.act(move |tx| tx.put(&changed)).await;
    let several = entry::<Agent>(&team.office, agent.id);
    // A task that was created for Mo, then undone.
    let made = entry::<Task>(&team.office, task);
    let undone = ok(undo(&team.api, made).await).await["entry"].as_u64().expect("an entry");
    let gone = format!("/api/v1/members/{}?to={}", team.mo, team.bea);
    ok(team.office.hq.owner().call("DELETE", &gone).await).await;

    let seen = preview(&team.api, several).await;
    assert_eq!(codes(&seen), ["member_left"], "{seen}");
    assert_eq!(seen["back"][0]["kept"][0]["field"], "reports_to", "{seen}");
    ok(undo(&team.api, several).await).await;
    let now: Agent = team.office.get(agent.id);
    assert_eq!((now.name.as_str(), &now.description), ("Ada", &agent.description));
    assert_eq!(now.reports_to, Some(bea.into()));

    let seen = preview(&team.api, undone).await;
    let back: Vec<_> = seen["back"].as_array().expect("a list").iter().collect();
    let tasks: Vec<_> = back.iter().filter(|one| one["table"] == "tasks").collect();
    assert_eq!(tasks.len(), 2, "{seen}");
    assert!(tasks.iter().all(|one| one["kept"][0]["field"] == "assignee"), "{seen}");
    ok(undo(&team.api, undone).await).await;
    let back: Task = team.office.get(task);
    assert_eq!((back.assignee, back.title.as_str()), (None, "Part 2"));
    team.office.hq.finish().await;
}
