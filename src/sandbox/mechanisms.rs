//! The kernel mechanisms that isolate programs on this machine, in layers, so that a hole in one is not enough.
//! Determined by comparing what a program and HQ see of themselves.

use std::fs;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::cgroup::{MemoryLimit, Missing};
use super::posture::{Line, Verdict};

/// A process's view of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Network namespace.
    network: Option<String>,
    mounts: Option<String>,
    /// Control group.
    cgroup: Option<String>,
    user: u32,
    /// Whether a system call filter is active.
    is_filtered: bool,
}

impl Seen {
    pub(super) fn here() -> Self {
        // ok, in all of them: unreadable data proves nothing.
        let link = fs::read_link("/proc/self/ns/net").ok();
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            network: link.map(|link| link.to_string_lossy().into_owned()),
            mounts: mounts.map(|text| text.lines().map(mounted).collect()),
            cgroup: fs::read_to_string("/proc/self/cgroup").ok(),
            user: rustix::process::geteuid().as_raw(),
            is_filtered: status.lines().any(|line| line == "Seccomp:\t2"),
        }
    }

    /// Returns `true` if both networks are known and different.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        differ(self.network.as_ref(), other.network.as_ref())
    }
}

/// The part of a `mountinfo` line without ids: root, mount point, options.
fn mounted(line: &str) -> String {
    line.split(' ').skip(3).take(3).collect::<Vec<_>>().join(" ") + "\n"
}

fn differ(one: Option<&String>, other: Option<&String>) -> bool {
    one.is_some() && other.is_some() && one != other
}

/// Findings about the mechanisms.
pub(super) struct Found<'f> {
    /// HQ's view.
    pub(super) server: &'f Seen,
    /// The view of a program without network.
    pub(super) off: &'f Seen,
    /// The view of a program with network.
    pub(super) on: Option<&'f Seen>,
    /// Whether the network namespace alone, without Landlock, kept a program from reaching this machine.
    pub(super) holds_alone: bool,
    /// The Landlock ABI in use.
    pub(super) abi: u8,
    /// The limits of control groups, or why there are none.
    pub(super) groups: Result<Option<MemoryLimit>, Missing>,
}

impl Found<'_> {
    /// One report line per mechanism.
    pub(super) fn lines(&self) -> Vec<Line> {
        let (server, off) = (self.server, self.off);
        let network = self.network();
        let has_mounts = differ(off.mounts.as_ref(), server.mounts.as_ref());
        vec![
            network,
            line(
                has_mounts,
                "Private mounts: everything except its own folders is read-only for a program.",
                "Private mounts: not on this machine. Landlock protects files.",
            ),
            self.control_groups(),
            line(
                off.user != server.user,
                "Own user: programs run as a different user than HQ.",
                "Own user: no. Programs run as HQ’s user, behind the other mechanisms.",
            ),
            line(
                0 < self.abi,
                &format!("Landlock: protects files, ports and signals (ABI {}).", self.abi),
                "Landlock: not available in this kernel, or turned off.",
            ),
            line(
                off.is_filtered,
                "Seccomp: unneeded system calls are refused.",
                "Seccomp: no filter is active.",
            ),
        ]
    }

    fn control_groups(&self) -> Line {
        let has_group = differ(self.off.cgroup.as_ref(), self.server.cgroup.as_ref());
        let yes = "Control groups: the kernel counts and ends each program as a whole";
        let no = "Programs are counted and ended by session.";
        match self.groups {
            Ok(Some(MemoryLimit { each, all })) if has_group => {
                let (each, all) = (each >> 20, all >> 20);
                let memory = format!("each can use {each} MB of memory, all together {all} MB");
                line(true, &format!("{yes}; {memory}."), "")
            }
            Ok(None) if has_group => line(
                true,
                &format!("{yes}. Their memory isn’t limited, which needs the memory controller."),
                "",
            ),
            Ok(_) => line(false, "", &format!("Control groups: programs can’t enter theirs. {no}")),
            Err(missing) => {
                line(false, "", &format!("Control groups: none ({}). {no}", missing.reason()))
            }
        }
    }

    fn network(&self) -> Line {
        let is_apart = [Some(self.off), self.on]
            .into_iter()
            .all(|seen| seen.is_some_and(|seen| seen.is_apart_from(self.server)));
        if is_apart && !self.holds_alone {
            let text = "Private network: a program escaped its own.".to_owned();
            return Line { check: None, verdict: Verdict::Broken, text };
        }
        line(
            is_apart,
            "Private network: each program has its own, where only HQ's proxy listens.",
            why_shared(),
        )
    }
}

