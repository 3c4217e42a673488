//! Ends of programs: limits, stops, too many processes, too much output, remains of a dead server.

use std::fs;
use std::io::Read;
use std::time::Duration;

use sandbox::job::{Outcome, StopReason};
use sandbox::kill::{self, SessionMark};
use sandbox::output;
use sandbox::procfs;
use sandbox::space::Room;
use sandbox::spawn::{Children, Output, Started};

use super::{Host, living, perl, until};

#[test]
fn limits_hold() {
    let host = Host::new();
    let mut command = host.sh("head -c 100000 /dev/zero > big; echo $?; ulimit -c; ulimit -n");
    command.policy.limits.file_bytes = Some(50_000);
    command.policy.limits.open_files = Some(77);
    let ran = host.run(command);
    assert_eq!(fs::metadata(host.path("agents/ada/big")).unwrap().len(), 50_000);
    assert!(ran.output.ends_with("0\n77\n"), "{}", ran.output);

    let mut command = host.sh("while :; do :; done");
    command.policy.limits.cpu_secs = Some(1);
    assert!(matches!(host.run(command).end.outcome, Outcome::Signal(9 | 24)));
}

#[test]
fn a_program_that_ignores_the_request_to_stop_is_killed() {
    let host = Host::new();
    let mut command = host
        .sh("trap '' TERM HUP INT; (trap '' TERM; echo ready; while :; do sleep 1; done) & wait");
    command.stdout = Output::Pipe;
    let Started { job, stdout, .. } = host.spawner.spawn_blocking(command).unwrap();
    stdout.unwrap().read_exact(&mut [0; 6]).unwrap();
    job.stop(StopReason::Stopped);
    let end = job.wait_blocking();
    assert_eq!(end.reason, Some(StopReason::Stopped));
    assert_eq!(end.outcome, Outcome::Signal(9));
    assert!(1 <= end.ended_children);
    assert_eq!(living(job.mark()), 0);
}

#[test]
fn a_program_stopped_while_it_is_being_started_does_not_run_on() {
    let host = Host::new();
    for _ in 0..30 {
        let job = host.spawner.spawn_blocking(host.sh("exec sleep 60")).unwrap().job;
        job.stop(StopReason::Stopped);
        assert_eq!(job.wait_blocking().reason, Some(StopReason::Stopped));
        assert!(job.end().unwrap().duration_ms < 60_000, "it did not run to its own end");
    }
}

#[test]
fn a_program_that_tidies_up_when_asked_gets_the_time_for_it() {
    let host = Host::new();
    let mut command =
        host.sh("trap 'echo tidy > note; exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    command.stdout = Output::Pipe;
    let Started { job, stdout, .. } = host.spawner.spawn_blocking(command).unwrap();
    stdout.unwrap().read_exact(&mut [0; 6]).unwrap();
    job.stop(StopReason::Stopped);
    assert_eq!(job.wait_blocking().outcome, Outcome::Code(5));
    assert_eq!(fs::read_to_string(host.path("agents/ada/note")).unwrap(), "tidy\n");
}

#[test]
fn a_program_whose_time_is_up_is_ended_and_what_it_wrote_is_kept() {
    let host = Host::new();
    let mut command = host.sh("echo so far; exec sleep 60");
    // Long enough for it to begin on a busy machine.
    command.timeout = Some(Duration::from_secs(5));
    let ran = host.run(command);
    assert_eq!(ran.end.reason, Some(StopReason::TimedOut));
    assert_eq!(ran.output, "so far\n");
    assert!(!ran.end.is_success());
}

#[test]
fn a_program_that_fills_its_folders_is_ended_and_one_that_tidies_up_is_not() {
    let host = Host::new();
    let fill = "i=0; while [ $i -lt 400 ]; do head -c 500000 /dev/urandom > f$i; i=$((i+1)); \
        sleep 0.05; done; echo full";
    let mut command = host.sh(fill);
    command.room = Some(Room { bytes: 4 << 20, files: 10_000 });
    let ran = host.run(command);
    assert_eq!(ran.end.reason, Some(StopReason::TooMuchDisk), "{:?}", ran.end);
    assert!(!ran.output.contains("full"));
    let mut command = host.sh("rm f*; sleep 0.5; echo tidy");
    command.room = Some(Room { bytes: 4 << 20, files: 10_000 });
    let ran = host.run(command);
    assert!(ran.end.is_success() && ran.output == "tidy\n", "{:?}", ran.end);
}

#[test]
fn a_fork_bomb_is_counted_and_ended() {
    let host = Host::new();
    // Bounded: 300 sleepers, in several process groups where the shell supports them.
    let mut command = host.sh("i=0; while [ $i -lt 300 ]; do sleep 60 & i=$((i+1)); done; wait");
    command.max_processes = 40;
    let Started { job, .. } = host.spawner.spawn_blocking(command).unwrap();
    let end = job.wait_blocking();
    assert_eq!(end.reason, Some(StopReason::TooManyProcesses));
    assert!(40 <= end.ended_children, "{end:?}");
    assert_eq!(living(job.mark()), 0);
}

#[test]
fn a_program_that_doubles_without_end_is_ended_before_it_takes_the_machine() {
    let _alone = support::BOMB.blocking_lock();
    let host = Host::new();
    let command = host.sh("bomb() { bomb | bomb & }; bomb; sleep 60");
    let Started { job, .. } = host.spawner.spawn_blocking(command).unwrap();
    let end = job.wait_blocking();
    assert_eq!(end.reason, Some(StopReason::TooManyProcesses), "{end:?}");
    assert_eq!(living(job.mark()), 0);
}

#[test]
fn children_that_have_ended_and_were_not_collected_are_not_counted() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    // The next child begins when the one before has closed its end of the pipe, as an ending process does: even on a
    // busy machine, no large number of living children is counted.
    let script = "for (1..300) { pipe(my $r, my $w); my $pid = fork; exit if defined $pid && !$pid; \
                  close $w; <$r> } sleep 1; exit 7";
    let end = host.spawner.spawn_blocking(host.command(perl, &["-e", script])).unwrap().job;
    assert_eq!(end.wait_blocking().outcome, Outcome::Code(7));
}

