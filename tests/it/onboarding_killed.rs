//! Guided set-up with a kill after each step: it continues at the right step in another browser, and repeated
//! submissions create nothing twice.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use support::browse::Browser;
use support::hq::OWNER;
use support::model::{ModelServer, Turn};
use support::program::Program;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const BASE: &str = "/w/marlow-cargo";

/// The program, and the browser that goes through the setup.
struct Desk {
    folder: TempDir,
    program: Program,
    mira: Browser,
}

/// A setup step: its page, its submit button, the choices, the next page, and the page that a person is sent to after
/// signing in later.
struct Step<'s> {
    page: &'s str,
    button: &'s str,
    chosen: &'s [(&'s str, &'s str)],
    to: &'s str,
    open: &'s str,
}

impl Desk {
    /// Kills the program and starts it again. The browser keeps its cookies.
    fn killed(self) -> Self {
        let Self { folder, program, mira } = self;
        program.kill();
        let program = Program::start(Path::new(BINARY), folder.path());
        let mira = mira.moved(program.url());
        Self { folder, program, mira }
    }

    /// The page that a person reaches after signing in with a new browser.
    async fn another_arrives(&self) -> String {
        let other = Browser::new(self.program.url());
        let form = other.open("/login").await.form("Sign in");
        let page = other.submit(form.fill("Email", OWNER.1).fill("Password", OWNER.2)).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.url.path().to_owned()
    }

    /// The existing records: a word for each kind that a step may create.
    async fn there(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (kind, word) in [
            ("members", "name"),
            ("streams", "name"),
            ("connections", "name"),
            ("agents", "status"),
            ("tasks", "title"),
        ] {
            let page = self.mira.open(&format!("/api/v1/{kind}")).await;
            let told: Value = serde_json::from_str(&page.text).expect("JSON");
            let items = told["items"].as_array().unwrap_or_else(|| panic!("{kind}: {told}"));
            all.extend(items.iter().map(|one| format!("{kind}: {}", one[word])));
        }
        all
    }

    /// Submits a step, kills the program right afterwards, and submits the same form again.
    async fn step(self, step: Step<'_>) -> Self {
        let Step { page, button, chosen, to, open } = step;
        let form = self.mira.open(page).await.form(button);
        let form = chosen.iter().fold(form, |form, (name, value)| form.with(name, value));
        let done = self.mira.submit(form.clone()).await;
        assert_eq!((done.status.as_u16(), done.url.path()), (200, to), "{page}: {}", done.text);
        let made = self.there().await;
        let after = self.killed();
        assert_eq!(after.another_arrives().await, open, "{page}");
        assert_eq!(after.there().await, made, "{page}: what was answered is kept");
        let again = after.mira.submit(form).await;
        assert_eq!((again.status.as_u16(), again.url.path()), (200, to), "{page}: {}", again.text);
        assert_eq!(after.there().await, made, "{page}: nothing is made twice");
        assert_eq!(after.another_arrives().await, open, "{page}");
        after
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_behind_each_step_loses_nothing_and_what_is_sent_again_makes_nothing_twice() {
    let model = ModelServer::start().await;
    model.usually(Turn::text("pong"));
    let address = model.openai_url();
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = Program::start(Path::new(BINARY), folder.path());
    let link = program.setup_link();
    let desk = Desk { mira: Browser::new(program.url()), folder, program };
    let work = format!("{BASE}/onboarding/work");
    let machine = format!("{BASE}/onboarding/machine");
    let provider = format!("{BASE}/onboarding/model");
    let agent = format!("{BASE}/onboarding/agent");
    let (home, task) = (format!("{BASE}/"), format!("{BASE}/tasks/MC-1"));

    // Step "You": the account and its workspace.
    let form = desk.mira.open(&link).await.form("Create and continue");
    let form = form.with("name", OWNER.0).with("email", OWNER.1).with("password", OWNER.2);
    let form = form.with("workspace", "Marlow Cargo");
    let done = desk.mira.submit(form.clone()).await;
    assert_eq!(done.url.path(), work, "{}", done.text);
    let made = desk.there().await;
    assert_eq!(made, [format!("members: \"{}\"", OWNER.0)]);
    let desk = desk.killed();
    assert_eq!(desk.another_arrives().await, work);
    desk.mira.submit(form).await;
    assert_eq!(desk.there().await, made, "a second account");
    assert_eq!(desk.mira.open("/").await.url.path(), work);

    let desk = desk
        .step(Step {
            page: &work,
            button: "Continue",
            chosen: &[("intent", "run")],
            to: &machine,
            open: &machine,
        })
        .await;
    let step =
        Step { page: &machine, button: "Continue", chosen: &[], to: &provider, open: &provider };
    let desk = desk.step(step).await;
    // Step "Model": a provider that is tested, then the default model and the monthly limit.
    let desk = desk
        .step(Step {
            page: &format!("{provider}?kind=openai-compatible"),
            button: "Connect and test",
            chosen: &[("base_url", address.as_str())],
            to: &provider,
            open: &provider,
        })
        .await;
    let desk = desk
        .step(Step {
            page: &provider,
            button: "Continue",
            chosen: &[("limit", "40")],
            to: &agent,
            open: &agent,
        })
        .await;
    let budgets = desk.mira.open("/api/v1/budgets").await;
    assert!(budgets.text.contains("40000000"), "{}", budgets.text);
    // Step "First agent": the setup is complete, and submitting again leads to the same task.
    let chosen = [("task", "Say what needs attention first")];
    let step = Step { page: &agent, button: "Create", chosen: &chosen, to: &task, open: &home };
    let desk = desk.step(step).await;
    let made = desk.there().await;
    assert!(made.contains(&"agents: \"ready\"".to_owned()), "{made:?}");
    let count = |kind: &str| made.iter().filter(|one| one.starts_with(kind)).count();
    let counts = ["members", "streams", "connections", "agents", "tasks"].map(count);
    assert_eq!(counts, [1, 2, 1, 1, 1], "{made:?}");
    for page in [&work, &machine, &provider, &agent] {
        assert_eq!(desk.mira.open(page).await.url.path(), home, "it never comes again");
    }
}
