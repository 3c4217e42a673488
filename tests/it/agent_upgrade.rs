//! Agent upgrades from newer templates: preview, accept, decline, undo.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use features::agents::model::Agent;
use features::agents::rules::version;
use features::agents::templates;
use features::agents::upgrade::apply;
use git::{Branch, CommitId, File, Seeded};
use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Reply, Setup, TestHq};
use support::model::{Gate, Turn};
use support::office::Office;
use support::work;

use crate::cli_agents::{Terminal, out};
use crate::ops_health::Room;

const AGENTS: &str = "/w/marlow-cargo/agents";
const ADA: &str = "/api/v1/agents/ada";
const UPGRADE: &str = "/api/v1/agents/ada/upgrade";

pub async fn make(api: &Person, name: &str) -> Value {
    let made = api.post("/api/v1/agents", &json!({ "name": name })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

pub async fn made() -> (TestHq, Person) {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    make(&api, "Ada").await;
    (hq, api)
}

/// Files of a built-in template.
fn files(template: &str) -> Vec<File> {
    templates::find(template).expect("a template").files.clone()
}

fn of<'f>(files: &'f mut [File], path: &str) -> &'f mut File {
    files.iter_mut().find(|file| file.path == path).expect("a file of the template")
}

fn replace(files: &mut [File], path: &str, from: &str, to: &str) {
    let file = of(files, path);
    let text = String::from_utf8(file.bytes.clone()).expect("text");
    assert!(text.contains(from), "{path}: {text}");
    file.bytes = text.replace(from, to).into_bytes();
}

/// Publishes a new version of a template, as a newer HQ would.
pub fn moves(hq: &TestHq, template: &str, files: &[File]) -> CommitId {
    let ws = hq.ws();
    let repo = ws.repo().expect("a repository");
    match repo.ensure_template(template, files, hq.now()).expect("it moves") {
        Seeded::Updated(commit) | Seeded::Created(commit) => commit,
        other => panic!("{other:?}"),
    }
}

fn write(hq: &TestHq, agent: &str, path: &str, text: &str) {
    let file = hq.ws().agent_folder(agent).join(path);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, text).expect("written");
}

fn read(hq: &TestHq, agent: &str, path: &str) -> Option<String> {
    let file = hq.ws().agent_folder(agent).join(path);
    Some(String::from_utf8(std::fs::read(file).ok()?).expect("text"))
}

