//! Programs that try to escape from the jail.

use std::time::{Duration, Instant};

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::jobs::model::{Job, JobOutcome};
use features::runs::model::{Child, EventKind};
use kernel::TrustMode;
use sandbox::confine::{PORTS, landlock_abi};
use sandbox::kill::SessionMark;
use serde_json::json;
use store::{Range, ReadExt as _};

use support::model::{Seen, Turn};
use support::office::Office;

/// Lets an agent run these in order; none achieves its aim. Returns their results.
async fn refused(
    office: &Office,
    ada: &Agent,
    commands: Vec<String>,
) -> Vec<(String, bool, String)> {
    let count = commands.len();
    for command in commands {
        office.model.push(Turn::call("exec", json!({ "command": command, "timeout": 20 })));
    }
    office.model.push(Turn::text("No way."));
    let run = office.say(ada, "Find a way out").await;
    // Each is waited for separately: there are many, and some slow the machine down.
    for n in 1..=u32::try_from(count).expect("a few") {
        let is_over = |kind: &EventKind| match kind {
            EventKind::ToolFinished { step, .. } => n <= *step,
            _ => false,
        };
        office.happened(run, is_over).await;
    }
    assert_eq!(office.ended(run).await.summary, "No way.");
    let results = office.results(run);
    assert_eq!(results.len(), count);
    for (_, ok, text) in &results {
        assert!(!ok && !text.contains("\nREACHED"), "{text}");
    }
    results
}

