//! Effective conversation preferences, automatic reset and the fields of the preferences form.

use jiff::tz::TimeZone;

use crate::runs::model::{ConversationOptions, Habits, Input, NEVER, QueueOf, Session, TalkChoice};
use crate::workspace::queries as workspace;
use kernel::{AgentId, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::form::rev_of;
use web::parts::Choice;

use super::talk;

/// The preferences chosen at one level.
pub fn chosen(tx: &dyn Read, of: QueueOf) -> Result<ConversationOptions, StoreError> {
    Ok(tx.get::<TalkChoice>(of)?.map(|choice| choice.wish).unwrap_or_default())
}

/// Effective preferences of a conversation.
pub fn of_session(tx: &dyn Read, session: &Session) -> Result<Habits, StoreError> {
    let of = [QueueOf::Session(session.id), QueueOf::Agent(session.agent), QueueOf::Workspace];
    let wishes = of.map(|of| chosen(tx, of));
    let wishes: Vec<ConversationOptions> = wishes.into_iter().collect::<Result<_, _>>()?;
    Ok(Habits::of(&wishes))
}

/// Effective preferences of an agent's conversations.
pub fn of_agent(tx: &dyn Read, agent: AgentId) -> Result<Habits, StoreError> {
    Ok(Habits::of(&[chosen(tx, QueueOf::Agent(agent))?, chosen(tx, QueueOf::Workspace)?]))
}

/// Effective preferences of the workspace.
pub fn of_workspace(tx: &dyn Read) -> Result<Habits, StoreError> {
    Ok(Habits::of(&[chosen(tx, QueueOf::Workspace)?]))
}

/// Whether the next message begins a new conversation: the daily hour has passed since this one began, or its owner
/// has been silent too long. Conversations with an active run and shared conversations never end this way.
pub fn is_over(tx: &dyn Read, session: &Session, now: Timestamp) -> Result<bool, StoreError> {
    let place = session.is_private() && talk::is_place(&session.key);
    if !place || session.active_run.is_some() || session.events == 0 {
        return Ok(false);
    }
    let habits = of_session(tx, session)?;
    if let Some(hour) = habits.daily_hour {
        let zone = workspace::settings(tx)?.and_then(|set| TimeZone::get(&set.zone).ok());
        let zone = zone.unwrap_or(TimeZone::UTC);
        if next_hour(session.created_at, hour, &zone).is_some_and(|at| at <= now) {
            return Ok(true);
        }
    }
    let Some(idle) = habits.idle else { return Ok(false) };
    // Messages of agents and API clients do not count as activity of the person.
    let last = match session.leaf {
        Some(leaf) => tx.get::<Input>(leaf)?.map(|input| input.created_at),
        None => None,
    };
    Ok(last.unwrap_or(session.created_at) + idle <= now)
}

/// First time after `after` at which this hour begins.
fn next_hour(after: Timestamp, hour: u8, zone: &TimeZone) -> Option<Timestamp> {
    let hour = i8::try_from(hour).ok()?;
    let day = after.to_zoned(zone.clone()).date();
    let on = |day: jiff::civil::Date| {
        let at = day.at(hour, 0, 0, 0).to_zoned(zone.clone()).ok()?;
        Some(at.timestamp()).filter(|at| after < *at)
    };
    on(day).or_else(|| on(day.tomorrow().ok()?))
}

/// Fields of the preferences form.
pub struct Fields {
    pub daily: Vec<Choice>,
    /// Minutes; empty for the inherited value.
    pub idle: String,
    /// The inherited value.
    pub usual_idle: String,
    /// Whether the form is for the workspace, the only level with retention settings.
    pub whole: bool,
    pub parts_days: String,
    pub steps_days: String,
    /// Revision of the options.
    pub rev: String,
}

/// The fields for one level, with the inherited values.
pub fn fields(tx: &dyn Read, of: QueueOf) -> Result<Fields, StoreError> {
    let own = chosen(tx, of)?;
    let usual = match of {
        QueueOf::Workspace => Habits::of(&[]),
        QueueOf::Agent(_) | QueueOf::Session(_) => of_workspace(tx)?,
    };
    let at = |hour: Option<u8>| match hour {
        Some(hour) if hour < NEVER => format!("At {hour:02}:00"),
        _ => "Never".to_owned(),
    };
    let mut daily = Vec::new();
    if of != QueueOf::Workspace {
        daily.push(Choice::new("", format!("Default: {}", at(usual.daily_hour)), false));
    }
    let hour = own.daily_hour.or((of == QueueOf::Workspace).then_some(NEVER));
    daily.push(Choice::new("24", at(None), hour == Some(NEVER)));
    daily.extend((0..NEVER).map(|h| Choice::new(h.to_string(), at(Some(h)), hour == Some(h))));
    let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    let days = |days: jiff::SignedDuration| (days.as_hours() / 24).to_string();
    let now = Habits::of(&[own]);
    Ok(Fields {
        daily,
        idle: number(own.idle_minutes),
        usual_idle: usual
            .idle
            .map_or_else(|| "never".to_owned(), |idle| idle.as_mins().to_string()),
        whole: of == QueueOf::Workspace,
        parts_days: days(now.parts),
        steps_days: days(now.steps),
        rev: rev_of::<TalkChoice>(tx, of)?,
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::next_hour;

    #[test]
    fn the_hour_of_the_day_is_the_first_one_after_the_beginning() {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let next = |text: &str| {
            let at = text.parse().expect("a moment");
            next_hour(at, 4, &zone).expect("an hour").to_string()
        };
        assert_eq!(next("2026-11-20T01:00:00Z"), "2026-11-20T03:00:00Z");
        assert_eq!(next("2026-11-20T03:00:00Z"), "2026-11-21T03:00:00Z", "not at once");
        assert_eq!(next("2026-11-20T22:00:00Z"), "2026-11-21T03:00:00Z");
        let gap = next_hour("2026-03-28T12:00:00Z".parse().expect("a moment"), 2, &zone);
        assert_eq!(gap.expect("an hour").to_string(), "2026-03-29T01:00:00Z", "a night without it");
    }
}
