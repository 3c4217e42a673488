//! File tools: reads, joint changes, and the state after a crash.

use std::path::Path;

use features::agents::model::Agent;
use features::runs::model::{Body, CallStatus, EventKind, FileMark, Place, Run};
use features::runs::queries::taint;
use features::runs::rules::{RunError, RunWriter, force_end};
use git::Branch;
use git::history::{At, LogQuery};
use kernel::{Outcome, RunId, RunState};
use providers::model::Part;
use serde_json::json;
use sha2::{Digest, Sha256};

use support::model::{Gate, Turn};
use support::office::Office;

/// Runs these calls, one per response; returns their results.
async fn results(
    office: &Office,
    agent: &Agent,
    calls: Vec<(&str, serde_json::Value)>,
) -> Vec<(bool, String)> {
    for (name, arguments) in calls {
        office.model.push(Turn::call(name, arguments));
    }
    office.model.push(Turn::text("Done."));
    let run = office.say(agent, "Go").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    office.results(run).into_iter().map(|(_, ok, text)| (ok, text)).collect()
}

fn put(office: &Office, agent: &Agent, path: &str, content: impl AsRef<[u8]>) {
    let path = office.ws().agent_folder(&agent.slug).join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, content).expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_changed_since_it_was_read_is_not_overwritten_unseen() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    put(&office, &ada, "notes.md", "one\r\ntwo\r\n");
    let gate = Gate::new();
    office.model.push(Turn::call("read", json!({ "file_path": "notes.md" })));
    let write = json!({ "path": "notes.md", "content": "mine\nall\n" });
    office.model.push(Turn::call("write", write.clone()).pausing(0, &gate));
    let forced = json!({ "path": "notes.md", "content": "mine\nall\n", "force": "true" });
    office.model.push(Turn::call("write", forced));
    // A run knows the files that it wrote itself.
    office.model.push(Turn::call("write", json!({ "path": "notes.md", "content": "again\n" })));
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Rewrite it").await;
    gate.reached().await;
    put(&office, &ada, "notes.md", "theirs\r\n");
    gate.open();
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].2.starts_with("one\ntwo\n[2 lines, hash "), "{}", results[0].2);
    assert!(!results[1].1 && results[1].2.starts_with("Error(conflict): notes.md has changed"));
    assert!(results[2].1 && results[2].2.starts_with("replaced notes.md (11 bytes"), "{results:?}");
    assert!(results[3].1, "{results:?}");
    assert_eq!(office.file(&ada, "notes.md").as_deref(), Some("again\r\n"), "line ends stay");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_reads_pictures_folders_and_parts_and_hears_what_it_cannot_read() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    put(&office, &ada, "docs/long.txt", "line\n".repeat(3_000));
    put(&office, &ada, "docs/tool.bin", b"\x7fELF\0\0");
    put(&office, &ada, "docs/face.png", b"\x89PNG\r\n\x1a\nnot a real one");
    put(&office, &ada, ".gitignore", "*.log\n");
    put(&office, &ada, "docs/noise.log", "a needle\n");
    put(&office, &ada, "docs/found.md", "a Needle\n");
    let said = results(
        &office,
        &ada,
        vec![
            ("read", json!({ "path": "docs" })),
            ("read", json!({ "path": "docs/long.txt" })),
            ("read", json!({ "path": "docs/long.txt", "offset": "2999", "limit": 9 })),
            ("read", json!({ "path": "docs/tool.bin" })),
            ("read", json!({ "path": "docs/lang.txt" })),
            ("read", json!({ "path": "docs/face.png" })),
            ("grep", json!({ "pattern": "needl\\w+" })),
            ("glob", json!({ "pattern": "docs/*.txt" })),
            (
                "apply_patch",
                json!({ "input": "*** Begin Patch\n*** Add File: docs/face.png\n+x\n*** End Patch" }),
            ),
        ],
    )
    .await;
    assert!(said[0].1.contains("face.png (") && said[0].1.contains("long.txt"), "{}", said[0].1);
    assert!(said[1].1.contains("[lines 1 to 2000 of 3000; continue with offset 2001, hash "));
    assert!(said[2].1.starts_with("line\nline\n[lines 2999 to 3000 of 3000"), "{}", said[2].1);
    assert!(!said[3].0 && said[3].1.contains("Error(invalid_args)"), "{}", said[3].1);
    assert!(said[3].1.contains("application/x-executable"), "{}", said[3].1);
    assert!(!said[4].0 && said[4].1.contains("similar: long.txt"), "{}", said[4].1);
    assert!(said[5].0 && said[5].1.starts_with("docs/face.png: image/png, 22 bytes"));
    assert_eq!(said[6].1, "docs/found.md:1: a Needle", "what is ignored is not searched");
    assert_eq!(said[7].1, "docs/long.txt");
    assert!(!said[8].0 && said[8].1.contains("Error(file_exists)"), "{}", said[8].1);
    // The image itself was sent to the model with the next call.
    let request = office.model.requests()[6].text();
    assert!(request.contains("data:image/png;base64,iVBORw0KGgpub3Q"), "{request}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_answer_with_a_diff_and_say_how_to_mend_what_does_not_fit() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    put(&office, &ada, "run.sh", "#!/bin/sh\n\techo one  \necho two\necho two\n");
    let script = office.ws().agent_folder(&ada.slug).join("run.sh");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("a program");
    let said = results(
        &office,
        &ada,
        vec![
            ("edit", json!({ "path": "run.sh", "old_string": "echo tow", "new_string": "x" })),
            ("edit", json!({ "path": "run.sh", "oldText": "echo two", "newText": "x" })),
            (
                "edit",
                json!({ "path": "run.sh", "edits": [
                    { "oldText": "echo one\necho two\n", "newText": "echo 1\n" },
                    { "old_text": "echo two", "new_text": "echo 2" }
                ]}),
            ),
        ],
    )
    .await;
    assert!(said[0].1.starts_with("Error(not_found)"), "{}", said[0].1);
    assert!(said[0].1.contains("\n3: echo two"), "{}", said[0].1);
    assert!(said[1].1.contains("Error(ambiguous): oldText occurs 2 times, at lines 3, 4"));
    assert!(said[2].0 && said[2].1.contains("edited run.sh (2 places"), "{}", said[2].1);
    assert!(said[2].1.contains("-\techo one  \n-echo two\n-echo two\n+\techo 1\n+echo 2\n"));
    assert_eq!(office.file(&ada, "run.sh").as_deref(), Some("#!/bin/sh\n\techo 1\necho 2\n"));
    let mode = std::fs::metadata(&script).expect("a file").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o111, 0o111, "still a program");
    office.hq.finish().await;
}

