//! Page views of gateways and of joining machines.

use app::Ws;
use app::copies::FolderCopy;
use app::hosts::{Linked, Phase};
use features::agents::queries as agents;
use features::cards;
use features::tasks::queries::view_context::ViewContext;
use kernel::{Assignee, GatewayId};
use mirror::MirrorError;
use store::{Read, ReadExt as _};
use web::format;
use web::parts::{Dot, Face, percent};
use web::time::RelTime;

use super::HERE;
use crate::error::GatewayError;
use crate::health::Health;
use crate::hosts::{quiet, shown};
use crate::machine;
use crate::model::{Gateway, GatewayToken, Load, MINUTES, Status};
use crate::queries;

/// Use of a resource.
pub(super) struct Meter {
    pub(super) label: &'static str,
    pub(super) text: String,
    pub(super) percent: u8,
    pub(super) tone: &'static str,
}

/// An agent on the gateway.
pub(super) struct Here {
    pub(super) face: Face,
    pub(super) name: String,
    pub(super) href: String,
    pub(super) told: String,
}

/// One of several machines with the same key.
pub(super) struct CopyLine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) seen: RelTime,
}

/// A gateway in the list or on its page.
pub(super) struct Block {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) label: String,
    pub(super) glyph: &'static str,
    pub(super) is_here: bool,
    pub(super) last: Option<RelTime>,
    pub(super) version: String,
    pub(super) state: &'static str,
    pub(super) dot: Dot,
    pub(super) quiet: String,
    /// When the link was established; `None` without a link.
    pub(super) linked: Option<RelTime>,
    /// Progress of replication, while linked.
    pub(super) reach: String,
    /// The last 30 minutes, oldest first: whether a heartbeat arrived in each.
    pub(super) minutes: Vec<bool>,
    pub(super) silent: Option<RelTime>,
    /// Warning about an incompatible version of the host's program; empty if there is none.
    pub(super) odds: String,
    /// Problems that the host reported last.
    pub(super) troubles: Vec<String>,
    /// Machines that share the gateway's key, if one of them has to be chosen.
    pub(super) copies: Vec<CopyLine>,
    /// Amount of data that the host has still to send.
    pub(super) waits: String,
    /// Last loss of the link, and the reason.
    pub(super) broke: Option<(RelTime, String)>,
    pub(super) is_asleep: bool,
    pub(super) meters: Vec<Meter>,
    pub(super) agents: Vec<Here>,
    pub(super) labels: Vec<String>,
    pub(super) address: String,
    pub(super) system: String,
    pub(super) may_pause: bool,
    pub(super) may_resume: bool,
    pub(super) may_revoke: bool,
}

pub(super) fn block(
    scene: &ViewContext,
    read: &dyn Read,
    one: &Gateway,
) -> Result<Block, GatewayError> {
    let now = scene.today.now;
    let standing = queries::standing(read, one, now)?;
    let beat = queries::beat(read, one.id)?;
    let (state, word) = shown(one, &standing);
    let is_here = one.is_local();
    let heard = match (is_here, &beat) {
        (true, _) => u32::MAX,
        (false, Some(beat)) => beat.minutes_at(now),
        (false, None) => 0,
    };
    let load = match (is_here, &beat) {
        (true, _) => Some(machine::load(&scene.ws.app.config.data)),
        (false, beat) => beat.as_ref().map(|beat| beat.load),
    };
    let is_fresh = standing.health == Health::Healthy;
    let linked = scene.ws.app.hosts.linked(scene.ws.id, one.id);
    let (hosts, ws) = (&scene.ws.app.hosts, scene.ws.id);
    let report = hosts.report(ws, one.id).unwrap_or_default();
    let troubles = hosts.troubles(ws, one.id);
    let copies = hosts.copies(ws, one.id);
    let is_held = !copies.is_empty();
    let may = !is_here && one.status != Status::Revoked;
    Ok(Block {
        troubles: troubles.iter().map(|trouble| trouble.describe(&one.label)).collect(),
        copies: copies.into_iter().map(|copy| copy_line(scene, copy)).collect(),
        waits: report.waits(),
        broke: report.broke.map(|(at, why)| (scene.time(at), why)),
        id: one.id.to_string(),
        href: scene.ws.url(&format!("{HERE}/{}", one.slug)),
        label: one.label.clone(),
        glyph: if is_here { "home" } else { "server" },
        is_here,
        last: standing.since.filter(|_| !is_here).map(|at| scene.time(at)),
        version: match is_here {
            true => env!("CARGO_PKG_VERSION").to_owned(),
            false => one.version.clone(),
        },
        state,
        dot: Dot::new(state, word),
        quiet: quiet(&standing, now),
        reach: linked.as_ref().map(|is| reach(is, scene.ws.store.head().seq)).unwrap_or_default(),
        linked: linked.map(|is| scene.time(is.since)),
        minutes: (0..MINUTES).rev().map(|n| heard >> n & 1 == 1).collect(),
        odds: scene.ws.app.hosts.odds(scene.ws.id, one.id, now).unwrap_or_default(),
        silent: standing.since.filter(|_| state == "stale" && !is_held).map(|at| scene.time(at)),
        is_asleep: standing.health == Health::Sleeping && !is_held,
        meters: meters(load.as_ref(), is_fresh),
        agents: here(scene, read, one)?,
        labels: one.labels.clone(),
        address: one.reached_at().to_owned(),
        system: beat.map(|beat| beat.system).unwrap_or_default(),
        may_pause: may && !matches!(one.status, Status::Paused | Status::Draining),
        may_resume: matches!(one.status, Status::Paused | Status::Draining),
        may_revoke: may,
    })
}

