//! Three canary values, each used by an agent in another way, searched in all places: files, blobs, git, feed, pages,
//! API, prompts, backup, export, and the environment of unrelated programs.

use std::collections::BTreeMap;
use std::process::Command;

use backup::Meter;
use backup::portable::{Bounds, unpack};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use features::agents::model::Agent;
use kernel::{RunId, TrustMode};
use serde_json::{Value, json};
use server::portable::export;
use server::restore::{Mode, RestoreRequest, Which, restore};

use super::{back_up, repository};
use support::hq::everything_in;
use support::model::Turn;
use support::office::Office;

/// Secret in an environment variable of Ada's programs.
const VARIABLE: &str = "canary-as-a-variable-51c7";
/// Secret behind a stand-in, which the proxy replaces.
const STAND_IN: &str = "canary-as-a-stand-in-90e3";
/// Secret used only in requests of HQ itself.
const REQUEST: &str = "canary-in-a-request-7b1f";

/// Number of occurrences of a value, by place.
#[derive(Default)]
struct Report(BTreeMap<String, usize>);

impl Report {
    fn look(&mut self, place: &str, bytes: &[u8]) {
        let values = [VARIABLE, STAND_IN, REQUEST];
        let forms = values.iter().flat_map(|value| [(*value).to_owned(), STANDARD.encode(value)]);
        let found = forms
            .map(|form| bytes.windows(form.len()).filter(|part| *part == form.as_bytes()).count());
        let hits: usize = found.sum();
        *self.0.entry(place.to_owned()).or_default() += hits;
    }
}

async fn does(office: &Office, agent: &Agent, calls: Vec<(&str, Value)>) -> RunId {
    for (name, arguments) in calls {
        office.model.push(Turn::call(name, arguments));
    }
    office.model.push(Turn::text("Done."));
    let run = office.say(agent, "Go on").await;
    office.ended(run).await;
    run
}

async fn used() -> (Office, Vec<RunId>) {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let otto = office.agent_with("Otto", |new| new.exec = true).await;
    for agent in [&ada, &otto] {
        office.trust(agent.id, TrustMode::Full).await;
    }
    let secrets = [
        json!({ "name": "A", "key": "VARIABLE", "value": VARIABLE, "agents": ["ada"] }),
        json!({ "name": "B", "key": "STAND_IN", "value": STAND_IN, "hosts": ["site.test"] }),
        json!({ "name": "C", "key": "REQUEST", "value": REQUEST, "hosts": ["site.test"], "way": "requests" }),
    ];
    for body in secrets {
        let made = office.hq.owner().json("POST", "/api/v1/secrets", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let exec = |command: &str| ("exec", json!({ "command": command }));
    let request = json!({
        "url": "https://site.test/", "method": "POST", "headers": { "X-Key": "{{secret:REQUEST}}" },
    });
    let first = does(
        &office,
        &ada,
        vec![
            exec("echo \"$VARIABLE\"; printf %s \"$VARIABLE\" | base64; echo \"$STAND_IN\""),
            exec("for n in $(seq 2000); do echo \"$VARIABLE and $n\"; done"),
            exec("echo \"<$STAND_IN> <$REQUEST>\" > mine.txt; cat mine.txt"),
            ("http_request", request),
        ],
    )
    .await;
    // Programs of another agent, with everything they can see of their own environment and their parents'.
    let second = does(
        &office,
        &otto,
        vec![
            exec("env | sort | tee env.txt; tr '\\0' '\\n' < /proc/self/environ > environ.txt"),
            exec("tr '\\0' '\\n' < /proc/$PPID/environ > above.txt; wc -l above.txt"),
        ],
    )
    .await;
    (office, vec![first, second])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the report is what the test is for")]
async fn one_look_at_every_place_finds_no_value() {
    let (mut office, runs) = used().await;
    let mut report = Report::default();
    let told = office.results(runs[0]);
    assert!(told[0].2.contains("[secret:VARIABLE]"), "it had the value: {told:?}");
    for seen in office.model.requests() {
        report.look("prompts", seen.raw.as_bytes());
    }
    let owner = office.hq.owner();
    let get = async |path: String| {
        let reply = owner.get(&path).await;
        assert!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text);
        reply.text
    };
    let here = "/w/marlow-cargo";
    let mut pages: Vec<String> =
        ["/activity", "/review", "/settings/secrets", "/settings/audit", "/settings/health"]
            .map(|path| format!("{here}{path}"))
            .to_vec();
    for agent in ["ada", "otto"] {
        let parts = ["", "/secrets", "/chat", "/files", "/behaviour"];
        pages.extend(parts.map(|part| format!("{here}/agents/{agent}{part}")));
    }
    let paths = ["secrets", "secrets/uses?agent=ada", "audit", "activity", "approvals", "runs"];
    let mut asked: Vec<String> = paths.map(|path| format!("/api/v1/{path}")).to_vec();
    for number in 1..=runs.len() {
        pages.push(format!("{here}/runs/R-{number}"));
        let parts = ["", "/steps", "/export"];
        asked.extend(parts.map(|part| format!("/api/v1/runs/R-{number}{part}")));
    }
    for path in pages {
        report.look("pages", get(path).await.as_bytes());
    }
    for path in asked {
        report.look("API", get(path).await.as_bytes());
    }
    let feed = get("/api/v1/changes?after=start&limit=500".to_owned()).await;
    report.look("feed", feed.as_bytes());

    let beside = tempfile::tempdir().expect("a folder");
    let packed = beside.path().join("packed");
    let (ws, unpacked) = (office.ws(), beside.path().join("unpacked"));
    for folder in [&packed, &unpacked] {
        std::fs::create_dir(folder).expect("a folder");
    }
    let mut file = Vec::new();
    tokio::task::block_in_place(|| export(&ws, &mut file, &packed)).expect("an export");
    let bounds = Bounds { files: 100_000, ratio: 1_000, room: &|| u64::MAX };
    unpack(&mut file.as_slice(), &unpacked, &bounds).expect("it is whole");
    report.look("export", &everything_in(&unpacked));

    let repo = repository(&beside.path().join("backups"), None);
    tokio::task::block_in_place(|| back_up(&office.hq, &repo));
    let wish = RestoreRequest {
        data: beside.path().join("restored"),
        backup: Which::Newest,
        workspace: None,
        mode: Mode::IntoEmpty,
        key_file: office.hq.data().join("master.key"),
    };
    tokio::task::block_in_place(|| restore(&repo, &wish, &Meter::default())).expect("restored");
    report.look("backup", &everything_in(&wish.data));

    let git = ws.folder.join("agents.git");
    let all = Command::new("git")
        .arg("--git-dir")
        .arg(&git)
        .args(["cat-file", "--batch-all-objects", "--batch"])
        .output();
    match all {
        Ok(all) => report.look("git", &all.stdout),
        Err(error) => println!("skipped: git does not run here ({error})"),
    }
    drop(ws);
    let data = office.hq.data();
    office.hq.stop().await;
    report.look("files, blobs and the store", &everything_in(&data));
    println!("{:#?}", report.0);
    assert!(report.0.values().all(|hits| *hits == 0), "{:#?}", report.0);
}
