//! The greeting with a summary of today.

use askama::Template;

use features::agents::queries::{self as agents, Group};
use features::dashboard::queries::tally::Count;
use features::runs::queries as runs;
use features::usage::queries as usage;
use kernel::{AgentId, Can, Outcome};
use store::{Read, StoreError};
use web::format;
use web::live::Live;
use web::parts::{Dot, Face};

use features::dashboard::queries::DashboardContext;

/// How many of the last runs are searched for today's.
const RUNS_OF_TODAY: usize = 200;
/// Number of faces beside the greeting.
const CREW: usize = 8;

#[derive(Template)]
#[template(path = "dashboard/_brief.html")]
pub(super) struct Brief {
    live: Live,
    greeting: String,
    sentences: Vec<String>,
    crew: Vec<(Face, Dot, String)>,
}

pub(super) fn read(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    needs: Count,
) -> Result<Brief, StoreError> {
    let hour = scene.now.to_zoned(scene.zone.clone()).hour();
    let mut crew = Vec::new();
    let mut working = 0_u64;
    for agent in &scene.agents {
        let activity = agents::activity(tx, agent, scene.now)?;
        working += u64::from(activity.group == Group::Working);
        let rank = super::fleet::rank(activity.group);
        let works = activity.group == Group::Working;
        let href = scene.ws.url(&format!("agents/{}", agent.slug));
        let dot = Dot::new(activity.state, activity.label);
        crew.push((rank, (scene.called.face(agent).working(works.into()), dot, href)));
    }
    crew.sort_by_key(|(rank, _)| *rank);
    let mut sentences = Vec::new();
    sentences.extend(done_today(tx, scene)?);
    sentences.extend((0 < working).then(|| format!("{} working.", verb(working))));
    // A read-only person sees in the list itself what waits, and for whom.
    sentences.extend(needs.describe().filter(|_| scene.who.access.may(Can::Chat)));
    let cost = usage::by_day(tx, scene.midnight(), scene.now)?.values().sum::<i64>();
    if 0 < cost {
        sentences.push(format!("{} spent today.", format::money(cost)));
    }
    if sentences.is_empty() {
        sentences.push("Nothing needs you right now.".to_owned());
    }
    Ok(Brief {
        live: super::needs::live(scene),
        greeting: greeting(hour, &scene.who.name),
        sentences,
        crew: crew.into_iter().take(CREW).map(|(_, one)| one).collect(),
    })
}

/// "Today Ada finished 3 runs and Otto 1."
fn done_today(tx: &dyn Read, scene: &DashboardContext<'_>) -> Result<Option<String>, StoreError> {
    let midnight = scene.midnight();
    let mut done: Vec<(AgentId, u64)> = Vec::new();
    for hit in runs::all(tx, None, RUNS_OF_TODAY)? {
        let run = hit.record;
        if run.created_at < midnight {
            break;
        }
        if run.item.is_none() || run.outcome != Some(Outcome::Done) {
            continue;
        }
        match done.iter_mut().find(|(agent, _)| *agent == run.agent) {
            Some((_, count)) => *count += 1,
            None => done.push((run.agent, 1)),
        }
    }
    done.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if 3 < done.len() {
        let runs = format::count(done.iter().map(|(_, count)| count).sum(), "run", "runs");
        return Ok(Some(format!("Today {} agents finished {runs}.", done.len())));
    }
    let mut parts = Vec::new();
    for (agent, count) in done {
        let Some(agent) = scene.agent(agent) else { continue };
        let name = scene.called.name(agent);
        parts.push(match parts.is_empty() {
            true => format!("{name} finished {}", format::count(count, "run", "runs")),
            false => format!("{name} {}", format::grouped(count)),
        });
    }
    Ok(match parts.as_slice() {
        [] => None,
        [one] => Some(format!("Today {one}.")),
        [rest @ .., last] => Some(format!("Today {} and {last}.", rest.join(", "))),
    })
}

fn verb(n: u64) -> String {
    match n {
        1 => "One agent is".to_owned(),
        n => format!("{} agents are", format::grouped(n)),
    }
}

/// "Good morning, Mira".
fn greeting(hour: i8, name: &str) -> String {
    let part = match hour {
        5..12 => "Good morning",
        12..18 => "Good afternoon",
        18..23 => "Good evening",
        _ => "Hello",
    };
    format!("{part}, {}", first_name(name))
}

pub(super) fn first_name(name: &str) -> &str {
    name.split_whitespace().next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn the_greeting_follows_the_clock_of_the_person() {
        assert_eq!(greeting(8, "Mira Lindqvist"), "Good morning, Mira");
        assert_eq!(greeting(13, "Mira"), "Good afternoon, Mira");
        assert_eq!(greeting(2, "Mira"), "Hello, Mira");
    }
}
