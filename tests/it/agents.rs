//! Agents: immediate creation, completion after a crash, states.

use std::fs;

use features::agents::model::Agent;
use features::agents::provision;
use features::agents::queries::{self, Group};
use features::inbox::queries as inbox;
use git::Branch;
use kernel::{Actor, AgentStatus, Cause, ItemKind, Part, Role};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{ReadExt, StoreError};

use support::hq::{Person, TestHq};
use support::model::{Gate, ModelServer, Turn};

const AGENTS: &str = "/w/marlow-cargo/agents";

async fn make(api: &Person, name: &str) -> Value {
    let made = api.post("/api/v1/agents", &json!({ "name": name })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

fn stored(hq: &TestHq, slug: &str) -> Agent {
    let found = hq.ws().read(|snap| queries::by_slug(snap, slug));
    found.expect("a read").expect("the agent")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_agent_has_its_branch_its_folder_and_its_own_words() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let form = [
        ("template", "assistant"),
        ("name", "Ada Lovelace"),
        ("slug", ""),
        ("emoji", "🔭"),
        ("description", "Finds things out"),
        ("model", ""),
        ("thinking", "medium"),
        ("budget", "40"),
        ("exec", "on"),
    ];
    let made = owner.form(AGENTS, &form).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/agents/ada-lovelace"), "{}", made.text);
    let page = owner.get(made.location().expect("its page")).await;
    assert!(page.text_of("h1").starts_with("Ada Lovelace"));
    assert!(page.text.contains("is ready"), "the message of the redirect is shown");

    let agent = stored(&hq, "ada-lovelace");
    assert_eq!((agent.status, agent.budget_micros), (AgentStatus::Ready, Some(40_000_000)));
    let ws = hq.ws();
    let folder = ws.agent_folder("ada-lovelace");
    let identity = fs::read_to_string(folder.join("IDENTITY.md")).expect("a file");
    assert!(identity.starts_with("# 🔭 Ada Lovelace\n"), "{identity}");
    let user = fs::read_to_string(folder.join("USER.md")).expect("a file");
    assert!(user.contains("Mira Lindqvist") && user.contains("Marlow Cargo"), "{user}");
    let branch = Branch::agent("ada-lovelace").expect("a branch's name");
    assert!(ws.repo().expect("a repository").head(&branch).expect("a read").is_some());
    assert!(!folder.join(".git").exists());
    drop(ws);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_is_one_persons_or_one_agents_and_stays() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    make(&api, "Ada").await;
    assert_eq!(make(&api, "Ada").await["slug"], "ada-2");
    assert_eq!(make(&api, "Q").await["slug"], "agent-q", "a short name is a name");
    assert_eq!(make(&api, "…").await["slug"], "agent");
    // Reserved words.
    assert_eq!(make(&api, "Template Tester").await["slug"], "agent-template-tester");
    assert_eq!(make(&api, "default").await["slug"], "agent-default");
    for (name, why) in [("Two\nlines", "one line"), ("Ada \u{202e}xe", "one line"), ("", "60")] {
        let refused = api.post("/api/v1/agents", &json!({ "name": name })).await.json();
        assert_eq!(refused["code"], "name_invalid", "{refused}");
        assert!(refused["errors"][0]["message"].as_str().is_some_and(|said| said.contains(why)));
    }
    // The owner's own handle.
    let mira = hq.ws().read(|snap| {
        let all: Result<Vec<features::workspace::model::Member>, StoreError> =
            snap.list(&store::Range::all());
        all
    });
    let handle = mira.expect("a read")[0].handle.clone();
    for (slug, code) in [
        ("ada", "slug_taken"),
        (handle.as_str(), "slug_taken"),
        ("new", "slug_reserved"),
        ("template-x", "slug_reserved"),
        ("Ada!", "slug_invalid"),
        ("a", "slug_invalid"),
        ("a--b", "slug_invalid"),
    ] {
        let body = json!({ "name": "Other", "slug": slug });
        let refused = api.post("/api/v1/agents", &body).await;
        assert_eq!(refused.json()["code"], code, "{slug}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], "slug");
    }
    let patched = api.json("PATCH", "/api/v1/agents/ada", &json!({ "name": "Grace" })).await;
    assert_eq!(
        (&patched.json()["name"], &patched.json()["slug"]),
        (&json!("Grace"), &json!("ada"))
    );
    let manifest = hq.ws().agent_folder("ada").join("agent.json");
    let manifest: Value =
        serde_json::from_slice(&fs::read(manifest).expect("a file")).expect("JSON");
    assert_eq!(manifest["name"], "Grace", "the files are told of the new name");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_half_made_is_finished_at_the_next_start() {
    let mut hq = TestHq::start().await;
    let ws = hq.ws();
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let new = |name: &str| features::agents::rules::NewAgent {
        name: name.into(),
        slug: String::new(),
        emoji: "🌱".into(),
        description: String::new(),
        template: "default".into(),
        model: features::agents::rules::ModelChoice::default(),
        thinking: None,
        exec: false,
        budget_micros: None,
        reports_to: None,
    };
    // The record alone, and the record with its branch but without its folder.
    for name in ["Early", "Late"] {
        let new = new(name);
        let made = ws.write(&by, move |tx| {
            features::agents::rules::create(tx, new, &provision::template_names())
        });
        made.await.expect("a record");
    }
    let late = stored(&hq, "late");
    provision::make(&ws, &by, late.id).await.expect("its files");
    fs::remove_dir_all(ws.agent_folder("late")).expect("a folder to lose");
    ws.write(&by, move |tx| {
        let agent = Agent { status: AgentStatus::Provisioning, ..late };
        tx.put(&agent)
    })
    .await
    .expect("as a crash left it");
    drop(ws);

    hq.restart().await;
    for slug in ["early", "late"] {
        assert_eq!(stored(&hq, slug).status, AgentStatus::Ready, "{slug}");
        assert!(hq.ws().agent_folder(slug).join("IDENTITY.md").is_file(), "{slug}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_fails_says_why_and_can_be_tried_again() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let agents = hq.ws().folder.join("agents");
    // A file at the place of the agent's folder.
    fs::write(agents.join("ada"), "in the way").expect("a file");
    let made = make(&api, "Ada").await;
    assert_eq!(made["status"], "error", "{made}");
    assert!(made["status_reason"].as_str().is_some_and(|why| why.contains("check the disk")));
    let page = hq.owner().get(&format!("{AGENTS}/ada")).await;
    assert!(page.text.contains("could not be set up"), "{}", page.text);
    assert!(page.attrs("form", "action").contains(&format!("{AGENTS}/ada/retry")));

    fs::remove_file(agents.join("ada")).expect("the way is free");
    let again = hq.owner().form(&format!("{AGENTS}/ada/retry"), &[]).await;
    assert_eq!(again.location(), Some("/w/marlow-cargo/agents/ada"));
    assert_eq!(stored(&hq, "ada").status, AgentStatus::Ready);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activity_tells_working_queued_paused_stalled_and_archived_apart() {
    let hq = TestHq::start().await;
    let model = ModelServer::start().await;
    let gate = Gate::new();
    model.push(Turn::text("Hello.").behind(&gate));
    let api = hq.api().await;
    let connection = json!({
        "name": "Mock", "kind": "openai", "base_url": model.openai_url(), "api_key": "sk-mock-0000",
        "default_model": "mock", "is_default": true, "test": false,
    });
    api.post("/api/v1/connections", &connection).await;
    make(&api, "Ada").await;
    let activity = || {
        let now = hq.now();
        let found = hq.ws().read(|snap| {
            let ada = queries::by_slug(snap, "ada")?.expect("Ada");
            queries::activity(snap, &ada, now)
        });
        found.expect("a read")
    };
    assert_eq!((activity().state, activity().group), ("idle", Group::Idle));

    let said = hq.owner().form(&format!("{AGENTS}/ada/chat"), &[("body", "Hello")]).await;
    assert!(said.status.is_redirection() || said.status.is_success(), "{}", said.text);
    model.asked(1).await;
    assert_eq!((activity().state, activity().label.as_str()), ("working", "Working"));
    let list = hq.owner().get(AGENTS).await;
    assert_eq!(list.text_of("#agent-ada .status b"), "Working");
    assert!(list.attrs("#agent-ada .avatar[data-live]", "title")[0].contains("working now"));
    let page = hq.owner().get(&format!("{AGENTS}/ada")).await;
    assert!(page.text_of("#agent-now .run header").contains("Hello"), "{}", page.text);
    gate.open();
    hq.settle().await;
    assert_eq!(activity().state, "idle");

    api.call("POST", "/api/v1/agents/ada/pause").await;
    assert_eq!((activity().state, activity().group), ("paused", Group::Off));
    let filtered = hq.owner().get(&format!("{AGENTS}?state=off")).await;
    assert_eq!(filtered.texts("tr[id]").len(), 1);
    let filtered = hq.owner().get(&format!("{AGENTS}?state=working")).await;
    assert_eq!(filtered.texts("tr[id]").len(), 0);
    api.call("POST", "/api/v1/agents/ada/resume").await;

    // A provider that rejects the key: the item fails permanently and needs a person.
    model.push(Turn::error(401, "invalid_api_key", "no such key"));
    let item = enqueue(&hq, "ada").await;
    hq.settle().await;
    let now = activity();
    assert_eq!((now.state, now.group), ("stalled", Group::Attention), "{now:?}");
    assert!(now.stuck.is_some());
    let page = hq.owner().get(&format!("{AGENTS}/ada/inbox?show=over")).await;
    assert!(page.text_of(".items").contains("Failed"), "{}", page.text);

    model.usually(Turn::text("Done."));
    let again = hq.owner().form(&format!("/w/marlow-cargo/inbox/{item}/retry"), &[]).await;
    assert_eq!(again.location(), Some("/w/marlow-cargo/agents/ada/inbox"));
    hq.settle().await;
    api.call("POST", "/api/v1/agents/ada/archive").await;
    assert_eq!((activity().state, activity().group), ("archived", Group::Off));
    assert_eq!(api.get("/api/v1/agents").await.json()["items"], json!([]));
    let archived = api.get("/api/v1/agents?archived=true").await.json();
    assert_eq!(archived["items"][0]["activity"], "archived");
    let back = api.call("POST", "/api/v1/agents/ada/restore").await.json();
    assert_eq!(back["archived_at"], Value::Null);
    hq.finish().await;
}

/// Enqueues an item for an agent, like a colleague's message.
async fn enqueue(hq: &TestHq, slug: &str) -> String {
    let agent = stored(hq, slug).id;
    let by = (Actor::System(Part::Engine), Cause::Timer);
    let ws = hq.ws();
    let made = ws.write(&by, move |tx| {
        let reason = features::inbox::model::Reason {
            summary: "Message from nobody".into(),
            comment: None,
            deliverable: None,
            person: None,
            agent: None,
            text: "Look at this.".into(),
        };
        let new = features::inbox::rules::NewItem {
            agent,
            kind: ItemKind::AgentMessage,
            task: None,
            key: "agent_message:test".into(),
            priority: kernel::Priority::Medium,
            by: by.0,
            reason,
        };
        features::inbox::rules::enqueue(tx, new)
    });
    made.await.expect("an item").expect("a new key").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_paused_agent_says_so_and_can_be_cancelled() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    make(&api, "Ada").await;
    api.call("POST", "/api/v1/agents/ada/pause").await;
    let item = enqueue(&hq, "ada").await;
    held(&hq).await;
    let listed = api.get("/api/v1/agents/ada/inbox").await.json();
    assert_eq!(listed["items"][0]["held_reason"], "agent_paused", "{listed}");
    let page = hq.owner().get(&format!("{AGENTS}/ada/inbox")).await;
    assert!(page.text_of(".items").contains("held: the agent is paused"), "{}", page.text);
    let cancelled = api.call("POST", &format!("/api/v1/inbox/{item}/cancel")).await;
    assert_eq!(cancelled.json()["state"], "cancelled", "{}", cancelled.text);
    let again = api.call("POST", &format!("/api/v1/inbox/{item}/cancel")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let open = hq.ws().read(|snap| inbox::open_count(snap, stored(&hq, "ada").id));
    assert_eq!(open.expect("a read"), 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_shown_and_no_path_leaves_the_folder() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    make(&api, "Ada").await;
    let folder = hq.ws().agent_folder("ada");
    fs::create_dir_all(folder.join("notes/deep/er")).expect("folders");
    fs::write(folder.join("notes/deep/er/x y.md"), "# Found\n\n<script>alert(1)</script>")
        .expect("a file");
    fs::write(folder.join("picture.png"), [0x89, b'P', 0, 1]).expect("a file");
    std::os::unix::fs::symlink("/etc/hostname", folder.join("link.md")).expect("a link");

    let tree = hq.owner().get(&format!("{AGENTS}/ada/files")).await;
    let names = tree.texts(".tree a span");
    assert!(names.contains(&"IDENTITY.md".to_owned()) && names.contains(&"notes".to_owned()));
    assert!(!names.contains(&"link.md".to_owned()), "links are not shown");
    let file = hq.owner().get(&format!("{AGENTS}/ada/files?path=notes/deep/er/x%20y.md")).await;
    assert_eq!(file.text_of(".md h2"), "Found");
    assert_eq!(file.texts(".md script"), [""; 0], "no script of an agent reaches a page");
    assert_eq!(file.text_of(".md p"), "<script>alert(1)</script>", "but its words do");
    let picture = hq.owner().get(&format!("{AGENTS}/ada/files?path=picture.png")).await;
    assert!(picture.text.contains("This isn’t text"));

    for path in ["../../../master.key", "/etc/passwd", "link.md", "nothing.md", "notes/../../x"] {
        for url in [
            format!("{AGENTS}/ada/files?path={path}"),
            format!("/api/v1/agents/ada/file?path={path}"),
        ] {
            let refused = hq.owner().get(&url).await;
            assert!(refused.status.is_client_error(), "{url}: {}", refused.status);
        }
    }
    let read = api.get("/api/v1/agents/ada/file?path=agent.json").await.json();
    assert!(read["text"].as_str().is_some_and(|text| text.contains("\"slug\": \"ada\"")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_keep_what_was_typed_and_name_what_is_wrong() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    make(&api, "Ada").await;
    let url = format!("{AGENTS}/ada/settings");
    let page = hq.owner().get(&url).await;
    let rev = page.attr("input[name=rev]", "value");
    let typed = |budget: &'static str, rev: String| {
        vec![
            ("rev", rev),
            ("name", "Ada L.".to_owned()),
            ("emoji", "🦉".to_owned()),
            ("description", "Looks at night".to_owned()),
            ("model", "practice".to_owned()),
            ("thinking", "high".to_owned()),
            ("max_output", "4096".to_owned()),
            ("budget", budget.to_owned()),
            ("budget_soft", "70".to_owned()),
        ]
    };
    let send = async |fields: Vec<(&'static str, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        hq.owner().form(&url, &fields).await
    };
    let wrong = send(typed("forty", rev.clone())).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text_of("#f-budget-says").contains("dollars"));
    assert_eq!(wrong.attr("#f-budget", "value"), "forty");
    assert_eq!(stored(&hq, "ada").name, "Ada");

    let saved = send(typed("12.50", rev.clone())).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let ada = stored(&hq, "ada");
    assert_eq!((ada.name.as_str(), ada.emoji.as_str(), ada.exec), ("Ada L.", "🦉", false));
    assert_eq!((ada.budget_micros, ada.budget_soft_pct), (Some(12_500_000), 70));
    assert_eq!((ada.model.as_deref(), ada.connection), (Some("practice"), None));
    let late = send(typed("1", rev)).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    let said = late.text_of("form .banner p");
    assert!(said.starts_with("You, in another window, changed this while"), "{said}");
    assert_eq!(late.attr("#f-budget", "value"), "1", "what was typed is still there");
    let again = send(typed("1", late.attr("input[name=rev]", "value"))).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text);

    // Unchanged fields do not revert changes made in another window.
    let shown = hq.owner().get(&url).await;
    let left =
        ["rev", "began"].map(|name| (name, shown.attr(&format!("input[name={name}]"), "value")));
    let zoe = json!({ "name": "Zoe" });
    assert_eq!(api.json("PATCH", "/api/v1/agents/ada", &zoe).await.status, StatusCode::OK);
    let mut fields = typed("2", String::new());
    fields.retain(|(name, _)| *name != "rev");
    fields.extend(left);
    let saved = send(fields.clone()).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let ada = stored(&hq, "ada");
    assert_eq!((ada.name.as_str(), ada.budget_micros), ("Zoe", Some(2_000_000)));
    fields
        .iter_mut()
        .filter(|(name, _)| *name == "name")
        .for_each(|(_, typed)| *typed = "Eve".into());
    let late = send(fields).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "both have changed the name: {}", late.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_sees_agents_and_has_no_buttons() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    make(&api, "Ada").await;
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    let page = viewer.get(&format!("{AGENTS}/ada")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.attrs("main form", "action").iter().any(|to| to.contains("/agents/ada/")));
    for act in ["pause", "archive", "settings"] {
        let refused = viewer.form(&format!("{AGENTS}/ada/{act}"), &[]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{act}");
    }
    assert_eq!(viewer.get(&format!("{AGENTS}/nobody")).await.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

/// Waits until the dispatcher has examined Ada's items.
async fn held(hq: &TestHq) {
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let agent = stored(hq, "ada").id;
    loop {
        feed.borrow_and_update();
        let open = ws.read(|snap| inbox::of_agent(snap, agent, false, None, 1)).expect("a read");
        if open.first().is_some_and(|hit| hit.record.held_reason.is_some()) {
            return;
        }
        let more = tokio::time::timeout(std::time::Duration::from_secs(20), feed.changed()).await;
        more.expect("it is held in time").expect("the store is open");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_is_grouped_by_team_once_there_are_two_and_a_role_is_found_by_what_it_does() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let create = async |name: &str, template: &str| {
        let made =
            mira.post("/api/v1/agents", &json!({ "name": name, "template": template })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    };
    create("Ada", "assistant").await;
    create("Vera", "chief-of-staff").await;
    let fleet = mira.get("/w/marlow-cargo/agents").await;
    assert!(fleet.texts("tr.band").is_empty(), "one team needs no heading");
    create("Ghost", "ghostwriter").await;
    create("Otto", "script-writer").await;
    let fleet = mira.get("/w/marlow-cargo/agents").await;
    assert_eq!(fleet.texts("tr.band"), ["Operations 2", "Content 2"]);
    let names = fleet.texts(".roster .agent b");
    assert_eq!(names, ["Ada", "Vera", "Ghost", "Otto"]);

    let found = mira.get("/w/marlow-cargo/agents/new?search=VOICE").await;
    let shown = found.texts(".roles .card:not([hidden]) b");
    assert!(shown.iter().any(|name| name.contains("Ghostwriter")) && shown.len() < 5, "{shown:?}");
    let none = mira.get("/w/marlow-cargo/agents/new?search=%3Cb%3Eplumbing").await;
    assert!(none.texts(".roles .card:not([hidden])").is_empty());
    assert!(none.text_of(".roles").contains("No role matches “<b>plumbing”"), "{}", none.text);
    let strategists = mira.get("/w/marlow-cargo/agents/new?search=strategy").await;
    assert_eq!(
        strategists.texts(".roles section:not([hidden]) h2").first().map(String::as_str),
        Some("Strategy")
    );

    // Without a role, the purpose has to be entered.
    let to = none.attrs(".roles a", "href").into_iter().find(|href| href.contains("custom"));
    let page = mira.get(&to.expect("a way without a role")).await;
    assert!(page.text_of(".roles summary").contains("Custom"), "{}", page.text);
    let form = [("template", "default"), ("custom", "1"), ("name", "Nemo")];
    let refused = mira.form("/w/marlow-cargo/agents", &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(refused.attr("#f-description", "aria-invalid"), "true");
    assert_eq!(refused.attr("[name=custom]", "value"), "1");
    let told = [("description", "Looks after the boats"), ("emoji", "🚤")];
    let made = mira.form("/w/marlow-cargo/agents", &[form.as_slice(), &told].concat()).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/agents/nemo"), "{}", made.text);
    hq.finish().await;
}
