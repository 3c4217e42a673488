//! Notification preferences: channels by group, with overrides by kind.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;

use app::{App, Ws};
use features::notifications::model::{Choices, Ways};
use features::notifications::queries::{self, chats, sending};
use features::notifications::rules::{self, NotificationError};
use kernel::text::capitalized;
use kernel::{Can, NoticeGroup, NoticeKind};
use store::StoreError;
use web::error::PageError;
use web::extract::Form;
use web::flash;
use web::form::{check_rev, rev_of};
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::time::RelTime;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/notifications", show.needs(Can::Account))
        .post("/settings/notifications", save.needs(Can::Account))
}

/// A group with its switches.
pub struct GroupRow {
    /// The word of the group.
    pub word: &'static str,
    pub label: &'static str,
    /// The content of the group.
    pub hint: &'static str,
    /// The channels.
    pub ways: Ways,
    /// The channels in words.
    pub said: String,
    pub kinds: Vec<KindRow>,
}

/// A kind with its override.
pub struct KindRow {
    /// The name of the form field.
    pub field: String,
    pub label: &'static str,
    pub choices: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "notifications/choices.html")]
struct ChoicesPage {
    shell: Shell,
    here: &'static str,
    groups: Vec<GroupRow>,
    hours: Vec<Choice>,
    /// Revision of the choices.
    rev: String,
    /// Time of the daily email.
    when: String,
    /// The browsers with push notifications, and since when.
    browsers: Vec<(String, RelTime)>,
    /// Whether email is configured.
    mail: bool,
    /// Whether the person has a direct chat with an agent's bot.
    has_chat: bool,
    may_admin: bool,
}

/// Combinations of channels that a kind can be set to, with labels.
const KINDS: [(&str, &str, Ways); 7] = [
    ("off", "Off", ways(false, false, false, false)),
    ("app", "In the app", ways(true, false, false, false)),
    ("push", "App and push", ways(true, true, false, false)),
    ("digest", "App and daily email", ways(true, false, false, true)),
    ("mail", "App and instant email", ways(true, false, true, false)),
    ("all", "App, push and instant email", ways(true, true, true, false)),
    (CHANNEL, "App and channel", Ways { channel: true, ..ways(true, false, false, false) }),
];

/// The combination that needs a direct chat.
const CHANNEL: &str = "channel";

/// Kinds that are never sent yet. They are not offered, but stored choices are kept.
const NEVER: [NoticeKind; 5] = [
    NoticeKind::FollowUp,
    NoticeKind::StaleContact,
    NoticeKind::PairingRequested,
    NoticeKind::ProviderFailed,
    NoticeKind::ProviderExpiring,
];

const fn ways(app: bool, push: bool, mail: bool, digest: bool) -> Ways {
    Ways { app, push, mail, digest, channel: false }
}

/// All groups with a person's choices.
#[must_use]
pub fn group_rows(own: &Choices, has_chat: bool) -> Vec<GroupRow> {
    let row = |group: &NoticeGroup| {
        let ways = own.group(*group);
        let kinds = NoticeKind::ALL.iter().filter(|kind| kind.group() == *group);
        let kinds = kinds.filter(|kind| !NEVER.contains(kind));
        GroupRow {
            word: group.word(),
            label: group.label(),
            hint: hint(*group),
            ways,
            said: describe(ways),
            kinds: kinds.map(|kind| kind_row(own, *kind, has_chat)).collect(),
        }
    };
    NoticeGroup::ALL.iter().map(row).collect()
}

