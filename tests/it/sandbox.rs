//! Hostile programs in the jail. Each test creates a data folder with a key and two agents and starts real programs
//! through the binary. Perl (part of every Debian) makes system calls that a shell cannot.

#![expect(clippy::print_stderr, reason = "a test that cannot run here says why")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sandbox::confine::landlock_abi;
use sandbox::job::{JobEnd, Outcome};
use sandbox::kill::SessionMark;
use sandbox::policy::{Network, Policy, WithoutLandlock};
use sandbox::posture::{Overall, Posture, SelfTest, Verdict};
use sandbox::spawn::{Command, Input, Output, Spawner, Started};
use tempfile::TempDir;

mod ahead; // the prestarted helper
mod apart; // network namespaces
mod attacks; // former escapes
mod ends; // ends of programs
mod groups; // control groups

/// Standard input and names of environment variables, as printed by tests of both.
const GIVEN: &str = "input GIT_CONFIG_COUNT GIT_CONFIG_KEY_0 GIT_CONFIG_KEY_1 GIT_CONFIG_VALUE_0 \
    GIT_CONFIG_VALUE_1 GREETING HOME HQ_SHELL LANG PATH PWD TMPDIR";

struct Host {
    dir: TempDir,
    spawner: Spawner,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Self { spawner: Spawner::new(env!("CARGO_BIN_EXE_hq").into()).unwrap(), dir };
        for folder in ["agents/ada/sub", "agents/bob", "jobs", "tmp"] {
            fs::create_dir_all(host.path(folder)).unwrap();
        }
        fs::write(host.path("master.key"), "the key itself").unwrap();
        fs::write(host.path("agents/bob/notes.md"), "bob's notes").unwrap();
        host
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(relative)
    }

    fn policy(&self) -> Policy {
        Policy::for_agent(&self.path("agents/ada"), &self.path("tmp"), &self.path(""))
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program, self.policy());
        command.args = args.iter().map(Into::into).collect();
        command.env = Command::base_env(&self.path("agents/ada"), &self.path("tmp"));
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let file = self.path("jobs").join(name);
        command.stdout = Output::File(file.clone());
        command.stderr = Output::File(file);
        command.timeout = Some(Duration::from_secs(60));
        command
    }

    fn sh(&self, script: &str) -> Command {
        self.command("sh", &["-c", script])
    }

    fn run(&self, command: Command) -> Ran {
        let Output::File(file) = command.stdout.clone() else { panic!("no output file") };
        let end = self.spawner.spawn_blocking(command).unwrap().job.wait_blocking();
        Ran { output: fs::read_to_string(file).unwrap(), end }
    }

    fn self_test(&self, ceiling: Option<u8>, without: WithoutLandlock) -> Posture {
        SelfTest {
            data: self.path(""),
            master_key: Some(self.path("master.key")),
            without_landlock: without,
            landlock_ceiling: ceiling,
        }
        .run(&self.spawner)
        .unwrap()
    }
}

struct Ran {
    output: String,
    end: JobEnd,
}

impl Ran {
    fn code(&self) -> i32 {
        match self.end.outcome {
            Outcome::Code(code) => code,
            Outcome::Signal(signal) => panic!("signal {signal}: {}", self.output),
        }
    }
}

/// Landlock depends on the host; its absence is reported.
fn without_landlock(needed: u8) -> bool {
    let abi = landlock_abi();
    if abi < needed {
        eprintln!("skipped: needs Landlock ABI {needed}, this kernel has {abi}");
    }
    abi < needed
}

fn living(mark: &SessionMark) -> usize {
    mark.members().len()
}

/// Polls `/proc`, which has no events, until a condition holds; fails after twenty seconds.
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_program_works_in_its_own_folder() {
    let host = Host::new();
    let ran = host.run(
        host.sh("echo hello > sub/a && cat sub/a && cp sub/a \"$TMPDIR/b\" && chmod +x sub/a && \
         mv sub/a c && rm c && pwd && echo out >> /dev/stdout && echo gone > /dev/null"),
    );
    assert_eq!(ran.code(), 0, "{}", ran.output);
    assert!(ran.end.is_success());
    assert_eq!(ran.output, format!("hello\n{}\nout\n", host.path("agents/ada").display()));
}

