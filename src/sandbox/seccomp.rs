//! System call filters of jailed programs. They refuse by number and plain arguments what Landlock (files, ports,
//! signals) cannot control. A filter cannot inspect memory behind pointers.
//!
//! Each filter has a single action, so several are stacked: `EPERM` for forbidden calls, "does not exist" for two calls
//! whose arguments are behind a pointer and which have an older form, "not supported" for file attributes.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::confine;
use super::policy::{Network, Policy};

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Calls that no agent tool needs: memory of other processes, mounts and namespaces, kernel state, and interfaces with
/// a history of vulnerabilities.
const REFUSED: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // System V and POSIX IPC objects are shared with all processes of this user.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // Notifications about other users' folders.
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    OPEN_TREE_ATTR,
    // The session id is how all descendants of a program are found.
    libc::SYS_setsid,
];

/// Calls that change file metadata unknown to Landlock. Programs that copy files treat "not supported" like a file
/// system without attributes, and continue.
const NOTES: &[i64] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_inotify_init,
];
#[cfg(target_arch = "aarch64")]
const REFUSED_HERE: &[i64] = &[];

/// New namespaces, and children of the server instead of the caller.
const CLONE_REFUSED: &[i32] = &[
    libc::CLONE_PARENT,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Bit of the x32 call numbers of x86-64.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// The same number on every architecture, but missing in some libc definitions.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_SETATTR: i64 = 469;
/// The lower half of -1.
const MINUS_ONE: u64 = 0xffff_ffff;
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;
const F_SETOWN: u64 = 8;
const F_SETOWN_EX: u64 = 15;
const F_SETLEASE: u64 = 1024;
const F_NOTIFY: u64 = 1026;
const SOCK_TYPE: u64 = 0xf;
/// Sends data with the first packet: a `connect` that Landlock does not see.
const MSG_FASTOPEN: u64 = 0x2000_0000;
/// TCP socket options that connect later or differently (`TCP_FASTOPEN_CONNECT`, `TCP_REPAIR`), or turn the socket into
/// another kind (`TCP_ULP`).
const TCP_OPTIONS: [u64; 3] = [30, 19, 31];
const SET_ID: [u64; 2] = [libc::S_ISUID as u64, libc::S_ISGID as u64];

/// The filters of a policy, in order of installation. `own` is this process, the leader of its session and process
/// group.
pub fn filters(policy: &Policy, abi: u8, own: i32) -> Result<Vec<BpfProgram>, BackendError> {
    let mut rules = Rules::default();
    for call in REFUSED.iter().chain(REFUSED_HERE) {
        rules.refuse(*call);
    }
    // Calls with separate x32 numbers.
    #[cfg(target_arch = "x86_64")]
    for call in 512..548 {
        rules.refuse(call | X32);
    }
    for flag in CLONE_REFUSED {
        let flag = u64::from(flag.unsigned_abs());
        rules.refuse_if(libc::SYS_clone, &[bits(0, flag)])?;
    }
    others(&mut rules)?;
    signals(&mut rules, abi, own)?;
    set_id_files(&mut rules)?;
    if abi < confine::TRUNCATE {
        emptied_files(&mut rules)?;
    }
    sockets(&mut rules, policy, abi)?;
    let refused = compile(rules.0, libc::EPERM)?;

    // The flags of `clone3` and `openat2` are behind a pointer.
    let mut absent = Rules::default();
    absent.refuse(libc::SYS_clone3);
    absent.refuse(libc::SYS_openat2);
    let mut notes = Rules::default();
    for call in NOTES {
        notes.refuse(*call);
    }
    Ok(vec![refused, compile(absent.0, libc::ENOSYS)?, compile(notes.0, libc::ENOTSUP)?])
}

/// Calls that affect another process of the same user by id. Zero means the caller.
fn others(rules: &mut Rules) -> Result<(), BackendError> {
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
    ] {
        rules.refuse_if(call, &[not(0, 0)])?;
    }
    // First the kind of target (only a process, never a group or user), then the target.
    for (call, process) in [(libc::SYS_setpriority, 0), (libc::SYS_ioprio_set, 1)] {
        rules.refuse_if(call, &[not(0, process)])?;
        rules.refuse_if(call, &[not(1, 0)])?;
    }
    // Delaying others who open a shared file, and notifications about a folder.
    for command in [F_SETLEASE, F_NOTIFY] {
        rules.refuse_if(libc::SYS_fcntl, &[is(1, command)])?;
    }
    // Typing into somebody else's terminal.
    rules.refuse_if(libc::SYS_ioctl, &[is(1, TIOCSTI)])?;
    rules.refuse_if(libc::SYS_ioctl, &[is(1, TIOCLINUX)])
}