#[test]
fn nobody_escapes_by_becoming_a_daemon() {
    let Some(perl) = perl() else { return };
    let host = Host::new();
    becomes_a_daemon(&host, perl);
    // The same where only the session tells whose a process is.
    let host = Host::new();
    host.spawner.share_control_group();
    becomes_a_daemon(&host, perl);
}

fn becomes_a_daemon(host: &Host, perl: &str) {
    // Two forks, an attempted session of its own, a process group of its own, all files closed. It reports that it
    // lives once its parent has gone, so that it alone is left.
    let script = "use POSIX; exit if fork; POSIX::setsid(); my $before = $$; exit if fork; \
                  select(undef, undef, undef, 0.01) while getppid() == $before; setpgrp(0, 0); \
                  $SIG{TERM} = $SIG{HUP} = 'IGNORE'; close STDIN; close STDOUT; close STDERR; \
                  open(my $f, '>', 'alive'); print $f $$; close $f; sleep 60 while 1";
    let launch =
        format!("perl -e '{}'; while [ ! -s alive ]; do :; done", script.replace('\'', "\""));
    let launch = launch.replacen("perl", perl, 1);

    let job = host.spawner.spawn_blocking(host.sh(&launch)).unwrap().job;
    let end = job.wait_blocking();
    let daemon: i32 = fs::read_to_string(host.path("agents/ada/alive")).unwrap().parse().unwrap();
    assert!(1 <= end.ended_children);
    assert!(procfs::stat(daemon).is_ok_and(|p| p.is_gone()) || procfs::stat(daemon).is_err());

    // A process that is kept on purpose still belongs to the job and ends with it.
    fs::remove_file(host.path("agents/ada/alive")).unwrap();
    let mut command = host.sh(&launch);
    command.children = Children::Keep;
    let job = host.spawner.spawn_blocking(command).unwrap().job;
    assert_eq!(job.wait_blocking().running_children, 1);
    assert_eq!(living(job.mark()), 1);
    let daemon: i32 = fs::read_to_string(host.path("agents/ada/alive")).unwrap().parse().unwrap();
    assert!(procfs::is_jailed(daemon));
    job.stop(StopReason::Stopped);
    until("the daemon lives", || living(job.mark()) == 0);
    until("the job is still listed", || host.spawner.jobs().is_empty());
}

/// A program whose first thread has ended while another works on: `/proc` shows it as a zombie. It writes its PID to a
/// file.
const HEADLESS: &str = "use threads; threads->create(sub { sleep 1 while 1 })->detach; \
    open(my $f, '>', $ARGV[0]); print $f $$; close $f; syscall(60, 0)";

/// PID of such a program, once it has written it and its first thread has ended.
fn headless(host: &Host, file: &str) -> i32 {
    let path = host.path("agents/ada").join(file);
    let number = || fs::read_to_string(&path).ok()?.parse::<i32>().ok();
    let is_headless =
        |pid: i32| procfs::stat(pid).is_ok_and(|stat| stat.state == 'Z' && 1 < stat.threads);
    until("its first thread has ended", || number().is_some_and(is_headless));
    number().unwrap()
}

fn is_there(pid: i32) -> bool {
    procfs::stat(pid).is_ok_and(|stat| !stat.is_gone())
}