#[test]
fn a_program_reads_what_it_is_given_and_gets_no_inherited_environment() {
    let host = Host::new();
    let mut command = host.sh("cat; env | sort | cut -d= -f1 | tr '\\n' ' '");
    command.stdin = Input::Bytes(b"input ".to_vec());
    command.env.push(("GREETING".into(), "hi".into()));
    let ran = host.run(command);
    assert_eq!(ran.output.trim_end(), GIVEN);
}

#[test]
fn a_commit_says_nothing_of_a_session_that_it_may_not_begin() {
    let host = Host::new();
    let ran = host.run(host.sh(
        "git init -q repo && cd repo && git config user.name Ada && git config user.email ada@hq.example && \
         echo one > file && git add file && git commit -q -m one",
    ));
    assert_eq!((ran.code(), ran.output.as_str()), (0, ""));
}

#[test]
fn the_program_of_a_pipe_can_be_talked_to() {
    let host = Host::new();
    let mut command = host.sh("read line; echo \"you said $line\"");
    command.stdin = Input::Pipe;
    command.stdout = Output::Pipe;
    let Started { job, stdin, stdout, .. } = host.spawner.spawn_blocking(command).unwrap();
    stdin.unwrap().write_all(b"hello\n").unwrap();
    let mut answer = String::new();
    stdout.unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "you said hello\n");
    assert!(job.wait_blocking().is_success());
}

#[tokio::test]
async fn waiting_for_a_program_can_be_given_up_and_taken_up_again() {
    let host = Host::new();
    let mut command = host.sh("read line; exit 7");
    command.stdin = Input::Pipe;
    let Started { job, stdin, .. } = host.spawner.spawn(command).await.unwrap();
    assert_eq!(job.wait_for(Duration::from_millis(20)).await, None);
    assert_eq!(host.spawner.jobs().len(), 1);
    drop(stdin);
    assert_eq!(job.wait().await.outcome, Outcome::Code(7));
    assert_eq!(job.end().unwrap().outcome, Outcome::Code(7));
}

#[test]
fn the_exit_code_tells_a_missing_program_from_a_failed_jail() {
    let host = Host::new();
    assert_eq!(host.run(host.command("no-such-program", &[])).code(), 127);
    fs::write(host.path("agents/ada/plain.txt"), "no program").unwrap();
    assert_eq!(host.run(host.command("./plain.txt", &[])).code(), 126);
    assert_eq!(host.run(host.sh("exit 3")).code(), 3);

    let mut command = host.sh("echo started");
    command.policy.writable.push(host.path("gone"));
    let ran = host.run(command);
    assert_eq!(ran.code(), 125);
    assert!(ran.end.not_started.unwrap().contains("cannot be opened"));
    assert!(!ran.output.contains("started\n"));

    // Exit code 125 of the program itself is passed on.
    assert_eq!(host.run(host.sh("echo hq; exit 125")).end.not_started, None);
}

#[test]
fn a_variable_that_acts_on_the_helper_is_refused() {
    let host = Host::new();
    let mut command = host.sh("true");
    command.env.push(("LD_PRELOAD".into(), host.path("agents/ada/evil.so").into()));
    assert!(host.spawner.spawn_blocking(command).is_err());
}

