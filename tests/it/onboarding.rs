//! Guided set-up from the account to the first task: leaving, returning and repeating at every step.

use crm::model::{Collection, FieldDef, Home};
use features::agents::model::Agent;
use features::agents::templates;
use features::connections::model::Connection;
use features::connections::presets::PRESETS as CONNECTIONS;
use features::onboarding::local::{self, Place};
use features::onboarding::presets::PRESETS;
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::workspace::model::Settings;
use kernel::{AgentStatus, Role};
use reqwest::StatusCode;
use serde_json::json;

use support::hq::{OWNER, Person, Reply, TestHq};
use support::model::{ModelServer, Turn};
use support::work::all;

const BASE: &str = "/w/marlow-cargo";

fn at(step: &str) -> String {
    format!("{BASE}/onboarding/{step}")
}

/// Submits a step's form with the key of its page.
async fn send(who: &Person, step: &str, to: &str, fields: &[(&str, &str)]) -> Reply {
    let key = who.get(&at(step)).await.attr("main form input[name=once]", "value");
    let fields: Vec<_> = fields.iter().copied().chain([("once", key.as_str())]).collect();
    who.form(&at(to), &fields).await
}

/// Completes all steps before `step` with minimal choices.
async fn until(who: &Person, step: &str) {
    for (from, to, fields) in [
        ("work", "work", [("intent", "run")].as_slice()),
        ("machine", "machine", &[]),
        ("model", "model/skip", &[]),
    ] {
        if from == step {
            return;
        }
        let reply = send(who, from, to, fields).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{from}: {}", reply.text);
    }
}

/// Names of active streams, in order.
fn streams(hq: &TestHq) -> Vec<String> {
    let used = all::<Stream>(hq).into_iter().filter(|one| one.archived_at.is_none());
    used.map(|one| one.name).collect()
}

