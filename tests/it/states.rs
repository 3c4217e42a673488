//! One state has one name, and a number that is shown twice is the same twice.

use std::fs;
use std::path::Path;
use std::time::Duration;

use features::agents::rules as agents;
use features::runs::queries::words;
use kernel::{AgentStatus, DeliverableState, ItemState, Outcome, Role, TaskStatus};

use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;

const HOME: &str = "/w/marlow-cargo";

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file")
}

/// The rows of the manual's table of states: kind, word, label and colour.
fn table() -> Vec<[String; 4]> {
    let manual = file("docs/interface.md");
    let (_, rest) = manual.split_once("### States").expect("the section");
    let rows = rest.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let word = cells[1].strip_prefix('`').and_then(|word| word.split('`').next());
        let colour = cells[4].split(',').next().unwrap_or_default();
        [cells[0], word.unwrap_or_default(), cells[2], colour].map(str::to_owned)
    };
    rows.map(row).collect()
}

#[test]
fn the_manual_names_each_state_as_the_pages_do() {
    let rows = table();
    let has = |kind: &str, word: &str, label: &str| {
        let is = |row: &[String; 4]| row[0] == kind && row[1] == word && row[2] == label;
        let found = rows.iter().any(is);
        assert!(found, "no row for {kind} {word} {label}");
    };
    for state in words::states() {
        has("run", state.word, &state.label);
    }
    for state in TaskStatus::ALL {
        has("task", state.word(), state.label());
    }
    for state in &DeliverableState::ALL[1..] {
        has("deliverable", state.word(), state.label());
    }
    for state in ItemState::ALL.iter().map(|state| state.shown()) {
        has("inbox item", state.word(), state.label());
    }
    for state in AgentStatus::ALL.iter().filter(|state| **state != AgentStatus::Ready) {
        has("agent", state.word(), state.label());
    }
}

#[test]
fn each_state_has_the_colour_that_the_manual_says() {
    let tokens = file("static/css/tokens.css");
    let tone = |word: &str| {
        let state = format!("[data-state=\"{word}\"]");
        let line = tokens.lines().find(|line| line.contains(&state) && line.contains("data-tone="));
        let tone = line.and_then(|line| line.split("data-tone=\"").nth(1)?.split('"').next());
        tone.unwrap_or("neutral").to_owned()
    };
    // The words of approvals and gateways are the API's; their pages choose the colour.
    for [kind, word, _, colour] in table() {
        if !word.is_empty() && !["approval", "gateway"].contains(&kind.as_str()) {
            assert_eq!(tone(&word), colour, "{kind} {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_a_result_is_called_so_on_every_page() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I give up.")).push(Turn::text("I do."));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::NoOutcome));
    office.hq.settle().await;
    let name = run.name();
    for (path, place) in [
        ("runs".to_owned(), "#runs .row .chip"),
        ("runs?state=no_outcome".to_owned(), "#runs .row .chip"),
        ("runs?state=unsuccessful".to_owned(), "#runs .row .chip"),
        (format!("runs/{name}"), ".run-facts"),
        ("agents/ada/runs".to_owned(), "#agent-runs"),
        ("agents/ada".to_owned(), "#agent-now"),
        ("agents".to_owned(), "#agent-ada .status b"),
        ("inbox?show=failed".to_owned(), ".items"),
        (format!("tasks/MC-{}", task.number), "#task-head"),
        (String::new(), "#needs"),
    ] {
        let page = owner.get(&format!("{HOME}/{path}")).await;
        let text = page.text_of(place).to_lowercase();
        assert!(text.contains("no result"), "{path} {place}: {text}");
    }
    let failed = owner.get(&format!("{HOME}/runs?state=failed")).await;
    assert_eq!(failed.texts("#runs .row .id"), [""; 0]);
    let told = owner.get(&format!("/api/v1/runs/{name}")).await.json();
    assert_eq!(told["outcome"]["word"], "no_outcome", "{told}");
    office.hq.finish().await;
}

/// The number of today's runs in the dashboard, in the list of agents and in the list of runs, and the length of that
/// list.
async fn runs_today(person: &Person) -> ([String; 3], usize) {
    let home = person.get(&format!("{HOME}/")).await.text_of("#brief");
    let agents = person.get(&format!("{HOME}/agents")).await;
    let list = person.get(&agents.attr("#fleet-runs a", "href")).await;
    let rows = list.texts("#runs .row .id").len();
    let total = list.text_of("#runs-total");
    assert!(home.contains(&total), "{home} of {total}");
    let number = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    ([number(&total), agents.text_of("#fleet-runs b"), rows.to_string()], rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runs_of_today_are_as_many_on_every_page() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let jonas = office.hq.another("Jonas", Some(Role::Member)).await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I give up.")).push(Turn::text("I do."));
    let task = office.task("Compare two offers", &ada).await;
    office.worked(task.id, 1).await;
    office.model.push(Turn::text("Hello."));
    let talk = office.say(&ada, "Hello").await;
    office.ended(talk).await;
    office.hq.settle().await;
    // The conversation is the owner's own, so Jonas counts only the work.
    for (person, count) in [(&owner, 2), (&jonas, 1)] {
        let (numbers, rows) = runs_today(person).await;
        assert_eq!(rows, count, "{numbers:?}");
        assert!(numbers.iter().all(|number| *number == count.to_string()), "{numbers:?}");
    }
    // Yesterday's runs are in the list, and not among those of today. An owner's sign-in has ended by then.
    office.hq.advance(Duration::from_secs(25 * 3_600)).await;
    office.model.push(Turn::text("I give up.")).push(Turn::text("I do."));
    let task = office.task("Compare three offers", &ada).await;
    office.worked(task.id, 1).await;
    office.hq.settle().await;
    let (numbers, rows) = runs_today(&jonas).await;
    assert_eq!(rows, 1, "{numbers:?}");
    assert!(numbers.iter().all(|number| *number == "1"), "{numbers:?}");
    let all = jonas.get(&format!("{HOME}/runs")).await.texts("#runs .row .id").len();
    assert_eq!(all, 2, "{numbers:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_inbox_items_are_as_many_in_the_list_of_agents_as_in_the_inbox() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    for title in ["Prices", "Florists"] {
        office.task(title, &ada).await;
    }
    let agents = owner.get(&format!("{HOME}/agents")).await;
    assert_eq!(agents.text_of("#fleet-items b"), "2");
    let inbox = owner.get(&agents.attr("#fleet-items a", "href")).await;
    assert_eq!(inbox.texts(".items > li").len(), 2);
    assert_eq!(inbox.texts("#inbox .views .count"), ["2"]);
    let page = owner.get(&format!("{HOME}/agents/ada")).await;
    assert_eq!(page.texts(".tabs .count"), ["2"]);
    // The number beside Tasks are the open tasks of the list.
    assert_eq!(page.texts("#nav a[href$='/tasks'] .count"), ["2"]);
    let tasks = owner.get(&format!("{HOME}/tasks")).await;
    assert_eq!(tasks.texts("#tasks-list .row a.title").len(), 2, "{}", tasks.text_of("main"));
    office.hq.finish().await;
}

#[tokio::test]
async fn the_number_beside_review_is_that_of_the_review_page() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    owner.form(&format!("{HOME}/onboarding/agent/skip"), &[]).await;
    owner.form(&format!("{HOME}/try"), &[]).await;
    hq.settle().await;
    let page = owner.get(&format!("{HOME}/review")).await;
    assert_eq!(page.texts("#nav a[href$='/review'] .count"), ["1"]);
    assert_eq!(page.texts("#queue h2 .count"), ["1"]);
    hq.finish().await;
}