/// Never signals all processes. Where Landlock does not confine signals, only the own process group, whose id every
/// descendant knows.
fn signals(rules: &mut Rules, abi: u8, own: i32) -> Result<(), BackendError> {
    rules.refuse_if(libc::SYS_kill, &[is(0, MINUS_ONE)])?;
    if confine::SCOPES <= abi {
        return Ok(());
    }
    let own = u64::from(own.unsigned_abs());
    let group = MINUS_ONE - own + 1;
    rules.refuse_if(libc::SYS_kill, &[not(0, 0), not(0, own), not(0, group)])?;
    for call in [
        libc::SYS_tkill,
        libc::SYS_pidfd_send_signal,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
    ] {
        rules.refuse(call);
    }
    // A file can be set to send signals to a process.
    for request in [F_SETOWN, F_SETOWN_EX] {
        rules.refuse_if(libc::SYS_fcntl, &[is(1, request)])?;
    }
    for request in [FIOSETOWN, SIOCSPGRP] {
        rules.refuse_if(libc::SYS_ioctl, &[is(1, request)])?;
    }
    // Some runtimes wake their threads with SIGURG, which other processes ignore by default.
    let urgent = u64::from(libc::SIGURG.unsigned_abs());
    rules.refuse_if(libc::SYS_tgkill, &[not(0, own), not(2, urgent)])
}

/// Before Landlock handled truncation, a file could be emptied without write permission.
fn emptied_files(rules: &mut Rules) -> Result<(), BackendError> {
    let empty = u64::from(libc::O_TRUNC.unsigned_abs());
    let access = u64::from(libc::O_ACCMODE.unsigned_abs());
    let read = u64::from(libc::O_RDONLY.unsigned_abs());
    rules.refuse(libc::SYS_truncate);
    rules.refuse_if(libc::SYS_openat, &[bits(2, empty), masked(2, access, read)])?;
    #[cfg(target_arch = "x86_64")]
    rules.refuse_if(libc::SYS_open, &[bits(1, empty), masked(1, access, read)])?;
    Ok(())
}

/// No setuid or setgid files: HQ may run as root, and others could run such a file outside the jail.
fn set_id_files(rules: &mut Rules) -> Result<(), BackendError> {
    let create = u64::from(libc::O_CREAT.unsigned_abs());
    let unnamed = u64::from((libc::O_TMPFILE & !libc::O_DIRECTORY).unsigned_abs());
    for bit in SET_ID {
        rules.refuse_if(libc::SYS_fchmod, &[bits(1, bit)])?;
        rules.refuse_if(libc::SYS_fchmodat, &[bits(2, bit)])?;
        rules.refuse_if(FCHMODAT2, &[bits(2, bit)])?;
        rules.refuse_if(libc::SYS_mknodat, &[bits(2, bit)])?;
        rules.refuse_if(libc::SYS_openat, &[bits(2, create), bits(3, bit)])?;
        rules.refuse_if(libc::SYS_openat, &[bits(2, unnamed), bits(3, bit)])?;
        #[cfg(target_arch = "x86_64")]
        {
            rules.refuse_if(libc::SYS_chmod, &[bits(1, bit)])?;
            rules.refuse_if(libc::SYS_creat, &[bits(1, bit)])?;
            rules.refuse_if(libc::SYS_mknod, &[bits(1, bit)])?;
            rules.refuse_if(libc::SYS_open, &[bits(1, create), bits(2, bit)])?;
            rules.refuse_if(libc::SYS_open, &[bits(1, unnamed), bits(2, bit)])?;
        }
    }
    Ok(())
}

