//! The prestarted helper: what it becomes equals what a newly started one would have become.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

use rustix::process::{Pid, Signal};
use sandbox::procfs;
use sandbox::spawn::{Command, Input, Output, Started};

use super::{GIVEN, Host, Ran, until, without_landlock};

impl Host {
    /// Waits until a helper has been started ahead; returns its PID.
    fn warm(&self) -> i32 {
        assert!(self.run(self.sh("true")).end.is_success());
        until("a helper is started ahead", || self.spawner.helper_ahead().is_some());
        self.spawner.helper_ahead().unwrap()
    }

    /// Runs the command; returns whether the waiting helper executed it.
    fn run_warm(&self, command: Command) -> (Ran, bool) {
        let waiting = self.warm();
        let Output::File(file) = command.stdout.clone() else { panic!("no output file") };
        let job = self.spawner.spawn_blocking(command).unwrap().job;
        let end = job.wait_blocking();
        (Ran { output: fs::read_to_string(file).unwrap(), end }, job.pid() == waiting)
    }
}

#[test]
fn the_next_program_is_the_helper_that_waited() {
    let host = Host::new();
    let mut command = host.sh("cat; env | sort | cut -d= -f1 | tr '\\n' ' '; pwd");
    command.stdin = Input::Bytes(b"input ".to_vec());
    command.env.push(("GREETING".into(), "hi".into()));
    let (ran, waited) = host.run_warm(command);
    assert!(waited);
    let folder = host.path("agents/ada");
    let expected = format!("{GIVEN} {}\n", folder.display());
    assert_eq!(ran.output, expected);
    assert_eq!(ran.code(), 0);

    // Not UTF-8: bytes are passed unchanged.
    let mut command = host.command("printf", &["%s"]);
    command.args.push(OsString::from_vec(vec![b'a', 0xff, b'b']));
    command.stderr = Output::Nothing;
    command.stdout = Output::Pipe;
    host.warm();
    let Started { stdout, .. } = host.spawner.spawn_blocking(command).unwrap();
    let mut answer = Vec::new();
    stdout.unwrap().read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [b'a', 0xff, b'b']);
}

#[test]
fn the_helper_that_waited_is_in_the_same_jail() {
    if without_landlock(1) {
        return;
    }
    let host = Host::new();
    let script = format!(
        "cat {} {}; echo x > {}; ls /proc/self/fd | wc -l; ulimit -c",
        host.path("master.key").display(),
        host.path("agents/bob/notes.md").display(),
        host.path("agents/bob/new").display()
    );
    let cold = host.run(host.sh(&script)).output;
    let (ran, waited) = host.run_warm(host.sh(&script));
    assert!(waited);
    assert_eq!(ran.output, cold, "the same refusals, descriptors and limits");
    assert!(!ran.output.contains("the key itself") && !ran.output.contains("bob's notes"));
    assert!(!host.path("agents/bob/new").exists());
}

#[test]
fn what_cannot_be_started_is_told_by_the_helper_that_waited_as_by_another() {
    let host = Host::new();
    let (ran, waited) = host.run_warm(host.command("no-such-program", &[]));
    assert_eq!((ran.code(), waited), (127, true));
    assert!(ran.output.starts_with("hq-jail: no-such-program: "), "{}", ran.output);

    let mut command = host.sh("echo started");
    command.policy.writable.push(host.path("gone"));
    let (ran, waited) = host.run_warm(command);
    assert_eq!((ran.code(), waited), (125, true));
    assert!(ran.end.not_started.unwrap().contains("cannot be opened"));
}

#[test]
fn one_that_has_ended_or_gets_too_long_an_order_is_left_out() {
    let host = Host::new();
    let waiting = host.warm();
    let pid = Pid::from_raw(waiting).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    until("it has ended", || procfs::stat(waiting).is_ok_and(|stat| stat.is_gone()));
    let ran = host.run(host.sh("echo here"));
    assert_eq!(ran.output, "here\n");

    let (ran, waited) = host.run_warm(host.sh(&format!("echo {} | wc -c", "x".repeat(100_000))));
    assert_eq!((ran.output.trim(), waited), ("100001", false));
}

#[test]
fn it_ends_with_whoever_started_it() {
    let host = Host::new();
    let waiting = host.warm();
    drop(host.spawner);
    until("it is gone", || procfs::stat(waiting).is_err());
}
