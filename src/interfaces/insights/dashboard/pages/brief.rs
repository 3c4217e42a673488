//! The greeting with a summary of today.

use askama::Template;

use features::agents::queries::{self as agents, Group};
use features::dashboard::queries::tally::Count;
use features::runs::queries::today::Created;
use features::usage::queries as usage;
use kernel::Can;
use store::{Read, StoreError};
use web::format;
use web::live::Live;
use web::parts::{Dot, Face};

use features::dashboard::queries::DashboardContext;

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
        let activity = agents::activity_seen(scene.ws, tx, agent, scene.now)?;
        working += u64::from(activity.group == Group::Working);
        let rank = super::fleet::rank(activity.group);
        let works = activity.group == Group::Working;
        let href = scene.ws.url(&format!("agents/{}", agent.slug));
        let dot = Dot::new(activity.state, activity.label);
        crew.push((rank, (scene.called.face(agent).working(works.into()), dot, href)));
    }
    crew.sort_by_key(|(rank, _)| *rank);
    let mut sentences = Vec::new();
    let who = (scene.who.account, scene.who.role);
    sentences.extend(runs_today(&Created::since(tx, scene.midnight(), who)?));
    sentences.extend((0 < working).then(|| format!("{} working.", verb(working))));
    match needs.describe() {
        None => sentences.push("Nothing needs you right now.".to_owned()),
        // A read-only person sees in the list itself what waits, and for whom.
        text => sentences.extend(text.filter(|_| scene.who.access.may(Can::Chat))),
    }
    let cost = usage::day_total(tx, scene.now)?;
    if 0 < cost {
        sentences.push(format!("{} spent {}.", format::money(cost), scene.spend_day()));
    }
    if sentences.is_empty() {
        sentences.push("No runs today.".to_owned());
    }
    Ok(Brief {
        live: super::needs::live(scene),
        greeting: greeting(hour, &scene.who.name),
        sentences,
        crew: crew.into_iter().take(CREW).map(|(_, one)| one).collect(),
    })
}

/// "13 runs today, 9 done."
fn runs_today(today: &Created) -> Option<String> {
    let runs = today.describe();
    match (today.runs.len(), today.done()) {
        (0, _) => None,
        (_, 0) => Some(format!("{runs}.")),
        (_, done) => Some(format!("{runs}, {} done.", format::grouped(done))),
    }
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
