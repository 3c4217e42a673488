//! People on channels: requests for access, guests and members.

use entity::{Area, Entity, Field, Fields, Meaning, Stored, text_of};
use features::tasks::queries::people::People;
use kernel::{Assignee, Can, Error};
use kit::{Acts, Noun, On, Op, OpCx, Reply, Row, Run};
use store::WriteTx;

use crate::model::{Access, Person};
use crate::{codes, queries, rules};

use super::{OP, page};

pub static PERSON: Entity = Entity {
    area: Area::Agents,
    read: Can::Admin,
    fields: &[
        Field::text("channel", "channel"),
        Field::text("sender", "id at the messenger"),
        Field::text("name", "name").called("title"),
        Field::text("handle", "user name"),
        Field::text("access", "access"),
        Field::text("account", "member").means(Meaning::Somebody),
        Field::text("chat", "chat").hidden().internal(),
        Field::text("code_hash", "code").hidden().internal(),
        Field::text("guesses", "guesses").hidden().internal(),
        Field::stamp("code_expires_at", "code valid until").optional(),
        Field::stamp("created_at", "created"),
        Field::stamp("updated_at", "changed"),
    ],
    path: |_| "settings/channel-people".to_owned(),
    // Access, tokens and addresses are not given back by an undo.
    undo: None,
    triggers: Some("Channels"),
    missing: "channel_person_not_found",
    ..Entity::stored::<Person>("channel-person", "person on a channel", "people on channels")
};

const AS: Field = Field::line("as", "as")
    .required()
    .about("guest, or the handle of the member who this person is");

pub static PEOPLE: Noun = Noun {
    acts: Acts { create: false, change: false, delete: true },
    write: Can::Admin,
    param: "person",
    ops: &[
        Op {
            name: "approve",
            about: "Let a person write to the channel, as a guest or as a member",
            verb: "Approve",
            done: "Approved",
            input: &[AS],
            run: Run::Write(|cx, tx| approve(cx, tx, cx.id()?)),
            ..OP
        },
        Op {
            name: "deny",
            about: "Refuse a request, or block a person",
            verb: "Deny",
            done: "Denied",
            run: Run::Write(|cx, tx| Ok(Reply::record(&rules::deny(tx, cx.id()?)?.id))),
            ..OP
        },
        Op {
            name: "approve-code",
            on: On::All,
            about: "Approve the person who has this pairing code",
            verb: "Approve code",
            done: "Approved",
            input: &[Field::line("code", "pairing code").required().max(20), AS],
            run: Run::Write(approve_code),
            ..OP
        },
    ],
    page: page("People", person_row, "The person becomes a stranger and needs a new code."),
    ..Noun::of(&PERSON, "channel-people", "Who may write to your agents, and who asks to")
};

impl Stored for Person {
    fn blank(_: &mut WriteTx<'_>) -> Self {
        store::Record::sample()
    }
    fn removing(tx: &mut WriteTx<'_>, gone: &Self) -> Result<(), Error> {
        rules::revoke(tx, gone)
    }
}

fn approve(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    id: crate::model::ChannelPersonId,
) -> Result<Reply, Error> {
    let account = match cx.text("as").trim() {
        text if text.eq_ignore_ascii_case("guest") => None,
        text => {
            let people = People::read(tx)?;
            let me = tx.by().account().map(Assignee::Person);
            let found = me.and_then(|me| people.find(text, me).ok().flatten());
            match found {
                Some(Assignee::Person(account)) => Some(account),
                _ => return Err(Error::field("as", "Enter guest or the handle of a member.")),
            }
        }
    };
    Ok(Reply::record(&rules::approve(tx, id, account)?.id))
}

fn approve_code(cx: &OpCx<'_>, tx: &mut WriteTx<'_>) -> Result<Reply, Error> {
    let hash = codes::hash(cx.text("code"));
    let now = tx.now();
    for channel in queries::all(tx)? {
        let people = queries::people(tx, channel.id)?;
        let asked = people.iter().find(|one| one.is_open_request(now) && one.code_hash == hash);
        if let Some(person) = asked {
            return approve(cx, tx, person.id);
        }
    }
    Err(Error::field("code", "No open request has this code. Codes are valid for an hour."))
}

fn person_row(record: &Fields) -> Row {
    let access = text_of(record, "access");
    let at = Access::WORDS.iter().position(|known| *known == access);
    let tone = match at.map(|at| Access::ALL[at]) {
        Some(Access::Requested) => "warn",
        Some(Access::Denied) => "bad",
        _ => "",
    };
    let handle = text_of(record, "handle");
    Row {
        name: text_of(record, "name").to_owned(),
        // Names are chosen by the sender; the id is not.
        about: match (handle, text_of(record, "sender")) {
            ("", sender) => sender.to_owned(),
            (handle, sender) => format!("@{handle} · {sender}"),
        },
        state: at.map(|at| (Access::LABELS[at], tone)),
        ..Row::default()
    }
}
