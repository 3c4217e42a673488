//! The ledger: what people have written and what arrived, against the rows of the program.

use std::collections::BTreeMap;
use std::path::Path;

use channels::model::{Delivery, DeliveryState, Message, MessageState, Payload};
use features::runs::model::{EventKind, Input, InputState, SessionEvent};
use store::{Range, ReadExt as _, Record, Store};

use super::{Messenger, Said, Sum};
use crate::crash::api::HOME;
use crate::crash::stores;

/// The numbers that follow this word in a text.
pub fn numbers(text: &str, word: &str) -> Vec<usize> {
    let digits = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    text.split(word).skip(1).filter_map(digits).collect()
}

fn all<R: Record>(store: &Store) -> Vec<R> {
    store.read(|snap| snap.list::<R>(&Range::all())).expect("a readable store")
}

/// An answer as it arrived.
#[derive(Debug)]
struct Answer {
    chat: String,
    id: String,
    is_repeat: bool,
    numbers: Vec<usize>,
}

/// Compares stores and messenger with what people have written. The program has ended.
pub fn compare<M: Messenger>(data: &Path, messenger: &M, said: &[Said], sum: &mut Sum) {
    assert_eq!(messenger.waiting(), 0, "everything was acknowledged");
    let (_folder, store) = stores::of_workspace(data, HOME);
    let deliveries = compare_rows(&store, said);
    let mut answers = Vec::new();
    for one in messenger.arrived() {
        assert!(!one.text.contains("couldn’t finish"), "{one:?}");
        let numbers = numbers(&one.text, "re-");
        if !numbers.is_empty() {
            let is_repeat = one.text.contains('↻');
            answers.push(Answer { chat: one.chat, id: one.id, is_repeat, numbers });
        }
    }
    for ((number, said), delivery) in (1..).zip(said).zip(&deliveries) {
        let own: Vec<_> = answers.iter().filter(|one| one.numbers.contains(&number)).collect();
        assert!(own.iter().all(|one| one.chat == said.chat), "{number} is answered here: {own:?}");
        let marked = own.iter().filter(|one| one.is_repeat).count();
        assert!(own.len() - marked <= 1, "the answer to {number} came twice: {answers:#?}");
        let most = usize::from(said.is_direct && !M::IS_EXACT);
        assert!(marked <= most, "the answer to {number} was repeated {marked} times: {own:?}");
        match delivery.state {
            DeliveryState::Sent => {
                let is_it = own.iter().any(|one| one.id == delivery.provider_id);
                assert!(is_it, "nobody answered {number}: {delivery:?}\n{answers:#?}");
            }
            // In a direct chat only a repeat that was cut off, too.
            DeliveryState::Unknown if !M::IS_EXACT && (!said.is_direct || delivery.is_repeat) => {
                sum.unknown += 1;
            }
            _ => panic!("{number}: {delivery:?}"),
        }
    }
    in_order(&answers, said);
    sum.messages += said.len();
    sum.repeats += answers.iter().filter(|one| one.is_repeat).count();
}

/// In each chat, the answers to one person come in the order of the messages.
fn in_order(answers: &[Answer], said: &[Said]) {
    let mut last = BTreeMap::new();
    for one in answers {
        for number in &one.numbers {
            let last = last.entry((&one.chat, said[number - 1].sender)).or_insert(0);
            // A repeat follows what it repeats.
            assert!(
                *last < *number || one.is_repeat && one.numbers.contains(last),
                "the answer to {number} came after that to {last}: {answers:#?}"
            );
            *last = (*last).max(*number);
        }
    }
}

/// Each message has one row, which made one input that one run read; and one delivery, which is no longer open. Returns
/// the deliveries in the order of the messages.
fn compare_rows(store: &Store, said: &[Said]) -> Vec<Delivery> {
    let (messages, inputs) = (all::<Message>(store), all::<Input>(store));
    let mut reads = BTreeMap::new();
    for event in all::<SessionEvent>(store) {
        if let EventKind::Input { input: Some(input), .. } = event.kind {
            *reads.entry(input).or_insert(0) += 1;
        }
    }
    let mut answers: BTreeMap<usize, Vec<Delivery>> = BTreeMap::new();
    for one in all::<Delivery>(store) {
        assert!(!one.state.is_open(), "{one:?}");
        if let Payload::Text(text) = &one.payload {
            for number in numbers(text, "re-") {
                answers.entry(number).or_default().push(one.clone());
            }
        }
    }
    let mut deliveries = Vec::new();
    for (number, said) in (1..).zip(said) {
        let is_it = |one: &&Message| one.chat == said.chat && one.provider_id == said.id;
        let own: Vec<_> = messages.iter().filter(is_it).collect();
        let [row] = own[..] else { panic!("{number} has the rows {own:?}") };
        assert_eq!((row.state, row.is_awaiting), (MessageState::Passed, false), "{row:?}");
        let own = inputs.iter().filter(|one| numbers(&one.text, "item-").contains(&number));
        let own: Vec<_> = own.collect();
        let [input] = own[..] else { panic!("{number} was passed on as {own:?}") };
        assert_eq!(row.input, Some(input.id), "{input:?}");
        assert!(matches!(input.state, InputState::Consumed(_)), "{input:?}");
        assert_eq!(reads.get(&input.id), Some(&1), "{number} was read so often: {input:?}");

        let own = answers.remove(&number).unwrap_or_default();
        let [answer] = &own[..] else { panic!("the answers to {number} are {own:?}") };
        deliveries.push(answer.clone());
    }
    deliveries
}
