//! Edge cases of the server: slow clients, rights on the local socket, duties of a container's first process, log of
//! failed sign-ins.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::confine::landlock_abi;
use sandbox::policy::Policy;
use sandbox::procfs;
use sandbox::spawn::{self, Output, Spawner};
use server::listen::Patience;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::browse::Browser;
use support::hq::{OWNER, Setup, TestHq};
use support::program::{Program, command};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");

/// Sends these bytes and nothing more, and reads until the server closes the connection.
async fn send_and_wait(hq: &TestHq, text: &str) -> String {
    let mut stream = TcpStream::connect(hq.running().address).await.expect("it listens");
    // The server may close before it has read everything.
    stream.write_all(text.as_bytes()).await.ok();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    read.await.expect("the server hangs up").ok();
    String::from_utf8(answer).expect("text")
}

fn head(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused_in_the_form_that_was_asked_for() {
    let body = Duration::from_millis(30);
    let hq = Setup::default().patience(Patience { body, ..Patience::default() }).start().await;
    let token = hq.api().await.header("authorization");
    let json = format!("Authorization: {token}\r\nContent-Type: application/json\r\n");

    // Forty bytes are announced, fewer are sent.
    let half = format!("{json}Content-Length: 40\r\n");
    for path in ["/api/v1/tasks", "/api/v1/agents"] {
        let answer = send_and_wait(&hq, &format!("{}{{\"ti", head("POST", path, &half))).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(answer.contains("\"code\":\"body_timeout\""), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    let keyed = format!("{half}Idempotency-Key: k1\r\n");
    let answer = send_and_wait(&hq, &format!("{}{{", head("POST", "/api/v1/tasks", &keyed))).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");

    let openai = send_and_wait(&hq, &head("POST", "/v1/chat/completions", &half)).await;
    assert!(openai.starts_with("HTTP/1.1 408 "), "{openai}");
    assert!(openai.contains("\"error\":{"), "{openai}");

    let form = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n";
    let page = send_and_wait(&hq, &format!("{}3\r\nema\r\n", head("POST", "/login", form))).await;
    assert!(page.starts_with("HTTP/1.1 408 "), "{page}");
    assert!(page.contains("<h1") && page.contains("did not arrive within"), "{page}");
    hq.finish().await;
}

#[tokio::test]
async fn a_request_names_its_host() {
    let hq = Setup::default().unowned().await;
    for (version, host, status, says) in [
        ("1.1", "", "400", "no Host header"),
        ("1.1", "Host: a.test:1.evil\r\n", "400", "name one host"),
        ("1.1", "Host: evil.example\r\n", "421", "HQ_PUBLIC_URL"),
        // Only HTTP/1.1 requires the host.
        ("1.0", "", "421", "HQ_PUBLIC_URL"),
    ] {
        let head = format!("GET /api/v1/tasks HTTP/{version}\r\n{host}Connection: close\r\n\r\n");
        let answer = send_and_wait(&hq, &head).await;
        let told = answer.split_whitespace().nth(1);
        assert_eq!(told, Some(status), "{version} {host}: {answer}");
        assert!(answer.contains(says), "{answer}");
    }
    hq.finish().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_hung_up_on() {
    let head_within = Duration::from_millis(30);
    let patience = Patience { head: head_within, ..Patience::default() };
    let hq = Setup::default().patience(patience).unowned().await;
    assert_eq!(send_and_wait(&hq, "").await, "");
    let half = send_and_wait(&hq, "GET /healthz HTTP/1.1\r\nHost: loc").await;
    assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "{half}");
    let asked = head("GET", "/healthz", "");
    let idle = send_and_wait(&hq, &asked).await;
    assert_eq!(idle.matches("HTTP/1.1 200").count(), 1, "one answer, then the end: {idle}");
    hq.finish().await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let hq = Setup::default().unowned().await;
    let long = format!("X-Long: {}\r\n", "x".repeat(40 * 1024));
    let answer = send_and_wait(&hq, &head("GET", "/healthz", &long)).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    hq.finish().await;
}

/// Requests HQ's status through the local socket and prints the first line of the response.
const ASK: &str = "use Socket; $SIG{PIPE} = 'IGNORE'; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die \"socket: $!\"; \
    connect($s, pack_sockaddr_un($ARGV[0])) or die \"connect: $!\"; \
    send($s, \"GET /local/status HTTP/1.1\\r\\nHost: hq\\r\\nConnection: close\\r\\n\\r\\n\", 0); \
    print 'answer: ', scalar(readline($s));";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_socket_answers_its_user_and_no_program_of_an_agent() {
    let hq = TestHq::start().await;
    let socket = hq.data().join("hq.sock");
    let free = Command::new("perl").args(["-e", ASK]).arg(&socket).output().expect("perl runs");
    let free = String::from_utf8_lossy(&free.stdout).into_owned();
    assert!(free.starts_with("answer: HTTP/1.1 200"), "{free}");
    if landlock_abi() == 0 {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a real path");
    let mut policy = Policy::for_agent(&root, &root, &hq.data());
    // As for a browser on a kernel that cannot restrict sockets by path.
    policy.unix_sockets = true;
    policy.landlock_ceiling = Some(landlock_abi().min(8));
    let mut jailed = spawn::Command::new("perl", policy);
    jailed.args = ["-e".into(), ASK.into(), socket.into_os_string()].into();
    jailed.env = spawn::Command::base_env(&root, &root);
    let told = root.join("told");
    (jailed.stdout, jailed.stderr) = (Output::File(told.clone()), Output::File(told.clone()));
    let spawner = Spawner::new(BINARY.into()).expect("a spawner");
    spawner.spawn(jailed).await.expect("perl starts").job.wait().await;
    let told = std::fs::read_to_string(told).expect("its words");
    assert!(
        told.contains("answer: ") && !told.contains("HTTP"),
        "it connects and is refused: {told}"
    );
    hq.finish().await;
}

/// Makes itself the subreaper, leaves two orphans behind that live until their input ends (one with its own session),
/// prints their PIDs and executes the program.
const ADOPTING: &str = "\
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
ours, theirs = os.pipe()
child = os.fork()
if child == 0:
    os.setsid()
    for own_session in (False, True):
        orphan = os.fork()
        if orphan == 0:
            if own_session:
                os.setsid()
            os.close(theirs)
            os.close(1)
            os.close(2)
            sys.stdin.read()
            os._exit(0)
        os.write(theirs, f'{orphan} '.encode())
    os._exit(0)
os.waitpid(child, 0)
print('orphans', os.read(ours, 40).decode(), flush=True)
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn an_orphan_that_becomes_a_child_of_hq_is_collected() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = command(Path::new(BINARY), folder.path(), &["serve"]);
    let mut adopting = Command::new("python3");
    adopting.args(["-c", ADOPTING, BINARY, "serve"]);
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => adopting.env(name, value),
            None => adopting.env_remove(name),
        };
    }
    let program = Program::start_with(&mut adopting);
    let orphans = program.said("orphans ");
    let orphans: Vec<i32> =
        orphans.split_whitespace().map(|one| one.parse().expect("a number")).collect();
    assert_eq!(orphans.len(), 2);
    // Their input is empty, so they have ended or soon will: then they have to be reaped.
    let begun = Instant::now();
    for orphan in orphans {
        while let Ok(found) = procfs::stat(orphan) {
            // While it is being reaped it has no parent any more.
            let parents = [0, i32::try_from(program.id()).expect("a process number")];
            assert!(parents.contains(&found.parent), "{found:?}");
            assert!(begun.elapsed() < Duration::from_secs(20), "never collected: {found:?}");
            std::thread::yield_now();
        }
    }
    assert!(program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_sign_ins_are_logged_without_what_was_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = Program::start(Path::new(BINARY), folder.path());
    let person = Browser::new(program.url());
    person.set_up(&program.setup_link()).await;
    let stranger = Browser::new(program.url());
    for (email, password) in [(OWNER.1, "a guess at it"), ("my secret in the wrong box", "x")] {
        let form = stranger.open("/login").await.form("Sign in");
        let reply = stranger.submit(form.fill("Email", email).fill("Password", password)).await;
        assert_eq!(reply.status, 422);
    }
    let token = reqwest::Client::new().get(format!("{}/api/v1/me", program.url()));
    let refused = token.bearer_auth("hq_pat_abc_guessed").send().await.expect("an answer");
    assert_eq!(refused.status(), 401);
    let log = program.log_with("a token was refused");
    let failed: Vec<_> = log.lines().filter(|line| line.contains("a sign-in failed")).collect();
    assert_eq!(failed.len(), 2, "{log}");
    assert!(failed.iter().all(|line| line.contains("WARN") && line.contains("127.0.0.1")), "{log}");
    assert!(failed[1].contains("unknown") && !failed[0].contains("unknown"), "{log}");
    for typed in [OWNER.1, "a guess at it", "my secret", "guessed"] {
        assert!(!log.contains(typed), "`{typed}` is in the log:\n{log}");
    }
}
