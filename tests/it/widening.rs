//! Changes that let agents do more without an approval, by every role and through every interface: they need an owner
//! or admin with a recent proof of identity. Restrictions do not.

use std::time::Duration;

use features::agents::rules as agents;
use features::trust::model::Approval;
use kernel::{Role, RunState, TrustMode};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Setup, TestHq};
use support::model::Turn;
use support::office::Office;

const LATER: Duration = Duration::from_secs(11 * 60);
const PAGES: &str = "/w/marlow-cargo/agents/ada";

/// A setting: the address to read its state and the value there, and the requests that widen and narrow it.
struct Switch {
    path: &'static str,
    method: &'static str,
    field: &'static str,
    open: Value,
    shut: Value,
    /// Whether members may narrow it.
    for_members: bool,
}

fn switches() -> Vec<Switch> {
    let agent = "/api/v1/agents/ada";
    let of = |path, method, field, open: Value, shut: Value, for_members| Switch {
        path,
        method,
        field,
        open: json!({ field: open }),
        shut: json!({ field: shut }),
        for_members,
    };
    vec![
        of(agent, "PATCH", "network", json!(true), json!(false), true),
        of(agent, "PATCH", "exec", json!(true), json!(false), true),
        of("/api/v1/agents/ada/browser", "PUT", "on", json!(true), json!(false), true),
        of(
            "/api/v1/agents/ada/reach",
            "PUT",
            "only",
            json!(["a.example", "b.example"]),
            json!(["a.example"]),
            true,
        ),
        of("/api/v1/agents/ada/mode", "PUT", "mode", json!("full"), json!("locked"), false),
        of("/api/v1/reach", "PUT", "opened", json!(["wiki.lan"]), json!([]), false),
        of("/api/v1/settings", "PATCH", "exec_without_jail", json!(true), json!(false), false),
    ]
}

struct Scene {
    hq: TestHq,
    admin: Person,
    member: Person,
    /// A token of the owner with the scope to manage agents.
    agents: Person,
    /// A token with the admin scope as well.
    all: Person,
}

