//! A control group per program: processes that left the program's session end with it.

#![expect(clippy::print_stderr, reason = "a test that cannot run here says why")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};

use sandbox::job::{Job, StopReason};
use sandbox::policy::WithoutLandlock;
use sandbox::posture::{Line, Verdict};
use sandbox::procfs;

use super::{Host, living, perl, until};

/// Two forks, a session of its own, and a first thread that ends while another works on. It writes its PID to a file.
const GONE: &str = "use POSIX; use threads; exit if fork; POSIX::setsid(); exit if fork; setpgrp(0, 0); \
    $SIG{TERM} = $SIG{HUP} = 'IGNORE'; threads->create(sub { sleep 1 while 1 })->detach; \
    open(my $f, '>', $ARGV[0]); print $f $$; close $f; syscall(60, 0)";

fn group_of(pid: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// Mount point of control groups, if the mount's root is the root of all groups.
fn mounted(group: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let at = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let at = fields.next()?;
        (fields.next() == Some("cgroup2")).then_some(at)
    })?;
    let path = Path::new(at).join(group.trim_start_matches('/'));
    path.join("cgroup.procs").exists().then_some(path)
}

/// The control group of a program; if this machine provides none, that is printed.
fn group(job: &Job) -> Option<PathBuf> {
    let own = group_of("self");
    let found = group_of(&job.pid().to_string()).filter(|found| Some(found) != own.as_ref());
    let found = found.and_then(|found| mounted(&found));
    if found.is_none() {
        eprintln!("skipped: this machine gives programs no control group");
    }
    found
}

/// Starts the attack outside the jail, which refuses a session of its own, and moves it into that group.
fn enter(group: &Path, perl: &str, noted: &Path) -> i32 {
    let mut begun: Child = Program::new("sh")
        .args(["-c", "echo $$ > \"$1\" && exec \"$2\" -e \"$3\" \"$4\"", "-"])
        .arg(group.join("cgroup.procs"))
        .args([perl, GONE])
        .arg(noted)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(begun.wait().unwrap().success());
    let number = || fs::read_to_string(noted).ok()?.parse::<i32>().ok();
    let is_headless =
        |pid: i32| procfs::stat(pid).is_ok_and(|stat| stat.state == 'Z' && 1 < stat.threads);
    until("its first thread has ended", || number().is_some_and(is_headless));
    number().unwrap()
}

fn is_there(pid: i32) -> bool {
    procfs::stat(pid).is_ok_and(|stat| !stat.is_gone())
}

#[test]
fn what_has_left_the_session_of_a_program_ends_with_its_control_group() {
    let Some(perl) = perl().filter(|_| cfg!(target_arch = "x86_64")) else { return };
    let host = Host::new();
    for (number, is_stopped) in [true, false].into_iter().enumerate() {
        let script = "while [ ! -e end ]; do sleep 0.05; done";
        let job = host.spawner.spawn_blocking(host.sh(script)).unwrap().job;
        let Some(group) = group(&job) else { return };
        let gone = enter(&group, perl, &host.path(&format!("jobs/gone{number}")));
        let theirs = job.mark().members();
        assert!(theirs.iter().all(|p| p.pid != gone), "its session does not tell whose it is");
        until("it is counted", || 2 < job.processes());
        if is_stopped {
            job.stop(StopReason::Stopped);
        } else {
            fs::write(host.path("agents/ada/end"), "").unwrap();
        }
        let end = job.wait_blocking();
        assert!(!is_there(gone), "{end:?}");
        assert!(1 <= end.ended_children, "{end:?}");
        assert_eq!(living(job.mark()), 0);
        until("its group is removed", || !group.exists());
    }
}

#[test]
fn what_an_earlier_hq_left_in_its_control_groups_ends_at_the_next_start() {
    let Some(perl) = perl().filter(|_| cfg!(target_arch = "x86_64")) else { return };
    let host = Host::new();
    let job = host.spawner.spawn_blocking(host.sh("sleep 60")).unwrap().job;
    let Some(own) = group(&job) else { return };
    // The group of another HQ whose process ends later: until then no other HQ may kill its processes.
    let mut other = Program::new("sleep").arg("600").spawn().unwrap();
    let started = procfs::stat(other.id().cast_signed()).unwrap().started;
    let namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
    let base = own.parent().and_then(Path::parent).unwrap();
    let life = base.join(format!("hq-{namespace}-{}-{started}-1", other.id()));
    fs::create_dir_all(life.join("7")).unwrap();
    let gone = enter(&life.join("7"), perl, &host.path("jobs/gone"));

    let beside = Host::new();
    assert!(beside.run(beside.sh("true")).end.is_success());
    assert!(is_there(gone), "that HQ is there");
    other.kill().unwrap();
    other.wait().unwrap();
    let next = Host::new();
    assert!(next.run(next.sh("true")).end.is_success());

    assert!(!is_there(gone) && !life.exists());
    assert!(own.exists() && job.end().is_none(), "that one is no earlier HQ");
    job.stop(StopReason::Stopped);
    assert_eq!(job.wait_blocking().out_of_memory, None);
}

#[test]
fn the_self_test_says_whether_programs_have_control_groups() {
    let line = |host: &Host| -> Line {
        let lines = host.self_test(None, WithoutLandlock::Start).lines;
        lines.into_iter().find(|line| line.text.starts_with("Control groups: ")).unwrap()
    };
    let host = Host::new();
    let job = host.spawner.spawn_blocking(host.sh("sleep 60")).unwrap().job;
    let (found, has_group) = (line(&host), group(&job).is_some());
    job.stop(StopReason::Stopped);
    let wanted = if has_group { Verdict::Held } else { Verdict::Limit };
    assert_eq!(found.verdict, wanted, "{}", found.text);
    assert_eq!(found.text.contains("as a whole"), has_group, "{}", found.text);

    let host = Host::new();
    host.spawner.share_control_group();
    let found = line(&host);
    assert_eq!(found.verdict, Verdict::Limit, "{}", found.text);
    assert!(found.text.contains("none (turned off)"), "{}", found.text);
}
