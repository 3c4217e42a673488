//! Managers of agents: choice by people, and the chart.

use features::agents::model::Agent;
use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{ReadExt as _, StoreError};

use support::hq::{Person, TestHq};

use super::HOME;

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

    // The picker on the page omits the agent and everyone below it.
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

    // The form for a new agent has the field, too.
    let form = [("name", "Pia"), ("emoji", "🌱"), ("template", "default"), ("reports_to", "otto")];
    let made = mira.form(&format!("{HOME}/agents"), &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    assert_eq!(api.get("/api/v1/agents/pia").await.json()["manager"]["handle"], "otto");
    let form = [("name", "Kit"), ("emoji", "🌱"), ("template", "default"), ("reports_to", "who")];
    let wrong = mira.form(&format!("{HOME}/agents"), &form).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("o one here is called"), "{}", wrong.text);
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
    // Vera reports to Mira, Ada and Juno to Vera, Otto to Ada.
    let below =
        |chief: &str| page.attrs(&format!("#agent-{chief} ~ details > ul > li > .node"), "id");
    assert_eq!(below("vera"), ["agent-ada", "agent-juno"]);
    assert_eq!(below("ada"), ["agent-otto"]);
    assert!(below("otto").is_empty());
    let roots = page.attrs(".org > ul > li > .node", "id");
    assert_eq!(roots.len(), 2, "{roots:?}");
    assert_eq!(roots[1], "person-nobody", "Nils has no manager now");
    assert_eq!(page.attrs("#agent-ada ~ details > summary", "aria-label"), ["Below Ada: 1"]);
    // Both views link to each other, and a filter stays in its view.
    let views = page.attrs(".seg a", "href");
    assert_eq!(views, [format!("{HOME}/agents"), format!("{HOME}/agents?view=chart")]);
    let filters = page.attrs(".views a", "href");
    assert!(filters.contains(&format!("{HOME}/agents?view=chart&state=idle")), "{filters:?}");
    let list = mira.get(&format!("{HOME}/agents")).await;
    assert!(list.text_of("#agent-ada").contains("Vera"), "{}", list.text);
    hq.finish().await;
}

/// The entry that last wrote an agent.
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

    // Otto has left the line; now Ada reports to him.
    under(&api, "otto", "none").await;
    let left = entry(&hq, "otto");
    under(&api, "ada", "otto").await;
    let seen = api.post("/api/v1/undo/preview", &json!({ "entry": left })).await;
    assert!(seen.text.contains("manager_circle"), "{}", seen.text);
    let refused = api.post("/api/v1/undo", &json!({ "entry": left })).await;
    assert!(!refused.status.is_success(), "{}", refused.text);
    assert_eq!((manager("otto").await.as_str(), manager("ada").await.as_str()), ("-", "otto"));

    // Ada reports to Otto, Otto to Vera: once Otto is archived, Ada reports to Vera.
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