fn copy_line(scene: &ViewContext, copy: FolderCopy) -> CopyLine {
    let FolderCopy { id, name, address, seen_at, .. } = copy;
    let name = if name.is_empty() { "Unnamed machine".to_owned() } else { name };
    CopyLine { id, name, address, seen: scene.time(seen_at) }
}

fn here(scene: &ViewContext, read: &dyn Read, one: &Gateway) -> Result<Vec<Here>, GatewayError> {
    let mut all = Vec::new();
    for agent in queries::agents_on(read, one.id)? {
        let activity = agents::activity_seen(&scene.ws, &read, &agent, scene.today.now)?;
        all.push(Here {
            face: scene.people.face(Assignee::Agent(agent.id)),
            name: scene.people.name(Assignee::Agent(agent.id)),
            href: scene.ws.url(&format!("agents/{}", agent.slug)),
            told: activity.label,
        });
    }
    Ok(all)
}

/// Replication progress of a linked host, in words.
pub(crate) fn reach(linked: &Linked, head: u64) -> String {
    match (linked.phase, linked.behind(head)) {
        (Phase::Asked, _) => "comparing data".to_owned(),
        (Phase::Taking(rows), _) => {
            format!("loading snapshot, {} so far", format::count(rows, "row", "rows"))
        }
        (Phase::Following, 0) => "up to date".to_owned(),
        (Phase::Following, behind) => {
            format!("{} behind", format::count(behind, "change", "changes"))
        }
    }
}

/// Number of rows of one kind that a host can read.
pub(super) struct Seen {
    pub(super) kind: String,
    pub(super) rows: String,
}

/// What a host can read, by kind. Reads all of those rows.
pub(super) fn sees(ws: &Ws, id: GatewayId) -> Result<Vec<Seen>, MirrorError> {
    let all = mirror::what_it_sees(&ws.store, id, &queries::bound)?;
    let seen =
        |(table, rows): (&str, u64)| Seen { kind: kind(ws, table), rows: format::grouped(rows) };
    Ok(all.into_iter().map(seen).collect())
}

/// Plural name of a table's rows.
fn kind(ws: &Ws, name: &str) -> String {
    let mut tables = ws.store.schema().tables().iter();
    let found = tables.find(|table| table.name == name);
    match found.and_then(|table| cards::of_table(table.number)) {
        Some(noun) => noun.many.to_owned(),
        None => name.replace('_', " "),
    }
}

/// Resource use of a machine; for a silent machine only values that change slowly.
fn meters(load: Option<&Load>, is_fresh: bool) -> Vec<Meter> {
    let none = |label| Meter { label, text: "–".to_owned(), percent: 0, tone: "neutral" };
    let of = |label, used: u64, total: u64| match total {
        0 => none(label),
        _ => {
            let percent = percent(used, total);
            Meter { label, text: part(used, total), percent, tone: tone(percent) }
        }
    };
    let Some(load) = load else {
        return ["Processor", "Memory", "Disk"].into_iter().map(none).collect();
    };
    let disk = of("Disk", load.disk_used, load.disk_total);
    if !is_fresh {
        return vec![none("Processor"), none("Memory"), Meter { tone: "neutral", ..disk }];
    }
    let busy = load.processor_percent.min(100);
    let processor =
        Meter { label: "Processor", text: format!("{busy} %"), percent: busy, tone: tone(busy) };
    vec![processor, of("Memory", load.memory_used, load.memory_total), disk]
}

