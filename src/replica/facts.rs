//! What a host says of its machine: once when it knocks, and every ten seconds.

use std::fs;
use std::path::Path;

use gateways::machine;
use link::Facts;
use link::frame::Beat;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What it says when it knocks. Reads some small files.
pub(crate) fn facts(folder: &Path, labels: &[String]) -> Facts {
    let (load, uname) = (machine::load(folder), rustix::system::uname());
    let system = fs::read_to_string("/etc/os-release").ok().as_deref().and_then(pretty);
    Facts {
        name: uname.nodename().to_string_lossy().into_owned(),
        system: system.unwrap_or_else(|| uname.sysname().to_string_lossy().into_owned()),
        arch: uname.machine().to_string_lossy().into_owned(),
        cpus: u32::from(load.processors),
        memory: load.memory_total,
        disk: load.disk_total,
        labels: labels.to_vec(),
        addresses: Vec::new(),
    }
}

/// How it is now. Reads some small files.
pub(crate) fn beat(folder: &Path, clock_ms: i64) -> Beat {
    let load = machine::load(folder);
    // ok: what the kernel does not tell is not shown.
    let average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Beat {
        load: hundredths(&average),
        cpu: load.processor_percent,
        memory_used: load.memory_used,
        memory: load.memory_total,
        disk_free: load.disk_total.saturating_sub(load.disk_used),
        disk: load.disk_total,
        version: VERSION.to_owned(),
        runs: Vec::new(),
        clock_ms,
        ..Beat::default()
    }
}

/// The networks that the machine has: its routes, and its addresses of IPv6.
pub(crate) fn networks() -> (String, String) {
    // ok: a system that does not tell has always the same.
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    (routes(&read("/proc/net/route")), read("/proc/net/if_inet6"))
}

/// Interface, destination and next hop of each route: what counts how often one was used is left out.
fn routes(table: &str) -> String {
    let route = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    table.lines().map(route).collect::<Vec<_>>().join("\n")
}

/// What the system calls itself.
fn pretty(release: &str) -> Option<String> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// "1.50 …" is 150.
fn hundredths(average: &str) -> u32 {
    let first = average.split_whitespace().next().unwrap_or_default();
    first.replace('.', "").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{beat, facts, hundredths, pretty, routes};

    #[test]
    fn a_route_is_where_it_leads_and_not_how_often_it_was_used() {
        let table = |used| format!("Iface\tDestination\tGateway\nwlan0\t0\tFE\t3\t{used}\t600\n");
        assert_eq!(routes(&table(1)), routes(&table(7)));
        assert_ne!(routes(&table(1)), routes(&table(1).replace("wlan0", "eth0")));
    }

    #[test]
    fn what_the_machine_is_and_how_it_is() {
        assert_eq!(hundredths("1.50 0.20 0.10 1/80 7\n"), 150);
        assert_eq!(hundredths(""), 0);
        let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13\"\n";
        assert_eq!(pretty(text).as_deref(), Some("Debian GNU/Linux 13"));
        let folder = tempfile::tempdir().unwrap();
        let told = facts(folder.path(), &["gpu".to_owned()]);
        assert!(0 < told.cpus && 0 < told.disk && !told.arch.is_empty(), "{told:?}");
        let now = beat(folder.path(), 5);
        assert!(now.disk_free <= now.disk && 0 < now.disk && now.clock_ms == 5, "{now:?}");
    }
}