fn kind_row(own: &Choices, kind: NoticeKind, has_chat: bool) -> KindRow {
    let chosen = own.kinds.iter().find(|(one, _)| *one == kind).map(|(_, ways)| *ways);
    let usual = match queries::unusual(kind) {
        Some(ways) => {
            let shown = Ways { channel: ways.channel && has_chat, ..ways };
            format!("Default: {}", describe(shown).to_lowercase())
        }
        None => "Same as group".to_owned(),
    };
    let mut choices = vec![Choice::new("", usual, chosen.is_none())];
    let known = KINDS.iter().any(|(.., ways)| Some(*ways) == chosen);
    if let Some(ways) = chosen.filter(|_| !known) {
        choices.push(Choice::new("keep", describe(ways), true));
    }
    let offered = |(word, _, ways): &&(&str, &str, Ways)| {
        has_chat || *word != CHANNEL || Some(*ways) == chosen
    };
    let choice = |(word, label, ways): &(&'static str, &'static str, Ways)| {
        Choice::new(*word, *label, Some(*ways) == chosen)
    };
    choices.extend(KINDS.iter().filter(offered).map(choice));
    KindRow { field: format!("kind.{}", kind.word()), label: kind.label(), choices }
}

fn hint(group: NoticeGroup) -> &'static str {
    match group {
        NoticeGroup::Questions => "An agent waits for your answer",
        NoticeGroup::Reviews => "Work is ready for review",
        NoticeGroup::Comments => "Comments on what you follow, and mentions",
        NoticeGroup::Tasks => "Assigned to you, done, blocked, due",
        NoticeGroup::System => "Work that failed for good, agents that can’t work, backups",
        NoticeGroup::Budget => "A budget is nearly or fully used",
    }
}

/// `App, push and digest`.
fn describe(ways: Ways) -> String {
    let all = [
        (ways.app, "app"),
        (ways.push, "push"),
        (ways.mail, "email"),
        (ways.digest, "daily email"),
        (ways.channel, "channel"),
    ];
    let on: Vec<&str> = all.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
    match on.as_slice() {
        [] => "Off".to_owned(),
        [one] => capitalized(one),
        [first @ .., last] => capitalized(&format!("{} and {last}", first.join(", "))),
    }
}

async fn show(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    let (own, rev, mail, has_chat) = ws.read(|snap| {
        let mail = sending::mail(snap)?.is_some();
        let rev = rev_of::<Choices>(snap, who.account)?;
        let has_chat = chats::has_chat(snap, who.account)?;
        Ok::<_, StoreError>((queries::choices(snap, who.account)?, rev, mail, has_chat))
    })?;
    let browsers = ws.app.system.read(|snap| sending::browsers(snap, who.account))?;
    let (now, zone) = (ws.app.clock.now(), who.time_zone());
    let browsers =
        browsers.into_iter().map(|one| (one.agent, RelTime::new(one.made_at, now, &zone)));
    let hour =
        |hour: u8| Choice::new(hour.to_string(), format!("{hour:02}:00"), hour == own.digest_hour);
    let page = ChoicesPage {
        shell,
        here: "notifications",
        groups: group_rows(&own, has_chat),
        hours: (0..24).map(hour).collect(),
        rev,
        when: format!("At this hour, in {}; only on days with news.", who.zone),
        browsers: browsers.collect(),
        mail,
        has_chat,
        may_admin: who.access.may(Can::Admin),
    };
    html::page(&page)
}

async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Response, PageError> {
    super::open(&ws)?;
    let own = ws.read(|snap| queries::choices(snap, who.account))?;
    let chosen = chosen(own, &form, &who.zone);
    let (member, rev) = (who.account, form.get("rev").cloned().unwrap_or_default());
    ws.write(&who, move |tx| -> Result<_, NotificationError> {
        check_rev::<Choices>(tx, member, &rev)?;
        rules::choose(tx, chosen)
    })
    .await?;
    Ok(flash::say(&app, Flash::ok("Saved."), hx.go_to(&ws.url("settings/notifications"))))
}

