//! What a host reports about its machine: in the handshake, and every ten seconds.

use std::fs;
use std::path::Path;

use gateways::machine;
use link::Facts;
use link::frame::Beat;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The facts for the handshake. Reads some small files.
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
        ..Facts::default()
    }
}

/// The present load. Reads some small files.
pub(crate) fn beat(folder: &Path, clock_ms: i64) -> Beat {
    let load = machine::load(folder);
    // ok: missing kernel data is left out.
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

/// The default routes of the machine, by interface and next hop. Other routes change with containers.
pub(crate) fn networks() -> Vec<(String, String)> {
    // ok: without this file no change is detected.
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    default_routes(&read("/proc/net/route"), &read("/proc/net/ipv6_route"))
}

/// Parses `/proc/net/route` (interface, destination, next hop, …, netmask in column eight) and `/proc/net/ipv6_route`
/// (destination, length, source, length, next hop, …, interface).
fn default_routes(four: &str, six: &str) -> Vec<(String, String)> {
    let is_zero = |word: &str| word.bytes().all(|byte| byte == b'0');
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let four = four.lines().map(words).filter_map(|line| {
        let is_default = is_zero(line.get(1)?) && is_zero(line.get(7)?);
        is_default.then(|| Some((line.first()?.clone(), line.get(2)?.clone())))?
    });
    let six = six.lines().map(words).filter_map(|line| {
        let is_default = is_zero(line.first()?) && is_zero(line.get(1)?) && line.last()? != "lo";
        is_default.then(|| Some((line.last()?.clone(), line.get(4)?.clone())))?
    });
    four.chain(six).collect()
}

/// The system's name for itself.
fn pretty(release: &str) -> Option<String> {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// Converts "1.50 …" to 150.
fn hundredths(average: &str) -> u32 {
    let first = average.split_whitespace().next().unwrap_or_default();
    first.replace('.', "").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{beat, default_routes, facts, hundredths, pretty};

    #[test]
    fn only_default_routes_count_and_not_how_often_they_were_used() {
        let four = |used| {
            format!(
                "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU\n\
                 wlan0 00000000 0100A8C0 0003 0 {used} 600 00000000 0\n\
                 docker0 000011AC 00000000 0001 0 {used} 0 0000FFFF 0\n"
            )
        };
        let zero = "0".repeat(32);
        let six = format!(
            "{zero} 00 {zero} 00 fe80000000000000 00000064 1 0 450003 wlan0\n\
             fe80000000000000 40 {zero} 00 {zero} 00000100 1 0 1 veth1\n\
             {zero} 00 {zero} 00 {zero} ffffffff 1 0 200200 lo\n"
        );
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let wanted = [pair("wlan0", "0100A8C0"), pair("wlan0", "fe80000000000000")];
        assert_eq!(default_routes(&four(1), &six), wanted);
        assert_eq!(default_routes(&four(7), &six), wanted);
        assert_ne!(default_routes(&four(1).replace("wlan0", "eth0"), &six), wanted);
    }

    #[test]
    fn what_the_machine_is_and_how_it_is() {
        assert_eq!(hundredths("1.50 0.20 0.10 1/80 7\n"), 150);
        assert_eq!(hundredths(""), 0);
        let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13\"\n";
        assert_eq!(pretty(text).as_deref(), Some("Debian GNU/Linux 13"));
        let folder = tempfile::tempdir().unwrap();
        let facts = facts(folder.path(), &["gpu".to_owned()]);
        assert!(0 < facts.cpus && 0 < facts.disk && !facts.arch.is_empty(), "{facts:?}");
        let now = beat(folder.path(), 5);
        assert!(now.disk_free <= now.disk && 0 < now.disk && now.clock_ms == 5, "{now:?}");
    }
}