#[test]
fn no_way_leads_out_of_the_folder() {
    if without_landlock(1) {
        return;
    }
    let host = Host::new();
    let root = host.path("");
    symlink(host.path("master.key"), host.path("agents/ada/link")).unwrap();
    symlink(host.path("agents"), host.path("agents/ada/agents")).unwrap();
    let (data, server) = (root.display(), std::process::id());
    for way in [
        "cat ../../master.key".to_owned(),
        format!("cat {data}/master.key"),
        "cat link".into(),
        "cat agents/bob/notes.md".into(),
        "ls ../bob".into(),
        "ls ../..".into(),
        format!("cat /proc/self/root{data}/master.key"),
        "cat /proc/self/cwd/../../master.key".into(),
        format!("cat /proc/{server}/root{data}/master.key"),
        format!("cat /proc/{server}/environ"),
        format!("readlink /proc/{server}/fd/0 /proc/{server}/exe /proc/{server}/cwd"),
        format!("cat /proc/{server}/maps"),
        "cat /etc/shadow".into(),
        "ln ../../master.key stolen && cat stolen".into(),
        "mv ../bob/notes.md .".into(),
        "cd ../bob && cat notes.md".into(),
    ] {
        let ran = host.run(host.sh(&way));
        assert_ne!(ran.code(), 0, "{way} worked: {}", ran.output);
        assert!(!ran.output.contains("the key") && !ran.output.contains("bob's"), "{way}");
    }
}

#[test]
fn nothing_outside_is_written_removed_or_truncated() {
    if without_landlock(3) {
        return;
    }
    let host = Host::new();
    symlink(host.path("agents/bob"), host.path("agents/ada/bob")).unwrap();
    for way in [
        "echo x > ../bob/new",
        "echo x > bob/new",
        "echo x >> ../../master.key",
        ": > ../../master.key",
        "rm ../bob/notes.md",
        "mkdir ../eve",
        "rmdir ../../jobs",
        "mv c ../bob/c",
        "ln -s / ../bob/root",
        "mkfifo ../bob/pipe",
        "echo x > /tmp/hq-jail-test-outside",
        "echo x > /usr/hq-jail-test-outside",
        "echo 1 > /proc/self/oom_score_adj",
    ] {
        fs::write(host.path("agents/ada/c"), "c").unwrap();
        let ran = host.run(host.sh(way));
        assert_ne!(ran.code(), 0, "{way} worked: {}", ran.output);
    }
    assert_eq!(fs::read_to_string(host.path("master.key")).unwrap(), "the key itself");
    assert_eq!(fs::read_dir(host.path("agents/bob")).unwrap().count(), 1);
}

#[test]
fn a_data_folder_below_a_readable_one_stays_unreadable() {
    if without_landlock(1) {
        return;
    }
    let host = Host::new();
    let shared = tempfile::tempdir().unwrap();
    let shared = shared.path().canonicalize().unwrap();
    fs::create_dir_all(shared.join("data")).unwrap();
    fs::create_dir_all(shared.join("tools")).unwrap();
    fs::write(shared.join("data/key"), "hidden").unwrap();
    fs::write(shared.join("tools/readme"), "public").unwrap();
    let mut command = host
        .command("sh", &["-c", "cat $1/tools/readme $1/data/key", "-", shared.to_str().unwrap()]);
    command.policy.readable.push(shared.clone());
    command.policy.concealed.push(shared.join("data"));
    let ran = host.run(command);
    assert!(ran.output.starts_with("public"), "{}", ran.output);
    assert!(!ran.output.contains("hidden"));
}

#[test]
fn without_network_no_socket_is_opened() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let tcp = "use IO::Socket::INET; IO::Socket::INET->new(PeerAddr => \"127.0.0.1:$ARGV[0]\") \
               or die \"tcp: $!\\n\"";
    let udp = "use Socket; socket(my $s, PF_INET, SOCK_DGRAM, 0) or die \"udp: $!\\n\"";
    let six = "use Socket; socket(my $s, PF_INET6, SOCK_STREAM, 0) or die \"six: $!\\n\"";
    let unix = "use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die \"unix: $!\\n\"";
    let packet = "use Socket; socket(my $s, 17, SOCK_RAW, 0) or die \"packet: $!\\n\"";
    for script in [tcp, udp, six, unix, packet] {
        let ran = host.run(host.command(perl, &["-e", script, &port]));
        assert_ne!(ran.code(), 0, "{script} worked");
        assert!(ran.output.contains("not permitted"), "{}", ran.output);
    }
    let pair = "use Socket; socketpair(my $a, my $b, PF_UNIX, SOCK_STREAM, 0) or die \"$!\\n\"";
    assert_eq!(host.run(host.command(perl, &["-e", pair])).code(), 0);
}