/// Parses the form.
fn chosen(own: Choices, form: &BTreeMap<String, String>, zone: &str) -> Choices {
    let on = |group: NoticeGroup, way: &str| form.contains_key(&format!("{group}.{way}"));
    // Without the column, the setting stays.
    let has_column = form.contains_key("channels");
    let groups = NoticeGroup::ALL.iter().map(|group| {
        let way = |word: &str| on(*group, word);
        let channel = if has_column { way("channel") } else { own.group(*group).channel };
        let others = ways(way("app"), way("push"), way("mail"), way("digest"));
        (*group, Ways { channel, ..others })
    });
    let groups = groups.filter(|(group, ways)| *ways != queries::usual(*group)).collect();
    let mut kinds = Vec::new();
    for kind in NoticeKind::ALL {
        let before = own.kinds.iter().find(|(one, _)| one == kind).map(|(_, ways)| *ways);
        let now = match form.get(&format!("kind.{kind}")).map(String::as_str) {
            // Without its field, a kind keeps its setting.
            None | Some("keep") => before,
            Some(word) => KINDS.iter().find(|(one, ..)| *one == word).map(|(.., ways)| *ways),
        };
        kinds.extend(now.map(|ways| (*kind, ways)));
    }
    let hour = form.get("digest_hour").and_then(|text| text.parse().ok());
    Choices {
        groups,
        kinds,
        digest_hour: hour.unwrap_or(own.digest_hour),
        zone: Some(zone.to_owned()),
        ..own
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{chosen, describe, group_rows, ways};
    use features::notifications::model::Choices;
    use features::notifications::queries;
    use kernel::{AccountId, NoticeGroup, NoticeKind, TypedId as _};

    #[test]
    fn kinds_that_nothing_tells_of_are_not_offered() {
        let own = Choices::usual(AccountId::from_bytes([1; 16]));
        let fields: Vec<_> = group_rows(&own, true)
            .into_iter()
            .flat_map(|group| group.kinds)
            .map(|kind| kind.field)
            .collect();
        assert!(fields.iter().any(|field| field == "kind.task_overdue"), "{fields:?}");
        for word in ["follow_up", "stale_contact", "pairing_requested"] {
            assert!(!fields.contains(&format!("kind.{word}")), "{fields:?}");
        }
    }

    fn form_values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_keeps_what_is_usual_out_of_the_record() {
        let own = Choices::usual(AccountId::from_bytes([1; 16]));
        let mut form = Vec::new();
        for group in NoticeGroup::ALL {
            let usual = queries::usual(*group);
            let all = [("app", usual.app), ("push", usual.push), ("digest", usual.digest)];
            for (way, _) in all.into_iter().filter(|(_, on)| *on) {
                form.push((format!("{group}.{way}"), "on".to_owned()));
            }
        }
        let same = chosen(own.clone(), &form.iter().cloned().collect(), "UTC");
        assert_eq!((same.groups.len(), same.kinds.len()), (0, 0));
        let other =
            form_values(&[("reviews.mail", "on"), ("kind.mention", "off"), ("digest_hour", "6")]);
        let other = chosen(own, &other, "UTC");
        assert_eq!(other.group(NoticeGroup::Reviews), ways(false, false, true, false));
        assert_eq!(other.of(NoticeKind::Mention), ways(false, false, false, false));
        assert_eq!(other.digest_hour, 6);
        // Without its field, a kind keeps its setting; so does the column without a direct chat.
        let channel = [("channels", "on"), ("tasks.channel", "on")];
        let channel = chosen(other.clone(), &form_values(&channel), "UTC");
        assert!(channel.group(NoticeGroup::Tasks).channel);
        let kept = chosen(channel.clone(), &form_values(&[]), "UTC");
        assert!(kept.group(NoticeGroup::Tasks).channel);
        let off = chosen(channel, &form_values(&[("channels", "on")]), "UTC");
        assert!(!off.group(NoticeGroup::Tasks).channel);
        let kept = chosen(other, &form_values(&[]), "UTC");
        assert_eq!(kept.of(NoticeKind::Mention), ways(false, false, false, false));
    }

    #[test]
    fn ways_are_said_in_words() {
        assert_eq!(describe(ways(true, true, false, true)), "App, push and daily email");
        assert_eq!(describe(ways(false, false, false, false)), "Off");
        assert_eq!(describe(ways(false, false, true, false)), "Email");
    }
}
