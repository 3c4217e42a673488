//! Profile of an agent: taken from its role, changed by people, and copied to lines of its files that are unchanged
//! since HQ wrote them.

use features::connections::model::ListedModel;
use features::connections::rules::{self as connections, Listed};
use git::Branch;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;

use crate::cli_agents::{Terminal, out};

const PAGE: &str = "/w/marlow-cargo/agents/ada";
const ADA: &str = "/api/v1/agents/ada";

async fn made(template: &str) -> (TestHq, Person) {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let made = api.post("/api/v1/agents", &json!({ "name": "Ada", "template": template })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    (hq, api)
}

fn file(hq: &TestHq, path: &str) -> String {
    let place = hq.ws().agent_folder("ada").join(path);
    String::from_utf8(std::fs::read(place).expect("a file")).expect("text")
}

async fn patch(api: &Person, body: &Value) -> Value {
    let reply = api.json("PATCH", ADA, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

/// Waits until a file of the agent contains the text.
async fn says(hq: &TestHq, path: &str, words: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !file(hq, path).contains(words) {
        assert!(std::time::Instant::now() < end, "{path}: {}", file(hq, path));
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_says_what_the_agent_is_and_which_version_it_was_made_from() {
    let (hq, api) = made("analytics").await;
    let ada = api.get(ADA).await.json();
    assert_eq!((&ada["role"], &ada["team"]), (&json!("analyst"), &json!("analytics")));
    assert_eq!(ada["domains"][0], "metrics");
    assert_eq!(ada["capabilities"][0], "take a snapshot");
    let template = Branch::template("analytics").expect("a name");
    let head = hq.ws().repo().expect("files").head(&template).expect("a read").expect("a commit");
    assert_eq!(ada["template_commit"], json!(head.to_string()));
    assert!(
        file(&hq, "USER.md").contains("- Time zone: Europe/Berlin\n"),
        "{}",
        file(&hq, "USER.md")
    );

    let page = hq.owner().get(PAGE).await;
    assert!(page.texts("#agent-now .chip").contains(&"metrics".to_owned()), "{}", page.text);
    assert!(page.text.contains("Can take a snapshot, find drop-offs"), "{}", page.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_follows_in_the_lines_that_are_still_as_hq_wrote_them() {
    let (hq, api) = made("analytics").await;
    let body = json!({ "role": "chief analyst", "domains": ["money", " money ", "growth"] });
    let now = patch(&api, &body).await;
    assert_eq!(now["domains"], json!(["money", "growth"]));
    assert!(file(&hq, "IDENTITY.md").contains("- Role: chief analyst\n"));
    assert!(file(&hq, "agent.json").contains("\"chief analyst\""));

    // The agent has its own heading and additional text.
    let own =
        file(&hq, "IDENTITY.md").replace("# 📊 Ada", "# Ada, who counts") + "\nI count twice.\n";
    std::fs::write(hq.ws().agent_folder("ada").join("IDENTITY.md"), &own).expect("written");
    patch(&api, &json!({ "name": "Eva", "role": "counter" })).await;
    assert_eq!(file(&hq, "IDENTITY.md"), own.replace("chief analyst", "counter"));
    let log = api.get(&format!("{ADA}/history?path=IDENTITY.md&limit=2")).await.json();
    let subject = |n: usize| log["items"][n]["subject"].as_str().expect("words").to_owned();
    assert_eq!(subject(0), "agent: Describe Eva");
    assert!(subject(1).starts_with("Keep "), "what it wrote is its own commit: {}", subject(1));
    assert_eq!(log["items"][1]["author"], "Eva");

    let many: Vec<String> = (0..13).map(|n| n.to_string()).collect();
    for (body, code) in [
        (json!({ "role": "a\nb" }), "role_invalid"),
        (json!({ "domains": ["x".repeat(81)] }), "domains_invalid"),
        (json!({ "capabilities": many }), "capabilities_invalid"),
    ] {
        let refused = api.json("PATCH", ADA, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(refused.json()["code"], code);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_it_works_for_is_told_when_that_changes() {
    let (hq, _) = made("default").await;
    let mira = hq.owner();
    let settings = "/w/marlow-cargo/settings";
    let saved = mira.form(&format!("{settings}/profile"), &[("zone", "Asia/Tokyo")]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    says(&hq, "USER.md", "- Time zone: Asia/Tokyo\n").await;
    let saved = mira.form(&format!("{settings}/name"), &[("name", "Mira")]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    says(&hq, "USER.md", "- Name: Mira\n").await;
    let nobody = mira.form(&format!("{PAGE}/manager"), &[("to", "none")]).await;
    assert_eq!(nobody.status, StatusCode::SEE_OTHER, "{}", nobody.text);
    assert!(file(&hq, "USER.md").contains("- Name: \n"), "{}", file(&hq, "USER.md"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_profile_is_edited_where_it_stands() {
    let (hq, api) = made("analytics").await;
    let mira = hq.owner();
    let form = [
        ("description", "Counts what counts"),
        ("role", "counter"),
        ("domains", "money, growth"),
        ("capabilities", "count\nadd up\n"),
    ];
    let saved = mira.form(&format!("{PAGE}/profile"), &form).await;
    assert_eq!(saved.location(), Some(PAGE), "{}", saved.text);
    let ada = api.get(ADA).await.json();
    assert_eq!(ada["description"], "Counts what counts");
    assert_eq!(
        (&ada["domains"], &ada["capabilities"]),
        (&json!(["money", "growth"]), &json!(["count", "add up"]))
    );
    let long = "x".repeat(81);
    let wrong = mira.form(&format!("{PAGE}/profile"), &[("role", &long), ("domains", "a")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.attr("#profile [name=role]", "value"), long, "what was typed stays");
    assert!(wrong.text.contains("at most 80 characters"), "{}", wrong.text);
    assert_eq!(api.get(ADA).await.json()["role"], "counter");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_one_profile_do_not_undo_each_other() {
    let (hq, api) = made("analytics").await;
    let mira = hq.owner();
    let first = [
        ("description", "Counts"),
        ("role", "counter"),
        ("domains", "money"),
        ("capabilities", ""),
    ];
    assert_eq!(mira.form(&format!("{PAGE}/profile"), &first).await.location(), Some(PAGE));
    let began = mira.get(PAGE).await.attr("#profile [name=began]", "value");
    let with = |description: &'static str, domains: &'static str, began: &str| {
        let fields = [
            ("description", description),
            ("role", "counter"),
            ("domains", domains),
            ("capabilities", ""),
            ("began", began),
        ];
        fields.map(|(name, value)| (name, value.to_owned()))
    };
    let send = async |form: [(&'static str, String); 5]| {
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        mira.form(&format!("{PAGE}/profile"), &form).await
    };
    let other = send(with("Counts", "money, growth", &began)).await;
    assert_eq!(other.location(), Some(PAGE), "{}", other.text);
    // Another field of a form that was opened earlier: both changes are applied.
    let older = send(with("Counts it all", "money", &began)).await;
    assert_eq!(older.location(), Some(PAGE), "{}", older.text);
    let ada = api.get(ADA).await.json();
    assert_eq!(
        (&ada["description"], &ada["domains"]),
        (&json!("Counts it all"), &json!(["money", "growth"]))
    );
    // The same field: the conflicting change is shown, and a second save overrides it.
    let same = send(with("Counts", "taxes", &began)).await;
    assert_eq!(same.status, StatusCode::CONFLICT);
    assert!(same.text.contains("changed to “money, growth”"), "{}", same.text);
    assert_eq!(same.attr("#profile [name=domains]", "value"), "taxes");
    let seen = same.attr("#profile [name=began]", "value");
    let again = send(with("Counts it all", "taxes", &seen)).await;
    assert_eq!(again.location(), Some(PAGE), "{}", again.text);
    assert_eq!(api.get(ADA).await.json()["domains"], json!(["taxes"]));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_thinks_with_is_changed_beside_its_overview() {
    let (hq, api) = made("default").await;
    let mira = hq.owner();
    let page = mira.get(PAGE).await;
    let levels = page.attrs("#m-own-thinking button", "value");
    assert!(levels.contains(&"high".to_owned()), "{levels:?}");
    // The last model is always there.
    let practice = page.attrs("#m-own-model button", "value").pop().expect("a model");
    let saved = mira.form(&format!("{PAGE}/thinks"), &[("thinking", "high")]).await;
    assert_eq!(saved.location(), Some(PAGE), "{}", saved.text);
    let saved = mira.form(&format!("{PAGE}/thinks"), &[("model", &practice)]).await;
    assert_eq!(saved.location(), Some(PAGE), "{}", saved.text);
    let ada = api.get(ADA).await.json();
    assert_eq!((&ada["thinking"], &ada["model"]), (&json!("high"), &json!(practice)));
    let wrong = mira.form(&format!("{PAGE}/thinks"), &[("model", "a model")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_suggests_the_connected_model_that_suits_it() {
    let office = Office::open().await;
    let connection = office.connection;
    let models = ["mock", "claude-haiku-5-5", "claude-opus-5-5"];
    let listed = models.map(|id| ListedModel { id: id.to_owned(), name: id.to_owned() });
    let listed = Listed { models: listed.to_vec(), offers: Vec::new() };
    office.act(move |tx| connections::set_models(tx, connection, listed)).await;
    let owner = office.hq.owner();
    for (role, model) in [
        ("cofounder", "claude-opus-5-5"),
        ("social-writer", "claude-haiku-5-5"),
        // The everyday template uses the default.
        ("default", ""),
    ] {
        let page = owner.get(&format!("/w/marlow-cargo/agents/new?template={role}")).await;
        let chosen = page.attr("#f-model option[selected]", "value");
        let wanted = if model.is_empty() { String::new() } else { format!("{connection}/{model}") };
        assert_eq!(chosen, wanted, "{role}");
        assert_eq!(page.text.contains("is suggested for this role"), !model.is_empty(), "{role}");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_an_agent_stand_below_its_tabs() {
    let (hq, _) = made("default").await;
    let mira = hq.owner();
    for (page, tab, below) in [
        ("runs", "Activity", &["Runs", "Inbox", "Changes"][..]),
        ("inbox", "Activity", &["Runs", "Inbox", "Changes"]),
        ("history", "Activity", &["Runs", "Inbox", "Changes"]),
        ("memory", "Files", &["Files", "Memory"]),
        ("settings", "Settings", &[]),
    ] {
        let shown = mira.get(&format!("{PAGE}/{page}")).await;
        assert_eq!(shown.texts("#agent-head .tabs [aria-current]"), [tab], "{page}");
        assert_eq!(shown.texts("#agent-head > .seg a"), below, "{page}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_page_tells_what_it_knows_before_it_starts_and_names_its_skills() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let owner = office.hq.owner();
    let fresh = owner.get(PAGE).await;
    // There was no model call yet: the page shows the context that is ready.
    let ready = fresh.texts("#agent-now .sec[aria-label='Start-up context'] b");
    for part in ["SOUL.md", "AGENTS.md"] {
        assert!(ready.contains(&part.to_owned()), "{ready:?}");
    }
    assert!(!ready.contains(&"Tools".to_owned()), "{ready:?}");
    assert!(fresh.texts("#agent-now .sec[aria-label=Skills] b").contains(&"humanize".to_owned()));
    for (path, text) in
        [("humanize", "changed"), ("ledger", "---\ndescription: Use for sums\n---\n")]
    {
        let file = office.ws().agent_folder("ada").join(format!("skills/{path}/SKILL.md"));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("written");
    }
    office.model.push(Turn::text("Hello."));
    let run = office.say(&ada, "Hello").await;
    office.ended(run).await;
    let page = owner.get(PAGE).await;
    let marks = page.texts("#agent-now .sec[aria-label=Skills] .chip");
    assert_eq!(marks, ["Improved by the agent", "Written by the agent"]);
    let parts = page.texts("#agent-now .sec[aria-label='Start-up context'] b");
    assert!(parts.contains(&"Tools".to_owned()), "{parts:?}");
    assert!(page.text.contains("% cached between calls"), "{}", page.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_shown_and_edited_at_the_terminal() {
    let terminal = Terminal::with(&[]).await;
    let edit =
        ["agent", "edit", "ada", "--role", "scout", "--domains", "prices,rivals", "--budget", "40"];
    let told = out(&terminal.hq(&edit).await);
    assert!(told.contains("scout") && told.contains("prices, rivals"), "{told}");
    let shown = out(&terminal.hq(&["agent", "show", "ada"]).await);
    assert_eq!(shown, told);
    for words in ["(@ada)", "$40.00 a month", "default at "] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let none = terminal.hq(&["agent", "edit", "ada"]).await;
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("say what"));
}
