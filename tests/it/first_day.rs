//! Pages of a busy workspace: correct statements in full sentences, and no contradictions between pages.

use features::agents::model::Agent;
use features::agents::queries as agents;
use features::agents::rules::{self as agent_rules, AgentError, Heirs};
use features::inbox::model::Item;
use features::inbox::queries::why::Why;
use features::inbox::rules as inbox;
use features::routines::model::Routine;
use features::runs::model::{Run, Waiting};
use features::runs::queries::words;
use features::tasks::model::Task;
use jiff::SignedDuration;
use kernel::{
    Assignee, ItemId, ItemKind, ItemState, Outcome, RunId, RunState, TypedId as _, WaitFor,
};
use providers::error::ErrorClass;
use serde_json::json;
use store::{Record as _, StoreError};

use support::hq::Reply;
use support::model::Turn;
use support::office::Office;

const HOME: &str = "/w/marlow-cargo";

/// Identifiers for programs: two or more lower-case words joined by underscores.
fn codes(text: &str) -> Vec<&str> {
    let is_code = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let parts: Vec<&str> = word.split('_').collect();
        let small = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
        1 < parts.len() && parts.iter().all(small)
    };
    text.split_whitespace().filter(is_code).collect()
}

fn plain(page: &Reply, path: &str) {
    assert!(page.status.is_success(), "{path}: {}", page.status);
    let text = page.text_of("main");
    assert!(codes(&text).is_empty(), "{path} has {:?}", codes(&text));
    assert!(!text.contains("Error("), "{path} has the code of an error: {text}");
}

