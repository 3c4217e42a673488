//! Limits of runs, set by people for all runs or for those of one agent.

use axum::http::StatusCode;
use features::agents::model::ReachOf;
use features::runs::model::{Run, RunLimits};
use features::runs::rules::run_limits;
use kernel::Outcome;
use serde_json::json;

use support::model::{Gate, Turn};
use support::office::Office;

const ALL: &str = "/api/v1/run-limits";
const OF_ADA: &str = "/api/v1/agents/ada/run-limits";

fn limit(which: &str) -> Option<Outcome> {
    Some(Outcome::Limit { which: which.into() })
}

fn read(path: &str) -> Turn {
    Turn::call("read", json!({ "path": path }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_runs_are_chosen_for_all_and_for_one_agent_and_survive_a_restart() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let owner = office.hq.owner();
    let none = json!({ "calls": null, "tool_calls": null, "working_minutes": null });
    let usual = json!({ "calls": 200, "tool_calls": 400, "working_minutes": 120, "chosen": none });
    assert_eq!(owner.get(ALL).await.json(), usual);
    let set = owner.json("PUT", ALL, &json!({ "calls": 2, "working_minutes": 30 })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    for (wrong, field) in [
        (json!({ "calls": 0 }), "calls"),
        (json!({ "tool_calls": 20_001 }), "tool_calls"),
        (json!({ "working_minutes": 10_081 }), "working_minutes"),
    ] {
        let refused = owner.json("PUT", OF_ADA, &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    let own = owner.json("PUT", OF_ADA, &json!({ "calls": 1 })).await.json();
    assert_eq!((own["calls"].as_u64(), own["working_minutes"].as_u64()), (Some(1), Some(30)));
    assert_eq!(own["chosen"]["working_minutes"], json!(null), "{own}");
    office.hq.restart().await;
    let page = office.hq.owner().get("/w/marlow-cargo/agents/ada/settings").await;
    assert_eq!(page.attr("input[name=calls]", "value"), "1");

    office.model.push(read("SOUL.md")).push(Turn::text("I have read one."));
    let run = office.say(&ada, "Read them").await;
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.calls), (limit("calls"), 2), "one more, for its last word");

    // An empty field takes the general limit.
    let form = [("calls", ""), ("tool_calls", " 1 "), ("working_minutes", "")];
    let saved = office.hq.owner().form("/w/marlow-cargo/agents/ada/limits", &form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let now = office.hq.owner().get(OF_ADA).await.json();
    assert_eq!((now["calls"].as_u64(), now["tool_calls"].as_u64()), (Some(2), Some(1)));
    office.model.push(read("SOUL.md")).push(Turn::text("I have read one again."));
    let run = office.say(&ada, "Read them").await;
    assert_eq!(office.ended(run).await.outcome, limit("tools"));
    // An invalid number changes nothing.
    let form = [("calls", "many")];
    office.hq.owner().form("/w/marlow-cargo/settings/limits", &form).await;
    assert_eq!(office.hq.owner().get(ALL).await.json()["calls"], 2);
    let form = [("calls", ""), ("tool_calls", ""), ("working_minutes", "")];
    for to in ["/w/marlow-cargo/settings/limits", "/w/marlow-cargo/agents/ada/limits"] {
        office.hq.owner().form(to, &form).await;
    }
    assert_eq!(office.hq.owner().get(ALL).await.json(), usual);
    assert!(office.all::<RunLimits>().is_empty(), "a choice of nothing is none");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_changes_counts_from_the_next_step_and_the_run_says_how_far_it_has_come() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let choose = async |calls: u32, tool_calls: u32| {
        let values = [Some(calls), Some(tool_calls), Some(90)];
        let limits = RunLimits::of_values(ReachOf::Workspace, values);
        office.act(move |tx| run_limits::set(tx, limits)).await;
    };
    choose(1, 5).await;
    let gate = Gate::new();
    office.model.push(read("SOUL.md").behind(&gate));
    office.model.push(read("TOOLS.md")).push(Turn::text("Both are read."));
    let run = office.say(&ada, "Read them").await;
    gate.reached().await;
    let name = office.get::<Run>(run).name();
    let owner = office.hq.owner();
    let shown = owner.get(&format!("/api/v1/runs/{name}")).await.json();
    assert_eq!(shown["limits"]["calls"], 1, "{shown}");
    assert_eq!(shown["limits"]["working_minutes"], 90, "{shown}");
    let page = owner.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert!(page.text.contains("1 of 1 model, 0 of 5 tool"), "{}", page.text);
    assert!(page.text.contains("1 h 30 min"), "{}", page.text);
    choose(10, 5).await;
    gate.open();
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.calls), (Some(Outcome::Done), 3));
    let shown = owner.get(&format!("/api/v1/runs/{name}")).await.json();
    assert_eq!(shown["limits"], json!(null), "{shown}");

    let gate = Gate::new();
    office.model.push(read("SOUL.md").behind(&gate)).push(Turn::text("One is read."));
    let run = office.say(&ada, "Read them again").await;
    gate.reached().await;
    choose(10, 1).await;
    gate.open();
    assert_eq!(office.ended(run).await.outcome, limit("tools"));
    office.hq.finish().await;
}