const PATCH: &str = "*** Begin Patch\n*** Update File: a.md\n@@\n-one\n+two\n\
    *** Add File: new/b.md\n+made\n*** Delete File: c.md\n*** End Patch";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_changes_all_its_files_or_none() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    put(&office, &ada, "a.md", "one\n");
    put(&office, &ada, "c.md", "gone\n");
    let stale = PATCH.replace("-one", "-other");
    let outside = "*** Begin Patch\n*** Add File: ../x.md\n+x\n*** End Patch";
    let said = results(
        &office,
        &ada,
        vec![
            ("apply_patch", json!({ "input": stale })),
            ("apply_patch", json!({ "input": outside })),
            ("apply_patch", json!({ "input": "*** Begin Patch\nhello\n*** End Patch" })),
            ("apply_patch", json!({ "patch": PATCH })),
        ],
    )
    .await;
    assert!(said[0].1.contains("Error(hunk_not_found): a.md, hunk 1"), "{}", said[0].1);
    assert!(said[1].1.contains("Error(outside_workspace)"), "{}", said[1].1);
    assert!(said[2].1.contains("Error(invalid_patch): line 2"), "{}", said[2].1);
    assert_eq!(said[3], (true, "M a.md (+1 −1)\nA new/b.md (+1 −0)\nD c.md (+0 −1)".to_owned()));
    let files = ["a.md", "new/b.md", "c.md"].map(|path| office.file(&ada, path));
    assert_eq!(files, [Some("two\n".to_owned()), Some("made\n".to_owned()), None]);
    // Binary files can be deleted with the rest of the patch.
    let picture = office.ws().agent_folder(&ada.slug).join("van.png");
    std::fs::write(&picture, b"\x89PNG\r\n\x1a\n\0\xff").expect("a file");
    let delete = "*** Begin Patch\n*** Delete File: van.png\n*** Add File: van.md\n+It was red\n*** End Patch";
    let said = results(&office, &ada, vec![("apply_patch", json!({ "input": delete }))]).await;
    assert_eq!(said[0], (true, "D van.png (no text)\nA van.md (+1 −0)".to_owned()));
    assert!(!picture.exists());
    assert_eq!(office.file(&ada, "van.md").as_deref(), Some("It was red\n"));
    office.hq.finish().await;
}

