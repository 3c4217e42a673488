//! Work commands of the real program, over its local socket: tasks, streams, labels, series, templates, views,
//! notifications, activity, search.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::browse::Browser;
use support::program::{Program, command, run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const PATIENCE: Duration = Duration::from_secs(20);

struct Desk {
    folder: tempfile::TempDir,
    program: Program,
    token: String,
}

impl Desk {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (binary, data) = (Path::new(BINARY), folder.path());
        let mut program = Program::start(binary, data);
        Browser::new(program.url()).set_up(&program.setup_link()).await;
        let made = run_json(binary, data, &["token", "create", "--name", "desk"]);
        let token = made["token"].as_str().expect("a token").to_owned();
        Self { folder, program, token }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new().post(format!("{}{path}", self.program.url()));
        let sent = request.bearer_auth(&self.token).json(body).send().await.expect("an answer");
        assert!(sent.status().is_success(), "{path}: {}", sent.status());
        sent.json().await.expect("JSON")
    }

    /// Creates a file next to the data folder; returns its path.
    fn file(&self, name: &str, content: &str) -> String {
        let at = self.folder.path().join(name);
        std::fs::write(&at, content).expect("a file");
        at.display().to_string()
    }

    fn hq(&self, arguments: &[&str]) -> Output {
        run(Path::new(BINARY), self.folder.path(), arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        run_json(Path::new(BINARY), self.folder.path(), arguments)
    }

    /// Output of a command that must succeed.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.hq(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}: {errors}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Error of a command that must fail with this exit code.
    fn refuses(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.hq(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Creates a task; returns its key.
    fn task(&self, title: &str) -> String {
        let made = self.json(&["task", "add", title]);
        made["key"].as_str().expect("a name").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_edited_blocked_claimed_moved_and_put_away_at_the_terminal() {
    let desk = Desk::open().await;
    let (a, b) = (desk.task("Compare prices"), desk.task("Write the \"offer\""));
    let list = desk.says(&["task", "list"]);
    assert!(list.contains("\"Compare prices\"") && list.contains("\"Write the \\\"offer\\\"\""));
    assert_eq!(list.lines().count(), 2, "{list}");
    let one = desk.json(&["task", "list", "--limit", "1"]);
    let next = one["next"].as_str().expect("there is more").to_owned();
    let rest = desk.json(&["task", "list", "--limit", "1", "--after", &next]);
    assert_ne!(rest["items"][0]["key"], one["items"][0]["key"]);
    assert!(desk.says(&["task", "list", "--limit", "1"]).contains(&format!("--after {next}")));

    let edit = ["task", "edit", &a, "--title", "Compare", "--priority", "high", "--assignee", "me"];
    let edited = desk.json(&edit);
    assert_eq!((&edited["title"], &edited["priority"]), (&json!("Compare"), &json!("high")));
    let due = desk.json(&["task", "due", &a, "2099-12-24"]);
    assert!(due["due_at"].as_str().is_some_and(|at| at.starts_with("2099-12-2")), "{due}");
    assert_eq!(desk.json(&["task", "due", &a, "none"])["due_at"], Value::Null);
    assert!(!desk.refuses(1, &["task", "due", &a, "someday"]).is_empty());
    assert!(desk.refuses(2, &["task", "edit", &a]).contains("--help"));
    assert_eq!(desk.json(&["task", "edit", &a, "--assignee", "none"])["assignee"], Value::Null);

    let blocked = desk.says(&["task", "block", &b, &a]);
    assert!(blocked.contains(&format!("blocked by {a}")), "{blocked}");
    let shown = desk.says(&["task", "show", &b]);
    assert!(shown.contains(&format!("Blocked by {a} \"Compare\"")), "{shown}");
    assert!(!desk.refuses(1, &["task", "block", &a, &b]).is_empty(), "a circle");
    let part = desk.refuses(1, &["task", "move", &b, "--parent", &a]);
    assert!(part.contains(&format!("{b} can't be a subtask of {a}")), "{part}");
    let free = desk.says(&["task", "unblock", &b, &a]);
    assert!(!free.contains("blocked by"), "{free}");
    assert!(desk.refuses(1, &["task", "unblock", &b, &a]).contains("doesn't block"));
    desk.says(&["task", "block", &b, &a]);
    assert!(!desk.says(&["task", "unblock", &b, "--all"]).contains("blocked by"));

    let claimed = desk.json(&["task", "claim", &a]);
    assert_eq!(claimed["status"], "in_progress");
    assert_eq!(claimed["assignee"]["kind"], "person");
    assert_eq!(desk.json(&["task", "claim", &a])["status"], "in_progress", "it is mine already");
    assert_eq!(desk.json(&["task", "status", &a, "done"])["status"], "done");
    assert!(desk.refuses(1, &["task", "claim", &a]).contains("task status"));
    assert!(desk.refuses(2, &["task", "status", &a, "finished"]).contains("in_progress"));
    assert_eq!(desk.json(&["task", "status", &a, "in-progress"])["status"], "in_progress");
    assert!(desk.refuses(1, &["task", "show", "XX-999"]).contains("XX-999"));

    desk.says(&["stream", "add", "Launch / spring", "--goal", "Sell it", "--lead", "me"]);
    let moved = desk.says(&["task", "move", &b, "--stream", "Launch / spring", "--parent", &a]);
    assert!(moved.contains("Stream: \"Launch / spring\""), "{moved}");
    assert_eq!(desk.json(&["task", "show", &b])["parent"], a.as_str());
    assert!(desk.refuses(2, &["task", "move", &b]).contains("--stream"));
    assert!(desk.says(&["task", "move", &b, "--parent", "none", "--before", &a]).contains(&b));
    assert!(desk.says(&["task", "watch", &b]).contains("You follow"));
    assert!(desk.says(&["task", "watch", &b, "--off"]).contains("no longer"));

    assert_eq!(desk.says(&["task", "archive", &a, &b]), "2 tasks archived\n");
    assert_eq!(desk.says(&["task", "list"]), "No tasks.\n");
    assert_eq!(
        desk.json(&["task", "list", "--archived"])["items"].as_array().map(Vec::len),
        Some(2)
    );
    assert!(desk.says(&["task", "restore", &a]).contains("restored"));
    assert!(desk.says(&["task", "list"]).contains(&a));
    assert!(desk.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_delivered_and_reviewed_and_nothing_said_is_obeyed_by_a_terminal() {
    let desk = Desk::open().await;
    let task = desk.task("Offer");
    assert_eq!(desk.says(&["task", "review"]), "Nothing waits for review.\n");
    assert!(!desk.refuses(2, &["task", "deliver", &task, "--title", "Offer"]).is_empty());
    let deliver = ["task", "deliver", &task, "--title", "The offer", "--text", "# Dear all"];
    let piece = desk.json(&deliver);
    assert_eq!(piece["versions"][0]["text"], "# Dear all");
    let waiting = desk.says(&["task", "review"]);
    assert!(waiting.contains("\"The offer\" (version 1)") && waiting.contains(&task), "{waiting}");
    assert!(desk.says(&["task", "review", &task]).contains("# Dear all"));
    let judged = ["task", "review", &task, "changes", "--note", "Shorter"];
    assert!(desk.says(&judged).contains("changes requested"));
    assert!(desk.refuses(1, &["task", "review", &task]).contains("`hq task review`"));
    let again =
        ["task", "deliver", &task, "--revises", "the offer", "--link", "https://example.com/o"];
    assert!(desk.says(&again).contains("version 2"));
    let id = piece["id"].as_str().expect("an id");
    let end = &id[id.len() - 8..];
    assert!(desk.says(&["task", "review", end, "approve"]).contains("approved"));

    assert_eq!(desk.says(&["task", "files", &task]), "No files.\n");
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let kept = elsewhere.path().join("Price list ü.csv");
    std::fs::write(&kept, "lamp;12\n").expect("a file");
    let path = kept.to_str().expect("a path");
    let piece = desk.json(&["task", "deliver", &task, "--title", "Prices", "--file", path]);
    assert_eq!(piece["versions"][0]["file"]["name"], "Price list ü.csv");
    assert!(desk.says(&["task", "files", &task]).contains("Price list ü.csv"));
    assert!(desk.says(&["task", "attach", &task, path, path]).contains("8 B"));
    let files = desk.json(&["task", "files", &task]);
    assert_eq!(files["items"].as_array().map(Vec::len), Some(3), "{files}");
    let missing = ["task", "attach", &task, "/nowhere/at all"];
    assert!(desk.refuses(2, &missing).contains("/nowhere/at all"));
    let both = ["task", "deliver", &task, "--title", "Two", "--text", "one", "--file", path];
    assert!(desk.refuses(2, &both).contains("cannot be used with"));

    let evil = "red\u{1b}[31m \u{9b}2J";
    desk.says(&["task", "comment", &task, evil]);
    let comments = desk.says(&["task", "comments", &task]);
    assert!(comments.contains("red"), "{comments}");
    assert!(!comments.contains('\u{1b}') && !comments.contains('\u{9b}'), "{comments:?}");
    assert!(desk.json(&["task", "comments", &task])["items"].is_array());
    let wrong = desk.refuses(1, &["task", "show", "a\u{1b}[2J"]);
    assert!(!wrong.contains('\u{1b}'), "{wrong:?}");
    assert!(desk.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_groups_tasks_is_kept_at_the_terminal() {
    let desk = Desk::open().await;
    for (list, none) in [
        (["stream", "list"], "No streams."),
        (["label", "list"], "No labels."),
        (["series", "list"], "No recurring tasks."),
        (["template", "list"], "No task templates."),
        (["view", "list"], "No saved views."),
        (["notifications", "list"], "No notifications."),
        (["needs", "list"], "Nothing needs you."),
    ] {
        assert_eq!(desk.says(&list), format!("{none}\n"), "{list:?}");
        assert_eq!(desk.json(&list)["items"], json!([]), "{list:?}");
    }
    let stream = ["stream", "add", "Launch", "--lead", "me", "--target", "2099-12-24"];
    assert!(desk.says(&stream).contains("until 2099-12-24"));
    desk.says(&["task", "add", "Print it", "--stream", "Launch", "--labels", "paper"]);
    let shown = desk.says(&["stream", "show", "launch"]);
    assert!(shown.contains("0 of 1 done") && shown.contains("\"Print it\""), "{shown}");
    let edited = desk.json(&["stream", "edit", "Launch", "--name", "Spring", "--target", "none"]);
    assert_eq!((&edited["name"], &edited["target_date"]), (&json!("Spring"), &Value::Null));
    assert!(desk.refuses(2, &["stream", "edit", "Spring"]).contains("--help"));
    assert!(desk.says(&["stream", "archive", "Spring"]).contains("archived"));
    assert!(desk.says(&["stream", "list", "--archived"]).contains("\"Spring\""));
    assert!(!desk.says(&["stream", "restore", "Spring"]).contains("archived"));
    assert!(!desk.refuses(1, &["stream", "show", "Nothing"]).is_empty());

    assert!(desk.says(&["label", "add", "ink"]).contains("\"ink\""));
    assert!(!desk.refuses(1, &["label", "add", "ink"]).is_empty(), "it is there");
    let label = desk.json(&["label", "edit", "ink", "--name", "toner", "--description", "Black"]);
    assert_eq!((&label["name"], &label["description"]), (&json!("toner"), &json!("Black")));
    let label = desk.json(&["label", "edit", "toner", "--colour", "#1f7a5c"]);
    assert_eq!(label["colour"], "#1f7a5c");
    assert!(desk.says(&["label", "edit", "toner", "--colour", "blue"]).contains("c9"));
    assert!(!desk.refuses(2, &["label", "edit", "toner", "--colour", "beige"]).is_empty());
    assert!(desk.says(&["label", "list"]).contains("\"paper\""));
    assert!(desk.says(&["label", "remove", "toner"]).contains("Deleted"));
    assert!(!desk.says(&["label", "list"]).contains("toner"));

    let view = ["view", "add", "On paper", "--query", "label:paper", "--shared"];
    assert!(desk.says(&view).contains("shared"));
    assert!(desk.says(&["view", "show", "on paper"]).contains("\"Print it\""));
    assert!(desk.says(&["view", "remove", "On paper"]).contains("Deleted"));
    assert!(desk.refuses(1, &["view", "show", "On paper"]).contains("`hq view list`"));
    desk.post("/api/v1/contacts", &json!({ "name": "Rosa", "stage": "won" })).await;
    let view = ["view", "add", "Customers", "--of", "contacts", "--query", "stage:won"];
    assert!(desk.says(&view).contains("stage:won"));
    assert!(desk.says(&["view", "show", "Customers", "--of", "contacts"]).contains("\"Rosa\""));
    assert!(!desk.says(&["view", "list"]).contains("Customers"), "it is no view of tasks");
    let wrong = ["view", "add", "X", "--of", "contacts", "--query", "stge:won"];
    assert!(desk.refuses(1, &wrong).contains("stage"));
    assert!(desk.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_tasks_is_used_at_the_terminal() {
    let desk = Desk::open().await;
    let series = json!({
        "title": "Check the chargers",
        "schedule": { "cadence_type": "weekdays", "time_of_day": "09:00" },
    });
    desk.post("/api/v1/series", &series).await;
    assert!(desk.says(&["series", "list"]).contains("\"Check the chargers\" · Weekdays at 9:00"));
    assert!(desk.says(&["series", "pause", "check the chargers"]).contains("paused"));
    assert!(desk.says(&["series", "resume", "Check the chargers"]).contains("active"));
    let task = desk.json(&["series", "spawn", "Check the chargers"]);
    assert_eq!(task["title"], "Check the chargers");
    let turns = desk.says(&["series", "show", "Check the chargers"]);
    assert!(turns.contains(task["key"].as_str().expect("a name")), "{turns}");
    assert!(desk.refuses(1, &["series", "show", "Nothing"]).contains("`hq series list`"));

    let template = json!({
        "name": "Launch", "items": [
            { "ref": "post", "title": "Write the post", "blocked_by": ["brief"] },
            { "ref": "brief", "title": "Write the brief", "assignee_role": "writer" },
        ],
    });
    desk.post("/api/v1/task-templates", &template).await;
    let preview = desk.says(&["template", "preview", "launch"]);
    let lines: Vec<&str> = preview.lines().collect();
    assert_eq!(lines[1..4], ["Roles: writer", "Step 1", "  \"Write the brief\" · medium · writer"]);
    assert!(lines[5].ends_with("after \"Write the brief\""), "{preview}");
    assert!(desk.says(&["template", "show", "Launch"]).contains("\"Write the post\""));
    let wrong = desk.refuses(2, &["template", "use", "Launch", "--role", "editor=me"]);
    assert!(wrong.contains("its roles: writer"), "{wrong}");
    let made = desk.json(&["template", "use", "Launch", "--role", "writer=me"]);
    assert_eq!(made["tasks"].as_array().map(Vec::len), Some(2), "{made}");
    assert!(desk.says(&["task", "list"]).contains("blocked by"));
    let key = made["tasks"][0]["key"].as_str().expect("its key");
    let shown = desk.says(&["task", "show", key]);
    assert!(shown.lines().any(|line| line == "Template: Launch"), "{shown}");

    desk.post("/api/v1/agents", &json!({ "name": "Ada", "slug": "ada", "template": "default" }))
        .await;
    let routine = json!({
        "agent": "ada", "name": "Morning look", "instruction": "Look at what is due.",
        "schedule": { "cadence_type": "weekdays", "time_of_day": "09:00" },
    });
    desk.post("/api/v1/routines", &routine).await;
    let shown = desk.says(&["routine", "show", "morning look"]);
    assert!(
        shown.contains("\"Morning look\"") && shown.contains("Look at what is due."),
        "{shown}"
    );
    let trial = desk.says(&["routine", "test", "Morning look"]);
    assert!(trial.starts_with("It would run.") && trial.contains("Next: "), "{trial}");
    assert!(desk.says(&["routine", "list"]).contains("ready"));
    assert!(desk.says(&["routine", "pause", "Morning look"]).contains("paused"));
    assert_eq!(desk.says(&["routine", "history", "Morning look"]), "No runs yet.\n");
    assert!(desk.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_tasks_is_written_changed_and_deleted_at_the_terminal() {
    let desk = Desk::open().await;
    desk.post("/api/v1/agents", &json!({ "name": "Ada", "slug": "ada", "template": "default" }))
        .await;
    // The example in the help is valid input.
    for noun in ["series", "template", "routine"] {
        let help = desk.says(&[noun, "add", "--help"]);
        let example = help.find('{').map(|at| &help[at..]).expect("an example");
        desk.says(&[noun, "add", &desk.file("example.json", example)]);
    }
    let change = |fields: &Value| desk.file("change.json", &fields.to_string());
    let monday = json!({ "cadence_type": "weekdays", "time_of_day": "08:00" });

    let changed =
        desk.says(&["series", "edit", "Weekly report", &change(&json!({ "schedule": monday }))]);
    assert!(changed.contains("\"Weekly report\" · Weekdays at 8:00"), "{changed}");
    let wrong = json!({ "schedule": { "cadence_type": "weekdays", "time_of_day": "25:00" } });
    let why = desk.refuses(1, &["series", "edit", "Weekly report", &change(&wrong)]);
    assert!(why.contains("use a time such as 09:00"), "{why}");
    assert!(
        desk.refuses(2, &["series", "add", &desk.file("no.json", "[1]")]).contains("a JSON object")
    );
    assert!(
        desk.refuses(2, &["series", "add", &desk.file("no.json", "{,")]).contains("invalid JSON")
    );
    assert!(desk.refuses(2, &["series", "add", "/nowhere.json"]).contains("/nowhere.json"));

    let items = json!({ "items": [{ "ref": "only", "title": "Say so" }] });
    let changed = desk.says(&["template", "edit", "Launch", &change(&items)]);
    assert!(changed.contains("1 task") && changed.contains("\"Say so\""), "{changed}");

    let changed =
        desk.says(&["routine", "edit", "Morning look", &change(&json!({ "schedule": monday }))]);
    assert!(changed.contains("Weekdays at 8:00"), "{changed}");
    assert!(desk.says(&["routine", "show", "Morning look"]).contains("Look at what is due."));

    let daily = ["cron", "add", "--agent", "ada", "--every", "1d", "--message", "Water it.\nAll."];
    let said = desk.says(&[&daily[..], &["--stagger", "10m", "--session", "main"]].concat());
    assert!(said.contains("\"Water it.\"") && said.contains("within 10 min after"), "{said}");
    let once =
        ["routine", "add", "--agent", "ada", "--message", "Ring", "--at", "2999-12-24T18:00"];
    let kept = desk.json(&[&once[..], &["--tz", "Asia/Tokyo"]].concat());
    assert_eq!(kept["routine"]["delete_when_done"], true, "{kept}");
    assert_eq!(kept["next_at"], "2999-12-24T09:00:00Z");
    assert!(desk.says(&["cron", "list"]).contains("\"Ring\""));
    assert_eq!(desk.says(&["cron", "list", "--done"]), "No routines yet.\n");
    for wrong in [
        vec!["routine", "add"],
        vec!["routine", "add", "--message", "Look"],
        vec!["routine", "add", "--every", "1d"],
        vec!["routine", "add", "some.json", "--agent", "ada"],
        [&once[..], &["--every", "1d"]].concat(),
        [&daily[..], &["--keep"]].concat(),
        vec!["routine", "add", "--message", "Look", "--every", "soon"],
    ] {
        desk.refuses(2, &wrong);
    }
    assert!(desk.says(&["cron", "rm", "Ring"]).contains("Deleted"));

    for (noun, name) in
        [("series", "Weekly report"), ("template", "Launch"), ("routine", "Morning look")]
    {
        assert!(desk.says(&[noun, "remove", name]).contains("Deleted"));
        assert!(desk.refuses(1, &[noun, "show", name]).contains(&format!("`hq {noun} list`")));
    }
    assert!(desk.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_told_followed_searched_and_chosen_at_the_terminal() {
    let desk = Desk::open().await;
    let (a, b) = (desk.task("Compare prices"), desk.task("Order pens"));
    desk.says(&["task", "comment", &a, "Blue ones, please"]);
    let page = desk.json(&["activity", "--by", "me", "--event", "task.*"]);
    let entries = page["items"].as_array().expect("a list").clone();
    assert_eq!(entries.len(), 2, "{page}");
    assert!(entries[0]["text"].as_str().is_some_and(|text| text.contains(&b)), "{page}");
    assert_eq!(entries[0]["undo"]["possible"], true, "{page}");
    let told = desk.says(&["activity", "--record", &a]);
    assert!(told.contains(&format!("created {a} Compare prices")), "{told}");
    assert!(told.contains("can be undone") && !told.contains(&b), "{told}");
    assert!(told.contains("commented on"), "what belongs to a task is told with it: {told}");
    let first = desk.says(&["activity", "--limit", "1"]);
    let more = first.lines().last().and_then(|line| line.strip_prefix("More: --before "));
    let older = desk.says(&["activity", "--limit", "1", "--before", more.expect("there is more")]);
    assert!(older.contains(&b) && !older.contains("commented on"), "{older}");
    assert!(desk.refuses(1, &["activity", "--run", "R-99"]).contains("R-99"));
    assert!(desk.refuses(1, &["activity", "--event", "no.such"]).contains("no.such"));
    assert!(desk.refuses(2, &["activity", "--area", "nowhere"]).contains("workspace"));

    let follow = ["activity", "--follow", "--json", "--event", "task.created"];
    let mut follow = command(Path::new(BINARY), desk.folder.path(), &follow);
    let mut follow = follow.stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(follow.stdout.take().expect("a piped output")).lines();
    let (send, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
    let next = || {
        let line = heard.recv_timeout(PATIENCE).expect("a line");
        let entry: Value = serde_json::from_str(&line).expect("JSON");
        entry["text"].as_str().expect("words").to_owned()
    };
    assert!(next().contains(&a) && next().contains(&b), "the newest stands last");
    let c = desk.task("Send them");
    assert!(next().contains(&c));
    follow.kill().expect("it can be ended");
    follow.wait().expect("it ended");

    let end = Instant::now() + PATIENCE;
    let found = loop {
        let found = desk.says(&["search", "compare"]);
        if found.contains("\"Compare prices\"") || end < Instant::now() {
            break found;
        }
    };
    assert!(found.contains("task") && found.contains("\"Compare prices\""), "{found}");
    assert!(desk.refuses(1, &["search", "compare", "--type", "nothing"]).contains("nothing"));
    assert!(desk.says(&["search", "qqqqqqqqqq"]).starts_with("No results."));

    let chosen = ["notifications", "settings", "--group", "tasks", "--mail", "on", "--hour", "7"];
    let chosen = desk.says(&chosen);
    assert!(chosen.starts_with("tasks") && chosen.contains("mail") && chosen.contains("7:00"));
    let all = desk.json(&["notifications", "settings"]);
    assert_eq!((&all["groups"]["tasks"]["mail"], &all["digest_hour"]), (&json!(true), &json!(7)));
    assert!(!desk.refuses(2, &["notifications", "settings", "--mail", "on"]).is_empty());
    assert_eq!(desk.says(&["notifications", "read", "--all"]), "No unread notifications.\n");
    assert!(desk.refuses(1, &["notifications", "read", "00000000"]).contains("notifications list"));
    assert!(desk.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_asked_in_changed_and_sent_away_at_the_terminal() {
    let desk = Desk::open().await;
    let made = desk.says(&["invite", "add", "--email", "tom@marlow.example"]);
    assert!(
        made.starts_with("Only tom@marlow.example can join as a member. Valid once, until"),
        "{made}"
    );
    let link = made.lines().nth(1).expect("a link").to_owned();
    let spare = desk.json(&["invite", "add", "--role", "viewer"]);
    let id = spare["id"].as_str().expect("an id");
    let open = desk.says(&["invite", "list"]);
    assert!(open.contains("tom@marlow.example") && open.contains("anyone with the link"), "{open}");
    desk.says(&["invite", "withdraw", id]);
    assert!(!desk.says(&["invite", "list"]).contains(id));

    let tom = Browser::new(desk.program.url());
    let page = tom.open(&link).await.form("Join");
    let page = page
        .fill("Your name", "Tom Abara")
        .fill("Email", "tom@marlow.example")
        .fill("Password", "nine otters under a paper moon");
    let page = tom.submit(page).await;
    assert!(page.heading().contains("Tom"), "{}", page.text);

    let people = desk.says(&["member", "list"]);
    assert!(people.contains("\"Tom Abara\"") && people.contains("\"Mira Lindqvist\""), "{people}");
    let now = desk.says(&["member", "role", "tom@marlow.example", "viewer"]);
    assert_eq!(now, "Tom Abara is now a viewer.\n");
    let mira = ["member", "role", "Mira Lindqvist", "member"];
    assert!(desk.refuses(1, &mira).contains("owner"), "somebody must own it");
    assert!(desk.refuses(1, &["member", "remove", "@nobody"]).contains("hq member list"));
    assert!(desk.refuses(2, &["member", "role", "tom", "king"]).contains("king"));
    desk.says(&["member", "handover", "Tom Abara", "--to", "Mira Lindqvist"]);
    let reset = desk.says(&["member", "reset-factors", "Tom Abara"]);
    assert!(reset.starts_with("Tom Abara now signs in with only a password"), "{reset}");
    assert_eq!(
        desk.says(&["member", "remove", "Tom Abara"]),
        "Removed Tom Abara from the workspace.\n"
    );
    assert!(!desk.says(&["member", "list"]).contains("Tom Abara"));
    let free = "Two-step sign-in is optional.\n";
    assert_eq!(desk.says(&["member", "second-step"]), free);
    let asked = desk.says(&["member", "second-step", "on"]);
    assert_eq!(asked, "Owners and admins must use two-step sign-in.\n");
    assert!(desk.program.stop().success());
}