#[test]
fn with_network_only_the_named_ports_are_reached_and_raw_sockets_stay_closed() {
    if without_landlock(4) {
        return;
    }
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = "use IO::Socket::INET; IO::Socket::INET->new(PeerAddr => \"127.0.0.1:$ARGV[0]\") \
                   or die \"tcp: $!\\n\"";
    let mut allowed = host.command(perl, &["-e", connect, &port.to_string()]);
    allowed.policy.network = Network::to_ports([port]);
    let mut refused = host.command(perl, &["-e", connect, &port.to_string()]);
    refused.policy.network = Network::to_ports([if port == 443 { 80 } else { 443 }]);
    let raw = "use Socket; socket(my $s, PF_INET, SOCK_RAW, 1) or die \"raw: $!\\n\"";
    let multipath = "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 262) or die \"mptcp: $!\\n\"";
    let listen = "use IO::Socket::INET; IO::Socket::INET->new(Listen => 1, LocalPort => 0, \
                  LocalAddr => '127.0.0.1') or die \"listen: $!\\n\"";

    assert_eq!(host.run(allowed).code(), 0);
    assert_ne!(host.run(refused).code(), 0);
    for script in [raw, multipath, listen] {
        let mut command = host.command(perl, &["-e", script]);
        command.policy.network = Network::to_ports([443]);
        assert_ne!(host.run(command).code(), 0, "{script} worked");
    }
}

#[test]
fn no_signal_reaches_the_server_and_the_kernel_refuses_what_is_not_for_tools() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let server = std::process::id().to_string();
    for ceiling in [None, Some(5)] {
        for script in [
            "kill(0, $s) or die",                                  // the server
            "kill(9, -1) or die",                                  // everything
            "syscall(101, 16, $s, 0, 0) >= 0 or die",              // ptrace attach
            "syscall(272, 0x10000000) >= 0 or die",                // unshare a user namespace
            "syscall(56, 0x10000011, 0, 0, 0, 0) >= 0 or die",     // clone with one
            "syscall(302, $s, 7, 0, 0) >= 0 or die",               // prlimit of the server
            "syscall(141, 0, $s, 19) >= 0 or die",                 // nice of the server
            "syscall(56, 0x8011, 0, 0, 0, 0) >= 0 or die",         // a child of the server
            "syscall(29, 0, 4096, 0x3ff) >= 0 or die",             // shared memory
            "syscall(425, 8, 0) >= 0 or die",                      // io_uring
            "syscall(0x40000000 + 101, 16, $s, 0, 0) >= 0 or die", // the second numbering
            "chmod(04755, 'own') or die",                          // runs with the owner's rights
        ] {
            if !cfg!(target_arch = "x86_64") && script.contains("syscall") {
                continue; // the numbers above are those of x86-64
            }
            fs::write(host.path("agents/ada/own"), "#!/bin/sh\n").unwrap();
            let mut command =
                host.command(perl, &["-e", &format!("my $s = 0 + $ARGV[0]; {script}"), &server]);
            command.policy.landlock_ceiling = ceiling;
            let ran = host.run(command);
            assert_ne!(ran.end.outcome, Outcome::Code(0), "{script} worked at {ceiling:?}");
        }
    }
    let mode = fs::metadata(host.path("agents/ada/own")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7000, 0);
}

#[test]
fn a_file_outside_is_not_emptied_on_a_kernel_that_does_not_guard_it() {
    if without_landlock(1) || !cfg!(target_arch = "x86_64") {
        return;
    }
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let key = host.path("master.key");
    let shared = host.path("shared");
    fs::write(&shared, "readable by all").unwrap();
    for ceiling in [None, Some(2), Some(1)] {
        for (script, file) in [
            ("syscall(76, $ARGV[0], 0) == 0 or die", &key), // truncate
            ("syscall(2, $ARGV[0], 01000) >= 0 or die", &shared), // open read-only with truncation
        ] {
            let mut command = host.command(perl, &["-e", script, file.to_str().unwrap()]);
            command.policy.landlock_ceiling = ceiling;
            command.policy.readable.push(shared.clone());
            assert_ne!(host.run(command).code(), 0, "{script} worked at {ceiling:?}");
            assert_ne!(fs::metadata(file).unwrap().len(), 0, "{script} emptied it");
        }
    }
    // Normal file operations keep working.
    let mut command = host.sh("echo long > f; echo x > f; cat f");
    command.policy.landlock_ceiling = Some(2);
    assert_eq!(host.run(command).output, "x\n");
}