fn line(holds: bool, yes: &str, no: &str) -> Line {
    let (verdict, text) = if holds { (Verdict::Held, yes) } else { (Verdict::Limit, no) };
    Line { check: None, verdict, text: text.to_owned() }
}

/// Why programs share the network of this machine, as far as it can be determined.
fn why_shared() -> &'static str {
    let says = |path: &str, value: &str| {
        fs::read_to_string(path).is_ok_and(|text| text.trim() == value) // ok: missing on most machines
    };
    let may = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    if may {
        "Private network: not available on this machine. Programs share its network, behind \
         Landlock and seccomp."
    } else if says("/proc/sys/user/max_user_namespaces", "0") {
        "Private network: user namespaces are turned off here (user.max_user_namespaces). Programs \
         share this machine's network, behind Landlock and seccomp."
    } else if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "Private network: AppArmor restricts user namespaces here \
         (kernel.apparmor_restrict_unprivileged_userns). Programs share this machine's network, \
         behind Landlock and seccomp."
    } else {
        "Private network: HQ can't create namespaces here, as in most containers. Programs share \
         this machine's network, behind Landlock and seccomp."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(network: &str, user: u32) -> Seen {
        Seen {
            network: Some(network.to_owned()),
            mounts: None,
            cgroup: Some("0::/hq".to_owned()),
            user,
            is_filtered: true,
        }
    }

    fn verdicts(found: &Found<'_>) -> Vec<Verdict> {
        found.lines().into_iter().map(|line| line.verdict).collect()
    }

    #[test]
    fn what_differs_from_the_server_holds_and_what_is_unknown_does_not() {
        use Verdict::{Broken, Held, Limit};
        let (server, own) = (seen("net:[1]", 7), seen("net:[2]", 7));
        let mut found = Found {
            server: &server,
            off: &own,
            on: Some(&own),
            holds_alone: true,
            abi: 6,
            groups: Ok(None),
        };
        assert_eq!(verdicts(&found), [Held, Limit, Limit, Limit, Held, Held]);
        found.on = Some(&server);
        assert_eq!(verdicts(&found)[0], Limit, "only those without network are apart");
        found.on = Some(&own);
        found.holds_alone = false;
        assert_eq!(verdicts(&found)[0], Broken);
        let other = Seen { cgroup: Some("0::/hq/1".to_owned()), ..seen("net:[1]", 8) };
        let mut found = Found {
            server: &server,
            off: &other,
            on: None,
            holds_alone: false,
            abi: 0,
            groups: Ok(None),
        };
        assert_eq!(verdicts(&found), [Limit, Limit, Held, Held, Limit, Held]);
        let says = |found: &Found<'_>| found.lines()[2].text.clone();
        assert!(says(&found).contains("memory isn’t limited"));
        found.groups = Ok(Some(MemoryLimit { each: 1 << 30, all: 3 << 30 }));
        assert!(says(&found).contains("each can use 1024 MB of memory, all together 3072 MB"));
        found.groups = Err(Missing::ReadOnly);
        assert_eq!(verdicts(&found)[2], Limit);
        assert!(says(&found).contains("none (cgroup v2 is read-only here"), "{}", says(&found));
    }

    #[test]
    fn a_mount_is_told_by_root_place_and_options() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mounted(line), "/mnt1 /mnt2 rw,noatime\n");
    }
}
