//! Results of routines: when the work is done, the final text goes to the place that the routine names. A place that is
//! missing fails the delivery, not the routine.

use features::inbox::model::Item;
use features::routines::model::{DeliverTo, Routine};
use features::routines::queries as routines;
use features::runs::model::Run;
use kernel::{About, Error, Event, ItemId, ItemState, Notice, NoticeKind, RunId, TypedId as _};
use store::{ReadExt as _, WriteTx};

use crate::model::{
    Channel, ChannelPersonId, ChannelRoomId, Delivery, DeliveryState, Payload, Person, Room,
};
use crate::places;

use super::answer::{self, NO_REPLY};
use super::outbox::{self, Place};

/// Work of an agent has ended.
pub(super) fn ended(tx: &mut WriteTx<'_>, item: ItemId) -> Result<(), Error> {
    let item = tx.get::<Item>(item)?.filter(|item| item.state == ItemState::Done);
    let Some(item) = item else { return Ok(()) };
    let Some(routine) = routines::routine_of(tx, &item)? else { return Ok(()) };
    let Some(to) = &routine.deliver_to else { return Ok(()) };
    let Some(run) = item.run.map_or(Ok(None), |run| tx.get::<Run>(run))? else { return Ok(()) };
    let text = answer::result(tx, &run)?;
    let text = text.trim();
    match place_of(tx, to)? {
        Ok(_) if text.is_empty() || text.eq_ignore_ascii_case(NO_REPLY) => Ok(()),
        Ok(place) => {
            let like = outbox::new(tx, &place, Payload::Text(String::new()), DeliveryState::Queued);
            let like = Delivery { run: Some(run.id), expires_at: tx.now() + outbox::DAY, ..like };
            outbox::queue_parts(tx, &like, text, &Payload::Text)
        }
        Err(why) => failed(tx, (&routine, to), (run.id, text), &why),
    }
}

/// The place, or why nothing can be sent there.
fn place_of(tx: &WriteTx<'_>, to: &DeliverTo) -> Result<Result<Place, String>, Error> {
    let Some(channel) = tx.get::<Channel>(to.channel)? else {
        return Ok(Err(format!("The channel of {} was removed.", to.label)));
    };
    if !channel.is_enabled || channel.agent.is_none() {
        return Ok(Err(format!("The channel {} is off.", channel.name)));
    }
    let place = match to.is_room {
        true => {
            let room = tx.get::<Room>(ChannelRoomId::from_uuid(to.target.uuid()))?;
            let room = room.filter(|room| room.is_allowed && room.is_present);
            room.map(|room| places::room_at(&channel, &room, places::Readers::Others))
        }
        false => match tx.get::<Person>(ChannelPersonId::from_uuid(to.target.uuid()))? {
            Some(person) => places::person_at(tx, &channel, &person)?,
            None => None,
        },
    };
    let why = match to.is_room {
        true => format!("Messages to {} aren’t allowed any more.", to.label),
        false => format!("{} isn’t connected any more.", to.label),
    };
    Ok(place.map(|target| target.place).ok_or(why))
}

/// Records a delivery that failed, and notifies the person who made the routine.
fn failed(
    tx: &mut WriteTx<'_>,
    (routine, to): (&Routine, &DeliverTo),
    (run, text): (RunId, &str),
    why: &str,
) -> Result<(), Error> {
    // A removed channel has no deliveries; the notification remains.
    if let Some(channel) = tx.get::<Channel>(to.channel)? {
        let place = Place { is_direct: !to.is_room, ..Place::direct(channel.id, "") };
        let payload = Payload::Text(text.to_owned());
        let lost = outbox::new(tx, &place, payload, DeliveryState::Failed);
        tx.put(&Delivery { run: Some(run), detail: why.to_owned(), ..lost })?;
    }
    let title = format!("The result of the routine {} wasn’t sent", routine.name);
    let about = About::Routine(routine.id);
    let mut notice = Notice::new(NoticeKind::OperationFailed, about, title).body(why).or_admins();
    if let Some(account) = routine.created_by.account() {
        notice = notice.to(account);
    }
    tx.emit(Event::NoticeGiven { notice });
    Ok(())
}
