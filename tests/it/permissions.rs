//! Previews of permissions and imports; the identity of an agent, what a locked agent is offered, and what its programs
//! find on this machine.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::runs::model::EventKind;
use features::trust::model::{Approval, Became, JudgedCall, What};
use features::trust::queries as trust;
use features::trust::rules::{self, NewPermission};
use kernel::{AccessDecision, ApprovalAnswer, ApprovalId, RunId, RunState, TrustMode};
use reqwest::StatusCode;
use runtime::Limits;
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

/// An agent in mode `ask` whose programs may reach any host.
async fn asking(office: &Office, name: &str) -> Agent {
    office.settings(|settings| settings.exec_without_jail = true).await;
    let agent = office.agent_with(name, |new| new.exec = true).await;
    let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
    let agent = office.change(agent.id, on).await;
    office.trust(agent.id, TrustMode::Ask).await;
    agent
}

fn runs(command: &str) -> Turn {
    Turn::call("exec", json!({ "command": command }))
}

/// Waits for a new approval of a run.
async fn asked(office: &Office, run: RunId, before: Option<ApprovalId>) -> Approval {
    let approval = office
        .until("an approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| Some(one.id) != before))
        })
        .await;
    office.in_state(run, RunState::Waiting).await;
    approval
}

async fn answer(office: &Office, approval: &Approval, answer: &str) {
    let path = format!("/api/v1/approvals/{}/answer", approval.id);
    let said = office.hq.owner().json("POST", &path, &json!({ "answer": answer })).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_is_swapped_while_its_program_waits_for_its_turn_is_asked_for_anew() {
    let office = Office::limited(Limits { programs: 1, ..Limits::default() }).await;
    let bea = asking(&office, "Bea").await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let of = |agent: &Agent, name: &str| office.ws().agent_folder(&agent.slug).join(name);
    let holds = "while [ ! -e go ]; do sleep 0.05; done";
    let call = json!({ "command": holds, "yieldMs": 120_000 });
    office.model.push(Turn::call("exec", call)).push(runs("sh job.sh"));
    let first = office.say(&ada, "Hold the only place").await;
    office.happened(first, |event| matches!(event, EventKind::ToolStarted { .. })).await;

    std::fs::write(of(&bea, "job.sh"), "echo good > out\n").expect("a script");
    let run = office.say(&bea, "Run the job").await;
    let approval = asked(&office, run, None).await;
    answer(&office, &approval, "once").await;
    std::fs::write(of(&bea, "job.sh"), "echo bad > out\n").expect("another script");
    office.model.push(Turn::text("Held.")).push(Turn::text("Done."));
    std::fs::write(of(&ada, "go"), "").expect("the sign");
    let again = asked(&office, run, Some(approval.id)).await;
    assert!(again.why.contains("job.sh has changed"), "{}", again.why);
    let closed: Approval = office.get(approval.id);
    assert_eq!(closed.answer.map(|one| one.answer), Some(ApprovalAnswer::Changed));
    assert!(closed.spent_at.is_none(), "the yes was not used up");
    assert_eq!(office.file(&bea, "out"), None);
    answer(&office, &again, "denied").await;
    office.ended(run).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_permission_is_kept_the_calls_that_it_would_have_allowed_are_shown() {
    let office = Office::open().await;
    let ada = asking(&office, "Ada").await;
    let owner = office.hq.owner();
    let model = &office.model;
    model.push(runs("touch a")).push(runs("touch a")).push(runs("touch b")).push(Turn::text("."));
    let run = office.say(&ada, "Touch").await;
    let first = asked(&office, run, None).await;
    answer(&office, &first, "once").await;
    let second = asked(&office, run, Some(first.id)).await;
    answer(&office, &second, "denied").await;
    let third = asked(&office, run, Some(second.id)).await;

    let preview = |id: ApprovalId| format!("/api/v1/approvals/{id}/preview");
    let told = owner.get(&preview(second.id)).await.json();
    let offer = &told["items"][0];
    let outcomes = |calls: &Value| -> Vec<String> {
        let calls = calls.as_array().expect("calls").iter();
        calls.map(|call| call["outcome"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(outcomes(&offer["calls"]), ["denied", "asked for"], "{told}");
    assert_eq!((&offer["days"], &offer["calls"][0]["run"]), (&json!(7), &json!("R-1")), "{told}");
    let page = owner.get(&format!("/w/marlow-cargo/approvals/{}/recent", third.id)).await;
    let words = "It would have allowed one call in the last 7 days.";
    assert!(page.text.contains(words) && page.text.contains("runs/R-1"), "{}", page.text);

    let wish = |leave: &str| json!({ "agent": "ada", "tool": "exec", "leave": leave });
    let would = async |body: Value| {
        let told = owner.json("POST", "/api/v1/permissions/preview", &body).await;
        assert_eq!(told.status, StatusCode::OK, "{}", told.text);
        outcomes(&told.json()["calls"]).len()
    };
    assert_eq!(would(wish("allow")).await, 3);
    assert_eq!(would(json!({ "tool": "read", "leave": "deny" })).await, 0);
    let form = "/w/marlow-cargo/permissions/preview?agent=ada&tool=exec&leave=deny";
    let page = owner.get(form).await;
    assert!(page.text.contains("It would have refused 3 calls"), "{}", page.text);

    // A denial overrides everything else.
    let deny = json!({ "agent": "ada", "tool": "exec", "leave": "deny" });
    let kept = owner.json("POST", "/api/v1/permissions", &deny).await;
    assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text);
    assert_eq!(would(wish("allow")).await, 0);
    answer(&office, &third, "denied").await;
    office.ended(run).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_nobody_was_asked_for_count_for_a_week() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let reads = |path: &str| json!({ "path": path });
    // Two in parallel, one alone, and one that is denied.
    let both = Turn::call("read", reads("SOUL.md")).and_call("read", reads("AGENTS.md"));
    let model = &office.model;
    model.push(both).push(Turn::call("read", reads("TOOLS.md"))).push(Turn::text("Read."));
    let run = office.say(&ada, "Read").await;
    office.ended(run).await;
    let deny = json!({ "agent": "ada", "tool": "read", "leave": "deny", "days": 1 });
    let kept = office.hq.owner().json("POST", "/api/v1/permissions", &deny).await;
    assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text);
    office.hq.advance(Duration::from_secs(60)).await;
    office.model.push(Turn::call("read", reads("USER.md"))).push(Turn::text("Refused."));
    let run = office.say(&ada, "Read on").await;
    office.ended(run).await;
    office.hq.restart().await;

    let would = async |office: &Office, tool: &str| {
        let body = json!({ "agent": "ada", "tool": tool, "leave": "deny" });
        let told = office.hq.owner().json("POST", "/api/v1/permissions/preview", &body).await;
        assert_eq!(told.status, StatusCode::OK, "{}", told.text);
        told.json()
    };
    let told = would(&office, "read").await;
    let calls = told["calls"].as_array().expect("calls");
    let seen: Vec<_> = calls.iter().map(|call| (&call["run"], &call["outcome"])).collect();
    let (last, first) = (json!("R-2"), json!("R-1"));
    let (refused, allowed) = (json!("refused"), json!("allowed"));
    let of_first = (&first, &allowed);
    assert_eq!(seen, [(&last, &refused), of_first, of_first, of_first], "{told}");
    assert_eq!(would(&office, "*").await["calls"].as_array().map(Vec::len), Some(4));
    let form = "/w/marlow-cargo/permissions/preview?agent=ada&tool=read&leave=deny";
    let page = office.hq.owner().get(form).await;
    let words = "It would have refused 4 calls in the last 7 days.";
    assert!(page.text.contains(words) && page.text.contains("runs/R-1"), "{}", page.text);
    let of_all: Vec<JudgedCall> = office.all();
    let became = of_all.iter().map(|one| one.call.became).collect::<Vec<_>>();
    assert_eq!(became, [Became::Passed, Became::Passed, Became::Passed, Became::Refused]);

    let app = office.hq.running().app.clone();
    server::timers::sweep(&app).await;
    assert_eq!(office.all::<JudgedCall>().len(), 4);
    office.hq.advance_unnoticed(Duration::from_secs(8 * 24 * 3_600));
    server::timers::sweep(&app).await;
    assert!(office.all::<JudgedCall>().is_empty(), "they are gone");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_asks_before_it_changes_who_it_is_and_shows_the_lines() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let before = office.file(&ada, "SOUL.md").expect("a soul");
    let writes = |path: &str, text: &str| {
        Turn::call("write", json!({ "path": path, "content": text, "force": true }))
    };
    let model = &office.model;
    model.push(writes("notes.md", "A note\n")).push(writes("./SOUL.md", "Be bold.\n"));
    model.push(Turn::text("Done."));
    let run = office.say(&ada, "Become bold").await;
    let approval = asked(&office, run, None).await;
    assert_eq!(office.file(&ada, "notes.md").as_deref(), Some("A note\n"));
    assert!(approval.plan.shown.contains("\n+Be bold.\n"), "{}", approval.plan.shown);
    assert!(approval.plan.shown.contains("\n-"), "{}", approval.plan.shown);
    assert_eq!(approval.plan.files[0].path, "SOUL.md");
    assert_eq!(office.file(&ada, "SOUL.md").as_ref(), Some(&before));
    let page = office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert!(page.text.contains("asks before it changes SOUL.md"), "{}", page.text);
    answer(&office, &approval, "once").await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "SOUL.md").as_deref(), Some("Be bold.\n"));

    // A permission allows it.
    let rule = NewPermission {
        agent: Some(ada.id),
        run: None,
        tool: "edit".to_owned(),
        what: What::All,
        leave: AccessDecision::Allow,
        note: String::new(),
        expires_at: None,
    };
    office.act(move |tx| rules::permit(tx, rule)).await;
    let edit = json!({ "path": "SOUL.md", "oldText": "bold", "newText": "brave" });
    office.model.push(Turn::call("edit", edit)).push(Turn::text("Done."));
    let run = office.say(&ada, "And brave").await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "SOUL.md").as_deref(), Some("Be brave.\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_changes_who_an_agent_is_leaves_it_as_it_was_and_a_draft_beside() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let before = office.file(&ada, "SOUL.md").expect("a soul");
    let command = "echo 'Be bold.' > SOUL.md; echo new > TOOLS.new; rm AGENTS.md; echo written";
    let agents_md = office.file(&ada, "AGENTS.md").expect("its rules");
    office.model.push(Turn::call("exec", json!({ "command": command }))).push(Turn::text("Done."));
    let run = office.say(&ada, "Become bold").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].1 && results[0].2.contains("written"), "{results:?}");
    assert!(results[0].2.contains("SOUL.md, AGENTS.md define your identity"), "{results:?}");
    assert!(results[0].2.contains("proposed/SOUL.md"), "{results:?}");
    assert_eq!(office.file(&ada, "SOUL.md").as_ref(), Some(&before));
    assert_eq!(office.file(&ada, "AGENTS.md").as_ref(), Some(&agents_md));
    assert_eq!(office.file(&ada, "proposed/SOUL.md").as_deref(), Some("Be bold.\n"));
    assert_eq!(office.file(&ada, "TOOLS.new").as_deref(), Some("new\n"));

    // With the file tool it is a diff that people see.
    office.trust(ada.id, TrustMode::Ask).await;
    let write = json!({ "path": "SOUL.md", "content": "Be bold.\n", "force": true });
    office.model.push(Turn::call("write", write)).push(Turn::text("Done."));
    let run = office.say(&ada, "Hand it in").await;
    let approval = asked(&office, run, None).await;
    assert!(approval.plan.shown.contains("\n+Be bold.\n"), "{}", approval.plan.shown);
    answer(&office, &approval, "once").await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "SOUL.md").as_deref(), Some("Be bold.\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_of_a_program_is_accepted_or_refused_from_its_card() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let tools = office.file(&ada, "TOOLS.md");
    let command = "echo Be bold. > SOUL.md; echo mine > TOOLS.md";
    office.model.push(runs(command)).push(Turn::text("Done."));
    let run = office.say(&ada, "Become bold").await;
    office.ended(run).await;

    let owner = office.hq.owner();
    let review = owner.get("/w/marlow-cargo/review").await;
    assert!(review.text.contains("Agent drafts"), "{}", review.text);
    let beside = async || owner.get("/w/marlow-cargo/nav").await.text;
    assert!(beside().await.contains(", waiting: 2 agent drafts</span>"));
    let page = owner.get("/w/marlow-cargo/drafts").await;
    for words in
        ["rewrote SOUL.md", "rewrote TOOLS.md", "<ins>Be bold.</ins>", "runs/R-1", "Accept"]
    {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let listed = owner.get("/api/v1/drafts").await.json();
    let all = listed["items"].as_array().expect("drafts");
    let soul = all.iter().find(|one| one["file"] == "SOUL.md").expect("a draft");
    let told = (&soul["run"], &soul["program"], &soul["text"]);
    assert_eq!(told, (&json!("R-1"), &json!(command), &json!("Be bold.\n")), "{soul}");

    let accept = "/api/v1/agents/ada/drafts/SOUL.md/accept";
    let stale = owner.json("POST", accept, &json!({ "hash": "00" })).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.text);
    assert_ne!(office.file(&ada, "SOUL.md").as_deref(), Some("Be bold.\n"));
    let done = owner.json("POST", accept, &json!({ "hash": soul["hash"] })).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.text);
    assert_eq!(office.file(&ada, "SOUL.md").as_deref(), Some("Be bold.\n"));
    assert_eq!(office.file(&ada, "proposed/SOUL.md"), None);
    assert!(beside().await.contains(", waiting: 1 agent draft</span>"));

    let refuse = "/w/marlow-cargo/agents/ada/drafts/TOOLS.md/refuse";
    assert!(owner.form(refuse, &[]).await.status.is_redirection());
    assert_eq!(office.file(&ada, "TOOLS.md"), tools);
    assert_eq!(office.file(&ada, "proposed/TOOLS.md"), None);
    let none = owner.call("DELETE", "/api/v1/agents/ada/drafts/notes.md").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "{}", none.text);
    let page = owner.get("/w/marlow-cargo/drafts").await;
    assert!(page.text.contains("No drafts"), "{}", page.text);
    assert!(!beside().await.contains(", waiting: "), "nothing waits any more");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_agent_is_offered_nothing_that_changes_something() {
    let office = Office::open().await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    office.trust(ada.id, TrustMode::Locked).await;
    let finds = Turn::call("tool_search", json!({ "query": "task_create" }));
    office.model.push(finds).push(Turn::text("I look."));
    let run = office.say(&ada, "Look").await;
    office.ended(run).await;
    let tools = office.model.last().tools();
    for name in ["read", "search", "task_list", "tool_search"] {
        assert!(tools.iter().any(|one| one == name), "{name} in {tools:?}");
    }
    for name in ["exec", "edit", "task_create", "task_update", "comment_add", "memory_append"] {
        assert!(tools.iter().all(|one| one != name), "{name} in {tools:?}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preset_adds_what_is_missing_and_nothing_twice() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let owner = office.hq.owner();
    let presets = owner.get("/api/v1/permissions/presets").await.json();
    let names: Vec<&str> = presets["items"]
        .as_array()
        .expect("presets")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["reads_and_drafts", "sends_when_asked", "goes_ahead"]);
    let apply = async |name: &str, body: Value| {
        owner.json("POST", &format!("/api/v1/permissions/presets/{name}"), &body).await
    };
    let kept = async || owner.get("/api/v1/permissions?agent=ada").await.json();
    for (name, added) in [("reads_and_drafts", 5), ("reads_and_drafts", 0), ("goes_ahead", 1)] {
        let done = apply(name, json!({ "agent": "ada" })).await;
        assert_eq!(done.json()["added"], json!(added), "{name}: {}", done.text);
    }
    let all = kept().await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(6), "{all}");
    let unknown = apply("none", json!({})).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unknown.text);
    assert!(unknown.text.contains("reads_and_drafts"), "{}", unknown.text);
    let to = "/w/marlow-cargo/permissions/presets/sends_when_asked";
    let sent = owner.form(to, &[("agent", "")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let page = owner.get("/w/marlow-cargo/settings/policy").await;
    assert!(page.text.contains("Add “Goes ahead”"), "{}", page.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_programs_may_do_and_what_holds_here_is_said() {
    let office = Office::open().await;
    office.agent_with("Ada", |new| new.exec = true).await;
    let told = office.hq.owner().get("/api/v1/agents/ada/sandbox").await.json();
    assert!(told["asked"].to_string().contains("no network"), "{told}");
    assert!(
        ["strong", "coarse", "none"].contains(&told["overall"].as_str().unwrap_or("")),
        "{told}"
    );
    let page = office.hq.owner().get("/w/marlow-cargo/agents/ada/behaviour/sandbox").await;
    assert!(page.text.contains("They have no network access."), "{}", page.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_says_when_it_last_decided_and_how_often() {
    let mut office = Office::open().await;
    let ada = asking(&office, "Ada").await;
    for (tool, leave) in [("exec", "allow"), ("write", "ask"), ("edit", "deny"), ("read", "allow")]
    {
        let rule = json!({ "agent": "ada", "tool": tool, "leave": leave });
        let kept = office.hq.owner().json("POST", "/api/v1/permissions", &rule).await;
        assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text);
        assert_eq!(kept.json()["last_used_at"], Value::Null, "{}", kept.text);
    }
    let settings = json!({ "tool": "read", "leave": "deny", "days": 3 });
    let unused = office.hq.owner().json("POST", "/api/v1/permissions", &settings).await.json();
    let gone = format!("/api/v1/permissions/{}", unused["id"].as_str().expect("an id"));
    let page = office.hq.owner().get("/w/marlow-cargo/settings/policy").await;
    assert!(page.text_of("td[data-label='Last used']").contains("never"), "{}", page.text);
    let removed = office.hq.owner().call("DELETE", &gone).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.text);

    let reads = |path: &str| json!({ "path": path });
    let both = Turn::call("read", reads("SOUL.md")).and_call("read", reads("AGENTS.md"));
    let edit = json!({ "path": "notes.md", "oldText": "A", "newText": "The" });
    let writes = json!({ "path": "notes.md", "content": "A note\n" });
    let model = &office.model;
    model.push(runs("touch a")).push(runs("touch b")).push(both);
    model.push(Turn::call("edit", edit)).push(Turn::call("write", writes)).push(Turn::text("."));
    let run = office.say(&ada, "Work").await;
    let approval = asked(&office, run, None).await;
    assert_eq!(approval.tool, "write");
    answer(&office, &approval, "once").await;
    office.ended(run).await;
    let results = office.results(run);
    assert_eq!(results.len(), 6, "{results:?}");
    office.hq.restart().await;

    let listed = office.hq.owner().get("/api/v1/permissions?agent=ada").await.json();
    let all = listed["items"].as_array().expect("permissions");
    let used = |tool: &str| {
        let one = all.iter().find(|one| one["tool"] == *tool).expect("a permission");
        assert!(one["last_used_at"].is_string(), "{one}");
        one["used_in_30_days"].as_u64()
    };
    // An approval after an explicit request counts once only.
    assert_eq!(["exec", "read", "edit", "write"].map(used), [2, 2, 1, 1].map(Some), "{listed}");
    let page = office.hq.owner().get("/w/marlow-cargo/agents/ada/behaviour").await;
    assert!(page.text.contains("2 calls in 30 days"), "{}", page.text);
    assert!(page.text.contains("hq:permission_uses"), "the page hears of it");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_was_taken_away_lets_nothing_through_any_more() {
    let mut office = Office::open().await;
    asking(&office, "Ada").await;
    let owner = office.hq.owner();
    let verdict = async |host: &str| {
        let call = format!("agent=ada&tool=http_request&method=POST&host={host}");
        let told = owner.get(&format!("/api/v1/policy/explain?{call}")).await;
        told.json()["verdict"].as_str().expect("a verdict").to_owned()
    };
    // Other permissions exist that are not removed.
    for n in 0..30 {
        let kept = json!({
            "agent": "ada", "tool": "http_request", "leave": "allow", "method": "POST", "host": format!("h{n}.example"),
        });
        let kept = owner.json("POST", "/api/v1/permissions", &kept).await;
        assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text);
    }
    let allow = json!({
        "agent": "ada", "tool": "http_request", "leave": "allow", "method": "POST", "host": "shop.example",
    });
    for _ in 0..10 {
        assert_eq!(verdict("shop.example").await, "ask");
        let kept = owner.json("POST", "/api/v1/permissions", &allow).await.json();
        assert_eq!(verdict("shop.example").await, "allow");
        let path = format!("/api/v1/permissions/{}", kept["id"].as_str().expect("an id"));
        assert!(owner.call("DELETE", &path).await.status.is_success());
        assert_eq!(verdict("shop.example").await, "ask", "at once");
    }
    assert_eq!(verdict("h7.example").await, "allow");
    office.hq.restart().await;
    let owner = office.hq.owner();
    let call = "/api/v1/policy/explain?agent=ada&tool=http_request&method=POST&host=shop.example";
    assert_eq!(owner.get(call).await.json()["verdict"], "ask", "after a start, too");
    office.hq.finish().await;
}
