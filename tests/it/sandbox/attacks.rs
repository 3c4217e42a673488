//! Attacks that once escaped from the jail, as real programs. Each is tried outside first, where it works, and then
//! inside; if the test runs as root, also as an ordinary user.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process;

use sandbox::policy::{Network, WithoutLandlock};
use sandbox::posture::Verdict;
use sandbox::probe::Check;

use support::program::{self, Program};

use super::{Host, perl, until, without_landlock};

/// UID of an unprivileged user.
const SOMEBODY: u32 = 65_534;

/// If this process is root, also runs a test of this file as an ordinary user.
fn as_an_ordinary_user(test: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut again = process::Command::new("/proc/self/exe");
    again.args(["--exact", &format!("sandbox::attacks::{test}"), "--nocapture"]);
    again.current_dir(temp.path()).env("TMPDIR", temp.path()).uid(SOMEBODY).gid(SOMEBODY);
    match again.output() {
        Ok(done) => {
            let said = [done.stdout, done.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(done.status.success() && said.contains("1 passed"), "{said}");
        }
        Err(error) => eprintln!("skipped: another user may not run the tests here: {error}"),
    }
}

/// Runs a Perl script outside the jail.
fn outside(perl: &str, script: &str, arguments: &[&str]) -> (bool, String) {
    let done = process::Command::new(perl).args(["-e", script]).args(arguments).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Whether a connection has arrived.
fn was_reached(listener: &TcpListener) -> bool {
    match listener.accept() {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

/// The three calls that send data, with the flag that also connects (`MSG_FASTOPEN`).
const FAST_OPEN: [&str; 3] = [
    "send($s, 'hello', 0x20000000, $to)",
    "syscall(46, fileno $s, $message, 0x20000000) > 0",
    "syscall(307, fileno $s, $messages, 1, 0x20000000) > 0",
];

#[test]
fn no_program_connects_along_with_its_first_data() {
    if without_landlock(4) || !cfg!(target_arch = "x86_64") {
        return;
    }
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for call in FAST_OPEN {
        let script = format!(
            "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die \"socket: $!\\n\"; \
             my $to = sockaddr_in($ARGV[0], INADDR_LOOPBACK); my $data = 'hello'; \
             my $parts = pack('PQ', $data, 5); \
             my $message = pack('PLx4PQQQlx4', $to, length $to, $parts, 1, 0, 0, 0); \
             my $messages = $message . pack('Lx4', 0); {call} or die \"sending: $!\\n\""
        );
        let (sent, said) = outside(perl, &script, &[&port]);
        if !said.contains("not supported") {
            assert!(sent, "{call}: {said}");
            until("outside it connects", || was_reached(&listener));
        }
        for network in [Network::Off, Network::through(9), Network::to_ports([443])] {
            for unix in [false, true] {
                let mut command = host.command(perl, &["-e", &script, &port]);
                command.policy.network = network.clone();
                command.policy.unix_sockets = unix;
                let ran = host.run(command);
                assert_ne!(ran.code(), 0, "{call} worked with {network:?}");
                assert!(ran.output.contains("not permitted"), "{}", ran.output);
                assert!(!was_reached(&listener), "{call} reached somebody with {network:?}");
            }
        }
    }
    as_an_ordinary_user("no_program_connects_along_with_its_first_data");
}

#[test]
fn no_other_kind_of_socket_is_opened() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let opened = [
        (2, 5, 0),   // SCTP by its type
        (2, 6, 0),   // DCCP by its type
        (2, 4, 0),   // RDM
        (2, 10, 0),  // packets
        (2, 1, 132), // SCTP
        (2, 1, 262), // MPTCP
        (2, 2, 136), // UDP-Lite
        (2, 1, 256), // SMC
        (2, 2, 1),   // ping
        (10, 3, 58), // raw
        (10, 5, 132),
        (10, 0x80802, 17), // UDP with flags
        (16, 3, 15),       // the kernel's events
        (17, 3, 768),      // packets
        (40, 1, 0),        // the host of a virtual machine
        (38, 5, 0),        // the kernel's ciphers
        (43, 1, 0),        // SMC
    ];
    let mut scripts: Vec<String> = opened
        .iter()
        .map(|(family, kind, protocol)| format!("socket(my $s, {family}, {kind}, {protocol})"))
        .collect();
    // Each end of such a socket pair can send to any address.
    scripts.push("socketpair(my $a, my $b, 1, 2, 0)".to_owned());
    scripts.push("socketpair(my $a, my $b, 30, 5, 0)".to_owned());
    if cfg!(target_arch = "x86_64") {
        let option = |n: u8, value: &str| {
            format!("(socket(S, 2, 1, 0) or die 'no socket') && setsockopt(S, 6, {n}, {value})")
        };
        scripts.push(option(30, "pack('i', 1)"));
        scripts.push(option(31, "'smc'"));
    }
    for script in scripts {
        let script = format!("use Socket; {script} or die \"refused: $!\\n\"");
        let mut command = host.command(perl, &["-e", &script]);
        command.policy.network = Network::through(9);
        let ran = host.run(command);
        assert_ne!(ran.code(), 0, "{script} worked");
        assert!(
            ran.output.contains("refused: Operation not permitted"),
            "{script}: {}",
            ran.output
        );
    }
    as_an_ordinary_user("no_other_kind_of_socket_is_opened");
}

#[test]
fn nobody_listens_without_a_port_of_his_own() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let listen = "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die \"$!\\n\"; \
                  listen($s, 5) or die \"refused: $!\\n\"; \
                  print 'port ', (sockaddr_in(getsockname $s))[0], \"\\n\"; ";
    let (listens, said) = outside(perl, listen, &[]);
    assert!(listens && said.starts_with("port ") && said != "port 0\n", "{said}");
    let accept = format!("{listen} accept(my $c, $s) or die \"refused: $!\\n\"");
    for network in [Network::through(9), Network::to_ports([443]), Network::to_ports([])] {
        let mut command = host.command(perl, &["-e", listen]);
        command.policy.network = network.clone();
        let ran = host.run(command);
        assert_ne!(ran.code(), 0, "{}", ran.output);
        assert!(ran.output.contains("refused: Operation not permitted"), "{}", ran.output);
        // Chromium listens on a Unix socket; nothing accepts connections to it.
        let mut command = host.command(perl, &["-e", &accept]);
        command.policy.network = network;
        command.policy.unix_sockets = true;
        let ran = host.run(command);
        assert_ne!(ran.code(), 0, "{}", ran.output);
        assert!(ran.output.contains("refused: Operation not permitted"), "{}", ran.output);
    }
    as_an_ordinary_user("nobody_listens_without_a_port_of_his_own");
}

/// Metadata of a file: mode, access time, modification time, change time. The last one changes with every change.
fn noted(path: &Path) -> (u32, i64, i64, i64) {
    let found = fs::metadata(path).unwrap();
    (found.mode(), found.atime(), found.mtime(), found.ctime_nsec())
}

#[test]
fn what_is_noted_of_files_outside_is_not_changed() {
    if without_landlock(1) || !cfg!(target_arch = "x86_64") {
        return;
    }
    let host = Host::new();
    let Some(perl) = perl() else { return };
    let posture = host.self_test(None, WithoutLandlock::Refuse);
    let has_mounts = posture
        .lines
        .iter()
        .any(|line| line.check == Some(Check::ChangeMode) && line.verdict == Verdict::Held);
    if !has_mounts {
        eprintln!("skipped in part: this machine gives programs no mounts of their own");
    }
    let attributes = [
        "syscall(188, $f, 'user.x', 'y', 1, 0)",       // setxattr
        "syscall(189, $f, 'user.x', 'y', 1, 0)",       // lsetxattr
        "syscall(197, $f, 'user.hq')",                 // removexattr
        "syscall(198, $f, 'user.hq')",                 // lremovexattr
        "syscall(463, -100, $f, 0, 'user.x', $f, 16)", // setxattrat
        "syscall(466, -100, $f, 0, 'user.hq')",        // removexattrat
        "syscall(294, 0)",                             // inotify_init1
        "syscall(253)",                                // inotify_init
        "syscall(254, 9, $f, 0xfff)",                  // inotify_add_watch
        "syscall(300, 0, 0)",                          // fanotify_init
    ];
    let rest = [
        "chmod(0666, $f) - 1",
        "chmod(0, $f) - 1",
        "syscall(268, -100, $f, 0777)",    // fchmodat
        "syscall(452, -100, $f, 0777, 0)", // fchmodat2
        "utime(1, 2, $f) - 1",
        "chown($<, $( + 0, $f) - 1",
        "syscall(94, $f, $<, $( + 0)",  // lchown
        "syscall(132, $f, 0)",          // utime
        "syscall(280, -100, $f, 0, 0)", // utimensat
        "syscall(261, -100, $f, 0)",    // futimesat
        "chmod(0777, \"/proc/self/cwd/../../master.key\") - 1",
        "chmod(0777, \"/proc/self/root$f\") - 1",
        "do { symlink($f, 'l'); my $done = chmod(0777, 'l') - 1; unlink 'l'; $done }",
        "do { opendir(my $d, '..'); chmod(0777, $d) - 1 }",
    ];
    let files = ["master.key", "agents/bob/notes.md", "agents/bob", "agents", ""];
    let tried = attributes.iter().chain(rest.iter().filter(|_| has_mounts));
    let before = files.map(|file| noted(&host.path(file)));
    for script in tried {
        for file in files {
            let script = format!("my $f = $ARGV[0]; exit(({script}) == 0 ? 0 : 1)");
            let path = host.path(file);
            host.refuses(perl, &script, &path);
        }
    }
    // `/dev/null` through the descriptor that programs inherit: as root, programs own it.
    host.refuses(perl, "exit(chmod(0600, *STDIN) == 1 ? 0 : 1)", Path::new("/"));
    assert_eq!(fs::metadata("/dev/null").unwrap().permissions().mode() & 0o777, 0o666);
    assert_eq!(files.map(|file| noted(&host.path(file))), before);
    as_an_ordinary_user("what_is_noted_of_files_outside_is_not_changed");
}

#[test]
fn programs_change_what_is_noted_of_their_own_files() {
    let host = Host::new();
    let ran = host.run(host.sh(
        "set -e; echo 'echo ran' > s; chmod 700 s; ./s; touch -d 2001-02-03 s; cp -p s $TMPDIR/t; \
         date -r $TMPDIR/t +%F; mv $TMPDIR/t t; ln t u; mkdir d; chmod 500 d; chmod 700 d; \
         tar cf a.tar s d; rm -r s d; tar xpf a.tar; date -r s +%F; test -x s; chown $(id -u) s; \
         echo > /dev/null; rm a.tar",
    ));
    assert_eq!((ran.code(), ran.output.as_str()), (0, "ran\n2001-02-03\n2001-02-03\n"));
    let git = "git init -q g && cd g && git config user.name A && git config user.email a@b && \
               echo x > f && git add f && git commit -qm first && git clone -q . ../h && cat ../h/f";
    if Path::new("/usr/bin/git").exists() {
        let ran = host.run(host.sh(git));
        // It complains that it cannot clean up in its own session.
        assert!(ran.code() == 0 && ran.output.lines().any(|line| line == "x"), "{}", ran.output);
    }
    as_an_ordinary_user("programs_change_what_is_noted_of_their_own_files");
}

#[test]
fn modes_that_a_program_has_changed_are_put_back_by_the_doctor_and_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let (data, binary) = (folder.path().join("data"), Path::new(env!("CARGO_BIN_EXE_hq")));
    assert!(Program::start(binary, &data).stop().success());
    let [key, store] = ["master.key", "system.redb"].map(|name| data.join(name));
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let modes = || [&data, &key, &store].map(|path| fs::metadata(path).unwrap().mode() & 0o777);
    let open = || {
        set(&key, 0o666);
        set(&store, 0);
        set(&data, 0o777);
    };
    open();
    let told = program::run(binary, &data, &["doctor", "sandbox"]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("master.key had the mode 666 and has 600 again"), "{told}");
    assert_eq!(modes(), [0o750, 0o600, 0o600]);
    open();
    assert!(Program::start(binary, &data).stop().success());
    assert_eq!(modes(), [0o750, 0o600, 0o600]);
}

impl Host {
    /// Runs an attack on a file and asserts that it fails.
    fn refuses(&self, perl: &str, script: &str, file: &Path) {
        let path = file.to_str().unwrap();
        let ran = self.run(self.command(perl, &["-e", script, path]));
        assert_ne!(ran.code(), 0, "{script} worked on {path}: {}", ran.output);
    }
}