fn sum(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Expected effect of the patch on each file.
fn marks() -> Vec<FileMark> {
    let mark = |path: &str, before: Option<&str>, after: Option<&str>| FileMark {
        path: path.to_owned(),
        before: before.map(sum),
        after: after.map(sum),
    };
    vec![
        mark("a.md", Some("one\n"), Some("two\n")),
        mark("c.md", Some("gone\n"), None),
        mark("new/b.md", None, Some("made\n")),
    ]
}

/// A run interrupted between start and end of a call; returns the resulting files and what the model was told.
async fn cut_off(
    name: &'static str,
    arguments: serde_json::Value,
    begun: impl FnOnce(&Office) -> EventKind,
    meanwhile: impl FnOnce(&Path),
) -> (Office, Agent, RunId) {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    put(&office, &ada, "a.md", "one\n");
    put(&office, &ada, "c.md", "gone\n");
    let gate = Gate::new();
    office.model.push(Turn::text("This is never heard.").pausing(0, &gate));
    let run = office.say(&ada, "Patch it").await;
    gate.reached().await;
    let now: Run = office.in_state(run, RunState::Running).await;
    let started = begun(&office);
    office
        .act(move |tx| {
            let mut pen = RunWriter::open(tx, run, now.epoch)?;
            let arguments = arguments.to_string();
            let parts = vec![Part::ToolCall { id: "c1".into(), name: name.into(), arguments }];
            let parts = Body::Inline(serde_json::to_string(&parts).expect("JSON"));
            pen.append(
                tx,
                EventKind::Assistant {
                    call: 1,
                    parts,
                    stop: "tool_calls".into(),
                    input_tokens: 1,
                    output_tokens: 1,
                    billed_micros: None,
                    millis: 1,
                },
            )?;
            pen.append(tx, started)?;
            pen.save(tx).map(drop)?;
            Ok::<_, RunError>(())
        })
        .await;
    office.hq.stop().await;
    gate.open();
    let agents = office.hq.data().join("workspaces/marlow-cargo/agents");
    meanwhile(&agents.join(&ada.slug).join("files"));
    office.model.push(Turn::text("Done."));
    office.hq.start_again().await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    (office, ada, run)
}

fn patch_begun(office: &Office) -> EventKind {
    let kept = json!([
        { "path": "a.md", "content": "two\n", "executable": false },
        { "path": "c.md", "content": null, "executable": false },
        { "path": "new/b.md", "content": "made\n", "executable": false },
    ]);
    let kept = office.ws().blobs.put(kept.to_string().as_bytes()).expect("a blob");
    let (call_id, name) = ("c1".to_owned(), "apply_patch".to_owned());
    EventKind::FilesStarted { step: 1, call_id, name, files: marks(), kept }
}

/// Result of an interrupted patch: status, text, and the three files.
async fn settled(meanwhile: impl FnOnce(&Path)) -> (CallStatus, String, [Option<String>; 3]) {
    let (office, ada, run) =
        cut_off("apply_patch", json!({ "input": PATCH }), patch_begun, meanwhile).await;
    let ends: Vec<(CallStatus, String)> = office
        .events(run)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::ToolFinished { status, result, .. } => {
                Some((status, result.head().to_owned()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(ends.len(), 1, "the call has one end: {ends:?}");
    let files = ["a.md", "new/b.md", "c.md"].map(|path| office.file(&ada, path));
    office.hq.finish().await;
    let (status, text) = ends.into_iter().next().expect("one");
    (status, text, files)
}

fn patched() -> [Option<String>; 3] {
    [Some("two\n".to_owned()), Some("made\n".to_owned()), None]
}

fn write(folder: &Path, path: &str, content: &str) {
    std::fs::create_dir_all(folder.join(path).parent().expect("a folder")).expect("a folder");
    std::fs::write(folder.join(path), content).expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_was_made_before_a_crash_is_found_to_be_done() {
    let (status, text, files) = settled(|folder| {
        write(folder, "a.md", "two\n");
        write(folder, "new/b.md", "made\n");
        std::fs::remove_file(folder.join("c.md")).expect("it was there");
    })
    .await;
    assert_eq!((status, files), (CallStatus::Ok, patched()));
    assert_eq!(text, "all 3 files were written before the restart.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_had_not_begun_before_a_crash_is_made_after_it() {
    let (status, text, files) = settled(|_| {}).await;
    assert_eq!((status, files), (CallStatus::Ok, patched()));
    assert!(text.starts_with("M a.md (+1 −1)"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_a_crash_cut_in_half_is_completed() {
    let (status, text, files) = settled(|folder| write(folder, "new/b.md", "made\n")).await;
    assert_eq!((status, files), (CallStatus::Ok, patched()));
    assert!(text.contains("it was completed, and all 3 files are written"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_somebody_came_into_is_told_and_not_forced() {
    let (status, text, files) = settled(|folder| {
        write(folder, "new/b.md", "made\n");
        write(folder, "a.md", "theirs\n");
    })
    .await;
    assert_eq!(status, CallStatus::Error);
    assert!(text.starts_with("Error(conflict)"), "{text}");
    assert!(text.contains("a.md: changed by someone else"), "{text}");
    assert!(text.contains("c.md: not written") && text.contains("new/b.md: written"), "{text}");
    let kept = [Some("theirs\n"), Some("made\n"), Some("gone\n")].map(|t| t.map(str::to_owned));
    assert_eq!(files, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_result_that_a_crash_cut_off_is_untrusted_and_its_call_is_not_made_again() {
    const PATH: &str = "downloads/files__record-1-1-1.txt";
    let begun = |office: &Office| {
        let kept = office.ws().blobs.put(b"[]").expect("a blob");
        let (call_id, name) = ("c1".to_owned(), "files__record".to_owned());
        let mark = FileMark { path: PATH.to_owned(), before: None, after: Some(sum("said\n")) };
        EventKind::FilesStarted { step: 1, call_id, name, files: vec![mark], kept }
    };
    let written = |folder: &Path| write(folder, PATH, "said\n");
    let (office, ada, run) = cut_off("files__record", json!({}), begun, written).await;
    let place = Place::File { agent: ada.id, path: PATH.to_owned() };
    assert!(office.ws().read(|snap| taint::is_written(snap, &place)).expect("a read"));
    let ends: Vec<(CallStatus, Vec<String>)> = office
        .events(run)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::ToolFinished { status, paths, .. } => Some((status, paths)),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(CallStatus::Unknown, vec![PATH.to_owned()])]);
    assert_eq!(office.file(&ada, PATH).as_deref(), Some("said\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_call_that_was_cut_off_is_not_made_again_and_a_read_is() {
    let begun = |name: &'static str| {
        move |_: &Office| EventKind::ToolStarted {
            step: 1,
            call_id: "c1".to_owned(),
            name: name.to_owned(),
            file: None,
        }
    };
    let (office, ada, run) =
        cut_off("exec", json!({ "command": "echo x > made.txt" }), begun("exec"), |_| {}).await;
    let told = office.results(run).remove(0);
    assert!(!told.1 && told.2.starts_with("Error(interrupted_unknown)"), "{}", told.2);
    assert_eq!(office.file(&ada, "made.txt"), None, "it was not run again");
    office.hq.finish().await;
    let notice = |_: &Office| EventKind::Notice { text: "A word.".to_owned() };
    let (office, _, run) = cut_off("read", json!({ "path": "a.md" }), notice, |_| {}).await;
    let told = office.results(run).remove(0);
    assert!(told.1 && told.2.starts_with("one\n[1 line"), "it is read now: {}", told.2);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_is_settled_by_its_hash_too() {
    let begun = |_: &Office| {
        let (path, before) = ("a.md".to_owned(), Some(sum("one\n")));
        let file = Some(FileMark { path, before, after: Some(sum("two\n")) });
        let (call_id, name) = ("c1".to_owned(), "write".to_owned());
        EventKind::ToolStarted { step: 1, call_id, name, file }
    };
    for (found, ok, words, after) in [
        ("two\n", true, "a.md was written before the restart", "two\n"),
        ("one\n", true, "replaced a.md", "two\n"),
        ("theirs\n", false, "Error(conflict): someone else has changed a.md", "theirs\n"),
    ] {
        let arguments = json!({ "path": "a.md", "content": "two\n" });
        let meanwhile = |folder: &Path| write(folder, "a.md", found);
        let (office, ada, run) = cut_off("write", arguments, begun, meanwhile).await;
        let results = office.results(run);
        assert_eq!(results.len(), 1, "{results:?}");
        assert!(results[0].1 == ok && results[0].2.starts_with(words), "{results:?}");
        assert_eq!(office.file(&ada, "a.md").as_deref(), Some(after));
        office.hq.finish().await;
    }
}

/// Whether an agent's branch has a file, and through which commits.
fn in_branch(office: &Office, agent: &Agent, path: &str) -> (bool, Vec<String>) {
    let branch = Branch::agent(&agent.slug).expect("a branch");
    let ws = office.ws();
    let repo = ws.repo().expect("a repository");
    let log = repo.log(&branch, &LogQuery { limit: 20, ..LogQuery::default() }).expect("a log");
    let file = repo.read_file(&At::Branch(branch), path).expect("a readable file");
    (file.is_some(), log.into_iter().map(|commit| commit.message).collect())
}

/// A run that cannot know what its programs changed commits all differences, except files that another run of the agent
/// has written: undoing one run would otherwise remove the other's file.
/// the agent has written: an undo of the one would take the other's file away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_run_has_written_is_that_run_s_to_commit() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let write = json!({ "path": "notes/task.md", "content": "Of the task.\n" });
    office.model.push(Turn::call("write", write)).push(Turn::silence());
    let task = office.task("Write it down", &ada).await;
    let works = office.run_on(task.id).await;
    office.model.asked(2).await;
    let command = json!({ "command": "sleep 4741", "background": true });
    office.model.push(Turn::call("exec", command)).push(Turn::text("It goes on."));
    let talk = office.say(&ada, "Begin it").await;
    office.ended(talk).await;
    let committed = |kind: &EventKind| matches!(kind, EventKind::Committed { .. });
    assert!(!office.events(talk).iter().any(committed), "nothing of its own had changed");
    assert!(!in_branch(&office, &ada, "notes/task.md").0);
    office.stop(works).await;
    let name = office.ended(works).await.name();
    let (there, messages) = in_branch(&office, &ada, "notes/task.md");
    assert!(there && messages[0].contains(&format!("Run: {name}")), "{messages:?}");
    office.hq.finish().await;
}

/// A kill between a run's end and its commit: the next start commits in that run's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_wrote_right_before_a_kill_is_committed_at_the_next_start() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence());
    let id = office.say(&ada, "Write it down").await;
    office.model.asked(1).await;
    let run = office.in_state(id, RunState::Running).await;
    put(&office, &ada, "notes/late.md", "Just in time.\n");
    let finished = EventKind::ToolFinished {
        step: 1,
        call_id: "c1".into(),
        name: "write".into(),
        status: CallStatus::Ok,
        result: Body::Inline("written".into()),
        millis: 1,
        paths: vec!["notes/late.md".to_owned()],
        seq: None,
    };
    office
        .act(move |tx| {
            let mut pen = RunWriter::open(tx, id, run.epoch)?;
            pen.append(tx, finished)?;
            pen.save(tx)?;
            force_end(tx, id, Outcome::Done, "Written.").map(drop)
        })
        .await;
    office.ended(id).await;
    office.hq.restart().await;
    // A start completes leftovers before anything new begins.
    office.model.push(Turn::text("I am here."));
    let next = office.say(&ada, "Hello?").await;
    office.ended(next).await;
    let (there, messages) = in_branch(&office, &ada, "notes/late.md");
    assert!(there && messages[0].contains(&format!("Run: {}", run.name())), "{messages:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_key_stays_without_a_commit_and_the_run_says_so() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let key = "The key:\nsk-abcdefghijklmnopqrstuvwx\n";
    let written = [("notes/plan.md", "A plan.\n"), ("notes/key.md", key)];
    let calls =
        written.map(|(path, content)| ("write", json!({ "path": path, "content": content })));
    results(&office, &ada, calls.to_vec()).await;
    assert!(in_branch(&office, &ada, "notes/plan.md").0);
    assert!(!in_branch(&office, &ada, "notes/key.md").0);
    let run = office.all::<Run>().pop().expect("a run");
    let left = office.events(run.id).into_iter().find_map(|kind| match kind {
        EventKind::LeftOut { files } => Some(files),
        _ => None,
    });
    let left = left.expect("it is said");
    let told: Vec<_> = left.iter().map(|file| (file.path.as_str(), file.line)).collect();
    assert_eq!(told, [("notes/key.md", 2)]);
    let page = office.hq.owner().get(&format!("/w/marlow-cargo/runs/{}", run.name())).await;
    assert!(page.text.contains("Not committed"), "{}", page.text);
    assert_eq!(office.file(&ada, "notes/key.md").as_deref(), Some(key), "the file itself stays");
    office.hq.finish().await;
}