async fn scene() -> Scene {
    let hq = Setup::default().start().await;
    let admin = hq.another("Tom", Some(Role::Admin)).await;
    let member = hq.another("Lea", Some(Role::Member)).await;
    let agents = hq.token(&["read", "write", "agents", "browser", "approvals"]).await;
    let all = hq.token(&["read", "write", "agents", "browser", "admin"]).await;
    let made = all.post("/api/v1/agents", &json!({ "name": "Ada", "exec": false })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    hq.advance(LATER).await;
    Scene { hq, admin, member, agents, all }
}

impl Scene {
    async fn now(&self, switch: &Switch) -> Value {
        self.all.get(switch.path).await.json()[switch.field].clone()
    }

    async fn send(&self, who: &Person, switch: &Switch, body: &Value) -> (StatusCode, Value) {
        let reply = who.json(switch.method, switch.path, body).await;
        let code =
            if reply.status.is_success() { Value::Null } else { reply.json()["code"].clone() };
        (reply.status, code)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_admin_with_a_fresh_proof_lets_agents_do_more() {
    let scene = scene().await;
    let (forbidden, unproved) = (json!("forbidden"), json!("proof_required"));
    for switch in switches() {
        let name = format!("{} {} {}", switch.method, switch.path, switch.field);
        let before = scene.now(&switch).await;
        for (who, code) in [
            (&scene.member, &forbidden),
            (&scene.agents, &forbidden),
            (&scene.admin, &unproved),
            (&scene.hq.owner(), &unproved),
        ] {
            let refused = scene.send(who, &switch, &switch.open).await;
            assert_eq!(refused, (StatusCode::FORBIDDEN, code.clone()), "{name}");
            assert_eq!(scene.now(&switch).await, before, "{name}");
        }
        let done = scene.send(&scene.all, &switch, &switch.open).await;
        assert!(done.0.is_success(), "{name}: {done:?}");
        assert_eq!(scene.now(&switch).await, switch.open[switch.field], "{name}");
        // Setting the present value widens nothing, and narrowing needs no reauthentication.
        let who = if switch.for_members { &scene.member } else { &scene.admin };
        let same = scene.send(who, &switch, &switch.open).await;
        assert!(same.0.is_success(), "{name}: {same:?}");
        let done = scene.send(who, &switch, &switch.shut).await;
        assert!(done.0.is_success(), "{name}: {done:?}");
        assert_eq!(scene.now(&switch).await, switch.shut[switch.field], "{name}");
    }
    // An empty list lets an agent reach everything.
    let list = &switches()[3];
    for who in [&scene.member, &scene.admin, &scene.agents] {
        let cleared = scene.send(who, list, &json!({ "only": [] })).await;
        assert_eq!(cleared.0, StatusCode::FORBIDDEN, "{cleared:?}");
    }
    assert_eq!(scene.now(list).await, json!(["a.example"]));
    // So does a new agent with more than its template grants; the template's own grants are allowed.
    let plain = json!({ "name": "Bea" });
    assert_eq!(scene.member.post("/api/v1/agents", &plain).await.status, StatusCode::CREATED);
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_permissions_and_undo_open_nothing_either() {
    let scene = scene().await;
    let agent = "/api/v1/agents/ada";
    let (member, admin, all) = (&scene.member, &scene.admin, &scene.all);
    let forms: [(&str, &[(&str, &str)]); 3] = [
        ("reach", &[("hosts", "evil.example")]),
        ("browser/switch", &[("on", "on")]),
        (
            "settings",
            &[
                ("name", "Ada"),
                ("emoji", "🔭"),
                ("budget_soft", "80"),
                ("max_output", "16384"),
                ("exec", "on"),
                ("network", "on"),
            ],
        ),
    ];
    for (form, fields) in forms {
        let path = format!("{PAGES}/{form}");
        let refused = member.form(&path, fields).await;
        assert!(!refused.text.contains("Saved"), "{form}: {}", refused.text);
        let reply = admin.form(&path, fields).await;
        let to = reply.location().unwrap_or_default();
        let back =
            format!("{PAGES}/{}", if form == "browser/switch" { "browser" } else { "settings" });
        let next = back.replace('/', "%2F");
        assert_eq!(to, format!("/w/marlow-cargo/settings/prove?next={next}"), "{form}");
    }
    let mode = admin.form(&format!("{PAGES}/behaviour"), &[("mode", "full")]).await;
    assert!(mode.location().is_some_and(|to| to.contains("/settings/prove")), "{}", mode.text);
    let now = all.get(agent).await.json();
    assert_eq!((&now["network"], &now["exec"]), (&json!(false), &json!(false)));
    assert_eq!(all.get(&format!("{agent}/reach")).await.json()["only"], json!([]));
    assert_eq!(all.get(&format!("{agent}/browser")).await.json()["on"], json!(false));
    assert_eq!(all.get(&format!("{agent}/mode")).await.json()["mode"], "ask");

    let permission =
        |leave: &str| json!({ "agent": "ada", "tool": "http_request", "leave": leave });
    let refused = admin.post("/api/v1/permissions", &permission("allow")).await;
    assert_eq!(refused.json()["code"], "proof_required", "{}", refused.text);
    let denies = admin.post("/api/v1/permissions", &permission("deny")).await;
    assert_eq!(denies.status, StatusCode::CREATED, "{}", denies.text);
    let denies = format!("/api/v1/permissions/{}", denies.json()["id"].as_str().expect("an id"));
    let refused = admin.call("DELETE", &denies).await;
    assert_eq!(refused.json()["code"], "proof_required", "{}", refused.text);

    // An admin switches network access off; a member's undo would switch it on again.
    for on in [true, false] {
        let set = all.json("PATCH", agent, &json!({ "network": on })).await;
        assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    }
    let id = now["id"].as_str().expect("an id");
    let history = all.get(&format!("/api/v1/history/agents/{id}")).await.json();
    let entry = history["items"][0]["seq"].clone();
    let undo = json!({ "entry": entry });
    for (who, code) in [(member, "forbidden"), (admin, "proof_required")] {
        let refused = who.post("/api/v1/undo", &undo).await;
        assert_eq!(refused.json()["code"], code, "{}", refused.text);
    }
    assert_eq!(all.get(agent).await.json()["network"], json!(false));
    let undone = all.post("/api/v1/undo", &undo).await;
    assert_eq!(undone.status, StatusCode::OK, "{}", undone.text);
    assert_eq!(all.get(agent).await.json()["network"], json!(true));
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_hosts_lets_nothing_out_after_words_from_outside_and_a_permission_does() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
    let ada = office.change(ada.id, on).await;
    let owner = office.hq.owner();
    let list = json!({ "only": ["shop.example"] });
    let set = owner.json("PUT", "/api/v1/agents/ada/reach", &list).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let post = json!({ "url": "https://shop.example/in", "method": "POST", "body": "one" });
    let sends = || Turn::call("http_request", post.clone());
    let reads = || Turn::call("contact_list", json!({}));
    let approvals = || office.all::<Approval>();
    for mode in [TrustMode::Ask, TrustMode::Full] {
        office.trust(ada.id, mode).await;
        let heeds = json!({ "autonomous": false });
        owner.json("PUT", "/api/v1/agents/ada/autonomy", &heeds).await;
        // Before that, the list replaces the approval. The conversation keeps the label after the first mode.
        if mode == TrustMode::Ask {
            office.model.push(sends()).push(Turn::text("Done."));
            let run = office.say(&ada, "Order it").await;
            office.ended(run).await;
            assert!(approvals().is_empty());
        }
        let before = approvals().len();
        office.model.push(reads()).push(sends()).push(Turn::text("Done."));
        let run = office.say(&ada, "Look and order it").await;
        office.in_state(run, RunState::Waiting).await;
        let all = approvals();
        assert_eq!(all.len(), before + 1, "{mode:?}");
        let asked = all.iter().find(|one| one.answer.is_none()).expect("a card");
        assert!(asked.why.contains("a listed host, which still needs approval"), "{}", asked.why);
        let path = format!("/api/v1/approvals/{}/answer", asked.id);
        owner.post(&path, &json!({ "answer": "denied" })).await;
        office.ended(run).await;
    }
    let allows = json!({
        "agent": "ada", "tool": "http_request", "leave": "allow",
        "host": "shop.example", "method": "POST"
    });
    let made = owner.post("/api/v1/permissions", &allows).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    office.model.push(reads()).push(sends()).push(Turn::text("Done."));
    let run = office.say(&ada, "Look and order it").await;
    office.ended(run).await;
    assert_eq!(approvals().len(), 2);
    office.hq.finish().await;
}