#[test]
fn each_kind_of_work_has_words_of_its_own_and_an_agent_whose_first_task_has_a_gap() {
    let mut words: Vec<_> = PRESETS.iter().flat_map(|one| one.words).collect();
    let count = words.len();
    words.sort();
    words.dedup();
    assert_eq!(words.len(), count);
    for preset in PRESETS {
        assert!(templates::find(preset.agent.template).is_some(), "{}", preset.title);
        assert!(
            preset.agent.task.contains('[') && preset.agent.task.contains(']'),
            "{}",
            preset.title
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_steps_lead_from_the_account_to_the_first_task_and_never_come_again() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    assert_eq!(mira.get(&format!("{BASE}/")).await.location(), Some("/w/marlow-cargo/onboarding"));
    assert_eq!(mira.get(&format!("{BASE}/onboarding")).await.location(), Some(&*at("work")));
    // A future step redirects to the open one.
    assert_eq!(mira.get(&at("agent")).await.location(), Some(&*at("work")));

    let page = mira.get(&at("work")).await;
    assert!(page.text_of("h1").contains("Mira"), "{}", page.text);
    assert_eq!(page.texts(".paths b").len(), PRESETS.len() - 2);
    assert_eq!(page.attr(".stepper", "aria-label"), "Set-up, step 2 of 5");
    // The account's creator is offered passkeys where browsers support them.
    let host = hq.url().replace("http://127.0.0.1", "localhost");
    let local = hq.owner().with("host", &host).get(&at("work")).await;
    assert_eq!(local.attr(".step header a", "href"), format!("{BASE}/settings/security"));
    let nothing = send(&mira, "work", "work", &[]).await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(nothing.text.contains("hoose one of the kinds of work"), "{}", nothing.text);
    let chosen = send(&mira, "work", "work", &[("intent", "run")]).await;
    assert_eq!(chosen.location(), Some(&*at("machine")), "{}", chosen.text);
    assert_eq!(streams(&hq), ["Operations", "Content"]);

    let page = mira.get(&at("machine")).await;
    for check in ["Storage", "Disk", "Agent files", "Agent programs", "Address"] {
        assert!(
            page.texts(".checks b").iter().any(|title| title == check),
            "{check}: {}",
            page.text
        );
    }
    // Another machine is offered; without a public address the page says what is missing.
    assert!(page.text_of(".offer h2").contains("another machine"), "{}", page.text);
    assert!(page.text_of(".offer details").contains("public address"), "{}", page.text);
    assert_eq!(send(&mira, "machine", "machine", &[]).await.location(), Some(&*at("model")));
    assert_eq!(send(&mira, "model", "model/skip", &[]).await.location(), Some(&*at("agent")));

    let page = mira.get(&at("agent")).await;
    assert_eq!(page.text_of(".roster-pick a[aria-current] b"), "Chief of Staff");
    assert_eq!(page.attr("#f-name", "value"), "Chief");
    assert!(page.text.contains("Practice"), "it says what it thinks with");
    // Roles are found by what they do; without script as well.
    let found = mira.get(&format!("{}?search=VOICE", at("agent"))).await;
    let shown = found.texts(".roster-pick a:not([hidden]) b");
    assert!(shown.iter().any(|name| name == "Ghostwriter") && shown.len() < 5, "{shown:?}");
    let none = mira.get(&format!("{}?search=%3Cb%3Eplumbing", at("agent"))).await;
    assert!(none.texts(".roster-pick a:not([hidden])").is_empty());
    assert!(none.text_of(".roster-pick").contains("No role matches “<b>plumbing”"));
    let wrong = [("role", "chief-of-staff"), ("name", " "), ("emoji", "x")];
    let refused = send(&mira, "agent", "agent", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(all::<Agent>(&hq).is_empty());
    // The suggested task has a placeholder, which is selected, and has to be filled in.
    let suggested = page.text_of("form[data-bracket] textarea[name=task][autofocus]");
    assert!(suggested.contains("our work for [client]"), "{suggested}");
    let role = [("role", "chief-of-staff"), ("name", "Chief"), ("emoji", "🪢")];
    let unfilled = [role.as_slice(), &[("task", suggested.as_str())]].concat();
    let refused = send(&mira, "agent", "agent", &unfilled).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text_of("#f-task-says").contains("[client]"), "{}", refused.text);
    assert!(all::<Agent>(&hq).is_empty());
    let filled = suggested.replace("[client]", "the harbour office");
    let fields = [role.as_slice(), &[("task", filled.as_str())]].concat();
    let made = send(&mira, "agent", "agent", &fields).await;
    assert_eq!(made.location(), Some("/w/marlow-cargo/tasks/MC-1"), "{}", made.text);
    let agents = all::<Agent>(&hq);
    assert_eq!((agents.len(), agents[0].status), (1, AgentStatus::Ready));
    // The agent starts without anything else, and its page shows the run.
    hq.settle().await;
    let task = mira.get("/w/marlow-cargo/tasks/MC-1").await;
    assert!(task.text_of("h1").contains("the harbour office"), "{}", task.text);
    let runs = mira.get("/api/v1/runs").await.json();
    assert_eq!(runs["items"].as_array().map(Vec::len), Some(1), "{runs}");

    // It is finished: every step redirects to the dashboard, which shows the agent.
    assert_eq!(mira.get(&format!("{BASE}/onboarding")).await.location(), Some("/w/marlow-cargo/"));
    assert_eq!(mira.get(&at("work")).await.location(), Some("/w/marlow-cargo/"));
    let again = mira.form(&at("work"), &[("intent", "publish")]).await;
    assert_eq!(again.location(), Some("/w/marlow-cargo/"));
    assert_eq!(streams(&hq), ["Operations", "Content"]);
    let home = mira.get(&format!("{BASE}/")).await;
    assert_eq!(home.status, StatusCode::OK);
    assert!(home.text.contains("Chief"), "{}", home.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_browser_and_another_start_go_on_where_the_set_up_was_left() {
    let mut hq = TestHq::start().await;
    until(&hq.owner(), "model").await;
    hq.restart().await;
    let other = hq.nobody();
    let (_, email, password) = OWNER;
    let signed = other.form("/login", &[("email", email), ("password", password)]).await;
    assert_eq!(signed.status, StatusCode::SEE_OTHER, "{}", signed.text);
    assert_eq!(other.get("/onboarding").await.location(), Some("/"));
    assert_eq!(other.get(&format!("{BASE}/onboarding")).await.location(), Some(&*at("model")));
    // Completed steps can be viewed and stay as they are.
    let page = other.get(&at("work")).await;
    assert_eq!(page.attr(".paths input[name=intent][checked]", "value"), "run");
    // Enter activates the first button of a form, which must not be the skip button.
    assert_eq!(page.attr("button[name=intent][value=explore]", "form"), "skip");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_answer_takes_away_what_nobody_has_touched_and_nothing_else() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let own = mira.post("/api/v1/streams", &json!({ "name": "operations", "goal": "Mine" })).await;
    assert_eq!(own.status, StatusCode::CREATED, "{}", own.text);
    send(&mira, "work", "work", &[("intent", "reach")]).await;
    assert_eq!(streams(&hq), ["operations", "Marketing"], "a name that is taken stays its owner's");
    send(&mira, "work", "work", &[("intent", "publish")]).await;
    assert_eq!(streams(&hq), ["operations", "Content"]);
    let content =
        mira.json("PATCH", "/api/v1/streams/Content", &json!({ "goal": "One a week" })).await;
    assert_eq!(content.status, StatusCode::OK, "{}", content.text);
    send(&mira, "work", "work", &[("intent", "hire")]).await;
    assert_eq!(streams(&hq), ["operations", "Content"], "what somebody changed is theirs");
    // Skipping the question creates nothing.
    let skipped = send(&mira, "work", "work", &[("intent", "explore")]).await;
    assert_eq!(skipped.location(), Some(&*at("machine")), "{}", skipped.text);
    assert_eq!(streams(&hq), ["operations", "Content"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_button_that_is_pressed_twice_creates_one_agent_and_both_lead_to_its_task() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    until(&mira, "agent").await;
    let key = mira.get(&at("agent")).await.attr("main form.panel input[name=once]", "value");
    let fields = [
        ("role", "assistant"),
        ("name", "Ada"),
        ("emoji", "🧭"),
        ("task", "Say hello"),
        ("once", key.as_str()),
    ];
    let to = at("agent");
    let (first, second) = tokio::join!(mira.form(&to, &fields), mira.form(&to, &fields));
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.text);
    assert_eq!(first.location(), second.location(), "{}", second.text);
    assert_eq!(first.location(), Some("/w/marlow-cargo/tasks/MC-1"));
    assert_eq!((all::<Agent>(&hq).len(), all::<Task>(&hq).len()), (1, 1));
    hq.settle().await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_windows_only_one_creates_an_agent() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    until(&mira, "agent").await;
    let to = at("agent");
    let form = |role, once| {
        [("role", role), ("name", "Twin"), ("emoji", "🧭"), ("task", "Say hello"), ("once", once)]
    };
    let (one, other) = (form("assistant", "first window"), form("cmo", "second window"));
    let (one, other) = tokio::join!(mira.form(&to, &one), mira.form(&to, &other));
    let mut led = [&one, &other].map(|reply| reply.location().expect("a way on").to_owned());
    led.sort();
    assert_eq!(led[0], "/w/marlow-cargo/", "{}", other.text);
    assert_eq!(led[1], "/w/marlow-cargo/tasks/MC-1");
    assert_eq!((all::<Agent>(&hq).len(), all::<Task>(&hq).len()), (1, 1));
    hq.settle().await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_windows_connect_one_provider_and_a_failed_try_leaves_no_word() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    let mira = hq.owner();
    until(&mira, "model").await;
    let to = at("model");
    let nobody = [
        ("kind", "openai-compatible"),
        ("base_url", "http://127.0.0.1:9/v1"),
        ("key", "sk-once-more"),
        ("once", "a try"),
    ];
    // A repeated submission gets the same response and creates nothing.
    for _ in 0..2 {
        let refused = mira.form(&to, &nobody).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    }
    // With scripts, the response is a message only, so that the key stays in its field.
    let said = hq.owner().htmx("connect-says").form(&to, &nobody).await;
    assert_eq!(said.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(said.text.starts_with("<div class=\"banner\""), "{}", said.text);
    let activity = mira.get("/api/v1/activity").await;
    assert_eq!(activity.status, StatusCode::OK);
    assert!(!activity.text.contains("connection.changed"), "{}", activity.text);

    model.usually(Turn::text("pong"));
    let url = model.openai_url();
    let form = |once| [("kind", "openai-compatible"), ("base_url", url.as_str()), ("once", once)];
    let (one, other) = (form("first window"), form("second window"));
    let (one, other) = tokio::join!(mira.form(&to, &one), mira.form(&to, &other));
    for reply in [one, other, mira.form(&to, &form("third window")).await] {
        assert_eq!(reply.location(), Some(&*to), "{}", reply.text);
    }
    let made = all::<Connection>(&hq);
    assert_eq!(made.len(), 1, "{made:?}");
    let settings = all::<Settings>(&hq).remove(0);
    assert_eq!(settings.default_connection, Some(made[0].id));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_was_cut_off_is_tested_in_place_of_one_more() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    let mira = hq.owner();
    until(&mira, "model").await;
    model.usually(Turn::text("pong"));
    let url = model.openai_url();
    // State after a kill in between: created but not tested.
    let left = json!({ "name": "Own", "kind": "openai", "base_url": url, "test": false });
    let left = mira.post("/api/v1/connections", &left).await;
    assert_eq!(left.status, StatusCode::CREATED, "{}", left.text);
    assert!(all::<Connection>(&hq)[0].tested.is_none());
    let form = [("kind", "openai-compatible"), ("base_url", url.as_str())];
    let made = send(&mira, "model", "model", &form).await;
    assert_eq!(made.location(), Some(&*at("model")), "{}", made.text);
    let kept = all::<Connection>(&hq);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].tested.as_ref().is_some_and(|tested| tested.ok), "{kept:?}");
    assert_eq!(all::<Settings>(&hq).remove(0).default_connection, Some(kept[0].id));

    // An existing connection that does not respond either is no obstacle and stays.
    let gone = json!({ "name": "Gone", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "test": false });
    assert_eq!(mira.post("/api/v1/connections", &gone).await.status, StatusCode::CREATED);
    let nobody = [("kind", "openai-compatible"), ("base_url", "http://127.0.0.1:9/v1")];
    let key = mira.get(&format!("{}?another=1", at("model"))).await;
    let key = key.attr("main form input[name=once]", "value");
    let fields = [nobody[0], nobody[1], ("once", key.as_str())];
    let refused = mira.form(&at("model"), &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let mut names: Vec<_> = all::<Connection>(&hq).into_iter().map(|one| one.name).collect();
    names.sort();
    assert_eq!(names, ["Gone", "Own"], "the one that somebody made stays");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_tested_and_one_that_does_not_answer_is_not_kept() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    let mira = hq.owner();
    until(&mira, "model").await;
    // All providers are listed, in groups; the first one's form is open and links to its keys.
    let page = mira.get(&at("model")).await;
    assert_eq!(page.texts(".providers .kinds a b").len(), 2 * CONNECTIONS.len(), "{}", page.text);
    let groups = ["Hosted", "Subscription", "Local", "Compatible servers"];
    assert_eq!(page.texts(".providers h2"), groups);
    assert_eq!(page.attr(".connect input[name=kind]", "value"), "anthropic");
    for (kind, site) in [
        ("deepseek", "platform.deepseek.com"),
        ("mistral", "console.mistral.ai"),
        ("groq", "console.groq.com"),
        ("openrouter", "openrouter.ai"),
        ("xai", "console.x.ai"),
    ] {
        let page = mira.get(&format!("{}?kind={kind}", at("model"))).await;
        assert_eq!(page.attr(".connect input[name=kind]", "value"), kind);
        assert!(page.attr(".key-page a", "href").contains(site), "{}", page.text);
        assert!(page.texts(".connect [name=base_url]").is_empty(), "its address is known");
        let current = page.attr(".providers a[aria-current]", "href");
        assert!(current.ends_with(&format!("kind={kind}")), "{current}");
    }
    // A key that clearly belongs to another provider is not sent anywhere.
    let strange = [("kind", "xai"), ("key", "gsk_0123456789")];
    let refused = send(&mira, "model", "model", &strange).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text_of("#f-key-says").contains("a key from Groq"), "{}", refused.text);
    assert!(all::<Connection>(&hq).is_empty());
    let nobody = [("kind", "openai-compatible"), ("base_url", "http://127.0.0.1:9/v1")];
    let refused = send(&mira, "model", "model", &nobody).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.attr("#f-base_url", "aria-invalid"), "true", "{}", refused.text);
    assert_eq!(refused.attr("#f-base_url", "value"), "http://127.0.0.1:9/v1");
    assert!(all::<Connection>(&hq).is_empty(), "what does not answer is not kept");

    model.usually(Turn::text("pong"));
    let url = model.openai_url();
    let good = [("kind", "openai-compatible"), ("base_url", url.as_str())];
    let made = send(&mira, "model", "model", &good).await;
    assert_eq!(made.location(), Some(&*at("model")), "{}", made.text);
    let page = mira.get(&at("model")).await;
    // A model without tool support gives a warning.
    assert_eq!(page.text_of("h1"), "Connected, but this model doesn’t call tools");
    assert_eq!(page.attr(".result", "data-tone"), "warn");
    let more = mira.get(&page.attr(".step header a", "href")).await;
    assert!(!more.texts(".providers .kinds a").is_empty(), "{}", more.text);
    let back = &more.texts("main footer .btn");
    assert!(back.contains(&"Back".to_owned()), "nobody is told that agents stay with practice");
    assert_eq!(page.attr("select[name=limit] option[selected]", "value"), "");
    let pick = page.attr("select[name=pick] option[selected]", "value");
    let wrong = send(&mira, "model", "model/choose", &[("pick", &pick), ("limit", "7")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let chosen = send(&mira, "model", "model/choose", &[("pick", &pick), ("limit", "40")]).await;
    assert_eq!(chosen.location(), Some(&*at("agent")), "{}", chosen.text);
    let settings = all::<Settings>(&hq).remove(0);
    assert_eq!(settings.default_model.as_deref(), Some("mock"));
    assert_eq!(settings.budget_micros, Some(40_000_000));
    // Going back shows the present value, and an empty value means none.
    let page = mira.get(&at("model")).await;
    assert_eq!(page.attr("select[name=limit] option[selected]", "value"), "40");
    send(&mira, "model", "model/choose", &[("pick", &pick), ("limit", "")]).await;
    assert_eq!(all::<Settings>(&hq).remove(0).budget_micros, None);
    let odd = json!({ "limit_micros": 33_000_000 });
    let set = mira.json("PUT", "/api/v1/budgets/workspace/month", &odd).await;
    assert!(set.status.is_success(), "{}", set.text);
    let page = mira.get(&at("model")).await;
    let chosen = "select[name=limit] option[selected]";
    assert_eq!(page.text_of(chosen), "$33 for all agents");
    assert_eq!(page.attr(chosen, "value"), "keep");
    send(&mira, "model", "model/choose", &[("pick", &pick), ("limit", "keep")]).await;
    assert_eq!(all::<Settings>(&hq).remove(0).budget_micros, Some(33_000_000));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_models_that_run_here_are_found_and_nothing_else_is() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    let own = model.own_url();
    let port =
        own.rsplit_once(':').expect("a port").1.trim_end_matches('/').parse().expect("a number");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mute = silent.local_addr().expect("bound").port();
    let places = vec![
        Place::openai("vllm", "127.0.0.1", mute),
        Place::openai("lm-studio", "127.0.0.1", port),
        Place::openai("lm-studio", "localhost", port),
        Place::ollama("127.0.0.1", 9),
    ];
    let found = local::find_servers(&hq.running().app.http, places).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].place.kind, found[0].models.as_slice()),
        ("lm-studio", ["mock".to_owned()].as_slice())
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_owner_is_led_through_the_steps() {
    let hq = TestHq::start().await;
    let tom = hq.another("Tom", Some(Role::Member)).await;
    assert_eq!(tom.get(&format!("{BASE}/")).await.status, StatusCode::OK);
    assert_eq!(tom.get(&at("work")).await.status, StatusCode::FORBIDDEN);
    let refused = tom.json("PATCH", "/api/v1/onboarding", &json!({ "done": true })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let seen = tom.get("/api/v1/onboarding").await.json();
    assert_eq!(seen["step"], "work");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_says_what_the_work_is_and_ends_the_set_up() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let wrong = mira.json("PATCH", "/api/v1/onboarding", &json!({ "intent": "world peace" })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    let chosen = mira.json("PATCH", "/api/v1/onboarding", &json!({ "intent": "outreach" })).await;
    assert_eq!(chosen.json()["intent"], "outreach", "{}", chosen.text);
    assert_eq!(chosen.json()["step"], "machine");
    assert_eq!(chosen.json()["streams"][1]["name"], "Marketing");
    let done = mira.json("PATCH", "/api/v1/onboarding", &json!({ "done": true })).await;
    assert_eq!(done.json()["open"], false, "{}", done.text);
    assert_eq!(mira.get(&format!("{BASE}/")).await.text_of("h1"), "Welcome, Mira");
    let late = mira.json("PATCH", "/api/v1/onboarding", &json!({ "intent": "hire" })).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert_eq!(late.json()["code"], "setup_over", "{}", late.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_added_on_a_page_has_four_steps_and_one_of_a_program_none() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let form = [("workspace", "Second"), ("emoji", "🏡"), ("zone", "UTC")];
    let added = mira.form("/workspaces/new", &form).await;
    assert_eq!(added.location(), Some("/w/second/"), "{}", added.text);
    assert_eq!(mira.get("/w/second/").await.location(), Some("/w/second/onboarding"));
    let page = mira.get("/w/second/onboarding/work").await;
    assert_eq!(page.attr(".stepper", "aria-label"), "Set-up, step 1 of 4");
    let made = mira.post("/api/v1/workspaces", &json!({ "name": "Third" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(mira.get("/w/third/").await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_worth_a_try_follows_from_what_there_is_and_is_put_away_by_each_person() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let tom = hq.another("Tom", Some(Role::Member)).await;
    let home = format!("{BASE}/");
    assert!(tom.get(&home).await.texts("#mission").is_empty(), "the set-up is not over");
    until(&mira, "agent").await;
    let fields = [("role", "assistant"), ("name", "Ada"), ("emoji", "🧭")];
    send(&mira, "agent", "agent", &fields).await;
    let lines = async |who: &Person| {
        let page = who.get(&home).await;
        (page.texts("#mission li[data-state] > span"), page.texts("#mission li > a"))
    };
    let (done, open) = lines(&mira).await;
    assert_eq!(done, ["Create an agent, done"]);
    let work = [
        "Give an agent a task",
        "Get your first deliverable",
        "Review a deliverable",
        "Add knowledge for your agents",
    ];
    assert_eq!(open[0], "Connect a model");
    assert_eq!(open[1..], work);
    // People without the right to connect a model are not asked to.
    assert_eq!(lines(&tom).await.1, work);

    let task = json!({ "title": "Say hello", "assignee": "ada" });
    assert_eq!(mira.post("/api/v1/tasks", &task).await.status, StatusCode::CREATED);
    hq.settle().await;
    let finished = "Get your first deliverable, done";
    let done = ["Create an agent, done", "Give an agent a task, done", finished];
    assert_eq!(lines(&mira).await.0, done);
    let waits = mira.get("/api/v1/deliverables").await;
    assert_eq!(waits.status, StatusCode::OK, "{}", waits.text);
    let id = waits.json()["items"][0]["id"].as_str().expect("a piece of work").to_owned();
    let approved = json!({ "verdict": "approved" });
    let reviewed = tom.post(&format!("/api/v1/deliverables/{id}/reviews"), &approved).await;
    assert!(reviewed.status.is_success(), "{}", reviewed.text);
    assert_eq!(lines(&tom).await.1, ["Add knowledge for your agents"]);
    let known = tom.post("/api/v1/knowledge", &json!({ "title": "Prices" })).await;
    assert_eq!(known.status, StatusCode::CREATED, "{}", known.text);
    // Tom has completed his part of the first round; Mira has not reviewed anything herself.
    let further = ["Turn on a routine", "Give an agent a browser", "Create a second agent"];
    assert_eq!(lines(&tom).await.1, further);
    let page = tom.get(&home).await;
    assert!(
        page.attrs("#mission li > a", "href").contains(&format!("{BASE}/agents/ada/browser")),
        "{}",
        page.text
    );
    assert_eq!(lines(&mira).await.1, ["Connect a model", "Review a deliverable"]);
    let known = "Add knowledge for your agents, done";
    assert_eq!(lines(&mira).await.0.last().map(String::as_str), Some(known));
    // Disabled modules give no tasks.
    let without = json!({ "modules_off": ["knowledge"] });
    let off = mira.json("PATCH", "/api/v1/settings", &without).await;
    assert_eq!(off.status, StatusCode::OK, "{}", off.text);
    assert_eq!(lines(&mira).await.0, done);

    let away = mira.form(&format!("{BASE}/mission/away"), &[]).await;
    assert_eq!(away.location(), Some(&*home), "{}", away.text);
    assert!(mira.get(&home).await.texts("#mission").is_empty());
    assert_eq!(lines(&tom).await.1.len(), 3, "for Tom it stays");
    hq.finish().await;
}

/// Labels of custom contact fields.
fn fields(hq: &TestHq) -> Vec<String> {
    let all = all::<FieldDef>(hq).into_iter();
    let own = all.filter(|one| one.home == Home::Contacts && one.key != "stage");
    let mut labels: Vec<String> = own.map(|one| one.label).collect();
    labels.sort();
    labels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_and_fields_of_a_kind_of_work_are_laid_down_once_and_over_nothing() {
    let mut hq = TestHq::start().await;
    let mira = hq.owner();
    until(&mira, "agent").await;
    assert!(fields(&hq).is_empty(), "not before the set-up is over");
    let skipped = send(&mira, "agent", "agent/skip", &[]).await;
    assert_eq!(skipped.location(), Some("/w/marlow-cargo/"), "{}", skipped.text);
    let made = ["Engagement", "Monthly value", "Start date"];
    assert_eq!(fields(&hq), made);
    // A field that a person deletes does not return with the next start.
    let gone = all::<FieldDef>(&hq).into_iter().find(|one| one.label == "Engagement");
    let gone = gone.expect("a field").id;
    let by = (kernel::Actor::System(kernel::Part::Setup), kernel::Cause::Setup);
    let remove = move |tx: &mut store::WriteTx<'_>| tx.delete::<FieldDef>(gone);
    hq.ws().write(&by, remove).await.expect("removed");
    hq.restart().await;
    assert_eq!(fields(&hq), made[1..]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sells_chooses_whether_customers_begin_with_a_first_contact_or_a_deal() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let page = mira.get(&at("work")).await;
    assert_eq!(page.texts(".begins label"), ["First contact", "Deals"]);
    assert_eq!(page.attr(".begins input[checked]", "value"), "deals");
    let outreach = [("intent", "reach"), ("begins", "outreach")];
    assert!(send(&mira, "work", "work", &outreach).await.location().is_some());
    let page = mira.get(&at("work")).await;
    assert_eq!(page.attr(".paths input[checked]", "value"), "reach");
    assert_eq!(page.attr(".begins input[checked]", "value"), "outreach");
    assert_eq!(streams(&hq), ["Operations", "Marketing"]);
    let done = mira.json("PATCH", "/api/v1/onboarding", &json!({ "done": true })).await;
    assert_eq!(done.json()["intent"], "outreach", "{}", done.text);
    assert_eq!(fields(&hq), ["Close date", "Deal value", "Next step"]);
    let stages = mira.get("/api/v1/fields?of=contacts").await.text;
    assert!(stages.contains("Identified") && !stages.contains("Negotiation"), "{stages}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_a_person_stay_the_only_ones_and_who_publishes_gets_a_calendar() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let own = json!({ "label": "Shoe size", "kind": "number" });
    let made = mira.post("/api/v1/fields?of=contacts", &own).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let over = json!({ "intent": "hire", "done": true });
    let done = mira.json("PATCH", "/api/v1/onboarding", &over).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(fields(&hq), ["Shoe size"]);
    hq.finish().await;

    let hq = TestHq::start().await;
    let over = json!({ "intent": "publish", "done": true });
    let done = hq.owner().json("PATCH", "/api/v1/onboarding", &over).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let made: Vec<String> = all::<Collection>(&hq).into_iter().map(|one| one.name).collect();
    assert_eq!(made, ["Content calendar"]);
    assert!(fields(&hq).is_empty());
    hq.finish().await;
}