#[expect(clippy::print_stdout, reason = "a test that cannot run here says why")]
pub(super) fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// The jail prevents hard links to foreign files, hides the server's entries in `/proc`, and blocks its local socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_second_name_leads_a_program_to_what_is_not_its_own() {
    if landlock_abi() == 0 {
        skipped("no Landlock");
        return;
    }
    let office = Office::open().await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let data = office.hq.data().canonicalize().expect("a folder");
    let (data, server) = (data.display(), std::process::id());
    let connect = "use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; connect($s, \
        sockaddr_un($ARGV[0])) or die; print \"\\nREACHED\\n\"";
    let commands = [
        format!("ln {data}/master.key k && cat k && echo REACHED"),
        format!("ln {data}/workspaces/marlow-cargo/hq.redb db && echo REACHED"),
        format!("ln -s /proc/{server}/root{data}/master.key k && cat k && echo REACHED"),
        format!("cat /proc/{server}/root{data}/master.key && echo REACHED"),
        format!("cat /proc/{server}/maps && echo REACHED"),
        format!("mv {data}/master.key . && echo REACHED"),
        format!("perl -e '{connect}' {data}/hq.sock"),
        format!("HQ_DATA={data} {} agent list && echo REACHED", env!("CARGO_BIN_EXE_hq")),
    ];
    refused(&office, &ada, commands.into()).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_do_not_reach_what_is_not_theirs() {
    let _alone = support::BOMB.lock().await;
    let office = Office::open().await;
    // Without kernel support, a person must have accepted missing jails; everything else must still hold.
    let jailed = landlock_abi() > 0;
    office.settings(move |settings| settings.exec_without_jail = !jailed).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let data = office.hq.data().canonicalize().expect("a folder");
    let server = std::process::id();
    let mut commands = vec![
        format!("kill -9 {server} && echo REACHED"),
        format!("kill -TERM {server} && echo REACHED"),
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/22 && echo REACHED' 2>&1; bash -c 'exec 3<>/dev/udp/127.0.0.1/53 && echo REACHED'".to_owned(),
        format!("env | grep -v HQ_SHELL | grep -i hq_ && echo REACHED; cat /proc/{server}/environ && echo REACHED"),
        "bomb() { bomb | bomb & }; bomb; sleep 30; echo REACHED".to_owned(),
    ];
    if jailed {
        commands.push(format!("cat {}/master.key && echo REACHED", data.display()));
        commands.push("cat ../../../hq.redb && echo REACHED".to_owned());
        commands.push("ln -s /etc/shadow s && cat s && echo REACHED".to_owned());
        commands.push(format!("echo x > {}/out.txt && echo REACHED", data.display()));
        commands.push("echo x > ../out.txt && echo REACHED".to_owned());
        let data = data.display();
        commands.push(format!(
            "ln -s {data}/master.key $TMPDIR/key && cat $TMPDIR/key && echo REACHED"
        ));
        commands.push(format!(
            "ln -s {data} $TMPDIR/data && echo x > $TMPDIR/data/out.txt && echo REACHED"
        ));
    }
    let results = refused(&office, &ada, commands).await;
    assert!(results[4].2.contains("too many processes"), "{}", results[4].2);
    assert!(!std::fs::exists(data.join("out.txt")).unwrap());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_does_not_turn_its_output_or_its_mark_against_the_server() {
    let mut office = Office::open().await;
    let jailed = landlock_abi() > 0;
    office.settings(move |settings| settings.exec_without_jail = !jailed).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let data = office.hq.data().canonicalize().expect("a folder");
    let (key, big) = (data.join("master.key"), data.join("big.bin"));
    let before = std::fs::read(&key).expect("the key");
    std::fs::write(&big, vec![b'x'; 20 << 20]).expect("a large file of the server");
    let mut foreign = std::process::Command::new("setsid")
        .args(["sleep", "600"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("somebody else's program");
    let mark = SessionMark::of(foreign.id().cast_signed()).expect("it runs");
    let mark = serde_json::to_string(&mark).expect("a mark");
    let found = "out=$(readlink /proc/self/fd/2); job=$(dirname \"$out\")";
    let forged = format!("printf '%s' '{mark}' >");
    let commands = [
        // HQ would read the key as output.
        format!("{found}; echo \"out is $out\"; rm -f \"$out\"; ln -s {} \"$out\"", key.display()),
        format!("{found}; mv \"$out\" $TMPDIR/o; ln -s {} \"$out\"", key.display()),
        // HQ would truncate a foreign file.
        format!(
            "{found}; rm -f \"$out\"; ln -s {} \"$out\"; yes | head -c 17825792 >&2; sleep 60",
            big.display()
        ),
        // The next start would kill a foreign process.
        format!(
            "{found}; {forged} \"$job/session.json\"; mkdir -p \"$job-2\" $TMPDIR/jobs/job; \
             {forged} \"$job-2/session.json\"; {forged} $TMPDIR/jobs/job/session.json"
        ),
    ];
    for command in commands {
        office.model.push(Turn::call("exec", json!({ "command": command, "timeout": 20 })));
    }
    office.model.push(Turn::text("No way."));
    let run = office.say(&ada, "Find a way out").await;
    assert_eq!(office.ended(run).await.summary, "No way.");
    let results = office.results(run);
    assert!(results[0].2.contains("out is /"), "{}", results[0].2);
    let secret = String::from_utf8_lossy(&before).trim().to_owned();
    assert!(results.iter().all(|(_, _, text)| !text.contains(&secret)), "{results:?}");
    let cut = &results[2].2;
    assert!(cut.starts_with("[ended: too much output; "), "{}", &cut[..80]);
    assert!(cut.contains("\ny\ny\n"), "what it wrote until then is told");
    assert_eq!(std::fs::read(&key).expect("the key"), before);
    assert_eq!(std::fs::metadata(&big).expect("the file").len(), 20 << 20);
    let jobs = office.ws().jobs_folder();
    if jailed {
        assert_eq!(std::fs::read_dir(&jobs).expect("a folder").count(), 0, "all is cleared away");
        assert!(results[..2].iter().all(|(_, ok, _)| !ok), "no link was made: {results:?}");
    }
    // Even a marker in the right place does not name what HQ did not start.
    let job = jobs.join("forged");
    std::fs::create_dir_all(&job).expect("a folder");
    std::fs::write(job.join("session.json"), &mark).expect("a mark");
    office.hq.restart().await;
    // Nothing starts before leftovers are settled.
    office.model.push(Turn::text("Still here."));
    let run = office.say(&ada, "Are you there?").await;
    assert_eq!(office.ended(run).await.summary, "Still here.");
    assert!(foreign.try_wait().expect("a child").is_none(), "somebody else's program was ended");
    assert!(!job.exists(), "what belongs to no run is cleared away");
    foreign.kill().expect("it runs");
    foreign.wait().expect("a child");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_file_is_refused_before_it_is_read() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    office.model.push(Turn::call("exec", json!({ "command": "truncate -s 4G big.txt" })));
    office.model.push(
        Turn::call("write", json!({ "path": "big.txt", "content": "small" }))
            .and_call("edit", json!({ "path": "big.txt", "old": "a", "new": "b" }))
            .and_call("read", json!({ "path": "big.txt" })),
    );
    office.model.push(Turn::call("list", json!({})).and_call("search", json!({ "text": "a" })));
    office.model.push(Turn::text("Too large."));
    let run = office.say(&ada, "Fill the memory").await;
    assert_eq!(office.ended(run).await.summary, "Too large.");
    let results = office.results(run);
    assert!(results[0].1, "{results:?}");
    for (name, ok, text) in &results[1..4] {
        assert!(!ok && text.contains("has 4294967296 bytes"), "{name}: {text}");
    }
    assert!(results[4].1 && results[4].2.contains("big.txt (4294967296 bytes)"), "{results:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_is_closed_to_programs_until_it_is_switched_on() {
    let office = Office::open().await;
    let abi = landlock_abi();
    office.settings(move |settings| settings.exec_without_jail = abi == 0).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let open = |kind: &str, port: u16| {
        let command = format!("bash -c 'exec 3<>/dev/{kind}/127.0.0.1/{port} && echo REACHED'");
        Turn::call("exec", json!({ "command": command }))
    };
    for _ in 0..2 {
        office.model.push(open("udp", 9)).push(open("tcp", port)).push(Turn::text("Tried."));
    }
    let run = office.say(&ada, "Call home").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results.iter().all(|(_, ok, text)| !ok && !text.contains("\nREACHED")), "{results:?}");
    let changes = agents::Changes { network: Some(true), ..agents::Changes::default() };
    office.change(ada.id, changes).await;
    let run = office.say(&ada, "Try again").await;
    office.ended(run).await;
    let results = office.results(run);
    // If the kernel supports port rules, the proxy is the only way out.
    assert_eq!((results[0].1, results[1].1), (abi < PORTS, abi < PORTS), "{results:?}");
    office.hq.finish().await;
}

/// A parent that leaves a shell running and starts a sub-agent, which tries to control that shell.
fn lends_a_shell(seen: &Seen) -> Option<Turn> {
    let messages = seen.body["messages"].as_array()?;
    let step = messages.iter().filter(|message| message["role"] == "assistant").count();
    let process = |arguments: serde_json::Value| ("process", arguments);
    Some(match (seen.text().contains("[Subagent Task"), step) {
        (false, 0) => Turn::call("exec", json!({ "command": "sh", "background": true })),
        (false, 1) => Turn::call("subagent_spawn", json!({ "task": "Creep in" })),
        (false, 2) => Turn::call("subagent_wait", json!({})),
        (false, _) => Turn::text("Nobody came in."),
        (true, 0) => [
            process(json!({ "action": "list" })),
            process(json!({ "action": "write", "id": 1, "data": "echo x > reached.md\n" })),
            process(json!({ "action": "log", "id": 1 })),
            process(json!({ "action": "kill", "id": 1 })),
        ]
        .into_iter()
        .fold(Turn::text("I try."), |turn, (tool, arguments)| turn.and_call(tool, arguments)),
        (true, _) => Turn::text("No way."),
    })
}

/// A parent's program has more rights than the sub-agent, which therefore must not reach it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sub_agent_speaks_to_no_program_of_its_parent() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    office.model.answering(lends_a_shell);
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let run = office.say(&ada, "Lend it a shell").await;
    assert_eq!(office.ended(run).await.summary, "Nobody came in.");
    let below = office.all::<Child>().pop().expect("a sub-agent").run;
    let results = office.results(below);
    assert_eq!(results.len(), 4, "{results:?}");
    assert_eq!(results[0].2, "no programs");
    for (_, ok, text) in &results[1..] {
        assert!(!ok && text.contains("you have no program 1"), "{text}");
    }
    assert_eq!(office.file(&ada, "reached.md"), None);
    office.hq.finish().await;
}

/// Waits until a program has created a file in its agent's folder.
async fn begun(office: &Office, agent: &Agent, file: &str) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let end = Instant::now() + Duration::from_mins(1);
    while office.file(agent, file).is_none() {
        assert!(Instant::now() < end, "{file} was not made");
        tick.tick().await;
    }
}

/// A running program may hold resources that are not checked again, so it ends when the right is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_runs_ends_with_the_right_to_run_it() {
    let office = Office::open().await;
    let jailed = landlock_abi() > 0;
    office.settings(move |settings| settings.exec_without_jail = !jailed).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let with = |network: Option<bool>, exec: Option<bool>| agents::Changes {
        network,
        exec,
        ..agents::Changes::default()
    };
    let left = json!({ "command": "sleep 600", "background": true });
    let stopped = async |number: u32| {
        let ended = office
            .until("its end", |snap| {
                let jobs: Vec<Job> = snap.list(&Range::all())?;
                Ok(jobs.into_iter().find(|job| job.number == number && !job.is_running()))
            })
            .await;
        assert_eq!(ended.outcome, Some(JobOutcome::Stopped));
    };
    let leave = async || {
        office.model.push(Turn::call("exec", left.clone())).push(Turn::text("It runs."));
        let run = office.say(&ada, "Leave it running").await;
        office.ended(run).await;
        assert!(office.results(run)[0].2.starts_with("[running as program "));
    };
    office.model.usually(Turn::text("So be it."));

    // With network access it ends when that is revoked; without, it is unaffected.
    leave().await;
    office.change(ada.id, with(Some(true), None)).await;
    leave().await;
    office.change(ada.id, with(Some(false), None)).await;
    stopped(2).await;
    assert!(office.all::<Job>().iter().any(|job| job.number == 1 && job.is_running()));
    office.trust(ada.id, TrustMode::Locked).await;
    stopped(1).await;

    // Also while its agent waits for it. Ada may be working again meanwhile, since her programs have ended.
    let bo = office.agent_with("Bo", |new| new.exec = true).await;
    office.model.answering(|seen: &Seen| {
        let text = seen.text();
        let waits = json!({ "command": "touch waiting; sleep 600", "yieldMs": 120_000 });
        let is_asked = text.contains("Wait for it") && !text.contains("touch waiting");
        is_asked.then(|| Turn::call("exec", waits))
    });
    let run = office.say(&bo, "Wait for it").await;
    begun(&office, &bo, "waiting").await;
    office.change(bo.id, with(None, Some(false))).await;
    office.ended(run).await;
    let told = office.results(run).remove(0).2;
    assert!(told.contains("stopped"), "{told}");
    office.hq.finish().await;
}
