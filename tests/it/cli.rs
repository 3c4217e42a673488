//! Commands of the real program on a folder of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use support::browse::Browser;
use support::program::{Program, command, run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");

fn hq(data: &Path, arguments: &[&str]) -> Output {
    run(Path::new(BINARY), data, arguments)
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_program_takes_memory_in_small_pieces() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = Program::start(Path::new(BINARY), folder.path());
    let status = format!("/proc/{}/status", program.id());
    let status = std::fs::read_to_string(status).expect("the process is there");
    // A kernel without this line has no such pages.
    let huge = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert!(huge.is_none_or(|said| said.trim() == "0"), "{huge:?}");
    program.kill();
}

#[test]
fn what_a_browser_lacks_is_told_without_a_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut doctor = command(Path::new(BINARY), folder.path(), &["browser", "doctor"]);
    let told = doctor.env("HQ_CHROMIUM", "/nowhere/chromium").output().expect("it runs");
    let text = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "{text}");
    let program = text.lines().find(|line| line.contains("/nowhere/chromium")).expect("a line");
    assert!(
        program.starts_with("MISSING") && program.contains("install Debian's package"),
        "{text}"
    );
    for name in ["folder", "fonts", "jail", "shared memory", "own sandbox", "user"] {
        assert!(text.lines().any(|line| line.contains(name)), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_asks_the_running_program_and_works_alone_when_it_is_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (binary, data) = (Path::new(BINARY), folder.path());
    let mut program = Program::start(binary, data);
    let link = program.setup_link();
    let status = run_json(binary, data, &["status"]);
    assert_eq!(status["pid"], program.id());
    assert_eq!((&status["setup_required"], &status["url"]), (&true.into(), &program.url().into()));
    assert_eq!(hq(data, &["healthcheck"]).status.code(), Some(0));
    let early = hq(data, &["token", "create", "--name", "x"]);
    assert_eq!(early.status.code(), Some(1));
    assert!(says(&early).contains("has no owner yet"), "{}", says(&early));

    // A new link replaces the printed one.
    let fresh = run_json(binary, data, &["user", "reset-link"]);
    let fresh = fresh["link"].as_str().expect("a link");
    assert!(fresh.starts_with(&format!("{}/setup?token=", program.url())));
    let person = Browser::new(program.url());
    assert_eq!(person.open(&link).await.status, 410);
    person.set_up(fresh).await;

    let made =
        run_json(binary, data, &["token", "create", "--name", "x", "--scopes", "read,write"]);
    assert_eq!(made["scopes"], serde_json::json!(["read", "write"]));
    let token = made["token"].as_str().expect("a token").to_owned();
    let me = reqwest::Client::new().get(format!("{}/api/v1/me", program.url()));
    let me = me.bearer_auth(&token).send().await.expect("an answer");
    assert_eq!(me.status(), 200);
    let reset = run_json(binary, data, &["user", "reset-link", "Mira@Marlow.example"]);
    assert_eq!(reset["email"], "mira@marlow.example");
    assert!(reset["link"].as_str().is_some_and(|link| link.contains("/reset?token=")));
    let nobody = hq(data, &["user", "reset-link", "eve@x.example"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(says(&nobody).contains("there is no account eve@x.example"));
    // The only owner's account cannot be disabled; a disabled account cannot create anything.
    let refused = hq(data, &["user", "disable", "mira@marlow.example"]);
    assert!(says(&refused).contains("would have no owner"), "{}", says(&refused));
    let all = run_json(binary, data, &["user", "list"]);
    assert_eq!(all[0]["places"][0]["role"], "owner", "{all}");
    let status = hq(data, &["status"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("Runtime: running") && text.contains("Marlow Cargo"), "{text}");
    assert!(program.stop().success());

    let stopped = hq(data, &["status"]);
    assert_eq!(stopped.status.code(), Some(3));
    assert!(says(&stopped).contains("isn't running"), "{}", says(&stopped));
    assert_eq!(hq(data, &["healthcheck"]).status.code(), Some(1));
    let made = run_json(binary, data, &["token", "create", "--name", "alone"]);
    let alone = made["token"].as_str().expect("a token").to_owned();
    let program = Program::start(binary, data);
    for token in [&token, &alone] {
        let me = reqwest::Client::new().get(format!("{}/api/v1/me", program.url()));
        assert_eq!(me.bearer_auth(token).send().await.expect("an answer").status(), 200);
    }
}

#[test]
fn a_second_server_on_a_folder_is_told_who_has_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = Program::start(Path::new(BINARY), folder.path());
    let second = hq(folder.path(), &["serve"]);
    assert_eq!(second.status.code(), Some(2));
    let text = says(&second);
    assert!(text.contains(&format!("in use by process {}", first.id())), "{text}");
    assert!(first.stop().success());
}

#[test]
fn the_data_folder_is_closed_to_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("new");
    let program = Program::start(Path::new(BINARY), &data);
    let mode =
        |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["hq.sock", "lock", "master.key", "system.redb"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    assert!(program.stop().success());
    assert!(!data.join("hq.sock").exists());
}

#[test]
fn a_folder_with_a_long_path_has_a_socket_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("a".repeat(60)).join("b".repeat(60));
    std::fs::create_dir_all(&data).expect("a folder");
    let program = Program::start(Path::new(BINARY), &data);
    let status = run_json(Path::new(BINARY), &data, &["status"]);
    assert_eq!(status["pid"], program.id());
}

#[test]
fn settings_are_shown_with_their_source_and_mistakes_stop_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hq.toml"), "[limits]\napi_burst = 7\n").expect("a file");
    let shown = run_json(Path::new(BINARY), folder.path(), &["config"]);
    let source = |name: &str| {
        let all = shown["settings"].as_array().expect("a list");
        let found = all.iter().find(|one| one["name"] == name).expect("a setting");
        found["source"].as_str().expect("a source").to_owned()
    };
    assert_eq!(source("data"), "environment");
    assert_eq!(source("limits.api_burst"), "file");
    assert_eq!(source("public_url"), "default");

    let mut wrong = command(Path::new(BINARY), folder.path(), &["serve"]);
    let output = wrong.env("HQ_LISEN", "x").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(says(&output).contains("did you mean HQ_LISTEN?"), "{}", says(&output));
    assert_eq!(hq(folder.path(), &["nonsense"]).status.code(), Some(2));
    let absent = hq(&folder.path().join("absent"), &["status"]);
    assert_eq!(absent.status.code(), Some(2));
    assert!(says(&absent).contains("there is no data folder"));
}

#[test]
fn a_wide_address_without_an_owner_is_refused() {
    if ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists()) {
        // In a container, the port is published externally.
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut wide = command(Path::new(BINARY), folder.path(), &["serve"]);
    let output = wide.env("HQ_LISTEN", "0.0.0.0:0").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(says(&output).contains("without an owner"), "{}", says(&output));
}

#[test]
fn the_doctor_tries_the_sandbox_and_says_what_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A relative folder, as in `make run`, and a missing one.
    let mut doctor = command(Path::new(BINARY), Path::new("data"), &["doctor", "sandbox"]);
    let output =
        doctor.arg("--json").current_dir(folder.path()).output().expect("the program starts");
    assert!(!folder.path().join("data").exists(), "nothing is left behind");
    let posture: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("one JSON value on standard output");
    assert!(posture["lines"].as_array().is_some_and(|lines| !lines.is_empty()));
    let can = sandbox::confine::landlock_abi() > 0;
    assert_eq!(posture["overall"] != "none", can, "{posture}");
    assert_eq!(posture["starts"], can, "{posture}");
    let lines = posture["lines"].as_array().expect("lines");
    assert!(!can || lines.iter().all(|line| line["verdict"] != "broken"), "{posture}");
    assert_eq!(output.status.code(), Some(i32::from(!can)), "{posture}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_another_machine_is_asked_with_a_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (binary, data) = (Path::new(BINARY), folder.path());
    let mut program = Program::start(binary, data);
    Browser::new(program.url()).set_up(&program.setup_link()).await;
    let made = run_json(binary, data, &["token", "create", "--name", "x", "--scopes", "read"]);
    let (url, token) = (program.url().to_owned(), made["token"].as_str().expect("a token"));
    let file = data.join("token");
    std::fs::write(&file, format!("{token}\n")).expect("a file");

    // A folder without a program: the server is elsewhere.
    let other = tempfile::tempdir().expect("another folder");
    let file = file.to_str().expect("a plain path");
    let with = ["status", "--url", &url, "--token-file", file];
    let status = run_json(binary, other.path(), &with);
    assert_eq!(status["workspace"]["slug"], "marlow-cargo");
    assert_eq!(hq(other.path(), &["status"]).status.code(), Some(3));
    let mut by_variable = command(binary, other.path(), &["healthcheck"]);
    let by_variable = by_variable.env("HQ_URL", &url).env("HQ_TOKEN", token).output();
    assert_eq!(by_variable.expect("it starts").status.code(), Some(0));

    let wrong = hq(other.path(), &["status", "--url", &url, "--token", "hq_pat_wrong"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(says(&wrong).contains("token is unknown"), "{}", says(&wrong));
    let without = hq(other.path(), &["status", "--url", &url]);
    assert_eq!(without.status.code(), Some(2));
    let here = hq(other.path(), &["token", "create", "--name", "y", "--url", &url, "--token", "t"]);
    assert_eq!(here.status.code(), Some(2));
    assert!(says(&here).contains("on the machine itself"), "{}", says(&here));
    assert!(program.stop().success());
    let gone = hq(other.path(), &["status", "--url", &url, "--token", token]);
    assert_eq!(gone.status.code(), Some(3), "{}", says(&gone));
    assert!(!says(&gone).contains(token));

    // Another program responds there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let other_program = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let _ = stream.read(&mut [0; 4096]).expect("a request");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        stream.write_all(answer).expect("an answer");
    });
    let unknown = hq(other.path(), &["status", "--url", &address, "--token", "hq_pat_x"]);
    other_program.join().expect("it answered");
    assert_eq!(unknown.status.code(), Some(2), "{}", says(&unknown));
    assert!(
        says(&unknown).contains(&format!("{address} isn't an HQ server")),
        "{}",
        says(&unknown)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workspaces_are_added_archived_deleted_and_moved_from_the_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (binary, data) = (Path::new(BINARY), folder.path());
    let mut program = Program::start(binary, data);
    let link = program.setup_link();
    Browser::new(program.url()).set_up(&link).await;
    let states = || {
        let all = run_json(binary, data, &["workspace", "list"]);
        let all = all.as_array().expect("a list").clone();
        let word = |one: &serde_json::Value, key| one[key].as_str().unwrap_or("").to_owned();
        all.iter().map(|one| (word(one, "slug"), word(one, "state"))).collect::<Vec<_>>()
    };
    let pair = |slug: &str, state: &str| (slug.to_owned(), state.to_owned());
    assert!(hq(data, &["workspace", "add", "Northwind", "--zone", "Europe/Oslo"]).status.success());
    assert_eq!(states(), [pair("marlow-cargo", "active"), pair("northwind", "active")]);
    for which in [&["audit", "verify"], &["agent", "list"]] {
        let unnamed = hq(data, which);
        assert!(says(&unnamed).contains("--workspace"), "{}", says(&unnamed));
    }
    let verify = says(&hq(data, &["audit", "verify"]));
    assert!(verify.contains("marlow-cargo") && verify.contains("northwind"), "{verify}");
    for (list, none) in [
        (["agent", "list"], "No agents yet"),
        (["runs", "list"], "No runs"),
        (["models", "status"], "No connection"),
        (["prices", "list"], "No price"),
        (["routine", "list"], "No routines yet"),
    ] {
        let said = hq(data, &[&list[..], &["--workspace", "northwind"]].concat());
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.starts_with(none), "{list:?}: {said}");
    }
    let again = hq(data, &["workspace", "add", "Northwind"]);
    assert!(says(&again).contains("choose another name"), "{}", says(&again));
    for name in ["North & Wind", "Northwind"] {
        let said = hq(data, &["workspace", "rename", "northwind", name]);
        assert!(said.status.success(), "{}", says(&said));
        let all = run_json(binary, data, &["workspace", "list"]);
        assert_eq!((&all[1]["slug"], &all[1]["name"]), (&"northwind".into(), &name.into()));
    }
    let nameless = hq(data, &["workspace", "rename", "northwind", " "]);
    assert_eq!(nameless.status.code(), Some(1), "{}", says(&nameless));
    assert!(hq(data, &["workspace", "archive", "northwind"]).status.success());
    assert_eq!(states()[1], pair("northwind", "archived"));
    assert!(program.stop().success());

    // The same with the program stopped.
    assert!(hq(data, &["workspace", "restore", "northwind"]).status.success());
    let unsure = hq(data, &["workspace", "delete", "northwind"]);
    assert_eq!(unsure.status.code(), Some(1));
    assert!(says(&unsure).contains("type the name"), "{}", says(&unsure));
    let sure = hq(data, &["workspace", "delete", "northwind", "--name", "Northwind"]);
    assert!(sure.status.success(), "{}", says(&sure));
    assert_eq!(states()[1], pair("northwind", "deleting"));
    let away = data.join("away");
    let away = away.to_str().expect("plain text");
    assert!(hq(data, &["workspace", "move", "northwind", away]).status.success());
    assert_eq!(states(), [pair("marlow-cargo", "active")]);
    assert!(Path::new(away).join("hq.redb").is_file());
    let unknown = hq(data, &["workspace", "archive", "northwind"]);
    assert!(says(&unknown).contains("hq workspace list"), "{}", says(&unknown));
}