/// A `socketpair` of streams is always allowed, because it only connects own processes.
fn sockets(rules: &mut Rules, policy: &Policy, abi: u8) -> Result<(), BackendError> {
    let [unix, inet, inet6, netlink] =
        [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(number);
    let has_unix = policy.unix_sockets || confine::UNIX_SOCKETS <= abi;
    pairs(rules, unix, has_unix)?;
    fast_open(rules)?;
    let mut allowed = Vec::new();
    if has_unix {
        allowed.push(unix);
    }
    if let Network::On(ports) = &policy.network {
        allowed.extend([inet, inet6]);
        if !ports.no_interfaces {
            allowed.push(netlink);
        }
        for family in [inet, inet6] {
            of_internet(rules, family, ports.no_udp)?;
        }
        // Of netlink, only the list of addresses and routes.
        rules.refuse_if(libc::SYS_socket, &[is(0, netlink), not(2, 0)])?;
        // A socket that listens without `bind` gets a port on all addresses without a Landlock check.
        rules.refuse(libc::SYS_accept);
        rules.refuse(libc::SYS_accept4);
        // Chromium exits without a listening Unix socket in its profile. Refusing to accept connections is sufficient.
        if !policy.unix_sockets {
            rules.refuse(libc::SYS_listen);
        }
    }
    if allowed.is_empty() {
        rules.refuse(libc::SYS_socket);
        return Ok(());
    }
    let none_of: Vec<Test> = allowed.iter().map(|family| not(0, *family)).collect();
    rules.refuse_if(libc::SYS_socket, &none_of)
}

/// TCP and optionally UDP. Landlock's port rules cover TCP only: other kinds and protocols (SCTP and DCCP, which a type
/// alone selects, MPTCP, UDP-Lite, SMC) would bypass them.
fn of_internet(rules: &mut Rules, family: u64, no_udp: bool) -> Result<(), BackendError> {
    let [tcp, udp] = [libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(number);
    rules.refuse_if(libc::SYS_socket, &[is(0, family), not(2, 0), not(2, tcp), not(2, udp)])?;
    // Of sixteen types, only stream (1) and datagram (2) remain: no higher bit, and exactly one of the lower two.
    let [stream, datagram] = [libc::SOCK_STREAM, libc::SOCK_DGRAM].map(number);
    let both = stream | datagram;
    for other in [masked(1, 8, 8), masked(1, 4, 4), masked(1, both, both), masked(1, SOCK_TYPE, 0)]
    {
        rules.refuse_if(libc::SYS_socket, &[is(0, family), other])?;
    }
    if no_udp {
        let udp = [is(0, family), masked(1, SOCK_TYPE, datagram)];
        rules.refuse_if(libc::SYS_socket, &udp)?;
    }
    Ok(())
}

/// A datagram socket pair can still send to any address, and so could pairs of other families.
fn pairs(rules: &mut Rules, unix: u64, has_unix: bool) -> Result<(), BackendError> {
    rules.refuse_if(libc::SYS_socketpair, &[not(0, unix)])?;
    if !has_unix {
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW].map(number) {
            rules.refuse_if(libc::SYS_socketpair, &[masked(1, SOCK_TYPE, kind)])?;
        }
    }
    Ok(())
}

/// No connection except through `connect`.
fn fast_open(rules: &mut Rules) -> Result<(), BackendError> {
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.refuse_if(call, &[bits(flags, MSG_FASTOPEN)])?;
    }
    let tcp = number(libc::IPPROTO_TCP);
    for option in TCP_OPTIONS {
        rules.refuse_if(libc::SYS_setsockopt, &[is(1, tcp), is(2, option)])?;
    }
    Ok(())
}

fn number(constant: i32) -> u64 {
    u64::from(constant.unsigned_abs())
}

/// A test of one argument. A rule is a conjunction of tests.
struct Test {
    argument: u8,
    op: SeccompCmpOp,
    value: u64,
}

fn is(argument: u8, value: u64) -> Test {
    Test { argument, op: SeccompCmpOp::Eq, value }
}

fn not(argument: u8, value: u64) -> Test {
    Test { argument, op: SeccompCmpOp::Ne, value }
}

fn masked(argument: u8, mask: u64, value: u64) -> Test {
    Test { argument, op: SeccompCmpOp::MaskedEq(mask), value }
}

fn bits(argument: u8, value: u64) -> Test {
    masked(argument, value, value)
}

/// Rules that refuse a call, by call number. No rule means always.
#[derive(Default)]
struct Rules(BTreeMap<i64, Vec<SeccompRule>>);

impl Rules {
    fn refuse(&mut self, call: i64) {
        for number in numbers(call) {
            self.0.insert(number, Vec::new());
        }
    }

    fn refuse_if(&mut self, call: i64, tests: &[Test]) -> Result<(), BackendError> {
        for number in numbers(call) {
            let conditions = tests
                .iter()
                .map(|test| {
                    // All tested arguments are 32 bits wide. The upper bits are undefined.
                    SeccompCondition::new(
                        test.argument,
                        SeccompCmpArgLen::Dword,
                        test.op.clone(),
                        test.value,
                    )
                })
                .collect::<Result<Vec<_>, _>>()?;
            self.0.entry(number).or_default().push(SeccompRule::new(conditions)?);
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
fn numbers(call: i64) -> [i64; 2] {
    [call, call | X32]
}

#[cfg(not(target_arch = "x86_64"))]
fn numbers(call: i64) -> [i64; 1] {
    [call]
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(error.unsigned_abs()),
        ARCH,
    )?
    .try_into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_policy_compiles_to_filters_that_the_kernel_takes() {
        let mut policy = Policy::for_agent(Path::new("/a"), Path::new("/s"), Path::new("/d"));
        for network in [Network::Off, Network::to_ports([443]), Network::through(8_080)] {
            policy.network = network;
            for abi in 0..=9 {
                for unix in [false, true] {
                    policy.unix_sockets = unix;
                    let filters = filters(&policy, abi, 4321).unwrap();
                    let refused = filters[0].len();
                    assert!(200 < refused && refused < 4096, "{refused}");
                    assert_eq!(filters.len(), 3);
                }
            }
        }
    }
}