/// Used of total; the unit appears once if both have the same: "3.3 of 8.0 GB".
fn part(used: u64, total: u64) -> String {
    let (used, total) = (format::size(used), format::size(total));
    match (used.split_once(' '), total.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {total}"),
        _ => format!("{used} of {total}"),
    }
}

fn tone(percent: u8) -> &'static str {
    match percent {
        95.. => "danger",
        85.. => "warn",
        _ => "ok",
    }
}

/// A step of joining.
pub(super) struct Step {
    pub(super) text: String,
    pub(super) is_done: bool,
    pub(super) is_now: bool,
}

/// A joining machine.
pub(super) struct Waits {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) here: String,
    pub(super) steps: Vec<Step>,
    /// End of the token's validity, while it is valid.
    pub(super) until: Option<RelTime>,
    /// Why the token can no longer be used; empty while it can, or after it was used.
    pub(super) over: &'static str,
    /// How many other machines were refused.
    pub(super) refused: u32,
    /// Address of the gateway that joined; empty before.
    pub(super) href: String,
    /// Address to revoke the token, while it is valid.
    pub(super) revoke: String,
    pub(super) is_ready: bool,
}

/// The joining steps of a token's machine.
pub(super) fn waits(
    scene: &ViewContext,
    read: &dyn Read,
    one: &GatewayToken,
) -> Result<Waits, GatewayError> {
    let gateway: Option<Gateway> = one.gateway.map(|id| read.get(id)).transpose()?.flatten();
    let is_removed = one.gateway.is_some() && gateway.is_none();
    let here = scene.ws.url(&format!("{HERE}/tokens/{}", one.id));
    let is_open = one.is_open(scene.today.now);
    let has = |at: fn(&Gateway) -> bool| gateway.as_ref().is_some_and(at);
    let joined = gateway.as_ref().map(|gateway| format!("Joined as {}", gateway.slug));
    let steps = [
        (one.called_at.is_some(), "Waiting for the machine", "Machine connected".into()),
        (one.used_at.is_some(), "Joining", joined.unwrap_or_else(|| "Joined".to_owned())),
        (
            has(|one| one.snapshot_at.is_some()),
            "First snapshot",
            "First snapshot loaded".to_owned(),
        ),
        (has(|one| one.ready_at.is_some()), "Ready for agents", "Ready for agents".to_owned()),
    ];
    let at = steps.iter().position(|(is_done, ..)| !is_done);
    let step = |(n, (is_done, ahead, done)): (usize, (bool, &str, String))| Step {
        text: if is_done { done } else { ahead.to_owned() },
        is_done,
        is_now: Some(n) == at,
    };
    Ok(Waits {
        id: one.id.to_string(),
        label: one.label.clone(),
        until: is_open.then(|| scene.time(one.expires_at)),
        over: match (one.used_at, one.revoked_at) {
            (Some(_), _) if is_removed => "Removed",
            (Some(_), _) => "",
            (None, Some(_)) => "Revoked",
            (None, None) if is_open => "",
            (None, None) => "Expired",
        },
        refused: one.refused,
        href: gateway
            .as_ref()
            .map(|gateway| scene.ws.url(&format!("{HERE}/{}", gateway.slug)))
            .unwrap_or_default(),
        revoke: if is_open { format!("{here}/revoke") } else { String::new() },
        is_ready: at.is_none(),
        steps: steps.into_iter().enumerate().map(step).collect(),
        here,
    })
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn the_unit_stands_once_where_it_is_the_same() {
        let gb = 1 << 30;
        assert_eq!(part(3 * gb + gb / 3, 8 * gb), "3.3 of 8.0 GB");
        assert_eq!(part(gb / 2, 8 * gb), "512.0 MB of 8.0 GB");
        assert_eq!(part(0, 512), "0 of 512 B");
    }
}
