//! Waiting runs that a person can help, with the answers that a question offers.

use super::DashboardContext;
use super::away::Hidden;
use super::needs::{Act, Row, from_here, named, task_of};
use super::tally::Found;
use crate::agents::model::Agent;
use crate::runs::model::{Park, Run};
use crate::runs::queries::{self as runs, words};
use crate::tasks::model::Task;
use kernel::text::ellipsis;
use kernel::{Can, WaitFor};
use store::{Read, StoreError};
use web::parts::Tone;

/// Maximum number of answers to show.
const OFFERED: usize = 3;

/// Runs that wait for a person. Excludes waiting for a time or a sub-agent, which end on their own.
pub(super) fn found(
    tx: &dyn Read,
    scene: &DashboardContext<'_>,
    hidden: &Hidden,
) -> Result<Found, StoreError> {
    let all = runs::live(tx)?.into_iter().filter(words::needs_person);
    let all: Vec<Run> = runs::talk::seen(tx, all, (scene.who.account, scene.who.role))?;
    let waits = all.iter().filter_map(|run| words::waits(run).map(|reason| (run, reason)));
    Found::draw(
        hidden,
        waits,
        |(run, _)| {
            let since = run.waiting.as_ref().map_or(run.created_at, |waiting| waiting.since);
            (format!("run-{}-{}", run.number, since.as_millisecond()), run.task)
        },
        |(run, (text, door))| {
            let (agent, task) = (scene.agent(run.agent), task_of(tx, run.task)?);
            let href = scene.ws.url(&format!("runs/{}", run.name()));
            if let Some(park) = runs::park::question_of(tx, run)? {
                return Ok(question(scene, (agent, task.as_ref()), &href, park));
            }
            let mut facts = named(scene, agent, task.as_ref());
            facts.push(ellipsis(&text, 140));
            let waits_for = run.waits_for();
            let (icon, word, also) = match waits_for {
                Some(WaitFor::Approval) => ("lock", "Approval", "asks for approval"),
                _ => ("clock", "Waiting", "waiting"),
            };
            facts.extend(run.waiting.as_ref().map(|waiting| scene.time(waiting.since).text));
            // The page is for admins.
            let may_open = waits_for != Some(WaitFor::SignIn) || scene.who.access.may(Can::Admin);
            let door =
                door.filter(|_| may_open).map(|(path, label)| Act::go(label, scene.ws.url(path)));
            Ok(Row {
                tone: Tone::Warn,
                icon,
                title: runs::talk::title_for(tx, run, scene.who.account)?,
                word,
                task: run.task,
                also: also.to_owned(),
                face: agent.map(|agent| scene.called.face(agent)),
                facts,
                acts: door.into_iter().chain([Act::go("Open", href.clone()).quiet()]).collect(),
                href,
                ..Row::default()
            })
        },
    )
}

/// A question of a run, with the offered answers.
fn question(
    scene: &DashboardContext<'_>,
    (agent, task): (Option<&Agent>, Option<&Task>),
    run: &str,
    park: Park,
) -> Row {
    let answer = format!("{run}/answer");
    let may = scene.who.access.may(Can::Chat);
    let options = park.options.into_iter().take(OFFERED).filter(|_| may);
    let acts = options.map(|option| {
        let fields = vec![("body", option.clone()), from_here("from")];
        Act::label(ellipsis(&option, 40), answer.clone(), fields)
    });
    let mut facts = named(scene, agent, task);
    facts.push(format!("asked {}", scene.time(park.at).text));
    Row {
        tone: Tone::Warn,
        icon: "comment",
        title: ellipsis(&park.question, 160),
        word: "Question",
        task: task.map(|task| task.id),
        also: "asks you".to_owned(),
        face: agent.map(|agent| scene.called.face(agent)),
        facts,
        acts: acts.chain([Act::go(if may { "Answer" } else { "Open" }, run.to_owned())]).collect(),
        href: run.to_owned(),
        ..Row::default()
    }
}
