//! Agents woken by edited comments, replies and quotes.

use super::*;

fn all_done(desk: &Desk) {
    desk.by(system(), |tx| {
        for mut item in tx.list::<Item>(&Range::all())? {
            item.state = ItemState::Done;
            tx.put(&item)?;
        }
        Ok::<_, StoreError>(())
    })
    .unwrap();
}

#[test]
fn a_comment_wakes_an_agent_once_however_often_it_is_changed() {
    let desk = Desk::new();
    let task = desk.task(NewTask::titled("Compare prices"));
    let say = |who, text: &'static str| {
        desk.by(who, move |tx| comments::add(tx, task.id, text, Reach::Usual)).unwrap()
    };
    let comment = say(mira(), "look");
    for text in ["@ada look", "look", "@ada look now", "> @otto said\n\n@ada look"] {
        desk.by(mira(), move |tx| comments::edit(tx, comment.id, text)).unwrap();
        all_done(&desk);
    }
    let items = desk.items();
    assert_eq!(items.iter().map(|item| item.agent).collect::<Vec<_>>(), [ada_id()]);
    assert_eq!(items[0].reasons.len(), 1);
    say(ada(), "@ada I go on");
    assert_eq!(desk.items().len(), 1, "nobody wakes itself");
}

#[test]
fn an_answer_reaches_whom_a_comment_reaches() {
    let desk = Desk::new();
    let task = desk.task(for_ada("Compare prices"));
    all_done(&desk);
    let add = move |tx: &mut WriteTx<'_>| comments::add(tx, task.id, "Hm", Reach::NoteOnly);
    let first = desk.by(mira(), add).unwrap();
    let settled = desk.by(ada(), move |tx| comments::settle(tx, first.id, true)).unwrap();
    assert_eq!(settled.settled_by, Some(Assignee::Agent(ada_id())));
    let answer = move |tx: &mut WriteTx<'_>| {
        comments::reply(tx, task.id, first.id, ("And now?", Reach::Usual))
    };
    let answer = desk.by(mira(), answer).unwrap();
    assert_eq!(answer.parent, Some(first.id));
    let open: Vec<_> =
        desk.items().into_iter().filter(|item| item.state == ItemState::Pending).collect();
    assert_eq!(open.iter().map(|item| item.kind).collect::<Vec<_>>(), [ItemKind::TaskComment]);
    let first = desk.store.read(|snap| snap.get::<features::comments::model::Comment>(first.id));
    assert_eq!(first.unwrap().unwrap().settled_by, None, "it is open again");
}