#[test]
fn a_program_signals_its_own_children() {
    let host = Host::new();
    let script = "sleep 60 & kill $!; wait $! 2> /dev/null; echo $?";
    assert!(host.run(host.sh(script)).output.ends_with("143\n"));
}

#[test]
fn a_program_keeps_no_capability() {
    let host = Host::new();
    let ran = host.run(host.sh("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status"));
    for line in ran.output.lines().filter(|line| line.starts_with("Cap")) {
        let (name, value) = line.split_once(':').unwrap();
        // Without the capability, the bounding set stays; it grants nothing by itself.
        if name != "CapBnd" || rustix::process::geteuid().is_root() {
            assert_eq!(u64::from_str_radix(value.trim(), 16).unwrap(), 0, "{line}");
        }
    }
    assert!(ran.output.contains("NoNewPrivs:\t1") && ran.output.contains("Seccomp:\t2"));
}

#[test]
fn the_self_test_finds_a_strong_sandbox_on_a_new_kernel() {
    if without_landlock(6) {
        return;
    }
    let host = Host::new();
    let before = fs::read_dir(host.path("")).unwrap().count();
    let posture = host.self_test(None, WithoutLandlock::Refuse);
    let bad: Vec<_> =
        posture.lines.iter().filter(|l| l.verdict == Verdict::Broken).map(|l| &l.text).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(posture.overall, Overall::Strong);
    assert!(posture.starts);
    assert!(posture.lines.iter().any(|l| l.text == "A program cannot read the master key."));
    assert_eq!(fs::read_dir(host.path("")).unwrap().count(), before);
}

#[test]
fn the_self_test_says_what_an_older_kernel_cannot_do() {
    if without_landlock(1) {
        return;
    }
    let host = Host::new();
    for ceiling in [1, 3, 5] {
        let posture = host.self_test(Some(ceiling), WithoutLandlock::Refuse);
        assert_eq!(posture.overall, Overall::Coarse, "{posture:?}");
        assert!(posture.lines.iter().all(|l| l.verdict != Verdict::Broken), "{posture:?}");
    }
}

#[test]
fn without_landlock_nothing_starts_unless_a_person_chose_so() {
    let host = Host::new();
    let refused = host.self_test(Some(0), WithoutLandlock::Refuse);
    assert_eq!((refused.overall, refused.starts), (Overall::None, false));
    assert!(refused.lines[0].text.contains("no Landlock"), "{refused:?}");

    let allowed = host.self_test(Some(0), WithoutLandlock::Start);
    assert_eq!((allowed.overall, allowed.starts), (Overall::None, true));
    assert!(allowed.lines.iter().any(|l| l.text == "A program can read the master key."));
    // The filter applies anyway.
    assert!(allowed.lines.iter().any(|l| l.text == "A program cannot signal the server."));
}

#[test]
fn the_helper_refuses_arguments_that_make_no_sense() {
    for args in [&["--jail"][..], &["--jail", "x"], &["--jail", "1"], &["--jail", "1", "shares"]] {
        let done =
            std::process::Command::new(env!("CARGO_BIN_EXE_hq")).args(args).output().unwrap();
        assert_eq!((done.status.code(), done.stdout.len()), (Some(125), 0), "{args:?}");
    }
}

fn perl() -> Option<&'static str> {
    let found = Path::new("/usr/bin/perl").exists().then_some("/usr/bin/perl");
    if found.is_none() {
        eprintln!("skipped: needs /usr/bin/perl");
    }
    found
}