/// An ended run of an agent, with its item.
async fn ended(office: &Office, model: &Run, outcome: Outcome, n: u8) -> Run {
    let (id, item) = (RunId::from_bytes([n; 16]), ItemId::from_bytes([n; 16]));
    let model = model.clone();
    office
        .act(move |tx| {
            let now = tx.now();
            let run = Run {
                id,
                number: 500 + u32::from(n),
                item: Some(item),
                task: None,
                title: format!("Work {n}"),
                state: RunState::Ended,
                outcome: Some(outcome),
                ended_at: Some(now),
                created_at: now,
                ..model
            };
            tx.put(&Item {
                id: item,
                agent: run.agent,
                kind: ItemKind::AgentMessage,
                task: None,
                key: format!("walk:{n}"),
                state: ItemState::Leased,
                run: Some(id),
                held_reason: None,
                held_since: None,
                not_before: None,
                last_error: None,
                attempts: 9,
                ended_at: None,
                created_at: now,
                updated_at: now,
                ..Item::sample()
            })?;
            tx.put(&run)?;
            inbox::close(tx, item, &run)?;
            Ok::<_, inbox::InboxError>(run)
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_error_and_wait_is_a_sentence_on_every_page() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("read", json!({ "path": "gone.md" }))).push(Turn::text("Hello."));
    let first = office.say(&ada, "Hello").await;
    let model = office.ended(first).await;
    let owner = office.hq.owner();
    let path = format!("{HOME}/runs/{}", model.name());
    let page = owner.get(&path).await;
    plain(&page, &path);
    assert!(page.text_of("main").contains("gone.md"), "{path} tells of the call that failed");
    let mut ends = vec![
        Outcome::Done,
        Outcome::Stopped { by: None },
        Outcome::NoOutcome,
        Outcome::Interrupted,
        Outcome::CrashLoop,
        Outcome::Snoozed { until: office.hq.now() + SignedDuration::from_hours(9) },
    ];
    ends.extend(
        ["calls", "tools", "time", "cost", "tokens", "loop"]
            .map(|which| Outcome::Limit { which: which.to_owned() }),
    );
    ends.extend(ErrorClass::ALL.map(|class| Outcome::Failed {
        code: class.word().to_owned(),
        reason: class.advice().to_owned(),
    }));
    for (n, outcome) in (1..).zip(ends) {
        let run = ended(&office, &model, outcome.clone(), n).await;
        let places = [
            "/".to_owned(),
            "/agents".to_owned(),
            "/agents?view=chart".to_owned(),
            "/agents/ada".to_owned(),
            "/agents/ada/runs".to_owned(),
            "/agents/ada/inbox".to_owned(),
            "/agents/ada/browser".to_owned(),
            "/runs".to_owned(),
            format!("/runs/{}", run.name()),
            "/activity".to_owned(),
            "/notifications".to_owned(),
        ];
        for place in places {
            let path = format!("{HOME}{place}");
            plain(&owner.get(&path).await, &format!("{path} after {outcome:?}"));
        }
        if let Some(said) = words::reason(&outcome) {
            assert!(said.contains(' ') && said.ends_with('.'), "{outcome:?}: {said}");
        }
    }

    // No work runs while pages are read.
    let id = ada.id;
    office.act(move |tx| agent_rules::pause(tx, id)).await;
    for (n, waits_for) in (100_u8..).zip(WaitFor::ALL.iter().copied()) {
        let (id, model) = (RunId::from_bytes([n; 16]), model.clone());
        let run = office
            .act(move |tx| {
                let now = tx.now();
                let until = Some(now + SignedDuration::from_hours(9));
                let detail = String::new();
                let waiting = Waiting { waits_for, since: now, detail, needs_micros: None, until };
                let (number, state) = (500 + u32::from(n), RunState::Waiting);
                let run = Run {
                    id,
                    number,
                    state,
                    waiting: Some(waiting),
                    outcome: None,
                    ended_at: None,
                    ..model
                };
                tx.put(&run)?;
                Ok::<_, StoreError>(run)
            })
            .await;
        let places = ["/", "/agents", "/agents/ada", "/runs"].map(str::to_owned);
        for place in places.into_iter().chain([format!("/runs/{}", run.name())]) {
            let path = format!("{HOME}{place}");
            plain(&owner.get(&path).await, &format!("{path} while it waits for {waits_for:?}"));
        }
        let activity = office.ws().read(|snap| {
            let agent = Agent { status: kernel::AgentStatus::Ready, ..ada.clone() };
            agents::activity(snap, &agent, office.hq.now())
        });
        let activity = activity.expect("a read");
        assert!(
            codes(&activity.label).is_empty() && codes(&activity.detail).is_empty(),
            "{activity:?}"
        );
        office.act(move |tx| tx.delete::<Run>(id)).await;
    }
    office.hq.finish().await;
}

/// A waiting item of an agent, written directly to the store.
async fn waiting(office: &Office, agent: &Agent, change: fn(Item) -> Item) {
    let (agent, key) = (agent.id, format!("first_day:{}", agent.slug));
    office
        .act(move |tx| {
            let now = tx.now();
            let item = Item {
                id: tx.new_id(),
                agent,
                kind: ItemKind::AgentMessage,
                task: None,
                key,
                state: ItemState::Pending,
                run: None,
                held_reason: None,
                held_since: None,
                last_error: None,
                attempts: 0,
                ended_at: None,
                not_before: Some(now + SignedDuration::from_hours(2)),
                created_at: now,
                updated_at: now,
                ..Item::sample()
            };
            tx.put(&change(item))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_begin_says_why_on_every_page() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    waiting(&office, &ada, |item| Item {
        state: ItemState::Failed,
        last_error: Some("no_outcome".to_owned()),
        attempts: 1,
        ..item
    })
    .await;
    // Held by the hourly limit; a start time in the future keeps the dispatcher away.
    waiting(&office, &otto, |item| Item {
        held_reason: Some("rate_limit".to_owned()),
        held_since: Some(item.created_at),
        ..item
    })
    .await;
    let fleet = owner.get(&format!("{HOME}/agents")).await.text_of("main");
    assert!(fleet.contains("Retrying") && fleet.contains("At "), "{fleet}");
    assert!(fleet.contains("The limit is 30 per hour"), "{fleet}");
    assert!(!fleet.contains("Held: The limit"), "below the label it is not said again: {fleet}");
    assert!(!fleet.contains("about to begin") && !fleet.contains("Queued"), "{fleet}");
    let page = owner.get(&format!("{HOME}/agents/ada")).await.text_of("main");
    assert!(page.contains("Retrying at ") && !page.contains("about to begin"), "{page}");
    let page = owner.get(&format!("{HOME}/agents/otto")).await.text_of("main");
    assert!(page.contains("Held: the limit is 30 per hour"), "{page}");
    let first = owner.get(&format!("{HOME}/")).await.text_of("#fleet");
    assert!(first.contains("Retrying") && first.contains("Held"), "{first}");
    let told = owner.get("/api/v1/agents/ada").await.json();
    assert_eq!(told["activity"], "retrying", "{told}");
    let told = owner.get("/api/v1/agents/otto").await.json();
    assert_eq!(told["activity"], "held", "{told}");
    let (now, id) = (office.hq.now(), otto.id);
    let why = office.ws().read(|snap| Why::of_agent(snap, id, now)).expect("a read");
    assert_eq!(why.map(|why| why.label()), Some("Held"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_somebody_is_counted_once_and_the_same_everywhere() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let ada = office.agent("Ada").await;
    let quiet = owner.get(&format!("{HOME}/agents")).await.text_of("main");
    assert!(quiet.contains("Nothing needs you"), "{quiet}");
    // One task with two reasons: it failed, and it is overdue.
    office.model.push(Turn::text("I give up."));
    office.model.push(Turn::text("I do."));
    let task = office.task("Compare two offers", &ada).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::NoOutcome));
    let due = json!({ "due_at": "2001-02-03" });
    let set = owner.json("PATCH", &format!("/api/v1/tasks/{}", task.number), &due).await;
    assert!(set.status.is_success(), "{}", set.text);
    let first = owner.get(&format!("{HOME}/")).await;
    assert_eq!(first.text_of("#needs .count"), "1", "{}", first.text_of("#needs"));
    let row = first.text_of("#needs li");
    assert!(row.contains("No result") && row.contains("was due 3 Feb"), "{row}");
    // If there are more failures than fit, the number links to exactly these.
    for inbox in ["inbox", "agents/ada/inbox"] {
        let list = owner.get(&format!("{HOME}/{inbox}?show=needs_you")).await;
        assert_eq!(list.texts(".items li").len(), 1, "{}", list.text_of("#inbox"));
    }
    assert!(
        first.text_of("#brief").contains("One thing needs you."),
        "{}",
        first.text_of("#brief")
    );
    let fleet = owner.get(&format!("{HOME}/agents")).await.text_of("main");
    assert!(
        !fleet.contains("Nothing needs you") && fleet.contains("All on the dashboard"),
        "{fleet}"
    );
    // Entries without a row are counted, too, and mentioned.
    for n in 0..7 {
        let late = json!({ "title": format!("Late {n}"), "due_at": "2001-02-03" });
        assert!(owner.post("/api/v1/tasks", &late).await.status.is_success());
    }
    let first = owner.get(&format!("{HOME}/")).await;
    assert_eq!(first.text_of("#needs .count"), "8", "{}", first.text_of("#needs"));
    assert_eq!(first.texts("#needs li").len(), 5, "five of a kind, the one that failed among them");
    assert_eq!(first.text_of("#needs > .meta"), "And 3 more: 3 overdue");
    let all = owner.get(&first.attr("#needs > .meta a", "href")).await;
    assert!(all.text.contains("Late 6"), "{}", all.text);
    assert!(first.text_of("#brief").contains("8 things need you."));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn review_does_not_deny_that_a_question_waits() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("ask_person", json!({ "question": "Which logo?" })));
    let run = office.say(&ada, "Choose a logo").await;
    office.in_state(run, RunState::Waiting).await;
    let page = owner.get(&format!("{HOME}/review")).await;
    assert!(page.text_of("#queue").contains("Questions from agents"), "{}", page.text_of("#queue"));
    assert_eq!(page.text_of(".fill h2"), "Nothing to review");
    assert!(!page.text_of("main").contains("Nothing needs you"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_that_the_work_of_a_paused_agent_is_held() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| agent_rules::pause(tx, id)).await;
    office.task("Print the cards", &ada).await;
    let health = owner.get(&format!("{HOME}/settings/health")).await;
    let said = health.text_of("main");
    assert!(said.contains("1 item is held: the agent is paused"), "{said}");
    assert!(!said.contains("ready to start"), "{said}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_has_goes_to_whom_somebody_chooses_when_it_is_archived() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    for agent in [&ada, &otto] {
        let id = agent.id;
        office.act(move |tx| agent_rules::pause(tx, id)).await;
    }
    let (one, two) = (office.task("One", &ada).await.id, office.task("Two", &ada).await.id);
    let routine = json!({
        "name": "Standup", "agent": "ada", "instruction": "Say hello.",
        "schedule": { "cadence_type": "every_n_minutes", "interval_n": 30 },
    });
    let made = owner.post("/api/v1/routines", &routine).await;
    assert!(made.status.is_success(), "{}", made.text);
    let page = owner.get(&format!("{HOME}/agents/ada/settings")).await;
    let asks = page.text_of(".danger-zone");
    assert!(asks.contains("It has 2 open tasks and 1 routine: choose who gets them."), "{asks}");
    assert!(asks.contains("Its 2 open tasks go to") && asks.contains("Its routine goes to"));
    // The question names the chosen option; the initial text promises nothing.
    let question = page.attr(".danger-zone form", "data-confirm-text");
    assert!(!question.contains("choose"), "{question}");

    let nobody = owner.post("/api/v1/agents/ada/archive", &json!({ "tasks_to": "ada" })).await;
    assert_eq!(nobody.json()["code"], "heir_not_found", "{}", nobody.text);
    let gone = [("tasks_to", "otto"), ("routines_to", "otto")];
    assert!(owner.form(&format!("{HOME}/agents/ada/archive"), &gone).await.location().is_some());
    for id in [one, two] {
        assert_eq!(office.get::<Task>(id).assignee, Some(Assignee::Agent(otto.id)));
    }
    let routines = office.all::<Routine>();
    assert_eq!((routines[0].agent, routines[0].active), (otto.id, true));

    // Without a choice, no task stays assigned to the archived agent.
    let id = otto.id;
    office.act(move |tx| agent_rules::archive(tx, id)).await;
    assert_eq!(office.get::<Task>(one).assignee, None);
    assert!(!office.all::<Routine>()[0].active);
    let heirs = Heirs { tasks: Some(Assignee::Agent(otto.id)), routines: None };
    let id = ada.id;
    let refused = office.try_act(move |tx| agent_rules::retire(tx, id, heirs)).await;
    assert!(matches!(refused, Err(AgentError::NoHeir)), "{refused:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_an_agent_stays_as_it_was_when_the_api_is_sent_null() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    office.agent_on("Ada", "mock-2").await;
    let path = "/api/v1/agents/ada";
    let set = json!({ "thinking": "high", "budget_micros": 5_000_000 });
    assert!(owner.json("PATCH", path, &set).await.status.is_success());
    let none =
        json!({ "model": null, "thinking": null, "budget_micros": null, "reports_to": null });
    let told = owner.json("PATCH", path, &none).await.json();
    for field in ["model", "connection", "thinking", "budget_micros", "manager"] {
        assert!(told[field].is_null(), "{field}: {told}");
    }

    // Clearing a required field is rejected; an optional one is cleared.
    assert!(owner.post("/api/v1/tasks", &json!({ "title": "Zero" })).await.status.is_success());
    let page = owner.post("/api/v1/knowledge", &json!({ "title": "Prices" })).await.json();
    let page = format!("/api/v1/knowledge/{}", page["id"].as_str().expect("an id"));
    let all = owner.get("/api/v1/connections").await.json();
    let connection = all["items"][0]["id"].as_str().expect("a connection");
    let connection = format!("/api/v1/connections/{connection}");
    for (path, fields) in [
        (path, &["name", "emoji", "exec", "budget_soft_pct"][..]),
        ("/api/v1/tasks/MC-1", &["title", "status", "priority"][..]),
        ("/api/v1/routines/rules", &["ask", "paused"][..]),
        (page.as_str(), &["title", "tags"][..]),
        (connection.as_str(), &["name", "base_url"][..]),
    ] {
        for field in fields {
            let refused = owner.json("PATCH", path, &json!({ (*field): null })).await;
            let told = refused.json();
            assert_eq!(refused.status.as_u16(), 422, "{field}: {told}");
            assert_eq!(told["errors"][0]["field"], *field, "{told}");
            assert!(refused.text.contains("can't be empty"), "{told}");
        }
    }
    for path in [path, "/api/v1/tasks/MC-1"] {
        let emptied = owner.json("PATCH", path, &json!({ "description": null })).await;
        assert_eq!(emptied.json()["description"], "", "{}", emptied.text);
    }
    let emptied = json!({ "default_model": null, "price": null, "test": false });
    let told = owner.json("PATCH", &connection, &emptied).await.json();
    assert!(told["default_model"].is_null(), "{told}");

    // Errors are in plain words, without a parser position.
    let odd = json!({ "kind": "relates", "other": "MC-2" });
    let refused = owner.post("/api/v1/tasks/MC-1/relations", &odd).await;
    assert!(refused.text.contains("unknown value `relates`"), "{}", refused.text);
    assert!(!refused.text.contains(" at line "), "{}", refused.text);

    // Repeating a relation changes nothing and says so.
    for title in ["One", "Two"] {
        assert!(owner.post("/api/v1/tasks", &json!({ "title": title })).await.status.is_success());
    }
    let relation = json!({ "kind": "relates_to", "other": "MC-2" });
    let added = async || owner.post("/api/v1/tasks/MC-1/relations", &relation).await.json();
    assert_eq!((&added().await["added"], &added().await["added"]), (&json!(true), &json!(false)));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_of_one_name_are_told_apart() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let (one, two) = (office.agent("Ada").await, office.agent("Ada").await);
    assert_ne!(one.slug, two.slug);
    let (first, second) = (format!("Ada (@{})", one.slug), format!("Ada (@{})", two.slug));
    office.hq.settle().await;
    // In the content, not only in the side bar.
    for (path, place) in [
        ("/", "#fleet"),
        ("/agents", "main"),
        ("/agents?view=chart", ".org"),
        ("/tasks/new", "select[name=assignee]"),
        ("/inbox", "select[name=agent]"),
        ("/runs", "select[name=agent]"),
        ("/routines/new", "select[name=agent]"),
        ("/settings/usage", "main"),
        ("/settings/secrets/new", "main"),
        ("/search?q=ada", ".finds"),
    ] {
        let shown = owner.get(&format!("{HOME}{path}")).await.text_of(place);
        assert!(shown.contains(&first) && shown.contains(&second), "{path}: {shown}");
    }
    let lead = [("to", one.slug.as_str())];
    let said = owner.clone().htmx("line");
    let said = said.form(&format!("{HOME}/agents/{}/manager", two.slug), &lead).await;
    let toast = said.header("hx-trigger").expect("a toast");
    assert!(toast.contains(&format!("{second} reports to {first}.")), "{toast}");
    let line = owner.get(&format!("{HOME}/agents/{}", two.slug)).await.text_of("main");
    assert!(line.contains(&first), "{line}");
    for (page, place) in [("", "#agent-head h1"), ("/chat", ".talk h2")] {
        let shown = owner.get(&format!("{HOME}/agents/{}{page}", two.slug)).await.text_of(place);
        assert!(shown.contains(&second), "{page}: {shown}");
    }
    let task = office.task("Compare two offers", &two).await;
    let page = owner.get(&format!("{HOME}/tasks/MC-{}", task.number)).await;
    assert!(page.text_of("#task-props").contains(&second), "{}", page.text_of("#task-props"));
    assert!(page.text_of("#say").contains(&second), "{}", page.text_of("#say"));
    let daily = json!({
        "agent": two.slug,
        "name": "Look around",
        "instruction": "Look.",
        "schedule": { "cadence_type": "daily", "time_of_day": "09:00" },
    });
    let made = owner.post("/api/v1/routines", &daily).await;
    assert!(made.status.is_success(), "{}", made.text);
    let rows = owner.get(&format!("{HOME}/routines")).await;
    assert!(rows.text_of("#all-routines").contains(&second), "{}", rows.text_of("#all-routines"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_takes_the_place_of_practice_only_when_that_is_wanted() {
    let hq = support::hq::TestHq::start().await;
    let model = support::model::ModelServer::start().await;
    model.offer(&["mock"]).usually(Turn::text("ready"));
    let owner = hq.owner();
    support::work::agent(&hq, "Ada").await;
    let first = owner.get(&format!("{HOME}/")).await.text_of("main");
    assert!(first.contains("Your agents are in practice mode (no AI)"), "{first}");
    let form = async |name: &str, stays: &str| {
        let url = model.openai_url();
        let fields =
            [("kind", "openai-compatible"), ("name", name), ("base_url", &url), ("stays", stays)];
        owner.form(&format!("{HOME}/settings/connections"), &fields).await
    };
    let made = form("Quiet", "on").await;
    assert!(made.location().is_some(), "{}", made.text);
    let all = owner.get("/api/v1/connections").await.json();
    assert!(all["default"]["connection"].is_null(), "{all}");
    assert!(
        owner.get(&format!("{HOME}/")).await.text.contains("Your agents are in practice mode"),
        "it says so still"
    );
    form("Loud", "").await;
    let told = owner.get(&format!("{HOME}/settings/connections")).await.text;
    assert!(told.contains("Your agents now use mock"), "{told}");
    assert!(
        !owner.get(&format!("{HOME}/")).await.text.contains("Your agents are in practice mode")
    );
    // The server's owner sees the path of an agent's files.
    let page = owner.get(&format!("{HOME}/agents/ada")).await.text_of("main");
    let folder = hq.ws().agent_folder("ada").display().to_string();
    assert!(page.contains(&folder), "{page}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_chosen_from_sixteen_and_brings_its_skills_and_routines() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let roles = owner.get(&format!("{HOME}/agents/new")).await;
    assert_eq!(roles.texts(".roles .card").len(), 16);
    assert_eq!(roles.texts(".roles h2").len(), 7, "{:?}", roles.texts(".roles h2"));
    let chosen = roles.attrs(".roles .card a", "href").into_iter();
    let chosen = chosen.filter(|href| href.ends_with("template=analytics")).collect::<Vec<_>>();
    let page = owner.get(&chosen[0]).await;
    assert!(page.text_of(".roles summary").contains("Analytics"), "{}", page.text);
    assert!(page.text_of(".role-lines").contains("“Week in numbers”"));
    assert_eq!(page.attr("[name=template]", "value"), "analytics");

    let ada = office.agent_with("Ada", |new| new.template = "analytics".to_owned()).await;
    let routines = office.all::<Routine>();
    let [routine] = &routines[..] else { panic!("one routine: {routines:?}") };
    assert_eq!((routine.name.as_str(), routine.active), ("Week in numbers", false));
    office.model.push(Turn::text("Hello."));
    let run = office.say(&ada, "Hello").await;
    office.ended(run).await;
    let asked = office.model.last().text();
    assert!(asked.contains("- weekly-snapshot: Use for a regular report"), "{asked}");
    assert!(asked.contains("- humanize: "), "{asked}");
    let listed = owner.get("/api/v1/templates").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(16));
    office.hq.finish().await;
}
