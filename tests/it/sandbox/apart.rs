//! Network namespace of a program: what it cannot reach without further filters, the proxy that is passed in, and
//! machines that do not permit namespaces.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};

use sandbox::job::Outcome;
use sandbox::policy::{Network, OwnNetwork, Ports, WithoutLandlock};
use sandbox::posture::{SelfTest, Verdict};
use sandbox::spawn::{Command, Started};

use super::{Host, perl};

/// All ways in which a program may try to reach a port of this machine, with a line for each success.
const ATTACKS: &str = r#"
use Socket qw(:DEFAULT inet_pton);
my ($tcp, $udp) = map { pack_sockaddr_in($_, inet_aton('127.0.0.1')) } @ARGV[0, 1];
my $six = pack_sockaddr_in6($ARGV[0], inet_pton(AF_INET6, '::ffff:127.0.0.1'));
my $went = sub { print "went: $_[0]\n" };
socket(C, PF_INET, SOCK_STREAM, 0) and connect(C, $tcp) and $went->('connect');
socket(V, PF_INET6, SOCK_STREAM, 0) and connect(V, $six) and $went->('connect by IPv6');
socket(F, PF_INET, SOCK_STREAM, 0) and send(F, 'x', 0x20000000, $tcp) and $went->('fast open');
socket(U, PF_INET, SOCK_DGRAM, 0) and send(U, 'x', 0, $udp);
socket(D, PF_INET, SOCK_DGRAM, 0) and connect(D, $udp) and send(D, 'x', 0);
socket(A, PF_UNIX, SOCK_STREAM, 0) and connect(A, pack_sockaddr_un("\0hq-apart-$ARGV[0]")) and $went->('abstract');
print "tried\n";
"#;

/// Servers on this machine that must not be reached.
struct Inside {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Inside {
    fn new() -> Self {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
        let inside = Self { tcp: tcp.unwrap(), udp: udp.unwrap() };
        inside.tcp.set_nonblocking(true).unwrap();
        inside.udp.set_nonblocking(true).unwrap();
        inside
    }

    fn ports(&self) -> [u16; 2] {
        [self.tcp.local_addr().unwrap().port(), self.udp.local_addr().unwrap().port()]
    }

    fn was_reached(&self) -> bool {
        let nothing = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
        !(self.tcp.accept().is_err_and(nothing) && self.udp.recv(&mut [0]).is_err_and(nothing))
    }
}

/// Whether this machine lacks network namespaces; if so, that is printed.
#[expect(clippy::print_stderr, reason = "a test that cannot run here says why")]
fn shares(host: &Host) -> bool {
    let shares = !host.spawner.has_own_networks_blocking();
    if shares {
        eprintln!("skipped: this machine gives programs no network of their own");
    }
    shares
}

impl Host {
    fn attack(&self, perl: &str, inside: &Inside) -> Command {
        let [tcp, udp] = inside.ports().map(|port| port.to_string());
        self.command(perl, &["-e", ATTACKS, &tcp, &udp])
    }
}

#[test]
fn in_a_network_of_its_own_a_program_reaches_nothing_of_this_machine() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    if shares(&host) {
        return;
    }
    for ceiling in [None, Some(0), Some(1), Some(2), Some(3)] {
        let inside = Inside::new();
        let [port, _] = inside.ports();
        // Even with the right port: what listens there is in another network.
        let open = Network::On(Ports::default());
        for network in [open, Network::through(port), Network::through(1)] {
            let mut command = host.attack(perl, &inside);
            command.policy.network = network.clone();
            command.policy.own_network = OwnNetwork::Served;
            command.policy.landlock_ceiling = ceiling;
            command.policy.without_landlock = WithoutLandlock::Start;
            let own = network == Network::through(port);
            let ran = host.run(command);
            assert!(ran.output.ends_with("tried\n"), "{ceiling:?} {network:?}: {}", ran.output);
            assert!(own || ran.output == "tried\n", "{ceiling:?} {network:?}: {}", ran.output);
            assert!(!inside.was_reached(), "{ceiling:?} {network:?}: {}", ran.output);
        }
    }
}