async fn offer(api: &Person) -> Value {
    let reply = api.get(UPGRADE).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

/// Proposed outcome for each file, by path.
fn fates(offer: &Value) -> Vec<(String, String)> {
    let word = |one: &Value, key: &str| one[key].as_str().expect("a word").to_owned();
    let files = offer["files"].as_array().expect("a list");
    files.iter().map(|file| (word(file, "path"), word(file, "fate"))).collect()
}

fn refused(reply: &Reply, status: u16, code: &str) {
    let problem = reply.json();
    assert_eq!((reply.status.as_u16(), &problem["code"]), (status, &json!(code)), "{problem}");
}

async fn ok(reply: Reply) -> Value {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

const TOOLS: &str = "# Tools\n";
const HUMANIZE: &str = "skills/humanize/SKILL.md";
const BRIEF: &str = "skills/brief/SKILL.md";

/// A newer `default` with changes of every kind.
pub fn newer() -> Vec<File> {
    let mut all = files("default");
    replace(&mut all, "TOOLS.md", TOOLS, "# Tools of yours\n");
    replace(&mut all, "IDENTITY.md", "- In a line: a capable", "- In a line: a very capable");
    replace(&mut all, "MEMORY.md", "Nothing yet.", "Nothing at all.");
    of(&mut all, HUMANIZE).bytes.extend(b"\nOne more rule.\n");
    of(&mut all, "AGENTS.md").bytes.extend(b"\nOne more line.\n");
    all.push(File::new(BRIEF, "---\nname: brief\ndescription: Use for {{owner}}\n---\n"));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_file_is_taken_merged_kept_or_chosen_and_all_of_it_is_one_commit_and_one_step_back() {
    let (hq, api) = made().await;
    let none = offer(&api).await;
    assert_eq!((&none["offered"], &none["files"]), (&json!(false), &json!([])));
    refused(&api.post(UPGRADE, &json!({})).await, 409, "upgrade_nothing");

    // The agent's own text: in addition to the template's, replacing it, and instead of a file.
    let soul = read(&hq, "ada", "TOOLS.md").expect("a file") + "\nI never guess.\n";
    write(&hq, "ada", "TOOLS.md", &soul);
    let identity = read(&hq, "ada", "IDENTITY.md").expect("a file");
    let own = identity.replace("- In a line: a capable", "- In a line: a quiet");
    write(&hq, "ada", "IDENTITY.md", &own);
    std::fs::remove_file(hq.ws().agent_folder("ada").join(HUMANIZE)).expect("removed");
    let memory = read(&hq, "ada", "MEMORY.md");
    let commit = moves(&hq, "default", &newer());

    let told = offer(&api).await;
    let wanted = [
        ("AGENTS.md", "taken"),
        ("IDENTITY.md", "clash"),
        ("TOOLS.md", "merged"),
        (BRIEF, "added"),
        (HUMANIZE, "gone"),
    ];
    assert_eq!(fates(&told), wanted.map(|(path, fate)| (path.to_owned(), fate.to_owned())));
    assert_eq!((&told["offered"], &told["clean"]), (&json!(true), &json!(false)));
    assert_eq!(told["to"]["commit"], json!(commit.to_string()));
    let places = told["files"][1]["places"].as_array().expect("a list");
    assert_eq!(places.len(), 1, "{places:?}");
    let undecided = api.post(UPGRADE, &json!({})).await;
    refused(&undecided, 409, "upgrade_undecided");
    assert!(undecided.text.contains("IDENTITY.md"), "{}", undecided.text);
    assert_eq!(
        read(&hq, "ada", "TOOLS.md").as_deref(),
        Some(soul.as_str()),
        "nothing is half done"
    );

    let body = json!({ "mark": told["mark"], "choices": { "IDENTITY.md": ["template"] } });
    let taken = ok(api.post(UPGRADE, &body).await).await;
    assert_eq!(taken["files"].as_array().map(Vec::len), Some(4), "{taken}");
    let tools = read(&hq, "ada", "TOOLS.md").expect("a file");
    assert!(
        tools.starts_with("# Tools of yours\n") && tools.ends_with("I never guess.\n"),
        "{tools}"
    );
    let identity_now = read(&hq, "ada", "IDENTITY.md").expect("a file");
    assert_eq!(identity_now, identity.replace("a capable", "a very capable"));
    let brief = read(&hq, "ada", BRIEF).expect("a file");
    assert!(brief.contains("Use for Mira Lindqvist"), "{brief}");
    assert_eq!(read(&hq, "ada", HUMANIZE), None, "what is gone stays gone");
    assert_eq!(read(&hq, "ada", "MEMORY.md"), memory, "memory is never touched");
    let ada = api.get(ADA).await.json();
    assert_eq!(ada["template_commit"], json!(commit.to_string()));

    // Its own text was committed as its own; the upgrade is a commit of the person who accepted it.
    let log = ok(api.get(&format!("{ADA}/history?limit=2")).await).await;
    assert_eq!(log["items"][0]["author"], "Mira Lindqvist");
    assert!(
        log["items"][0]["subject"].as_str().is_some_and(|s| s.starts_with("template: Take over"))
    );
    assert_eq!(log["items"][1]["author"], "Ada");
    assert_eq!(log["items"][0]["commit"], taken["commit"]);
    assert_eq!(offer(&api).await["offered"], json!(false));
    refused(&api.post(UPGRADE, &body).await, 409, "upgrade_moved");

    // Undo of the upgrade, keeping later changes.
    let since = read(&hq, "ada", "AGENTS.md").expect("a file") + "Mine.\n";
    write(&hq, "ada", "AGENTS.md", &since);
    let back = json!({ "commit": taken["commit"] });
    let undone = ok(api.post(&format!("{UPGRADE}/undo"), &back).await).await;
    assert_eq!(undone["kept"]["AGENTS.md"], "it was changed since", "{undone}");
    assert_eq!(read(&hq, "ada", "TOOLS.md").as_deref(), Some(soul.as_str()));
    assert_eq!(read(&hq, "ada", "IDENTITY.md"), Some(own));
    assert_eq!(read(&hq, "ada", BRIEF), None);
    assert_eq!(read(&hq, "ada", "AGENTS.md"), Some(since));
    assert_eq!(offer(&api).await["offered"], json!(true), "it is offered again");
    refused(&api.post(&format!("{UPGRADE}/undo"), &back).await, 409, "upgrade_not_last");
    let other = json!({ "commit": log["items"][1]["commit"] });
    refused(&api.post(&format!("{UPGRADE}/undo"), &other).await, 404, "upgrade_not_found");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_nobody_changed_becomes_what_a_new_one_would_be() {
    let (hq, api) = made().await;
    moves(&hq, "default", &newer());
    ok(api.post(UPGRADE, &json!({})).await).await;
    for file in newer() {
        let has = read(&hq, "ada", &file.path);
        let is_own = file.path == "MEMORY.md" || file.path == "agent.json";
        if is_own || file.path.ends_with(".keep") {
            continue;
        }
        let text = String::from_utf8(file.bytes).expect("text");
        if !text.contains("{{") {
            assert_eq!(has, Some(text), "{}", file.path);
        }
    }
    assert!(read(&hq, "ada", "IDENTITY.md").is_some_and(|text| text.contains("a very capable")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_one_looked_is_looked_at_again_and_a_declined_version_is_not_offered() {
    let (hq, api) = made().await;
    moves(&hq, "default", &newer());
    let told = offer(&api).await;
    write(&hq, "ada", "TOOLS.md", "all new\n");
    let stale = json!({ "mark": told["mark"], "rest": "mine" });
    refused(&api.post(UPGRADE, &stale).await, 409, "upgrade_moved");

    let declined = ok(api.post(&format!("{UPGRADE}/dismiss"), &json!({})).await).await;
    assert_eq!((&declined["dismissed"], &declined["offered"]), (&json!(true), &json!(false)));
    let all = ok(api.get("/api/v1/agent-upgrades").await).await;
    assert_eq!(all["items"], json!([]));
    let mut newest = newer();
    of(&mut newest, "AGENTS.md").bytes.extend(b"\nOne more line.\n");
    moves(&hq, "default", &newest);
    assert_eq!(offer(&api).await["offered"], json!(true), "the next one is");

    // A key does not enter the history this way either.
    let key = "sk-abcdefghijklmnopqrstuvwx";
    let text = read(&hq, "ada", "AGENTS.md").expect("a file");
    write(&hq, "ada", "AGENTS.md", &format!("{key}\n{text}"));
    let held = api.post(UPGRADE, &json!({ "rest": "mine" })).await;
    refused(&held, 422, "file_holds_key");
    assert!(held.text.contains("AGENTS.md, line 1"), "{}", held.text);
    let gone = api.get(&format!("{UPGRADE}?template=none-such")).await;
    refused(&gone, 422, "template_not_found");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_waited_for() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    moves(&office.hq, "default", &newer());
    let gate = Gate::new();
    office.model.push(Turn::text("Hello.").behind(&gate));
    let run = office.say(&ada, "Hello").await;
    gate.reached().await;
    let api = office.hq.api().await;
    refused(&api.post(UPGRADE, &json!({ "rest": "mine" })).await, 409, "agent_working");
    gate.open();
    office.ended(run).await;
    ok(api.post(UPGRADE, &json!({ "rest": "mine" })).await).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_an_agent_as_it_was() {
    let free = Arc::new(AtomicU64::new(50 << 30));
    let hq = Setup::default().faults(Arc::new(Room(Arc::clone(&free)))).start().await;
    let (api, owner) = (hq.api().await, hq.owner());
    make(&api, "Ada").await;
    moves(&hq, "default", &newer());
    let files = || ["TOOLS.md", HUMANIZE, BRIEF].map(|path| read(&hq, "ada", path));
    let before = files();
    let commits = api.get(&format!("{ADA}/history")).await.json();
    let page = format!("{AGENTS}/ada/upgrade");
    let mark = owner.get(&page).await.attr("[name=mark]", "value");
    free.store(1 << 20, Ordering::SeqCst);
    refused(&api.post(UPGRADE, &json!({})).await, 507, "storage_full");
    let told = owner.form(&page, &[("mark", mark.as_str())]).await;
    let again = owner.get(told.location().expect("the offer")).await;
    assert!(again.text.contains("nearly full"), "{}", again.text);
    assert_eq!(files(), before);
    assert_eq!(api.get(&format!("{ADA}/history")).await.json(), commits);
    free.store(50 << 30, Ordering::SeqCst);
    ok(api.post(UPGRADE, &json!({})).await).await;
    assert_ne!(files(), before);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_upgraded_at_once_where_nobody_has_to_choose() {
    let (hq, api) = made().await;
    make(&api, "Eva").await;
    make(&api, "Otto").await;
    let otto = "/api/v1/agents/otto";
    let tools = read(&hq, "otto", "TOOLS.md").expect("a file");
    write(&hq, "otto", "TOOLS.md", &tools.replace(TOOLS, "# Otto's tools\n"));
    moves(&hq, "default", &newer());
    let owner = hq.owner();
    let fleet = owner.get(AGENTS).await;
    assert!(
        fleet.attrs("#fleet a", "href").contains(&format!("{AGENTS}/upgrades")),
        "{}",
        fleet.text
    );
    let page = owner.get(&format!("{AGENTS}/upgrades")).await;
    assert_eq!(page.texts("tbody tr").len(), 3, "{}", page.text);
    assert_eq!(page.texts("tbody .chip"), ["no conflicts", "no conflicts"]);
    let done = owner.form(&format!("{AGENTS}/upgrades"), &[]).await;
    let after = owner.get(done.location().expect("the list")).await;
    assert!(after.text.contains("2 agents are upgraded."), "{}", after.text);
    assert_eq!(after.texts("tbody tr").len(), 1);
    assert_eq!(offer(&api).await["offered"], json!(false));
    assert!(read(&hq, "otto", "TOOLS.md").is_some_and(|text| text.starts_with("# Otto's tools\n")));
    let rest = json!({ "rest": "template" });
    ok(api.post(&format!("{otto}/upgrade"), &rest).await).await;
    assert!(
        read(&hq, "otto", "TOOLS.md").is_some_and(|text| text.starts_with("# Tools of yours\n"))
    );
    let none = ok(api.post("/api/v1/agent-upgrades", &json!({})).await).await;
    assert_eq!((&none["items"], &none["refused"]), (&json!([]), &json!([])));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_looks_chooses_and_goes_back_without_script() {
    let (hq, api) = made().await;
    let identity = read(&hq, "ada", "IDENTITY.md").expect("a file");
    let own = identity.replace("- In a line: a capable", "- In a line: a quiet");
    write(&hq, "ada", "IDENTITY.md", &own);
    moves(&hq, "default", &newer());
    let owner = hq.owner();
    let ada = format!("{AGENTS}/ada");
    let top = owner.get(&ada).await;
    assert!(top.text.contains("Newer version"), "{}", top.text);
    let page = owner.get(&format!("{ada}/upgrade")).await;
    assert_eq!(page.status, StatusCode::OK);
    let radios = page.attrs("input[type=radio]", "value");
    assert_eq!(radios, ["mine", "template"]);
    assert!(page.texts(".diff ins").iter().any(|line| line.contains("One more rule")));
    let (mark, name) = (page.attr("[name=mark]", "value"), page.attr("input[type=radio]", "name"));
    let stale = owner.form(&format!("{ada}/upgrade"), &[("mark", "old")]).await;
    let again = owner.get(stale.location().expect("the page")).await;
    assert!(again.text.contains("Something has changed since you opened this"), "{}", again.text);
    let form = [("mark", mark.as_str()), (name.as_str(), "mine")];
    let taken = owner.form(&format!("{ada}/upgrade"), &form).await;
    let commit = owner.get(taken.location().expect("the commit")).await;
    assert!(commit.text.contains("from Ada’s template"), "{}", commit.text);
    assert_eq!(read(&hq, "ada", "IDENTITY.md"), Some(own.clone()));
    let id = commit.attr("form[action$='/upgrade/undo'] [name=commit]", "value");
    let back = owner.form(&format!("{ada}/upgrade/undo"), &[("commit", id.as_str())]).await;
    let back = owner.get(back.location().expect("the offer")).await;
    assert!(back.text.contains("Ada was restored to before the upgrade."), "{}", back.text);
    let skipped = owner.form(&format!("{ada}/upgrade/dismiss"), &[]).await;
    let top = owner.get(skipped.location().expect("the agent")).await;
    assert!(!top.text.contains("Newer version"), "{}", top.text);
    assert!(offer(&api).await["dismissed"] == json!(true));
    let viewer = hq.another("Vic", Some(Role::Viewer)).await;
    assert_eq!(viewer.get(&format!("{ada}/upgrade")).await.status, StatusCode::OK);
    let not = viewer.form(&format!("{ada}/upgrade"), &[("mark", "x")]).await;
    assert_eq!(not.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_moves_to_another_template_with_its_own_words_and_back() {
    let (hq, api) = made().await;
    let own = read(&hq, "ada", "AGENTS.md").expect("a file") + "\nAda's own rule.\n";
    write(&hq, "ada", "AGENTS.md", &own);
    api.json("PATCH", ADA, &json!({ "domains": ["money"] })).await;
    let taken =
        ok(api.post(UPGRADE, &json!({ "template": "analytics", "rest": "template" })).await).await;
    let ada = api.get(ADA).await.json();
    assert_eq!((&ada["template"], &ada["role"]), (&json!("analytics"), &json!("analyst")));
    assert_eq!(ada["domains"], json!(["money"]), "what a person has changed stays");
    let identity = read(&hq, "ada", "IDENTITY.md").expect("a file");
    assert!(identity.contains("- Role: analyst\n") && identity.contains("Ada\n"), "{identity}");
    assert!(read(&hq, "ada", "skills/weekly-snapshot/SKILL.md").is_some());
    let routines = api.get("/api/v1/routines?agent=ada").await.json();
    let routines = routines["items"].as_array().expect("a list").clone();
    assert!(!routines.is_empty(), "those of the role come along");
    assert!(routines.iter().all(|one| one["active"] == false), "and stand still: {routines:?}");
    assert_eq!(read(&hq, "ada", "AGENTS.md"), Some(own));
    let back = json!({ "commit": taken["commit"] });
    ok(api.post(&format!("{UPGRADE}/undo"), &back).await).await;
    let ada = api.get(ADA).await.json();
    assert_eq!((&ada["template"], &ada["team"]), (&json!("default"), &json!("")), "{ada}");
    assert!(read(&hq, "ada", "IDENTITY.md").is_some_and(|text| !text.contains("analyst")));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_from_before_versions_were_noted_has_the_one_that_its_branch_began_with() {
    let (hq, api) = made().await;
    let template = Branch::template("default").expect("a name");
    let first = hq.ws().repo().expect("files").head(&template).expect("a read").expect("a commit");
    let id = api.get(ADA).await.json()["id"].as_str().expect("an id").parse().expect("an id");
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let old = ws.write(&who, move |tx| {
        let agent = store::ReadExt::get::<Agent>(tx, id)?.expect("an agent");
        version::taken(tx, id, Agent { template_commit: None, ..agent })
    });
    old.await.expect("written");
    drop(ws);
    moves(&hq, "default", &newer());
    assert_eq!(offer(&api).await["from"]["commit"], json!(first.to_string()));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_a_kill_has_cut_off_is_finished_when_the_workspace_opens() {
    let (hq, api) = made().await;
    let commit = moves(&hq, "default", &newer());
    let before = api.get(ADA).await.json();
    let was = ["TOOLS.md", HUMANIZE].map(|path| read(&hq, "ada", path).expect("a file"));
    ok(api.post(UPGRADE, &json!({})).await).await;
    let is = ["TOOLS.md", HUMANIZE].map(|path| read(&hq, "ada", path).expect("a file"));
    // Killed after the commit: of two files none was written, and a third was changed since.
    for (path, text) in ["TOOLS.md", HUMANIZE].into_iter().zip(&was) {
        write(&hq, "ada", path, text);
    }
    std::fs::remove_file(hq.ws().agent_folder("ada").join(BRIEF)).expect("removed");
    write(&hq, "ada", "AGENTS.md", "Mine.\n");
    let id = before["id"].as_str().expect("an id").parse().expect("an id");
    let had = CommitId::parse(before["template_commit"].as_str().expect("a commit")).expect("one");
    let (ws, who) = (hq.ws(), work::owner(&hq));
    let undone = ws.write(&who, move |tx| {
        let agent = store::ReadExt::get::<Agent>(tx, id)?.expect("an agent");
        version::taken(tx, id, Agent { template_commit: Some(had), ..agent })
    });
    undone.await.expect("written");
    apply::finish(&ws, &who).await.expect("noted");
    drop(ws);
    assert_ne!(was, is);
    assert_eq!(["TOOLS.md", HUMANIZE].map(|path| read(&hq, "ada", path).expect("a file")), is);
    assert!(read(&hq, "ada", BRIEF).is_some(), "a new one is there, too");
    assert_eq!(read(&hq, "ada", "AGENTS.md").as_deref(), Some("Mine.\n"));
    assert_eq!(api.get(ADA).await.json()["template_commit"], json!(commit.to_string()));
    assert_eq!(offer(&api).await["offered"], json!(false));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_looked_at_and_declined_at_the_terminal() {
    let terminal = Terminal::with(&[]).await;
    let list = out(&terminal.hq(&["agent", "upgrade", "list"]).await);
    assert_eq!(list, "Every agent is up to date with its template.\n");
    let show = out(&terminal.hq(&["agent", "upgrade", "show", "ada"]).await);
    assert!(show.contains("up to date with"), "{show}");
    let moved = ["agent", "upgrade", "show", "ada", "--template", "analytics"];
    let moved = out(&terminal.hq(&moved).await);
    assert!(moved.contains("IDENTITY.md") && moved.contains("role"), "{moved}");
    let take = ["agent", "upgrade", "apply", "ada", "--template", "analytics"];
    let taken = out(&terminal.hq(&take).await);
    assert!(taken.contains("hq agent upgrade undo ada "), "{taken}");
    let commit =
        taken.split_whitespace().last().expect("a commit").trim_end_matches('`').to_owned();
    let back = out(&terminal.hq(&["agent", "upgrade", "undo", "ada", &commit]).await);
    assert!(back.contains("Reverted ada"), "{back}");
    let all = out(&terminal.hq(&["agent", "upgrade", "apply", "--all"]).await);
    assert_eq!(all, "Every agent is up to date with its template.\n");
    let declined = out(&terminal.hq(&["agent", "upgrade", "dismiss", "ada"]).await);
    assert!(declined.contains("Skipped this version"), "{declined}");
}