#[test]
fn a_program_whose_first_thread_has_ended_is_found_and_ended() {
    let Some(perl) = perl().filter(|_| cfg!(target_arch = "x86_64")) else { return };
    let host = Host::new();
    let begin = |name: &str| {
        let job = host.spawner.spawn_blocking(host.command(perl, &["-e", HEADLESS, name])).unwrap();
        (headless(&host, name), job.job)
    };
    // The first process itself, stopped.
    let (pid, job) = begin("one");
    assert!(procfs::is_jailed(pid), "its marks are seen");
    assert_eq!(living(job.mark()), 1);
    job.stop(StopReason::Stopped);
    assert_eq!(job.wait_blocking().reason, Some(StopReason::Stopped));
    assert!(!is_there(pid));

    // A process that is left behind, in its own group.
    let left = format!(
        "{perl} -e 'setpgrp(0, 0); {}' two & \
         until grep -q 'State:.Z' /proc/$!/status; do :; done",
        HEADLESS.replace('\'', "\"")
    );
    let ran = host.run(host.sh(&left));
    let pid: i32 = fs::read_to_string(host.path("agents/ada/two")).unwrap().parse().unwrap();
    assert_eq!(ran.end.ended_children, 1, "{}", ran.output);
    assert!(!is_there(pid));

    // Processes left by a killed server.
    let (pid, job) = begin("three");
    let mark = job.mark().clone();
    let mut command = host.sh(&left.replace(" two ", " four ").replace("done", "done; sleep 60"));
    command.children = Children::Keep;
    let kept = host.spawner.spawn_blocking(command).unwrap().job;
    let other = headless(&host, "four");
    drop(host.spawner);
    kill::clean_up(&[mark, kept.mark().clone()]);
    assert!(!is_there(pid) && !is_there(other));
}

#[test]
fn programs_whose_first_threads_have_ended_count() {
    let Some(perl) = perl().filter(|_| cfg!(target_arch = "x86_64")) else { return };
    let host = Host::new();
    let script = format!(
        "for (1..30) {{ next if fork; {} }} sleep 60",
        HEADLESS.replace("open(my $f, '>', $ARGV[0]); print $f $$; close $f; ", "")
    );
    let mut command = host.command(perl, &["-e", &script]);
    command.max_processes = 20;
    let job = host.spawner.spawn_blocking(command).unwrap().job;
    assert_eq!(job.wait_blocking().reason, Some(StopReason::TooManyProcesses));
    assert_eq!(living(job.mark()), 0);
}

#[test]
fn what_a_killed_server_left_is_found_again_by_its_mark() {
    let host = Host::new();
    let mut command = host.sh("(trap '' TERM HUP; echo ready; while :; do sleep 1; done) & wait");
    command.stdout = Output::Pipe;
    let Started { job, stdout, .. } = host.spawner.spawn_blocking(command).unwrap();
    stdout.unwrap().read_exact(&mut [0; 6]).unwrap();
    let recorded = serde_json::to_string(job.mark()).unwrap();

    // For its children, the end of the spawning thread is the end of the server.
    drop(host.spawner);
    assert_eq!(job.wait_blocking().outcome, Outcome::Signal(9));

    let mark: SessionMark = serde_json::from_str(&recorded).unwrap();
    assert_eq!(kill::clean_up(std::slice::from_ref(&mark)).left, 0);
    assert_eq!(living(&mark), 0);
}

#[test]
fn ten_megabytes_of_output_are_kept_and_read_in_part() {
    let host = Host::new();
    let command = host.sh("echo first; head -c 10000000 /dev/zero | tr '\\0' x; echo; echo last");
    let Output::File(file) = command.stdout.clone() else { unreachable!() };
    assert!(host.run(command).end.is_success());
    let part = output::excerpt(&file, 8, 8).unwrap();
    assert_eq!(part.total, 10_000_012);
    assert!(part.head.starts_with("first\n") && part.tail.ends_with("last\n"));
}

#[test]
fn a_program_that_writes_without_end_is_ended() {
    let host = Host::new();
    let mut command = host.command("yes", &[]);
    command.output_cap = 1 << 20;
    command.policy.limits.file_bytes = Some(4 << 30);
    let Output::File(file) = command.stdout.clone() else { unreachable!() };
    let end = host.spawner.spawn_blocking(command).unwrap().job.wait_blocking();
    assert_eq!(end.reason, Some(StopReason::TooMuchOutput));
    assert!(fs::metadata(file).unwrap().len() <= 1 << 20);
}

#[tokio::test]
async fn stopping_hq_stops_every_program() {
    let host = Host::new();
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(host.spawner.spawn(host.sh("sleep 60")).await.unwrap().job);
    }
    host.spawner.shutdown().await;
    for job in jobs {
        assert_eq!(job.wait().await.reason, Some(StopReason::Shutdown));
    }
}