#[test]
fn the_way_out_of_a_network_is_handed_to_whoever_starts_the_program() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    if shares(&host) {
        return;
    }
    // The same port on this machine belongs to another server.
    let inside = Inside::new();
    let [port, _] = inside.ports();
    let ask = "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => \"127.0.0.1:$ARGV[0]\") \
               or die \"$!\\n\"; print $s \"ping\\n\"; print <$s>;";
    // First a process started for the command, then a waiting one; last, arguments too long for a waiting one.
    for filler in ["", "", &"x".repeat(100_000)] {
        let mut command = host.command(perl, &["-e", ask, &port.to_string(), filler]);
        command.policy.network = Network::through(port);
        command.policy.own_network = OwnNetwork::Required;
        let sandbox::spawn::Output::File(file) = command.stdout.clone() else { panic!() };
        let Started { job, way_out, .. } = host.spawner.spawn_blocking(command).unwrap();
        let way_out = way_out.expect("a way out");
        let (mut line, _) = way_out.accept().unwrap();
        let mut asked = [0; 5];
        line.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"ping\n");
        line.write_all(b"pong\n").unwrap();
        drop(line);
        assert_eq!(job.wait_blocking().outcome, Outcome::Code(0));
        assert_eq!(fs::read_to_string(file).unwrap(), "pong\n");
    }
    assert!(!inside.was_reached());
}

#[test]
fn a_program_without_network_is_in_an_empty_one() {
    let host = Host::new();
    if shares(&host) {
        return;
    }
    let ours = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    let script = "readlink /proc/self/ns/net; tail -n +3 /proc/net/dev | cut -d: -f1; id -u; id -g";
    let mut shared = host.sh(script);
    shared.policy.own_network = OwnNetwork::Never;
    assert!(host.run(shared).output.starts_with(&ours));
    // The waiting process is not the one that shares the network, and vice versa.
    for _ in 0..2 {
        let ran = host.run(host.sh(script));
        let mut lines = ran.output.lines().map(str::trim);
        assert_ne!(lines.next(), Some(ours.as_str()), "{}", ran.output);
        let interfaces: Vec<&str> =
            lines.by_ref().take_while(|l| l.parse::<u32>().is_err()).collect();
        // Some kernels create unusable tunnel interfaces in each network.
        assert!(interfaces.contains(&"lo") && !interfaces.contains(&"eth0"), "{interfaces:?}");
        let own = rustix::process::geteuid().as_raw().to_string();
        assert!(ran.output.contains(&format!("\n{own}\n")), "who it was: {}", ran.output);
    }
}

#[test]
fn where_there_are_no_networks_a_program_shares_that_of_the_machine() {
    let host = Host::new();
    let Some(perl) = perl() else { return };
    host.spawner.share_networks();
    assert!(!host.spawner.has_own_networks_blocking());
    let ours = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    let ran = host.run(host.sh("readlink /proc/self/ns/net"));
    assert_eq!(ran.output.trim(), ours);

    let inside = Inside::new();
    let [port, _] = inside.ports();
    let mut command = host.attack(perl, &inside);
    command.policy.network = Network::through(port);
    command.policy.own_network = OwnNetwork::Served;
    let sandbox::spawn::Output::File(file) = command.stdout.clone() else { panic!() };
    let Started { job, way_out, .. } = host.spawner.spawn_blocking(command).unwrap();
    assert!(way_out.is_none());
    assert_eq!(job.wait_blocking().outcome, Outcome::Code(0));
    assert!(fs::read_to_string(file).unwrap().contains("went: connect\n"));
    assert!(inside.was_reached(), "the port that it may reach");

    // A program whose restriction depends on a network of its own is not started without one.
    let mut command = host.sh("echo started");
    command.policy.network = Network::through(port);
    command.policy.own_network = OwnNetwork::Required;
    let ran = host.run(command);
    assert_eq!(ran.code(), 125, "{}", ran.output);
    assert!(ran.end.not_started.unwrap().contains("no network of its own"));
}

#[test]
fn the_self_test_says_whether_networks_are_private() {
    let host = Host::new();
    let test = SelfTest {
        data: host.path(""),
        master_key: None,
        without_landlock: WithoutLandlock::Start,
        landlock_ceiling: None,
    };
    let network = || {
        let lines = test.run(&host.spawner).unwrap().lines;
        let names =
            ["Private mounts: ", "Control groups: ", "Own user: ", "Landlock: ", "Seccomp: "];
        for name in names {
            assert!(lines.iter().any(|line| line.text.starts_with(name)), "{name}: {lines:?}");
        }
        lines.into_iter().find(|line| line.text.starts_with("Private network: ")).unwrap()
    };
    if !shares(&host) {
        let line = network();
        assert_eq!(line.verdict, Verdict::Held, "{}", line.text);
        assert!(line.text.contains("has its own"));
    }
    host.spawner.share_networks();
    let line = network();
    assert_eq!(line.verdict, Verdict::Limit, "{}", line.text);
    assert!(line.text.contains("behind Landlock and seccomp"), "{}", line.text);
}
